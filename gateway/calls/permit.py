"""One call's admission, from the moment it was let through until its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.sdk.interface import SendGate
from gateway.calls.breaker import Breaker
from gateway.calls.bulkhead import Priority
from gateway.calls.limits import Window

if TYPE_CHECKING:
    from gateway.calls.account_calls import AccountCalls


class Permit:
    """Stands before the caller's gate, so that what counts is when the first byte goes out.

    `begun` is that moment. For a read, which has no gate, it is when the call began.
    `finish` or `drop` gives everything back, once.
    """

    __slots__ = (
        "_calls",
        "_epoch",
        "_is_over",
        "begun",
        "breaker",
        "cost",
        "gate",
        "priority",
        "trial",
        "was_sent",
        "windows",
    )

    def __init__(
        self,
        calls: AccountCalls,
        breaker: Breaker,
        priority: Priority,
        windows: Sequence[Window],
        *,
        trial: bool,
        cost: int = 1,
    ) -> None:
        self._calls = calls
        self._epoch = breaker.epoch
        self._is_over = False
        self.breaker = breaker
        self.priority = priority
        self.windows = windows
        self.trial = trial
        self.cost = cost
        self.gate: SendGate | None = None
        self.begun: float | None = None
        self.was_sent = False

    async def ready(self) -> None:
        self._assert_admitted()
        if self.gate is not None:
            await self.gate.ready()

    def check(self) -> None:
        self._assert_admitted()
        if self.gate is not None:
            self.gate.check()
        self.begun = self._calls.limits.clock()
        self.count()

    def count(self) -> None:
        """Count it in the windows as sent now."""
        if not self.was_sent:
            self.was_sent = True
            self._calls.limits.sent(self.windows, self.cost)

    def finish(self, error: BaseException | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._calls.finish(self, error)

    def drop(self) -> None:
        """Give it back unused."""
        if not self._is_over:
            self.breaker.leave(trial=self.trial)
            self.trial = False
            self.finish(_Unused())

    def _assert_admitted(self) -> None:
        # A cancel goes out whatever its breaker thinks by now.
        if self.priority is Priority.PLACE and not self.breaker.admits(self._epoch):
            raise self._calls.health.denial(self.breaker)


class _Unused(Exception):
    """Nothing was called."""
