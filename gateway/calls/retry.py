"""Which calls are repeated, and how often: one policy per class of call.

Place and modify never here: an order is sent again only by its runner, on proof that nothing
was sent. Logins never: a wrong OTP may lock the account. Reads and cancels with full jitter,
a cap on the whole time, and a budget, so that a broker in trouble is not asked ever more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import tenacity

from adapters.sdk.errors import GatewayError, NotSent, OutcomeUnknown, ReasonCode

T = TypeVar("T")

# Tests turn every repetition off here.
enabled = os.environ.get("BROKERGATE_TEST_NO_RETRY") != "1"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """`tries` in all; waits of 0 to `first_s`, growing by `growth`, up to `most_s`.

    No try begins after `total_s`.
    """

    tries: int
    first_s: float
    most_s: float
    growth: float = 2.0
    total_s: float

    def wait(self) -> tenacity.wait.wait_base:
        """Full jitter: anything from nothing to the bound."""
        return tenacity.wait_random_exponential(
            multiplier=self.first_s, max=self.most_s, exp_base=self.growth
        )


READ = Policy(tries=3, first_s=0.1, most_s=2.0, total_s=5.0)
CANCEL = Policy(tries=4, first_s=0.1, most_s=2.0, growth=4.0, total_s=30.0)


class Budget:
    """A token bucket: a success pays in, a repetition takes out; empty means no repetition."""

    def __init__(self, most: float = 10.0, *, success: float = 0.1) -> None:
        self._most = most
        self._success = success
        self.tokens = most

    def earn(self) -> None:
        self.tokens = min(self.tokens + self._success, self._most)

    def spend(self) -> bool:
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Retry:
    """The budgets of one account. Reads cannot use up what cancels may."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self.reads = Budget()
        self.cancels = Budget(40.0)

    async def read(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Read, repeating what failed on the way. Raises what the last try raised."""
        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            enabled=enabled,
            stop=_stop(READ, self.reads),
            wait=READ.wait(),
            retry=tenacity.retry_if_exception(is_worth_repeating),
            reraise=True,
        )
        result: T = await retrying(attempt)
        self.reads.earn()
        return result

    async def cancel(self, attempt: Callable[[int], Awaitable[bool]]) -> bool:
        """Call `attempt` with 1, 2, ... until it says that another would not help.

        What it raises ends the tries. Returns what the last one said.
        """
        number = 0

        async def numbered() -> bool:
            nonlocal number
            number += 1
            return await attempt(number)

        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            enabled=enabled,
            stop=_stop(CANCEL, self.cancels),
            wait=CANCEL.wait(),
            retry=tenacity.retry_if_result(_is_open),
            retry_error_callback=_give_up,
        )
        settled: bool = await retrying(numbered)
        if settled:
            self.cancels.earn()
        return settled


def is_worth_repeating(error: BaseException) -> bool:
    """Whether a read that failed so may do better: not what was refused, denied or throttled."""
    if isinstance(error, GatewayError) and error.reason is ReasonCode.RATE_LIMITED:
        return False
    return isinstance(error, NotSent | OutcomeUnknown)


def _stop(policy: Policy, budget: Budget) -> tenacity.stop.stop_base:
    # The budget comes last: it is asked, and pays, only where nothing else ends the tries.
    return tenacity.stop_any(
        tenacity.stop_after_attempt(policy.tries),
        tenacity.stop_before_delay(policy.total_s),
        _OutOf(budget),
    )


class _OutOf(tenacity.stop.stop_base):
    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return not self._budget.spend()


def _is_open(settled: bool) -> bool:
    return not settled


def _give_up(state: tenacity.RetryCallState) -> bool:
    return False
