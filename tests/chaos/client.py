"""Trading scripts as their owners write them: they repeat with the same key until answered.

They also hang up too early, ask twice at once, come back later with an old key, cancel and
modify. A leg that the gateway calls retryable is meant again, under a new key, at that account
only.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.models import Exchange, InstrumentType
from adapters.sdk.simulator import Contract, Universe
from tests.chaos.evidence import Did
from tests.chaos.history import History, shortened
from tests.chaos.http import NoReply, Reply, call

_MOST_KEYS = 12
# Another order like it may stay unproven until the day ends; a script does not wait for that.
_MOST_TWINS = 3
_PENDING_S = 20.0
_MOVING = frozenset({"READY", "SENDING", "RETRY_WAIT", "UNKNOWN"})


class Intent(msgspec.Struct, kw_only=True):
    """What a script means: one order at these accounts, however many keys it takes."""

    name: str
    accounts: list[str]
    body: dict[str, Any]


class Habits(msgspec.Struct, kw_only=True, frozen=True):
    """How often a script does what a careful one would not."""

    hang_up: float = 0.06
    ask_twice: float = 0.06
    come_back: float = 0.08
    cancel: float = 0.08
    modify: float = 0.05


def intents(
    seed: int, count: int, calm: list[str], faulty: list[str], universe: Universe
) -> Iterator[Intent]:
    """Draw orders: mostly one account, some two or three, every fifth at a calm one alone."""
    dice = random.Random(seed)
    contracts = [
        contract
        for contract in universe.contracts(Exchange.NSE)
        if contract.type is InstrumentType.EQ
    ]
    for number in range(count):
        if calm and number % 5 == 0:
            accounts = [dice.choice(calm)]
        else:
            accounts = dice.sample(faulty, min(dice.choice((1, 1, 1, 2, 3)), len(faulty)))
        yield Intent(
            name=f"i{number:06d}", accounts=accounts, body=_order(dice, dice.choice(contracts))
        )


class Script:
    """One client with its own API key, working off a share of the intents."""

    def __init__(
        self,
        name: str,
        token: str,
        port: int,
        history: History,
        seed: int,
        habits: Habits | None = None,
    ) -> None:
        self.name = name
        self.done = 0
        self._token = token
        self._port = port
        self._history = history
        self._dice = random.Random(seed)
        self._habits = habits or Habits()
        self._modifies = True

    async def run(self, work: Iterator[Intent], pause_s: float) -> None:
        for intent in work:
            await self.mean(intent)
            self.done += 1
            await asyncio.sleep(self._dice.uniform(0, 2 * pause_s))

    async def mean(self, intent: Intent) -> None:
        """Place an order until every account has taken it or will not."""
        accounts, habits, dice = list(intent.accounts), self._habits, self._dice
        for attempt in range(_MOST_KEYS):
            key = f"{self.name}-{intent.name}-{attempt}"
            body = {**intent.body, "accounts": accounts}
            if dice.random() < habits.hang_up:
                await self._hang_up(key, intent, body)
            if dice.random() < habits.ask_twice:
                order, _ = await asyncio.gather(
                    self._place(key, intent, body), self._place(key, intent, body)
                )
            else:
                order = await self._place(key, intent, body)
            if order is None:
                return
            order = await self._settled(order, key)
            await self._afterthoughts(order, key, intent, body)
            accounts = [leg["account"] for leg in order["legs"] if _again(leg, attempt)]
            if not accounts:
                return
            await asyncio.sleep(dice.uniform(0.2, 0.4) * (attempt + 1))

    async def _place(self, key: str, intent: Intent, body: dict[str, Any]) -> dict[str, Any] | None:
        """Repeat one key until there is an order or a refusal of the whole request."""
        while True:
            self._history.note(Did.SENT, self.name, key=key, intent=intent.name, request=body)
            begun = time.monotonic()
            reply = await self._call("POST", "/v1/orders", key, body)
            ms = (time.monotonic() - begun) * 1000
            if reply is not None:
                order = self._answered(reply, key, intent.name, body, ms)
                if order is not None:
                    return order
                if reply.status < 500 and reply.status not in (409, 429):
                    return None
            await asyncio.sleep(self._dice.uniform(0.05, 0.3))

    async def _call(self, method: str, path: str, key: str | None, body: Any) -> Reply | None:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            return await call(
                self._port, method, path, token=self._token, body=body, headers=headers
            )
        except NoReply as error:
            self._history.note(Did.FAILED, self.name, key=key, error=str(error))
            return None

    def _answered(
        self, reply: Reply, key: str | None, intent: str | None, body: Any, ms: float
    ) -> dict[str, Any] | None:
        content = reply.json
        order = content if reply.status in (200, 201, 202) else None
        self._history.note(
            Did.ANSWERED,
            self.name,
            key=key,
            intent=intent,
            request=body,
            status=reply.status,
            order=shortened(order) if order else None,
            code=None if order or not content else content.get("code"),
            error=None if order or not content else content.get("detail"),
            ms=round(ms, 3),
            replayed="idempotency-replayed" in reply.headers,
        )
        return order

    async def _hang_up(self, key: str, intent: Intent, body: dict[str, Any]) -> None:
        self._history.note(Did.SENT, self.name, key=key, intent=intent.name, request=body)
        try:
            await call(
                self._port,
                "POST",
                "/v1/orders",
                token=self._token,
                body=body,
                headers={"Idempotency-Key": key},
                hang_up_after_s=self._dice.uniform(0, 0.02),
            )
        except NoReply:
            self._history.note(Did.HUNG_UP, self.name, key=key)

    async def _settled(self, order: dict[str, Any], key: str) -> dict[str, Any]:
        """Look again until no leg is on its way or being looked up, or patience ends."""
        deadline = time.monotonic() + _PENDING_S
        while any(leg["state"] in _MOVING for leg in order["legs"]):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(self._dice.uniform(0.1, 0.4))
            reply = await self._call("GET", f"/v1/orders/{order['order_id']}", None, None)
            if reply is not None and reply.status == 200:
                order = reply.json
                self._history.note(
                    Did.ANSWERED, self.name, key=key, status=200, order=shortened(order)
                )
        return order

    async def _afterthoughts(
        self, order: dict[str, Any], key: str, intent: Intent, body: dict[str, Any]
    ) -> None:
        habits, dice = self._habits, self._dice
        path = f"/v1/orders/{order['order_id']}"
        if self._modifies and dice.random() < habits.modify:
            # Two rupees are a multiple of every tick there is.
            price = str(Decimal(body["price"]) + dice.choice((-2, 2)))
            self._history.note(Did.MODIFIED, self.name, key=key, request={"price": price})
            reply = await self._call("PATCH", path, None, {"price": price})
            if reply is not None and reply.status in (404, 405):
                self._modifies = False
        if dice.random() < habits.cancel:
            self._history.note(Did.CANCELLED, self.name, key=key)
            reply = await self._call("DELETE", path, None, None)
            if reply is not None:
                self._answered(reply, key, None, None, 0.0)
        if dice.random() < habits.come_back:
            await self._place(key, intent, body)


def _again(leg: dict[str, Any], attempt: int) -> bool:
    reason = leg.get("reason") or {}
    if reason.get("code") == "unresolved" and attempt >= _MOST_TWINS:
        return False
    return leg["outcome"] in ("not_sent", "rejected") and bool(reason.get("retryable"))


def _order(dice: random.Random, contract: Contract) -> dict[str, Any]:
    """An order near the price: about half of them fill at once, the others rest."""
    ticks = dice.randint(-20, 20)
    price = _on_tick(contract.price, contract.tick_size) + ticks * contract.tick_size
    side = dice.choice(("BUY", "SELL"))
    return {
        "instrument": contract.instrument,
        "side": side,
        "order_type": "LIMIT",
        "product": "MIS" if side == "SELL" else dice.choice(("CNC", "MIS")),
        "quantity": dice.randint(1, 50) * contract.lot_size,
        "price": str(price),
        "strategy": "chaos",
        "wait_ms": dice.choice((0, 500, 3000)),
        "ttl_ms": dice.choice((500, 2000, 5000)),
    }


def _on_tick(price: Decimal, tick: Decimal) -> Decimal:
    return (price // tick) * tick
