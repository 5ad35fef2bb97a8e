from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.sdk.models import Interval
from adapters.sdk.simulator import IST, Contract, Universe
from adapters.sdk.simulator.candles import MINUTES, candles, daily_candles, intraday_candles

_FRIDAY = date(2026, 11, 20)
_NOW = datetime(2026, 11, 20, 11, 0, 30, tzinfo=IST)
_MONDAY = datetime(2026, 11, 16, tzinfo=IST)
_END_OF_MONDAY = _MONDAY + timedelta(hours=23, minutes=59)
_universe = Universe(_FRIDAY)


def contract(instrument: str = "NSE:SBIN") -> Contract:
    found = _universe.by_instrument(instrument)
    assert found is not None
    return found


def test_candles_are_the_same_whenever_they_are_asked_for():
    once = candles(contract(), Interval.M5, _MONDAY, _END_OF_MONDAY, _NOW)
    later = candles(contract(), Interval.M5, _MONDAY, _END_OF_MONDAY, _NOW + timedelta(days=9))

    assert 75 == len(once)
    assert once == later


@pytest.mark.parametrize("interval", [*MINUTES])
def test_every_interval_is_the_sum_of_the_same_minutes(interval: Interval):
    (day,) = candles(contract(), Interval.D1, _MONDAY, _END_OF_MONDAY, _NOW)
    bars = candles(contract(), interval, _MONDAY, _END_OF_MONDAY, _NOW)

    assert day.at == _MONDAY
    assert (bars[0].open, bars[-1].close) == (day.open, day.close)
    assert max(bar.high for bar in bars) == day.high
    assert min(bar.low for bar in bars) == day.low
    assert sum(bar.volume or 0 for bar in bars) == day.volume


def test_bars_begin_at_the_bell_and_the_last_hour_is_short():
    hours = candles(contract(), Interval.H1, _MONDAY, _END_OF_MONDAY, _NOW)

    assert ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15", "15:15"] == [
        f"{bar.at:%H:%M}" for bar in hours
    ]


def test_both_ends_of_the_range_are_included():
    start = _MONDAY.replace(hour=9, minute=20)
    bars = candles(contract(), Interval.M5, start, start + timedelta(minutes=10), _NOW)

    assert [20, 25, 30] == [bar.at.minute for bar in bars]


def test_weekends_have_none():
    days = daily_candles(contract(), _MONDAY - timedelta(days=7), _END_OF_MONDAY, _NOW)

    assert [9, 10, 11, 12, 13, 16] == [bar.at.day for bar in days]


def test_the_running_candle_grows_and_nothing_comes_after_it():
    friday = datetime(2026, 11, 20, tzinfo=IST)
    far = friday + timedelta(days=30)
    early = intraday_candles(contract(), 5, friday, far, _NOW)
    late = intraday_candles(contract(), 5, friday, far, _NOW + timedelta(minutes=3))

    assert early[-1].at == late[-1].at == _NOW.replace(second=0)
    assert (early[-1].volume or 0) < (late[-1].volume or 0)
    assert early[:-1] == late[:-1]


def test_before_the_bell_today_has_no_candle():
    early = _NOW.replace(hour=9, minute=14)
    start = datetime(2026, 11, 20, tzinfo=IST)

    assert not candles(contract(), Interval.M1, start, early, early)
    assert not candles(contract(), Interval.D1, start, early, early)


def test_prices_are_whole_ticks_within_the_day():
    instruments = ("NSE:SBIN", "NSE:IDEA", "NSE:BAJAJ-AUTO", "NSE:NIFTY 50")
    options = [found for found in _universe.core if found.strike][:20]
    for traded in [*map(contract, instruments), *options]:
        for bar in candles(traded, Interval.M15, _MONDAY, _END_OF_MONDAY, _NOW):
            assert Decimal(0) < bar.low <= min(bar.open, bar.close)
            assert bar.high >= max(bar.open, bar.close)
            for price in (bar.open, bar.high, bar.low, bar.close):
                assert not price % traded.tick_size


def test_only_derivatives_have_open_interest_and_an_index_no_volume():
    future = next(found for found in _universe.core if found.is_derivative)
    asked = (Interval.D1, _MONDAY, _END_OF_MONDAY, _NOW)

    assert candles(future, *asked)[0].open_interest
    assert candles(contract(), *asked)[0].open_interest is None
    assert candles(contract("NSE:NIFTY 50"), *asked)[0].volume == 0
