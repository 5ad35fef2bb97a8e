"""Several orders under one key, side by side or one after another.

Each order is an ordinary order with its own id and journal rows; the basket only holds the key
and the order of things. An ordered basket never sends an order while the one before is unknown.
"""

from __future__ import annotations

import asyncio
import secrets

import msgspec

from adapters.sdk.errors import ReasonCode
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.live import LiveOrder
from gateway.orchestrator.service import OrderService
from gateway.orders.basket import (
    BASKET_PREFIX,
    Basket,
    BasketRequest,
    Sequence,
    StopOn,
    basket_fingerprint,
    basket_problems,
)
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.request import FieldError, OrderRequest
from gateway.orders.states import UNPROVEN, LegState, Summary, summarise
from gateway.orders.times import now_us
from gateway.store import Existing, Store

SETTLE_S = 60.0


class PlacedBasket(msgspec.Struct):
    """A basket and its orders so far; None where an order's turn has not come."""

    basket: Basket
    orders: list[LiveOrder | None]


class Baskets:
    """Places baskets through the order service. `settle_s` bounds the wait for one order's fate."""

    def __init__(
        self, service: OrderService, store: Store, boot_id: str, settle_s: float = SETTLE_S
    ) -> None:
        self._service = service
        self._store = store
        self._boot_id = boot_id
        self._settle_s = settle_s

    async def place(
        self, caller: Caller, key: str, request: BasketRequest, wait_s: float
    ) -> tuple[PlacedBasket, bool]:
        """Accept a basket and run it; returns what stands after `wait_s`, and whether it is old.

        Raises: `Problem` when anything of it is wrong; then nothing is sent and no key consumed.
        """
        mark = basket_fingerprint(request)
        try:
            await self._check(caller, request)
        except Problem:
            existing = await self._store.find_key(caller.client, key)
            if existing is not None:
                return await self._replay(caller, existing, mark), True
            raise
        basket = Basket(
            basket_id=BASKET_PREFIX + secrets.token_hex(13),
            client=caller.client,
            idempotency_key=key,
            fingerprint=mark,
            created_us=now_us(),
            request=request,
            boot_id=self._boot_id,
        )
        existing = await self._store.insert_basket(basket, caller.actor())
        if existing is not None:
            return await self._replay(caller, existing, mark), True
        placed = PlacedBasket(basket, [None] * len(request.orders))
        running = self._service.spawn(self._run(caller, placed))
        await asyncio.wait([running], timeout=wait_s)
        return placed, False

    async def _check(self, caller: Caller, request: BasketRequest) -> None:
        """Raise one `Problem` for everything that is wrong with any of the orders."""
        errors = basket_problems(request)
        if not errors:
            for index, order in enumerate(request.orders):
                try:
                    await self._service.check(caller, order)
                except Problem as problem:
                    if not problem.errors:
                        raise
                    errors.extend(
                        FieldError(f"orders[{index}].{error.field}", error.message)
                        for error in problem.errors
                    )
        if errors:
            text = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise Problem(422, "invalid_order", text, errors=errors)

    async def _run(self, caller: Caller, placed: PlacedBasket) -> None:
        orders = placed.basket.request.orders
        if placed.basket.request.sequence is Sequence.PARALLEL:
            await asyncio.gather(
                *(self._place(caller, placed, index, None) for index in range(len(orders)))
            )
            return
        stop: Reason | None = None
        for index, order in enumerate(orders):
            live = await self._place(caller, placed, index, stop)
            if stop is None:
                stop = await self._why_stop(live, index, order, placed.basket.request.stop_on)

    async def _place(
        self, caller: Caller, placed: PlacedBasket, index: int, denial: Reason | None
    ) -> LiveOrder:
        """Place one order of the basket, or journal it as denied where the basket has stopped."""
        basket = placed.basket
        order = basket.request.orders[index]
        live, _ = await self._service.place(caller, basket.order_key(index), order, denial=denial)
        placed.orders[index] = live
        if denial is None:
            await self._service.wait(live, order.wait_for, order.wait_ms / 1000)
        return live

    async def _why_stop(
        self, live: LiveOrder, index: int, order: OrderRequest, stop_on: StopOn
    ) -> Reason | None:
        """Return why the next order must not go, or None when it may."""
        filled_only = stop_on is StopOn.NOT_FILLED
        await live.wait_until(
            lambda: live.terminal if filled_only else _proven(live), self._settle_s
        )
        name = f"order {index} ({live.order.order_id})"
        if not _proven(live):
            return Reason(
                code=ReasonCode.UNRESOLVED,
                message=f"not sent: the fate of {name} before it is not proven",
            )
        summary = summarise(leg.state for leg in live.legs)
        if filled_only and any(leg.state is not LegState.FILLED for leg in live.legs):
            return _stopped(f"{name} was not filled ({summary})")
        if stop_on is StopOn.REJECTED and summary is not Summary.ACCEPTED:
            return _stopped(f"{name} was {summary}")
        return None

    async def _replay(self, caller: Caller, existing: Existing, mark: bytes) -> PlacedBasket:
        """Show a basket again. What an earlier process never came to is denied, not sent."""
        basket = await self._store.load_basket(existing.order_id)
        if basket is None or existing.fingerprint != mark:
            raise Problem(
                422,
                "idempotency_key_reused",
                "this Idempotency-Key belongs to another request; use a new key for a new one",
                sent=None,
                extra={"order_id": existing.order_id},
            )
        placed = PlacedBasket(basket, [None] * len(basket.request.orders))
        for index in range(len(placed.orders)):
            known = await self._store.find_key(caller.client, basket.order_key(index))
            if known is not None:
                placed.orders[index] = await self._service.find(known.order_id)
            elif basket.boot_id != self._boot_id:
                restarted = _stopped("the gateway restarted before its turn")
                await self._place(caller, placed, index, restarted)
        return placed


def _proven(live: LiveOrder) -> bool:
    return live.acked and not any(leg.state in UNPROVEN for leg in live.legs)


def _stopped(why: str) -> Reason:
    return Reason(
        code=ReasonCode.BASKET_STOPPED,
        message=f"not sent: the basket stopped, {why}",
        retryable=True,
    )
