"""When to listen again after a stream broke, and what a refused one means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.client import calls, steps
from gateway.client.calls import Repeat, Request
from gateway.client.errors import GatewayError, RetryLater
from gateway.client.steps import Clock, Policy, Reply


def event_request(
    account: str | None, strategy: str | None, types: Sequence[str] | None
) -> Request[Any]:
    query = calls.texts({"account": account, "strategy": strategy, "type": types})
    return Request("GET", "/v1/events", dict, Repeat.READ, query=query)


def refused(request: Request[Any], reply: Reply) -> GatewayError:
    return steps.refusal(request, reply)


class Pauses:
    """Counts breaks in a row. Raises `RetryLater` when they last longer than `patience_s`."""

    def __init__(self, policy: Policy, clock: Clock, patience_s: float | None) -> None:
        self._policy = policy
        self._clock = clock
        self._patience_s = patience_s
        self._breaks = 0
        self._since: float | None = None
        self._advice_s = 0.0

    def reset(self) -> None:
        self._breaks, self._since, self._advice_s = 0, None, 0.0

    def after_error(self, error: GatewayError) -> None:
        """Take what the gateway answered in place of a stream; raises what waiting cannot mend."""
        if not isinstance(error, RetryLater):
            raise error
        self._advice_s = error.retry_after_s or 0.0
        self._count(error)

    def after_break(self, error: OSError) -> None:
        self._count(RetryLater(f"no events: {error or type(error).__name__}"))

    def next_s(self) -> float:
        return max(self._advice_s, self._policy.pause_s(max(self._breaks - 1, 0)))

    def _count(self, error: RetryLater) -> None:
        now = self._clock()
        self._since = now if self._since is None else self._since
        self._breaks += 1
        if self._patience_s is not None and now - self._since >= self._patience_s:
            raise error
