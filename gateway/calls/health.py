"""How one account's broker is doing: its breakers, what feeds them, and the read that probes."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from adapters.sdk.errors import (
    Denied,
    GatewayError,
    LoginExpired,
    LoginRefused,
    NotSent,
    Phase,
    ReasonCode,
    Refused,
)
from gateway.calls.breaker import (
    Breaker,
    BreakerSettings,
    BreakerState,
    CallClass,
    Change,
    Verdict,
)
from gateway.calls.limits import Pause
from gateway.orders.times import now_us

log = logging.getLogger(__name__)


class LastError(msgspec.Struct, frozen=True, kw_only=True):
    """How the last call that did not go well ended, in the broker's words where it had any."""

    at_us: int
    call: CallClass
    text: str


OnCall = Callable[[CallClass, Verdict, float | None], None]

_LEAST_PROBE_S = 0.05
_NAMES = {
    CallClass.PLACE: "orders",
    CallClass.READ: "reads",
    CallClass.DATA: "reads of prices, funds and holdings",
    CallClass.CANCEL: "cancels",
    CallClass.LOGIN: "logins",
}


class Health:
    """The breakers of one account.

    `probe` makes one read, and is called when an open breaker is due and nobody else reads.
    `on_place_stopped` is called when waiting placements have to be turned away. `on_change`
    hears of every change of state, `on_call` of every call's end: with the class, the verdict
    and the seconds since its first byte, None where none went out.
    """

    def __init__(
        self,
        account_id: str,
        pause: Pause,
        *,
        probe: Callable[[], Awaitable[None]],
        on_place_stopped: Callable[[Denied], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account_id = account_id
        self.on_change: Callable[[Change], None] | None = None
        self.on_call: OnCall | None = None
        self.last_error: LastError | None = None
        self.breakers = {
            call_class: Breaker(call_class, _settings(call_class), self._changed, clock)
            for call_class in CallClass
        }
        self.place = self.breakers[CallClass.PLACE]
        self.read = self.breakers[CallClass.READ]
        self.data = self.breakers[CallClass.DATA]
        self.cancel = self.breakers[CallClass.CANCEL]
        self.login = self.breakers[CallClass.LOGIN]
        self._pause = pause
        self._probe = probe
        self._on_place_stopped = on_place_stopped
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def judge(
        self, breaker: Breaker, error: BaseException | None, begun: float | None, *, trial: bool
    ) -> None:
        """Take a call's end: count it, and begin a pause where the broker asked for one.

        `begun`: when its first byte went out, None when none did.
        """
        now = self._clock()
        verdict = verdict_of(error, is_write=breaker is self.place)
        why = "" if error is None else (str(error) or type(error).__name__)
        if verdict is Verdict.GOOD:
            self._pause.answered_well(now)
            slow_s = breaker.settings.slow_s
            if begun is not None and now - begun >= slow_s:
                verdict, why = Verdict.SLOW, f"an answer took over {slow_s:.0f} s"
        elif isinstance(error, GatewayError) and is_throttled(error):
            pause_s = self._pause.begin(now, error.retry_after_s)
            log.warning("%s: the broker limits our rate; pausing %.1f s", self.account_id, pause_s)
        breaker.record(verdict, why, trial=trial)
        if isinstance(error, GatewayError) and not isinstance(error, Denied):
            text = error.broker_message or why
            self.last_error = LastError(at_us=now_us(), call=breaker.call_class, text=text)
        if self.on_call is not None:
            self.on_call(breaker.call_class, verdict, None if begun is None else now - begun)
        if breaker is self.read and verdict in (Verdict.GOOD, Verdict.SLOW, Verdict.FAILED):
            self.place.read_result(good=verdict is not Verdict.FAILED, why=why)
        if self._is_open():
            self._arm()

    def denial(self, breaker: Breaker) -> Denied:
        """The error of a call that the breaker does not let through."""
        held = breaker.state is BreakerState.ISOLATED
        text = f"{_NAMES[breaker.call_class]} of {self.account_id} are held back"
        text += f"{' by the operator' if held else ''}: {breaker.reason}"
        if (left_s := breaker.retry_in_s()) > 0:
            text += f"; looked at again in {left_s:.0f} s"
        return Denied(text, reason=ReasonCode.BREAKER_OPEN)

    def hold(self, call_class: CallClass, reason: str, actor: dict[str, Any] | None) -> None:
        """Hold a breaker open until `reset`, on the operator's word."""
        self.breakers[call_class].hold(reason, actor)

    def reset(self, call_class: CallClass, reason: str, actor: dict[str, Any] | None) -> None:
        self.breakers[call_class].reset(reason, actor)

    def close(self) -> None:
        """Probe no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _changed(self, change: Change) -> None:
        log.warning(
            "%s: breaker %s: %s -> %s: %s",
            self.account_id,
            change.call_class,
            change.old,
            change.new,
            change.reason,
        )
        if change.call_class is CallClass.PLACE and change.new in _STOPPED:
            self._on_place_stopped(self.denial(self.place))
        if self.on_change is not None:
            self.on_change(change)

    def _is_open(self) -> bool:
        return BreakerState.OPEN in (self.place.state, self.read.state)

    def _arm(self) -> None:
        if self._timer is not None or self._task is not None:
            return
        waits = [b.retry_in_s() for b in (self.place, self.read) if b.state is BreakerState.OPEN]
        wait_s = max(min(waits), _LEAST_PROBE_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._begin_probe)

    def _begin_probe(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._run_probe())

    async def _run_probe(self) -> None:
        try:
            if self.place.is_due() or self.read.is_due():
                await self._probe()
        finally:
            self._task = None
        if self._is_open():
            self._arm()


_STOPPED = frozenset({BreakerState.OPEN, BreakerState.ISOLATED})


def is_throttled(error: GatewayError) -> bool:
    """Whether an error is the broker's own rate-limit answer."""
    return error.reason is ReasonCode.RATE_LIMITED and not isinstance(error, Denied)


def verdict_of(error: BaseException | None, *, is_write: bool) -> Verdict:
    """What the end of a call says about the broker's health. `is_write`: place and modify."""
    if error is None:
        return Verdict.GOOD
    if not isinstance(error, GatewayError) or isinstance(error, Denied):
        return Verdict.NOTHING
    if isinstance(error, LoginExpired) or error.reason in _NOT_HEALTH:
        return Verdict.ANSWERED
    if isinstance(error, Refused | LoginRefused):
        is_down = error.reason is ReasonCode.BROKER_UNAVAILABLE
        return Verdict.FAILED if is_down else Verdict.ANSWERED
    if isinstance(error, NotSent):
        # Our own pool was full: that is no word of the broker's.
        return Verdict.NOTHING if error.phase is Phase.POOL else Verdict.FAILED
    return Verdict.UNKNOWN if is_write else Verdict.FAILED


_NOT_HEALTH = frozenset({ReasonCode.RATE_LIMITED, ReasonCode.IP_NOT_WHITELISTED})


def _settings(call_class: CallClass) -> BreakerSettings:
    """`BROKERGATE_TEST_TIME_SCALE` divides the open times, as it does the reconciler's waits."""
    settings = BreakerSettings(probed_by_reads=call_class is CallClass.PLACE)
    scale = max(float(os.environ.get("BROKERGATE_TEST_TIME_SCALE", "1")), 1.0)
    return msgspec.structs.replace(
        settings,
        open_first_s=settings.open_first_s / scale,
        open_most_s=settings.open_most_s / scale,
    )
