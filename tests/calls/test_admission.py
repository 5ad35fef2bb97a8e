"""Who goes first, and who waits for what."""

from __future__ import annotations

import asyncio

import pytest

from adapters.sdk.errors import Denied, ReasonCode
from gateway.calls.admission import Admission
from gateway.calls.bulkhead import Lanes, Priority
from gateway.calls.limits import Limits

CANCEL, RECONCILE, PLACE, READ = Priority


class Bench:
    """`per_second` order messages, and places for a few calls of each class."""

    def __init__(self, per_second: int = 1000, capacity: int = 2) -> None:
        self.limits = Limits(per_second)
        self.lanes = Lanes(dict.fromkeys(Priority, capacity))
        self.admission = Admission(self.lanes, self.limits)
        self.windows = self.limits.for_orders("NSE")
        self.order: list[Priority] = []

    def take_now(self, priority: Priority) -> bool:
        return self.admission.try_take(priority, self.windows, "NSE")

    async def take(self, priority: Priority, seconds: float = 5.0) -> bool:
        deadline = self.limits.clock() + seconds
        taken = await self.admission.take(priority, self.windows, deadline, "NSE")
        if taken:
            self.order.append(priority)
        return taken

    def done(self, priority: Priority, *, sent: bool = False) -> None:
        if sent:
            self.limits.sent(self.windows, 1)
        self.admission.done(priority, self.windows, 1, sent=sent)


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.admission.close()


async def test_the_more_urgent_goes_first():
    # One message a second, and it is taken: everybody waits for the same window.
    bench = Bench(per_second=1)
    assert bench.take_now(READ)
    waiting = [asyncio.create_task(bench.take(p)) for p in (READ, PLACE, RECONCILE, CANCEL)]
    await asyncio.sleep(0)
    bench.done(READ)
    for turn in range(4):
        while len(bench.order) == turn:
            await asyncio.sleep(0)
        bench.done(bench.order[-1])

    assert [CANCEL, RECONCILE, PLACE, READ] == bench.order
    assert [True] * 4 == await asyncio.gather(*waiting)


async def test_hung_placements_leave_the_places_of_cancels_and_reads_free(bench):
    assert [True, True, False] == [bench.take_now(PLACE) for _ in range(3)]

    for priority in (CANCEL, RECONCILE, READ):
        assert bench.take_now(priority)


async def test_nobody_overtakes_one_of_his_own_kind(bench):
    for _ in range(2):
        assert bench.take_now(PLACE)
    first = asyncio.create_task(bench.take(PLACE))
    await asyncio.sleep(0)
    bench.lanes.give_back(PLACE)

    assert not bench.take_now(PLACE)
    assert await first


async def test_a_wait_ends_at_its_deadline_with_nothing_taken(bench):
    for _ in range(2):
        assert bench.take_now(PLACE)

    assert not await bench.take(PLACE, 0.02)
    bench.done(PLACE)
    assert bench.take_now(PLACE)
    assert 2 == bench.lanes.used(PLACE)


async def test_a_wait_that_cannot_end_in_time_ends_at_once():
    bench = Bench(per_second=1)
    assert bench.take_now(PLACE)
    bench.done(PLACE, sent=True)
    loop = asyncio.get_running_loop()
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    loop.call_soon(count)
    assert not await bench.take(PLACE, 0.5)
    assert turns <= 1


async def test_a_wait_for_a_window_ends_when_it_has_passed():
    bench = Bench(per_second=1)
    assert bench.take_now(PLACE)
    began = bench.limits.clock()
    bench.done(PLACE, sent=True)

    assert await bench.take(PLACE)
    assert bench.limits.clock() - began >= 1.0


async def test_a_cancelled_wait_takes_nothing_even_when_it_was_just_let_through(bench):
    for _ in range(2):
        assert bench.take_now(PLACE)
    waiting = asyncio.create_task(bench.take(PLACE))
    await asyncio.sleep(0)
    bench.done(PLACE)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert 1 == bench.lanes.used(PLACE)
    assert all(window.pending == 1 for window in bench.windows)


async def test_refused_waits_end_with_the_reason_and_only_those_of_the_class(bench):
    for priority in (PLACE, CANCEL):
        for _ in range(2):
            assert bench.take_now(priority)
    placing = asyncio.create_task(bench.take(PLACE))
    cancelling = asyncio.create_task(bench.take(CANCEL))
    await asyncio.sleep(0)
    bench.admission.refuse(PLACE, Denied("open", reason=ReasonCode.BREAKER_OPEN))

    with pytest.raises(Denied, match="open"):
        await placing
    bench.done(CANCEL)
    assert await cancelling
    bench.done(PLACE)
    assert bench.take_now(PLACE)


async def test_what_is_not_sent_leaves_its_room_to_the_next():
    bench = Bench(per_second=1)
    for _ in range(20):
        assert bench.take_now(PLACE)
        bench.done(PLACE, sent=False)
