"""When masters are fetched: the morning's hour in India, a start after it, a login, a retry."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from gateway.instruments import DailyRefresh
from gateway.instruments.daily import is_stale, last_due
from gateway.orders.times import IST, to_us
from gateway.store.instruments import MasterInfo

AT = time(8, 15)
MONDAY = datetime(2026, 11, 23, tzinfo=IST)


def on(days: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=days, hours=hour, minutes=minute)


class Masters:
    """Instruments whose copies are of a given time, and which are told to fetch."""

    def __init__(self, clock, **loaded: datetime) -> None:
        self.clock = clock
        self.loaded = {broker: to_us(at) for broker, at in loaded.items()}
        self.brokers = set(loaded)
        self.fails: set[str] = set()
        self.fetched: list[str] = []

    async def info(self):
        return [MasterInfo(broker=b, rows=1, loaded_us=at) for b, at in self.loaded.items()]

    async def missing(self):
        return sorted(self.brokers - self.loaded.keys())

    def is_configured(self, broker: str) -> bool:
        return broker in self.brokers

    async def refresh(self, brokers):
        self.fetched += brokers
        for broker in set(brokers) - self.fails:
            self.loaded[broker] = self.clock()
        return {broker: {"ok": broker not in self.fails} for broker in brokers}


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> int:
        return to_us(self.at)


def begun(at: datetime, jitter_s: float = 0.0, **loaded: datetime):
    clock = Clock(at)
    masters = Masters(clock, **loaded)
    return clock, masters, DailyRefresh(masters, AT, clock=clock, jitter_s=jitter_s)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (on(0, 8, 14), on(-3, 8, 15)),
        (on(0, 8, 15), on(0, 8, 15)),
        (on(1, 3), on(0, 8, 15)),
        (on(5, 12), on(4, 8, 15)),
        (on(6, 23), on(4, 8, 15)),
    ],
)
def test_the_newest_hour_is_that_of_a_weekday(now, due):
    assert due == last_due(now, AT)
    assert is_stale(to_us(due) - 1, to_us(now), AT)
    assert not is_stale(to_us(due), to_us(now), AT)


async def test_a_copy_of_an_earlier_morning_is_fetched_at_start():
    _, masters, daily = begun(on(0, 11), 120.0, old=on(-3, 9), new=on(0, 9))

    await daily.tick()

    assert ["old"] == masters.fetched


async def test_nothing_is_fetched_before_the_hour_and_once_after_it():
    clock, masters, daily = begun(on(0, 7), b=on(-3, 9))
    await daily.tick()
    assert [] == masters.fetched

    clock.at = on(0, 8, 15)
    await daily.tick()
    await daily.tick()
    clock.at = on(0, 15)
    await daily.tick()

    assert ["b"] == masters.fetched


async def test_gateways_do_not_all_come_at_the_hour():
    clock, masters, daily = begun(on(0, 7), 120.0, b=on(-3, 9))
    daily._jitter = timedelta(seconds=60)

    clock.at = on(0, 8, 15)
    await daily.tick()
    assert [] == masters.fetched
    clock.at = on(0, 8, 16)
    await daily.tick()

    assert ["b"] == masters.fetched


async def test_a_failure_is_repeated_later_each_time():
    clock, masters, daily = begun(on(0, 9), b=on(-3, 9), good=on(-3, 9))
    masters.fails = {"b"}
    tried = []
    for minute in range(90):
        clock.at = on(0, 9, minute)
        before = masters.fetched.count("b")
        await daily.tick()
        if masters.fetched.count("b") > before:
            tried.append(minute)

    assert [0, 5, 20, 50, 80] == tried
    assert 1 == masters.fetched.count("good")

    masters.fails.clear()
    clock.at = on(0, 11)
    await daily.tick()
    assert [] == await daily.stale()


async def test_a_broker_without_a_copy_waits_for_its_login():
    _, masters, daily = begun(on(0, 11), b=on(0, 9))
    masters.loaded.clear()

    await daily.tick()
    assert [] == masters.fetched

    await daily.ensure("b")
    await daily.ensure("b")
    assert ["b"] == masters.fetched


async def test_a_login_fetches_a_stale_copy_at_once_though_a_try_just_failed():
    _, masters, daily = begun(on(0, 9), b=on(-3, 9))
    masters.fails = {"b"}
    await daily.tick()
    masters.fails.clear()

    await daily.ensure("b")

    assert ["b", "b"] == masters.fetched
    assert [] == await daily.stale()


async def test_a_copy_of_a_broker_that_is_no_longer_configured_is_left_alone():
    _, masters, daily = begun(on(0, 9), b=on(-3, 9))
    masters.brokers.clear()

    await daily.tick()

    assert [] == masters.fetched
