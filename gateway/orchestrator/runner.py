"""The life of one leg from READY until its broker has answered, as far as that can be known.

The order of work is design section 3: rate token and proven connection first, then SEND_BEGIN
durable, then a last look in memory, then one write. Below that line nothing is repeated.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec

from adapters.sdk.errors import (
    Denied,
    GatewayError,
    LoginExpired,
    NotSent,
    OutcomeUnknown,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import PlaceOrder
from gateway import failpoints
from gateway.calls.permit import Permit
from gateway.kill import KillSwitchEngaged
from gateway.orchestrator.account import Account
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.stops import Stops
from gateway.orchestrator.wire import answered, sent_order
from gateway.orders.records import Reason, Timing
from gateway.orders.states import UNSENT, LegState
from gateway.orders.times import now_us
from gateway.store import StoreBroken

log = logging.getLogger(__name__)

_RETRY_FIRST_S = 0.05
_RETRY_CAP_S = 1.0


class Lapsed(Exception):
    """The leg's time to live ended, or it was cancelled, before anything was sent."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


class LegRunner:
    """Sends one leg. `permit`: its admission, where it was given when the order was accepted."""

    def __init__(
        self,
        leg: LiveLeg,
        account: Account,
        place: PlaceOrder,
        stops: Stops,
        boot_id: str,
        *,
        permit: Permit | None,
        on_session_expired: Callable[[Account, LoginExpired], None],
    ) -> None:
        self._leg = leg
        self._account = account
        self._place = place
        self._stops = stops
        self._boot_id = boot_id
        self._permit = permit
        self._on_session_expired = on_session_expired
        self._last_failure: GatewayError | None = None
        self.started = time.monotonic()
        self._deadline = self.started + (leg.record.deadline_us - now_us()) / 1_000_000
        self._first_byte: float | None = None
        self._epoch = stops.epoch

    async def run(self) -> None:
        """Bring the leg to a state in which its sending is over. Raises nothing."""
        try:
            try:
                await self._run()
            finally:
                self._leg.on_wire = None
                if self._permit is not None:
                    self._permit.drop()
        except Lapsed as lapsed:
            await self._finish_unsent(LegState.LAPSED, "lapsed", lapsed.reason)
        except Denied as denied:
            await self._finish_unsent(LegState.DENIED, "denied", _reason_of(denied))
        except StoreBroken as error:
            self._survive_broken_store(error)
        except asyncio.CancelledError:
            await self._abandoned("the gateway was stopped while the order was on its way")
            raise
        except Exception as error:
            log.exception("leg %s: unexpected failure", self._leg.record.leg_id)
            await self._abandoned(f"internal failure: {type(error).__name__}")

    async def _run(self) -> None:
        pause = _RETRY_FIRST_S
        while True:
            self._check_alive()
            await self._stops.look(self._leg, self._account)
            if not await self._account.claim_twin(self._leg.record, self._left()):
                raise Denied(
                    f"the fate of another order for this instrument and side at"
                    f" {self._account.id} is not proven yet; see /v1/unresolved",
                    reason=ReasonCode.UNRESOLVED,
                )
            if self._permit is None:
                exchange = self._place.instrument.exchange
                self._permit = await self._account.calls.permit(exchange, self._deadline)
            if await self._attempt():
                return
            self._leg.on_wire = None
            await asyncio.sleep(min(random.uniform(0, pause), self._left()))
            pause = min(pause * 2, _RETRY_CAP_S)

    async def _attempt(self) -> bool:
        """Try once; True when the leg's sending is over, False when it may be tried again."""
        session, permit = self._account.session, self._permit
        if session is None or permit is None:
            raise _denied_by(self._account)
        leg, self._permit = self._leg, None
        calls = self._account.calls
        try:
            placed = await calls.place_order(session, self._place, self, permit)
        except NotSent as error:
            self._last_failure = error
            if leg.state is LegState.SENDING:
                await self._settle(LegState.RETRY_WAIT, "not_sent", error)
            return False
        except Refused as error:
            if error.repeatable and self._left() > (error.retry_after_s or 0):
                await self._settle(LegState.RETRY_WAIT, "refused_repeatable", error)
                await asyncio.sleep(error.retry_after_s or 0)
                return False
            await self._settle(
                LegState.REFUSED,
                "refused",
                error,
                broker_order_id=error.broker_order_id,
                reason=_reason_of(error),
            )
        except LoginExpired as error:
            self._on_session_expired(self._account, error)
            if error.created_nothing:
                await self._settle(LegState.REFUSED, "refused", error, reason=_reason_of(error))
            else:
                await self._unknown(error)
        except OutcomeUnknown as error:
            await self._unknown(error)
        else:
            await self._settle(
                LegState.ACKED, "acked", None, broker_order_id=placed.broker_order_id, reason=None
            )
        return True

    async def ready(self) -> None:
        """The gate's first half: look at everything again and make SEND_BEGIN durable."""
        self._epoch = self._stops.epoch
        self._assert_may_send()
        if self._leg.state is LegState.SENDING:
            return
        await self._leg.change(
            LegState.SENDING,
            "send_begin",
            details=sent_order(self._place),
            attempts=self._leg.record.attempts + 1,
            send_boot=self._boot_id,
            send_begin_us=now_us(),
        )

    def check(self) -> None:
        """The gate's second half: nothing is awaited between this and the first byte."""
        if self._epoch != self._stops.epoch:
            self._assert_may_send()
        self._check_alive()
        self._leg.on_wire = "place"
        failpoints.hit("before_write")
        self._first_byte = time.monotonic()

    def _assert_may_send(self) -> None:
        self._stops.assert_may_place(self._leg, self._account, self._place)
        if self._account.session is None:
            raise _denied_by(self._account)
        self._check_alive()

    def _check_alive(self) -> None:
        if self._leg.record.cancel_requested:
            raise Lapsed(
                Reason(code=ReasonCode.EXPIRED, message="cancelled before anything was sent")
            )
        if self._left() <= 0:
            failure = self._last_failure
            if failure is None:
                raise Lapsed(
                    Reason(
                        code=ReasonCode.EXPIRED,
                        message="the time to live ended before anything was sent",
                        retryable=True,
                    )
                )
            raise Lapsed(
                Reason(
                    code=failure.reason,
                    message=f"nothing could be sent within the time to live: {failure.message}",
                    broker_code=failure.broker_code,
                    broker_message=failure.broker_message,
                    retryable=True,
                )
            )

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    async def _unknown(self, error: GatewayError) -> None:
        details: dict[str, Any] = {}
        if isinstance(error, OutcomeUnknown):
            details = {"progress": error.progress, "phase": error.phase, "status": error.status}
        reason = Reason(
            code=ReasonCode.TIMEOUT if _is_timeout(error) else error.reason,
            message=f"{error.message}; whether the order exists is being looked up",
            broker_code=error.broker_code,
            broker_message=error.broker_message,
            details=details,
        )
        await self._settle(
            LegState.UNKNOWN, "unknown", error, reason=reason, unknown_since_us=now_us()
        )

    async def _settle(
        self, new: LegState, event: str, error: GatewayError | None, **fields: Any
    ) -> None:
        """Write T3."""
        failpoints.hit("answered")
        now = time.monotonic()
        broker_ms = None if self._first_byte is None else round((now - self._first_byte) * 1e3, 3)
        first_byte = self._first_byte or now
        timing = Timing(
            queue_ms=round((first_byte - self.started) * 1000, 3),
            broker_ms=broker_ms,
            total_ms=round((now - self.started) * 1000, 3),
        )
        await self._leg.change(
            new,
            event,
            broker_code=error.broker_code if error else None,
            broker_message=(error.broker_message or error.message) if error else None,
            ms=broker_ms,
            details=answered(error, fields.get("broker_order_id")),
            timing=timing,
            **fields,
        )

    async def _finish_unsent(self, new: LegState, event: str, reason: Reason) -> None:
        """End a leg of which nothing was sent, by way of RETRY_WAIT when SEND_BEGIN was written."""
        leg = self._leg
        try:
            if leg.state is LegState.SENDING:
                await leg.change(LegState.RETRY_WAIT, "not_sent", broker_message=reason.message)
            if leg.state in UNSENT:
                await leg.change(new, event, reason=reason, broker_message=reason.message)
        except StoreBroken as error:
            self._survive_broken_store(error)

    async def _abandoned(self, message: str) -> None:
        """Record that this process no longer follows the attempt, in the only safe way."""
        reason = Reason(code=ReasonCode.TIMEOUT, message=message)
        try:
            if self._leg.state is LegState.SENDING:
                await self._leg.change(
                    LegState.UNKNOWN, "abandoned", reason=reason, unknown_since_us=now_us()
                )
            elif self._leg.state in UNSENT:
                await self._leg.change(LegState.LAPSED, "abandoned", reason=reason)
        except StoreBroken as error:
            self._survive_broken_store(error)

    def _survive_broken_store(self, error: StoreBroken) -> None:
        """The outcome cannot be written: nothing new goes out, and the leg counts as unknown.

        A leg whose SEND_BEGIN is on disk is found as SENDING by the next start, which treats it
        the same way.
        """
        self._stops.journal_broke(str(error))
        record = self._leg.record
        reason = Reason(
            code=ReasonCode.KILL_SWITCH, message="the journal cannot be written; sending stopped"
        )
        believed = msgspec.structs.replace(record, reason=reason)
        if record.state is LegState.SENDING:
            believed.state = LegState.UNKNOWN
            believed.unknown_since_us = now_us()
        elif record.state in UNSENT:
            believed.state = LegState.LAPSED
        self._leg.believe(believed)


def _reason_of(error: GatewayError) -> Reason:
    retryable = isinstance(error, LoginExpired) or error.reason in _PASSING
    return Reason(
        code=error.reason,
        message=error.message,
        broker_code=error.broker_code,
        broker_message=error.broker_message,
        details=error.details if isinstance(error, KillSwitchEngaged) else {},
        retryable=retryable,
    )


_PASSING = frozenset(
    {
        ReasonCode.RATE_LIMITED,
        ReasonCode.BROKER_UNAVAILABLE,
        ReasonCode.SESSION_EXPIRED,
        ReasonCode.SESSION_MISSING,
        ReasonCode.KILL_SWITCH,
        ReasonCode.BREAKER_OPEN,
        ReasonCode.UNRESOLVED,
        ReasonCode.EXPIRED,
    }
)


def _denied_by(account: Account) -> Denied:
    obstacle = account.obstacle()
    if obstacle is None:
        return Denied(f"{account.id} is not ready", reason=ReasonCode.SESSION_MISSING)
    return Denied(obstacle.message, reason=obstacle.code)


def _is_timeout(error: GatewayError) -> bool:
    return isinstance(error, OutcomeUnknown) and error.status is None
