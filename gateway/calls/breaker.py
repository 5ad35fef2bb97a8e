"""The circuit breaker of one account and class of call: when to stop asking a broker that fails.

CLOSED -> OPEN       half of the recent calls failed, or three in a row
OPEN -> HALF_OPEN    a read got through after the open time; never an order sent to find out
HALF_OPEN -> CLOSED  the one call that is let in was answered
HALF_OPEN -> OPEN    it was not: twice the open time, up to a cap
any -> ISOLATED      the operator holds it open, until the operator lets go
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from gateway.orders.times import now_us


class CallClass(StrEnum):
    """`place` is placing and modifying. `read` is what orders are proven by: books, orders, trades,
    positions. `data` is everything else that is read: prices, funds, holdings, margins.
    """

    PLACE = "place"
    READ = "read"
    DATA = "data"
    CANCEL = "cancel"
    LOGIN = "login"


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"


class Verdict(StrEnum):
    """What one call says about the broker's health.

    ANSWERED is a refusal, a dead session or a rate-limit answer: it does not count, but it is
    an answer, so it ends a run of failures. NOTHING says nothing: the call never got that far.
    """

    GOOD = "good"
    ANSWERED = "answered"
    SLOW = "slow"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOTHING = "nothing"


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds and counts.

    `burst_s`: failures closer together than this count once, so that the quick repetitions of
    one call do not open a breaker; unknown outcomes always count. `probed_by_reads`: only a
    good read half-opens it, the breaker never lets one of its own calls in to find out.
    """

    window_s: float = 30.0
    minimum_calls: int = 5
    failure_ratio: float = 0.5
    consecutive: int = 3
    burst_s: float = 0.5
    slow_s: float = 5.0
    open_first_s: float = 5.0
    open_most_s: float = 60.0
    probed_by_reads: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker went from one state to another. `actor` is set where the operator did it."""

    call_class: CallClass
    old: BreakerState
    new: BreakerState
    reason: str
    actor: dict[str, Any] | None = None


class Breaker:
    """Counts the calls of one class. Everything here is synchronous and on the event loop.

    `on_change` is called with every change of state. `epoch` changes with it, so that a call
    can see whether its admission still stands. `since_us` is when the present state began.
    """

    def __init__(
        self,
        call_class: CallClass,
        settings: BreakerSettings,
        on_change: Callable[[Change], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.call_class = call_class
        self.settings = settings
        self.state = BreakerState.CLOSED
        self.epoch = 0
        self.reason = ""
        self.since_us = now_us()
        self._on_change = on_change
        self._clock = clock
        self._calls: deque[tuple[float, int, int]] = deque()
        self._weight = 0
        self._failed = 0
        self._in_a_row = 0
        self._last_failure = float("-inf")
        self._open_s = settings.open_first_s
        self._due = 0.0
        self._trial_runs = False

    def enter(self) -> bool | None:
        """Ask to make a call: None is no; True means that the call is the half-open trial.

        Whoever got True must `record` the call or `leave`.
        """
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN and self.is_due() and not self.settings.probed_by_reads:
            self._move(BreakerState.HALF_OPEN, "the open time is over")
        if self.state is BreakerState.HALF_OPEN and not self._trial_runs:
            self._trial_runs = True
            return True
        return None

    def leave(self, *, trial: bool) -> None:
        """Give the trial back: its call was not made."""
        if trial:
            self._trial_runs = False

    def admits(self, epoch: int) -> bool:
        """Whether a call that was let in at `epoch` may still go out."""
        return self.epoch == epoch or self.state is BreakerState.CLOSED

    def would_admit(self) -> bool:
        """Whether `enter` would let a call in now."""
        if self.state is BreakerState.HALF_OPEN:
            return not self._trial_runs
        if self.state is BreakerState.OPEN:
            return self.is_due() and not self.settings.probed_by_reads
        return self.state is BreakerState.CLOSED

    def is_due(self) -> bool:
        """Whether the open time is over."""
        return self.state is BreakerState.OPEN and self._clock() >= self._due

    def retry_in_s(self) -> float:
        """How long the open time still lasts; 0 when it does not."""
        if self.state is not BreakerState.OPEN:
            return 0.0
        return max(self._due - self._clock(), 0.0)

    def counted(self) -> tuple[int, int]:
        """The recent calls and the failures among them, unknown outcomes counted double."""
        self._forget(self._clock())
        return self._weight, self._failed

    def record(self, verdict: Verdict, why: str = "", *, trial: bool = False) -> None:
        """Count one call that is over."""
        if trial:
            self._trial_runs = False
        if verdict is Verdict.NOTHING:
            return
        if self.state is BreakerState.CLOSED:
            self._count(verdict, why)
        elif self.state is BreakerState.HALF_OPEN:
            # A call from before the breaker opened says nothing about now.
            if trial or not self.settings.probed_by_reads:
                self._conclude(verdict, why)
        elif self.is_due() and not self.settings.probed_by_reads:
            self._conclude(verdict, why)

    def read_result(self, *, good: bool, why: str = "") -> None:
        """Take a read's end as the probe of a breaker that only reads may half-open."""
        if not self.is_due():
            return
        if good:
            self._move(BreakerState.HALF_OPEN, "a read was answered again")
        else:
            self._reopen(why)

    def hold(self, reason: str, actor: dict[str, Any] | None = None) -> None:
        """Hold it open until `reset`."""
        if self.state is not BreakerState.ISOLATED:
            self._move(BreakerState.ISOLATED, reason, actor)

    def restore_hold(self, reason: str) -> None:
        """Hold it as it was held before a restart, which is no change."""
        self.state, self.reason = BreakerState.ISOLATED, reason

    def reset(self, reason: str, actor: dict[str, Any] | None = None) -> None:
        """Close it and forget what was counted."""
        self._clear()
        if self.state is not BreakerState.CLOSED:
            self._move(BreakerState.CLOSED, reason, actor)

    def _conclude(self, verdict: Verdict, why: str) -> None:
        if verdict in _FAILURES:
            self._reopen(why)
        else:
            self._clear()
            self._move(BreakerState.CLOSED, "answered again")

    def _count(self, verdict: Verdict, why: str) -> None:
        if verdict is Verdict.ANSWERED:
            self._in_a_row = 0
            return
        now = self._clock()
        if verdict is Verdict.GOOD:
            self._in_a_row = 0
            self._remember(now, 1, 0)
            return
        if verdict is not Verdict.UNKNOWN and now - self._last_failure < self.settings.burst_s:
            return
        self._last_failure = now
        weight = 2 if verdict is Verdict.UNKNOWN else 1
        self._remember(now, weight, weight)
        self._in_a_row = 0 if verdict is Verdict.SLOW else self._in_a_row + 1
        enough = len(self._calls) >= self.settings.minimum_calls
        if self._in_a_row >= self.settings.consecutive:
            self._open(f"{self._in_a_row} failures in a row, the last: {why}")
        elif enough and self._failed >= self._weight * self.settings.failure_ratio:
            percent = 100 * self._failed // self._weight
            self._open(f"{percent} % of the recent calls failed, the last: {why}")

    def _remember(self, now: float, weight: int, failed: int) -> None:
        self._forget(now)
        self._calls.append((now, weight, failed))
        self._weight += weight
        self._failed += failed

    def _forget(self, now: float) -> None:
        calls, edge = self._calls, now - self.settings.window_s
        while calls and calls[0][0] <= edge:
            _, weight, failed = calls.popleft()
            self._weight -= weight
            self._failed -= failed

    def _open(self, reason: str) -> None:
        self._due = self._clock() + self._open_s
        self._move(BreakerState.OPEN, reason)

    def _reopen(self, reason: str) -> None:
        """Stay open for twice as long: the probe or the trial failed."""
        self._open_s = min(self._open_s * 2, self.settings.open_most_s)
        self._due = self._clock() + self._open_s
        if self.state is BreakerState.OPEN:
            self.reason = reason or self.reason
        else:
            self._move(BreakerState.OPEN, f"the trial failed: {reason}")

    def _clear(self) -> None:
        self._calls.clear()
        self._weight = self._failed = self._in_a_row = 0
        self._last_failure = float("-inf")
        self._open_s = self.settings.open_first_s

    def _move(self, new: BreakerState, reason: str, actor: dict[str, Any] | None = None) -> None:
        old, self.state = self.state, new
        self.reason = reason
        self.epoch += 1
        self.since_us = now_us()
        self._trial_runs = False
        self._on_change(
            Change(call_class=self.call_class, old=old, new=new, reason=reason, actor=actor)
        )


_FAILURES = frozenset({Verdict.SLOW, Verdict.FAILED, Verdict.UNKNOWN})
