"""Orders that are still moving, in memory: the journal is the truth, this is its fresh copy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.kill import Subject
from gateway.orders.records import ActionKind, ActionState, Leg, Order
from gateway.orders.states import TERMINAL, LegState, Outcome, outcome_of, require
from gateway.orders.times import now_us
from gateway.store import LegEvent, Store, StoreBroken


class LiveLeg:
    """One leg. Every change is journalled before it is believed; changes wait for each other.

    `action_lock` is held for a whole modify or cancel: a leg has one at a time. `on_wire` names
    the write that may be on its way right now. `cleared` is set once the leg may count on the
    position that it reduces.
    """

    def __init__(self, order: LiveOrder, record: Leg, store: Store) -> None:
        self.order = order
        self.record = record
        self._store = store
        self._lock = asyncio.Lock()
        self._behind: LegState | None = None
        self.action_lock = asyncio.Lock()
        self.on_wire: str | None = None
        self.cleared = False

    @property
    def state(self) -> LegState:
        return self.record.state

    @property
    def cancel_was_sent(self) -> bool:
        """Whether the broker took a cancel; only its book can say more."""
        action = self.record.action
        if action is None or action.kind is not ActionKind.CANCEL:
            return False
        return action.state is ActionState.SENT

    @property
    def subject(self) -> Subject:
        """What the kill switch is asked about for this leg."""
        order = self.order.order
        return Subject(
            account=self.record.account,
            broker=self.record.broker,
            strategy=order.request.strategy,
            keys=(order.key_id,) if order.key_id else (),
        )

    async def change(
        self,
        new: LegState | None,
        event: str,
        *,
        only_from: frozenset[LegState] | None = None,
        broker_code: str | None = None,
        broker_message: str | None = None,
        ms: float | None = None,
        details: dict[str, Any] | None = None,
        **fields: Any,
    ) -> bool:
        """Move the leg to `new`, durably; None changes fields and keeps whatever state it is in.

        `only_from`: do nothing and return False when the leg has moved on meanwhile.

        Raises: `IllegalTransition`, `StoreBroken`.
        """
        async with self._lock:
            old = self.record.state
            if only_from is not None and old not in only_from:
                return False
            state = old if new is None else new
            if state is not old:
                require(old, state)
            at = now_us()
            if self._behind is not None:
                caught_up = LegEvent(event="journal_was_broken", at_us=at)
                await self._store.update_leg(self.record, self._behind, caught_up)
                self._behind = None
            record = msgspec.structs.replace(self.record, state=state, updated_us=at, **fields)
            await self._store.update_leg(
                record,
                old,
                LegEvent(
                    event=event,
                    at_us=at,
                    attempt=record.attempts,
                    broker_code=broker_code,
                    broker_message=broker_message,
                    ms=ms,
                    details=details or {},
                ),
            )
            self.record = record
        self.order.notify()
        return True

    async def note(
        self,
        event: str,
        *,
        broker_code: str | None = None,
        broker_message: str | None = None,
        details: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """As `change` in the same state, where a broken journal must not be in the way.

        For cancels, and for answers to what was sent. What cannot be journalled is in the
        emergency log before this returns.
        """
        try:
            await self.change(
                None,
                event,
                broker_code=broker_code,
                broker_message=broker_message,
                details=details,
                **fields,
            )
        except StoreBroken:
            record = self.record
            kept = {
                "leg_id": record.leg_id,
                "order_id": record.order_id,
                "account": record.account,
                "state": record.state,
                "broker_order_id": record.broker_order_id,
                "broker_code": broker_code,
                "message": broker_message,
            }
            self._store.emergency.append(event, kept)
            self.believe(msgspec.structs.replace(record, **fields))

    def believe(self, record: Leg) -> None:
        """Take over what is true although it could not be written: the journal is broken.

        The first change that can be written again brings the journal up to it.
        """
        if record.state is not self.record.state and self._behind is None:
            self._behind = self.record.state
        self.record = record
        self.order.notify()


class LiveOrder:
    """An order with its legs, and whoever waits for them."""

    def __init__(self, order: Order, legs: list[Leg], store: Store) -> None:
        self.order = order
        self.legs = [LiveLeg(self, leg, store) for leg in legs]
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def terminal(self) -> bool:
        return all(leg.state in TERMINAL for leg in self.legs)

    @property
    def acked(self) -> bool:
        """Every leg's broker has answered, or it will never be asked."""
        return all(outcome_of(leg.state) is not Outcome.PENDING for leg in self.legs)

    @property
    def booked(self) -> bool:
        """As `acked`, and every accepted leg was seen in its broker's book."""
        return self.acked and all(leg.state is not LegState.ACKED for leg in self.legs)

    def notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_until(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for `reached`, at most `timeout_s`. An ended wait changes nothing."""
        if reached():
            return True
        if timeout_s <= 0:
            return False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not reached():
            left = deadline - loop.time()
            if left <= 0:
                return False
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append(waiter)
            timer = loop.call_later(left, _end_wait, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
        return True


def _end_wait(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
