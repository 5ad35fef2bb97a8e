"""The one way in which the orchestrator calls an adapter: admitted, counted, judged.

Every call asks its breaker, then waits for a place and for room in the rate windows, and its
end tells the breaker how the broker is doing. What an adapter raises comes out unchanged.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from adapters.sdk.errors import (
    Denied,
    GatewayError,
    LoginExpired,
    NotSent,
    OutcomeUnknown,
    Phase,
    Progress,
    ReasonCode,
)
from adapters.sdk.interface import Adapter, Capabilities, RateWindow, SendGate
from adapters.sdk.models import (
    BrokerDepth,
    BrokerFunds,
    BrokerHolding,
    BrokerMargin,
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    BrokerTrade,
    CancelRequested,
    Candle,
    Instrument,
    Interval,
    MarginOrder,
    Modified,
    ModifyOrder,
    OrderRef,
    Placed,
    PlaceOrder,
    Session,
)
from gateway.calls.admission import Admission
from gateway.calls.breaker import Breaker
from gateway.calls.bulkhead import Lanes, Priority
from gateway.calls.health import Health
from gateway.calls.limits import DAY_S, Limits, Window
from gateway.calls.permit import Permit
from gateway.calls.retry import READ, Retry
from gateway.orders.records import Reason

log = logging.getLogger(__name__)
T = TypeVar("T")

_CANCEL_WAIT_S = 30.0
_CANCEL_PAUSE_S = 1.0
_URGENT_READ_WAIT_S = 10.0


class AccountCalls:
    """One account's calls. `current_session` is asked when the breakers want a probe.

    `on_login_expired` hears of a session that a probe found dead.
    """

    def __init__(
        self,
        account_id: str,
        adapter: Adapter,
        capabilities: Capabilities,
        *,
        orders_per_second: int,
        broker_windows: bool = True,
        current_session: Callable[[], Session | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        declared = [_scaled(window) for window in capabilities.limits] if broker_windows else []
        self.account_id = account_id
        self.limits = Limits(orders_per_second, declared, clock=clock)
        self.retry = Retry()
        self.health = Health(
            account_id,
            self.limits.pause,
            probe=self._probe,
            on_place_stopped=self._turn_placements_away,
            clock=clock,
        )
        self.on_login_expired: Callable[[LoginExpired], None] | None = None
        self._adapter = adapter
        self._quote_batch = capabilities.quote_batch
        self._current_session = current_session
        self._clock = clock
        self._admission = Admission(Lanes(), self.limits)

    def obstacle(self) -> Reason | None:
        """Why a placement would be denied now, as far as the broker's health goes."""
        if self.health.place.would_admit():
            return None
        error = self.health.denial(self.health.place)
        return Reason(code=error.reason, message=error.message, retryable=True)

    def try_permit(self, exchange: str) -> Permit | None:
        """Admit one placement if that takes no waiting."""
        breaker = self.health.place
        trial = breaker.enter()
        if trial is None:
            return None
        windows = self.limits.for_orders(exchange)
        if not self._admission.try_take(Priority.PLACE, windows, exchange):
            breaker.leave(trial=trial)
            return None
        return Permit(self, breaker, Priority.PLACE, windows, trial=trial)

    async def permit(self, exchange: str, deadline: float) -> Permit:
        """Admit one placement or modify, waiting until `deadline` (monotonic seconds).

        A permit must be used or dropped.

        Raises: `Denied`: `breaker_open`; `rate_limited`; `broker_unavailable` where too many
        calls wait for the broker's answer already.
        """
        breaker = self.health.place
        trial = breaker.enter()
        if trial is None:
            raise self.health.denial(breaker)
        windows = self.limits.for_orders(exchange)
        return await self._admit(Priority.PLACE, breaker, windows, deadline, trial, exchange)

    async def place_order(
        self, session: Session, order: PlaceOrder, gate: SendGate, permit: Permit
    ) -> Placed:
        """Send one order, once. The permit is used up, whatever happens."""
        permit.gate = gate
        return await self._run(permit, self._adapter.place_order(session, order, permit))

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate, deadline: float
    ) -> Modified:
        """Send one change, once. Raises `Denied` as `permit` does."""
        permit = await self.permit(change.instrument.exchange, deadline)
        permit.gate = gate
        return await self._run(permit, self._adapter.modify_order(session, change, permit))

    async def cancel_order(
        self,
        session: Session,
        ref: OrderRef,
        gate: SendGate,
        exchange: str,
        *,
        wait_s: float = _CANCEL_WAIT_S,
    ) -> CancelRequested:
        """Ask for one cancel, once. No breaker stops it; its own only makes it wait a moment.

        Raises: `Denied` when there was no room for `wait_s`.
        """
        breaker = self.health.cancel
        trial = breaker.enter()
        if trial is None:
            await asyncio.sleep(_CANCEL_PAUSE_S)
        windows = self.limits.for_orders(exchange)
        deadline = self._clock() + wait_s
        permit = await self._admit(
            Priority.CANCEL, breaker, windows, deadline, trial or False, exchange
        )
        permit.gate = gate
        return await self._run(permit, self._adapter.cancel_order(session, ref, permit))

    async def order_book(
        self, session: Session, priority: Priority = Priority.READ
    ) -> list[BrokerOrder]:
        return await self.read(lambda: self._adapter.order_book(session), priority)

    async def get_order(
        self, session: Session, ref: OrderRef, priority: Priority = Priority.READ
    ) -> BrokerOrder | None:
        return await self.read(lambda: self._adapter.get_order(session, ref), priority)

    async def find_by_tag(
        self, session: Session, broker_tag: int, priority: Priority = Priority.READ
    ) -> list[BrokerOrder]:
        # An adapter may read the whole book as well where the question finds nothing.
        return await self.read(
            lambda: self._adapter.find_by_tag(session, broker_tag), priority, cost=2
        )

    async def trade_book(
        self, session: Session, priority: Priority = Priority.READ
    ) -> list[BrokerTrade]:
        return await self.read(lambda: self._adapter.trade_book(session), priority)

    async def positions(
        self, session: Session, priority: Priority = Priority.READ
    ) -> list[BrokerPosition]:
        return await self.read(lambda: self._adapter.positions(session), priority)

    async def quotes(
        self,
        session: Session,
        instruments: Sequence[Instrument],
        priority: Priority = Priority.READ,
    ) -> dict[str, BrokerQuote]:
        cost = max(-(-len(instruments) // self._quote_batch), 1)
        return await self.read(
            lambda: self._adapter.quotes(session, instruments),
            priority,
            cost=cost,
            breaker=self.health.data,
        )

    async def depth(self, session: Session, instrument: Instrument) -> BrokerDepth | None:
        return await self._read_data(lambda: self._adapter.depth(session, instrument))

    async def candles(
        self,
        session: Session,
        instrument: Instrument,
        interval: Interval,
        start: datetime,
        end: datetime,
    ) -> list[Candle]:
        return await self._read_data(
            lambda: self._adapter.candles(session, instrument, interval, start, end)
        )

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        return await self._read_data(lambda: self._adapter.holdings(session))

    async def funds(self, session: Session) -> BrokerFunds:
        return await self._read_data(lambda: self._adapter.funds(session))

    async def margins(self, session: Session, orders: Sequence[MarginOrder]) -> BrokerMargin:
        return await self._read_data(lambda: self._adapter.margins(session, orders))

    async def prove_session(self, session: Session) -> str:
        """Read whose session it is, once: a part of logging in."""
        return await self.read(lambda: self._adapter.prove_session(session), Priority.RECONCILE)

    async def logout(self, session: Session) -> None:
        """End the session at the broker, once."""
        await self.read(lambda: self._adapter.logout(session), Priority.RECONCILE)

    async def read(
        self,
        attempt: Callable[[], Awaitable[T]],
        priority: Priority = Priority.READ,
        *,
        cost: int = 1,
        breaker: Breaker | None = None,
    ) -> T:
        """Make a read; `cost` is how many requests it stands for, `breaker` whose it is.

        READ is repeated by policy, within its total time, and denied while the read breaker is
        open. RECONCILE is tried once, whatever the breakers say: whoever reconciles paces itself.
        """
        breaker = breaker or self.health.read
        if priority is not Priority.READ:
            deadline = self._clock() + _URGENT_READ_WAIT_S
            return await self._read_once(attempt, priority, cost, deadline, None, breaker)
        deadline = self._clock() + READ.total_s

        async def bounded() -> T:
            return await self._read_once(attempt, priority, cost, deadline, deadline, breaker)

        return await self.retry.read(bounded)

    async def _read_data(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Read what proves nothing about an order: its failures hold no order back."""
        return await self.read(attempt, breaker=self.health.data)

    async def login(self, step: Awaitable[T]) -> T:
        """Make one login step, never twice. Raises `Denied` while the login breaker is open."""
        breaker = self.health.login
        trial = breaker.enter()
        if trial is None:
            if inspect.iscoroutine(step):
                step.close()
            raise self.health.denial(breaker)
        # Nobody waits for a login's room: what a step takes is missing for the calls after it.
        windows, begun = self.limits.for_reads(), self._clock()
        self.limits.take(windows, begun, Priority.CANCEL, 1)
        error: BaseException | None = None
        try:
            return await step
        except BaseException as caught:
            error = caught
            raise
        finally:
            self.limits.sent(windows, 1)
            self.health.judge(breaker, error, begun, trial=trial)

    def waiting(self) -> dict[Priority, int]:
        """How many calls of each class wait for room now."""
        return {priority: self._admission.waiting(priority) for priority in Priority}

    def close(self) -> None:
        """Stop waking and probing. Nothing is called after it."""
        self._admission.close()
        self.health.close()

    def finish(self, permit: Permit, error: BaseException | None) -> None:
        """Take a permit back; called once, by the permit."""
        self._admission.done(permit.priority, permit.windows, permit.cost, sent=permit.was_sent)
        self.health.judge(permit.breaker, error, permit.begun, trial=permit.trial)

    async def _admit(
        self,
        priority: Priority,
        breaker: Breaker,
        windows: Sequence[Window],
        deadline: float,
        trial: bool,
        exchange: str = "",
        cost: int = 1,
    ) -> Permit:
        admitted = False
        try:
            admitted = await self._admission.take(priority, windows, deadline, exchange, cost)
        finally:
            if not admitted:
                breaker.leave(trial=trial)
        if not admitted:
            raise self._no_room(priority)
        return Permit(self, breaker, priority, windows, trial=trial, cost=cost)

    async def _run(self, permit: Permit, work: Awaitable[T]) -> T:
        try:
            result = await work
        except BaseException as error:
            permit.finish(error)
            raise
        permit.finish(None)
        return result

    async def _read_once(
        self,
        attempt: Callable[[], Awaitable[T]],
        priority: Priority,
        cost: int,
        wait_until: float,
        end_at: float | None,
        breaker: Breaker,
    ) -> T:
        trial = breaker.enter() if priority is Priority.READ else False
        if trial is None:
            raise self.health.denial(breaker)
        windows = self.limits.for_reads()
        permit = await self._admit(priority, breaker, windows, wait_until, trial, cost=cost)
        permit.begun = self._clock()
        try:
            result = await self._bounded(attempt, end_at)
        except BaseException as error:
            # Some of it may have gone out at any time until now, so now is when it counts.
            if not isinstance(error, NotSent | Denied):
                permit.count()
            permit.finish(error)
            raise
        permit.count()
        permit.finish(None)
        return result

    async def _bounded(self, attempt: Callable[[], Awaitable[T]], end_at: float | None) -> T:
        if end_at is None:
            return await attempt()
        try:
            async with asyncio.timeout(max(end_at - self._clock(), 0.0)):
                return await attempt()
        except TimeoutError as error:
            raise OutcomeUnknown(
                f"{self.account_id}: not read within {READ.total_s:.0f} s",
                progress=Progress.MAYBE_SENT,
                phase=Phase.WAIT,
                reason=ReasonCode.TIMEOUT,
            ) from error

    async def _probe(self) -> None:
        """Read the order book to learn whether the broker answers again."""
        session = self._current_session()
        if session is None:
            # Logging in again proves the session by a read, which is the probe then.
            await asyncio.sleep(self.health.place.settings.open_first_s)
            return
        try:
            await self.order_book(session, Priority.RECONCILE)
        except LoginExpired as error:
            if self.on_login_expired is not None:
                self.on_login_expired(error)
        except GatewayError as error:
            log.info("%s: still not answering: %s", self.account_id, error.message)

    def _turn_placements_away(self, error: Denied) -> None:
        self._admission.refuse(Priority.PLACE, error)

    def _no_room(self, priority: Priority) -> Denied:
        if self._admission.is_full(priority):
            return Denied(
                f"too many calls to {self.account_id} wait for the broker's answer, and none"
                " ended in time",
                reason=ReasonCode.BROKER_UNAVAILABLE,
            )
        return Denied(
            f"no room in the rate limits of {self.account_id} in time",
            reason=ReasonCode.RATE_LIMITED,
        )


def _scaled(window: RateWindow) -> RateWindow:
    """`BROKERGATE_TEST_TIME_SCALE` shortens minutes and hours, as it does the reads in them."""
    scale = max(float(os.environ.get("BROKERGATE_TEST_TIME_SCALE", "1")), 1.0)
    per_s = max(int(window.per_s / scale), 1) if window.per_s < DAY_S else window.per_s
    return msgspec.structs.replace(window, per_s=per_s)
