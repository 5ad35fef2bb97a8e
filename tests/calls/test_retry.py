"""Which calls are repeated, and how often."""

from __future__ import annotations

import pytest

from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    NotSent,
    OutcomeUnknown,
    Phase,
    Progress,
    ReasonCode,
)
from gateway.calls import retry
from gateway.calls.retry import CANCEL, READ, Budget, Retry

LOST = OutcomeUnknown("x", progress=Progress.MAYBE_SENT, phase=Phase.WAIT)


class Waiting:
    """A retry whose waits are noted and not waited."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.retry = Retry(self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


class Flaky:
    """Fails with each error in turn, then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, number: int | None = None) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "read"


async def test_a_read_is_tried_three_times_at_most(waiting):
    twice = Flaky(LOST, NotSent("x", phase=Phase.CONNECT))
    assert "read" == await waiting.retry.read(twice)
    assert 3 == twice.calls

    always = Flaky(*[LOST] * 9)
    with pytest.raises(OutcomeUnknown):
        await waiting.retry.read(always)
    assert 3 == always.calls
    assert all(0 <= seconds <= READ.most_s for seconds in waiting.waited)


@pytest.mark.parametrize(
    "error",
    [
        LoginExpired("x", created_nothing=True),
        Denied("x", reason=ReasonCode.BREAKER_OPEN),
        BadAnswer("x", status=429, reason=ReasonCode.RATE_LIMITED),
        RuntimeError("x"),
    ],
    ids=str,
)
async def test_what_would_fail_again_is_not_repeated(waiting, error):
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        await waiting.retry.read(flaky)
    assert 1 == flaky.calls


async def test_an_empty_budget_ends_the_repetitions(waiting):
    calls = []
    for _ in range(12):
        flaky = Flaky(*[LOST] * 9)
        with pytest.raises(OutcomeUnknown):
            await waiting.retry.read(flaky)
        calls.append(flaky.calls)

    assert [3] * 5 + [1] * 7 == calls


def test_ten_good_reads_pay_for_one_repetition():
    budget = Budget(10.0)
    budget.tokens = 0.0
    for _ in range(9):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    budget.earn()
    assert budget.spend()
    for _ in range(1000):
        budget.earn()
    assert 10.0 == budget.tokens


async def test_the_switch_turns_repetitions_off(waiting, monkeypatch):
    monkeypatch.setattr(retry, "enabled", False)
    flaky = Flaky(LOST)
    with pytest.raises(OutcomeUnknown):
        await waiting.retry.read(flaky)
    assert 1 == flaky.calls


async def test_a_cancel_is_tried_until_it_is_settled_and_four_times_at_most(waiting):
    numbers: list[int] = []

    async def settles_at(wanted: int, number: int) -> bool:
        numbers.append(number)
        return number == wanted

    assert await waiting.retry.cancel(lambda number: settles_at(3, number))
    assert [1, 2, 3] == numbers
    numbers.clear()
    assert not await waiting.retry.cancel(lambda number: settles_at(9, number))
    assert [1, 2, 3, 4] == numbers
    assert all(0 <= seconds <= CANCEL.most_s for seconds in waiting.waited)


async def test_what_a_cancel_raises_ends_it(waiting):
    flaky = Flaky(Denied("x", reason=ReasonCode.RATE_LIMITED))
    with pytest.raises(Denied):
        await waiting.retry.cancel(flaky)
    assert 1 == flaky.calls


async def test_reads_cannot_use_up_the_budget_of_cancels(waiting):
    waiting.retry.reads.tokens = 0.0
    numbers: list[int] = []

    async def never(number: int) -> bool:
        numbers.append(number)
        return False

    await waiting.retry.cancel(never)
    assert 4 == len(numbers)
