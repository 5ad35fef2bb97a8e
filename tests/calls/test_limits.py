"""Rate windows: what goes out on the wire, whatever happens between admission and send."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fyers.config import CAPABILITIES as FYERS
from adapters.hdfc.config import CAPABILITIES as HDFC
from adapters.mstock.config import CAPABILITIES as MSTOCK
from adapters.sdk.interface import RateScope, RateWindow
from gateway.calls.bulkhead import Priority
from gateway.calls.limits import DAY_S, Limits, Pause
from tests.calls.clock import Clock

MINUTE = RateWindow(scope=RateScope.ALL, per_s=60, count=20, reserve=4)
EXCHANGES = ("NSE", "NFO")


def most_in_a_window(times: list[float], per_s: float) -> int:
    """The most messages in any window of `per_s` seconds, one of its ends excluded."""
    times = sorted(times)
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - per_s:
            first += 1
        most = max(most, last - first + 1)
    return most


# Eighths of a second are exact as floats, so the property is about windows, not about rounding.
ticks = st.integers(0, 24).map(lambda n: n / 8)
arrivals = st.lists(
    st.tuples(ticks, ticks, st.sampled_from(EXCHANGES), st.sampled_from(Priority), st.booleans()),
    max_size=120,
)


@given(arrivals)
def test_no_window_at_the_wire_holds_more_than_its_count(arrivals):
    """Each arrival: seconds since the one before, seconds from admission to send, and whether
    it is sent at all."""
    clock = Clock()
    limits = Limits(3, [MINUTE, RateWindow(scope=RateScope.ORDERS, per_s=5, count=8)], clock=clock)
    on_the_way: list[tuple[float, int, tuple, bool]] = []
    wire: dict[object, list[float]] = {}

    def send_until(now: float) -> None:
        while on_the_way and on_the_way[0][0] <= now:
            at, _, windows, is_sent = heapq.heappop(on_the_way)
            clock.now = at
            if is_sent:
                limits.sent(windows, 1)
                for window in windows:
                    wire.setdefault(window, []).append(at)
            else:
                limits.drop(windows, 1)

    now = clock.now
    for number, (gap, linger, exchange, priority, is_sent) in enumerate(arrivals):
        now += gap
        send_until(now)
        clock.now = now
        is_read = priority in (Priority.READ, Priority.RECONCILE)
        windows = limits.for_reads() if is_read else limits.for_orders(exchange)
        if limits.has_room(windows, now, priority, 1):
            limits.take(windows, now, priority, 1)
            heapq.heappush(on_the_way, (now + linger, number, windows, is_sent))
    send_until(float("inf"))

    for window, times in wire.items():
        assert most_in_a_window(times, window.per_s) <= window.count
        assert window.pending == 0


@given(st.integers(1, 12), st.integers(0, 30))
def test_room_comes_at_the_time_that_is_told(count, sent):
    clock = Clock()
    limits = Limits(count, clock=clock)
    windows = limits.for_orders("NSE")
    for _ in range(sent):
        if not limits.has_room(windows, clock.now, Priority.PLACE, 1):
            at = limits.free_at(windows, clock.now, Priority.PLACE, 1)
            assert at is not None
            clock.now = at - 0.001
            assert not limits.has_room(windows, clock.now, Priority.PLACE, 1)
            clock.now = at + 1e-6
        assert limits.has_room(windows, clock.now, Priority.PLACE, 1)
        limits.take(windows, clock.now, Priority.PLACE, 1)
        limits.sent(windows, 1)
        clock.advance(0.01)


def test_a_message_that_lingers_keeps_its_room_until_it_was_sent():
    clock = Clock()
    limits = Limits(1, clock=clock)
    windows = limits.for_orders("NSE")
    limits.take(windows, clock.now, Priority.PLACE, 1)
    clock.advance(60)

    assert not limits.has_room(windows, clock.now, Priority.PLACE, 1)
    limits.sent(windows, 1)
    clock.advance(0.9)
    assert not limits.has_room(windows, clock.now, Priority.PLACE, 1)
    clock.advance(0.2)
    assert limits.has_room(windows, clock.now, Priority.PLACE, 1)


def test_ten_a_second_stay_ten_when_the_wire_squeezes_them_together():
    clock = Clock()
    limits = Limits(10, clock=clock)
    windows = limits.for_orders("NSE")
    sent = []
    for _ in range(300):
        if limits.has_room(windows, clock.now, Priority.PLACE, 1):
            limits.take(windows, clock.now, Priority.PLACE, 1)
            limits.sent(windows, 1)
            # The first of each ten arrives as late as the next ten leave early.
            sent.append(clock.now + (0.09 if len(sent) % 20 < 10 else 0.0))
        clock.advance(0.01)

    assert most_in_a_window(sent, 1.0) <= 10


def test_each_exchange_has_its_own_second_and_the_broker_has_one_minute():
    clock = Clock()
    limits = Limits(3, [RateWindow(scope=RateScope.ORDERS, per_s=60, count=5)], clock=clock)
    taken = {"NSE": 0, "NFO": 0}
    for exchange in ("NSE", "NSE", "NSE", "NSE", "NFO", "NFO", "NFO"):
        windows = limits.for_orders(exchange)
        if limits.has_room(windows, clock.now, Priority.PLACE, 1):
            limits.take(windows, clock.now, Priority.PLACE, 1)
            limits.sent(windows, 1)
            taken[exchange] += 1

    assert {"NSE": 3, "NFO": 2} == taken


def test_the_reserve_is_for_cancels_and_reconciliation():
    clock = Clock()
    limits = Limits(100, [MINUTE], clock=clock)
    reads = limits.for_reads()

    def fill(priority: Priority) -> int:
        n = 0
        while limits.has_room(reads, clock.now, priority, 1):
            limits.take(reads, clock.now, priority, 1)
            limits.sent(reads, 1)
            n += 1
        return n

    assert [12, 4, 2, 2] == [
        fill(priority)
        for priority in (Priority.READ, Priority.PLACE, Priority.RECONCILE, Priority.CANCEL)
    ]


def test_a_day_ends_at_midnight_in_ist():
    ist_noon = 12 * 3600 - 19_800
    wall = Clock(ist_noon)
    clock = Clock()
    day = RateWindow(scope=RateScope.ORDERS, per_s=DAY_S, count=2)
    limits = Limits(8, [day], clock=clock, wall=wall)
    windows = limits.for_orders("NSE")
    for _ in range(2):
        limits.take(windows, clock.now, Priority.PLACE, 1)
        limits.sent(windows, 1)
    clock.advance(10)

    assert not limits.has_room(windows, clock.now, Priority.PLACE, 1)
    assert clock.now + 12 * 3600 == limits.free_at(windows, clock.now, Priority.PLACE, 1)
    wall.advance(12 * 3600)
    assert limits.has_room(windows, clock.now, Priority.PLACE, 1)


def test_what_was_sent_before_a_restart_still_counts():
    clock = Clock()
    limits = Limits(3, [MINUTE], clock=clock)
    limits.seed_orders([clock.now - 0.5, clock.now - 0.4])
    limits.seed_calls([clock.now - 30.0] * 15)
    windows = limits.for_orders("NSE")

    assert limits.has_room(windows, clock.now, Priority.PLACE, 1)
    limits.take(windows, clock.now, Priority.PLACE, 1)
    assert not limits.has_room(windows, clock.now, Priority.CANCEL, 1)
    clock.advance(0.7)
    assert not limits.has_room(windows, clock.now, Priority.PLACE, 1)
    assert limits.has_room(windows, clock.now, Priority.CANCEL, 1)


class TestPause:
    def test_placements_and_reads_stop_and_cancels_go_on_once_a_second(self):
        pause = Pause()
        pause.begin(100.0, 5.0)

        for priority in (Priority.PLACE, Priority.READ):
            assert not pause.lets_through(104.9, priority)
            assert 105.0 == pause.free_at(101.0, priority)
        for priority in (Priority.CANCEL, Priority.RECONCILE):
            assert pause.lets_through(100.0, priority)
        pause.note(100.0, Priority.CANCEL)
        assert not pause.lets_through(100.9, Priority.CANCEL)
        assert pause.lets_through(101.0, Priority.CANCEL)
        assert pause.lets_through(105.0, Priority.PLACE)

    def test_without_a_time_from_the_broker_it_doubles_until_something_goes_well(self):
        pause = Pause()
        lengths = []
        now = 0.0
        for _ in range(8):
            lengths.append(pause.begin(now, None))
            now += lengths[-1]
        assert [1, 2, 4, 8, 16, 32, 60, 60] == lengths
        pause.answered_well(now)
        assert 1.0 == pause.begin(now, None)

    def test_answers_that_come_together_ask_for_one_pause(self):
        pause = Pause()
        assert [1.0, 2.0, 2.0] == [pause.begin(10.0, None) for _ in range(3)]
        assert 2.0 == pause.left_s(10.0)


@pytest.mark.parametrize("capabilities", [FYERS, MSTOCK, HDFC])
def test_every_broker_stays_under_ten_order_messages_a_second(capabilities):
    assert capabilities.orders_per_second <= 9


def test_fyers_stays_well_under_the_minute_whose_breach_blocks_the_day():
    windows = {(w.scope, w.per_s): w.count for w in FYERS.limits}
    assert windows[(RateScope.ALL, 60)] <= 180
    assert windows[(RateScope.ALL, 1)] <= 9
    assert windows[(RateScope.ORDERS, DAY_S)] < 10_000


def test_mstock_stays_under_its_minute_and_its_hour():
    windows = {(w.scope, w.per_s): w.count for w in MSTOCK.limits}
    assert windows[(RateScope.ORDERS, 60)] < 250
    assert windows[(RateScope.ORDERS, 3_600)] < 1_000
