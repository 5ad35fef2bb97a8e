"""A whole gateway without HTTP, over brokers in memory and a journal on the disk, and its judge."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import msgspec

from adapters.sdk.models import OrderType, Product, Side
from gateway.api.views import order_view
from gateway.config import Settings
from gateway.kill import Level, Scope
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.live import LiveOrder
from gateway.orders.problems import Problem
from gateway.orders.request import OrderRequest
from gateway.orders.states import LegState
from gateway.runtime import Gateway
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring
from tests.chaos.checker import Violation, judge
from tests.chaos.evidence import (
    AccountInfo,
    Arrival,
    ClientEvent,
    Did,
    Evidence,
    LedgerOrder,
)
from tests.chaos.history import shortened
from tests.chaos.journal import read_journal
from tests.model.exchange import INSTRUMENTS, FakeBroker, Fate, Made, plugin
from tests.model.virtual import VirtualWorld

CALLER = Caller(client="model", key_id="k")
# What can be judged only when there was time to look.
_AT_THE_END = frozenset(
    {
        "settled_after_faults",
        "unproven_is_declared",
        "found_when_it_is_there",
        "fills_equal_the_ledger",
    }
)
# Here brokers have no ports to count reads and messages on, and none of them is calm.
_NOT_HERE = frozenset({"absence_needs_good_reads", "paced", "others_are_left_alone"})


class World:
    """Accounts: `echo` is asked by tag; `silent` and `alone` never give it back.

    `alone` is exclusive: an order that looks like a lost one may be taken for it.
    """

    def __init__(self) -> None:
        self.virtual = VirtualWorld()
        self.virtual.enter()
        self.loop = self.virtual.loop
        self._scratch = tempfile.TemporaryDirectory(prefix="brokergate-model-")
        self._data_dir = Path(self._scratch.name)
        self._keyring = Keyring(generate_master_key())
        self.brokers = {
            name: FakeBroker(name, self.loop, self._made, echoes=name == "echo")
            for name in ("echo", "silent", "alone")
        }
        self.history: list[ClientEvent] = []
        self.arrivals: list[Arrival] = []
        self.placing: set[asyncio.Task[Any]] = set()
        self.requests: dict[str, OrderRequest] = {}
        self.taken_back: set[str] = set()
        self._reader: apsw.Connection | None = None
        self.boot()

    def boot(self) -> None:
        settings = Settings(
            data_dir=self._data_dir,
            accounts=[
                {
                    "id": name,
                    "broker": name,
                    "exclusive": name == "alone",
                    "market_hours": "ignore",
                    "limits": {"broker_windows": "ignore"},
                }
                for name in self.brokers
            ],
        )
        plugins = {name: plugin(broker) for name, broker in self.brokers.items()}
        self.gateway = self.loop.finish(_gateway(settings, plugins, self._keyring))
        for name in self.brokers:
            for instrument in INSTRUMENTS.values():
                self.gateway.instruments._cache[name, instrument.instrument] = instrument
        self.loop.finish(self.gateway.start())
        self.log_in()

    def log_in(self) -> None:
        for account in self.gateway.accounts.values():
            if account.session is None:
                self.loop.finish(self.gateway.sessions.login(account))

    def crash(self) -> None:
        """Die as by SIGKILL: nothing that runs writes another row, then start again."""
        store = self.gateway.store
        store.write = _dead_write  # type: ignore[method-assign]
        own = asyncio.all_tasks(self.loop)
        for _ in range(10):
            for task in own:
                task.cancel()
            self.loop.step(3)
        self.loop.drain()
        for task in self.placing:
            if task.done() and not task.cancelled():
                task.exception()
        self.placing.clear()
        store.close()
        self.gateway._instrument_store.close()
        self.boot()

    def close(self) -> None:
        try:
            self.loop.finish(self.gateway.stop())
        finally:
            if self._reader is not None:
                self._reader.close()
            self.virtual.leave()
            self._scratch.cleanup()

    # What clients and the world do

    def place(
        self, key: str, accounts: dict[str, Fate], *, instrument: str, ttl_ms: int, quantity: int
    ) -> None:
        """Send an order under a new key; the answer comes when it comes."""
        self.requests[key] = OrderRequest(
            instrument=instrument,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            product=Product.CNC,
            accounts=tuple(accounts),
            quantity=quantity,
            price=Decimal("812.50"),
            ttl_ms=ttl_ms,
        )
        for name, fate in accounts.items():
            self.brokers[name].fates.append(fate)
        self.send(key)

    def send(self, key: str, request: OrderRequest | None = None) -> None:
        work = self._send(key, request or self.requests[key])
        task = self.loop.create_task(work)
        self.placing.add(task)
        task.add_done_callback(self.placing.discard)

    async def _send(self, key: str, request: OrderRequest) -> None:
        self._note(Did.SENT, key=key)
        try:
            live, replayed = await self.gateway.orders.place(CALLER, key, request)
        except Problem as problem:
            self._note(Did.ANSWERED, key=key, status=problem.status, code=problem.code)
            return
        self.tell(live, key=key, replayed=replayed)
        await self.gateway.orders.wait(live, request.wait_for, 3.0)
        self.tell(live, key=key, replayed=replayed)

    def cancel(self, order_id: str) -> None:
        async def work() -> None:
            live = await self.gateway.orders.find(order_id)
            if live is not None:
                await self.gateway.orders.cancel(live, None, 0.0)

        task = self.loop.create_task(work())
        self.placing.add(task)
        task.add_done_callback(self.placing.discard)

    def stop_orders(self) -> None:
        self.loop.finish(self.gateway.kill.engage(Scope.GLOBAL, None, Level.HALT_NEW, "model", {}))
        self._note(Did.ENGAGED, status=200, scope="global")

    def release(self) -> None:
        self._note(Did.RELEASED, scope="global")
        self.loop.finish(self.gateway.kill.release(Scope.GLOBAL, None, "model", {}))

    def order_ids(self) -> list[str]:
        return sorted({e.order["order_id"] for e in self.history if e.order is not None})

    def settle(self) -> None:
        """Let the faults stop and the gateway look until there is nothing left to learn."""
        for broker in self.brokers.values():
            broker.bad_reads.clear()
            broker.fates.clear()
        for _ in range(8):
            self.log_in()
            self.loop.advance(40.0)

    # What is true

    def judge(self, *, at_the_end: bool) -> list[Violation]:
        evidence = self.evidence()
        left_out = _NOT_HERE if at_the_end else _NOT_HERE | _AT_THE_END
        # A final word that is taken back is noticed only while the book is read for another leg.
        excused = [e.leg_id for tag, e in evidence.legs_by_tag.items() if tag in self.taken_back]
        return [
            found
            for found in judge(evidence)
            if found.invariant not in left_out
            and not (
                found.invariant == "fills_equal_the_ledger"
                and any(leg_id in found.what for leg_id in excused)
            )
        ]

    def evidence(self) -> Evidence:
        return Evidence(
            accounts=[
                AccountInfo(id=name, broker=name, echoes=broker.echoes)
                for name, broker in self.brokers.items()
            ],
            history=self.history,
            ledgers={
                name: [_ledger_row(made) for made in broker.made if made.tag is not None]
                for name, broker in self.brokers.items()
            },
            arrivals=self.arrivals,
            journal=read_journal(self.gateway.store.path),
            in_flight_us=0,
            unresolved=[
                leg.record.leg_id for leg, *_ in self.gateway.orders.resolving.unresolved()
            ],
        )

    def tell(self, live: LiveOrder, **fields: Any) -> None:
        view = msgspec.to_builtins(order_view(live, lambda _: True))
        self._note(Did.ANSWERED, status=200, order=shortened(view), **fields)

    def _note(self, did: Did, **fields: Any) -> None:
        event = ClientEvent(at_us=self.virtual.now_us(), did=did, client="model", **fields)
        self.history.append(event)

    def _made(self, account: str, made: Made) -> None:
        """The broker takes an order: what does the journal hold at this moment?"""
        if made.tag is None:
            return
        if self._reader is None:
            flags = apsw.SQLITE_OPEN_READONLY
            self._reader = apsw.Connection(str(self.gateway.store.path), flags=flags)
        row: Any = self._reader.execute(
            "SELECT state, json_extract(data, '$.attempts') FROM legs WHERE broker_tag=?",
            (made.tag,),
        ).fetchone()
        self.arrivals.append(
            Arrival(
                at_us=self.virtual.now_us(),
                account=account,
                broker_order_id=made.broker_order_id,
                tag=f"{made.tag:015d}",
                state=LegState(row[0]) if row else None,
                attempts=(row[1] or 0) if row else 0,
                fault="accept_late" if made.held_back else None,
            )
        )


async def _gateway(settings: Settings, plugins: Any, keyring: Keyring) -> Gateway:
    return Gateway(settings, plugins, keyring)


def _dead_write(work: Callable[[Any], Any], points: tuple[str, ...] = ()) -> Any:
    """Stand in for the journal of a process that is no more."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    return future


def _ledger_row(made: Made) -> LedgerOrder:
    state = made.state.value
    if state == "OPEN" and made.filled:
        state = "PARTIALLY_FILLED"
    return LedgerOrder(
        broker_order_id=made.broker_order_id,
        tag=f"{made.tag:015d}",
        instrument=made.instrument,
        exchange_token=0,
        side=made.side,
        order_type=made.order_type,
        product=made.product,
        quantity=made.quantity,
        status=state,
        filled_quantity=made.filled,
        price=made.price,
    )
