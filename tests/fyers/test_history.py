from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from adapters.fyers.config import CANDLE_DAYS
from adapters.fyers.constants import INTERVAL_TO_WIRE, IST
from adapters.fyers.history import spans
from adapters.sdk.models import Exchange, Interval

_NOW = datetime(2026, 11, 20, 11, 0, 30, tzinfo=IST)


def times(exchange: Exchange, interval: Interval, start: datetime, end: datetime) -> list[str]:
    """Say each call's range in the time of India."""
    made = spans(exchange, interval, start, end, _NOW)
    return [
        " to ".join(
            f"{datetime.fromtimestamp(at, IST):%d %H:%M:%S}"
            for at in (span.range_from, span.range_to)
        )
        for span in made
    ]


def test_every_interval_has_a_name_and_a_range():
    assert set(Interval) == INTERVAL_TO_WIRE.keys() == CANDLE_DAYS.keys()


def test_range_of_minutes_is_asked_for_as_it_is():
    start = datetime(2026, 11, 18, 9, 15, tzinfo=IST)

    assert ["18 09:15:00 to 19 15:29:00"] == times(
        Exchange.NSE, Interval.M1, start, start.replace(day=19, hour=15, minute=29)
    )


def test_range_of_days_goes_from_the_first_stamp_to_the_last_days_end():
    start = datetime(2026, 11, 16, tzinfo=IST)

    assert ["16 05:30:00 to 18 23:59:59"] == times(
        Exchange.NSE, Interval.D1, start, start.replace(day=18)
    )


def test_nothing_after_now_is_asked_for():
    today = datetime(2026, 11, 20, tzinfo=IST)

    assert ["20 00:00:00 to 20 11:00:30"] == times(
        Exchange.NSE, Interval.M5, today, today + timedelta(days=9)
    )
    assert ["20 05:30:00 to 20 11:00:30"] == times(Exchange.NSE, Interval.D1, today, today)
    assert [] == times(Exchange.NSE, Interval.M5, _NOW + timedelta(1), _NOW + timedelta(2))


def test_day_that_has_no_stamp_yet_is_not_asked_for():
    night = datetime(2026, 11, 20, 1, tzinfo=IST)
    midnight = night.replace(hour=0)

    assert [] == list(spans(Exchange.NSE, Interval.D1, midnight, midnight, night))


def test_times_of_another_zone_are_the_same_times():
    start = datetime(2026, 11, 18, 3, 45, tzinfo=UTC)

    assert ["18 09:15:00 to 18 10:15:00"] == times(
        Exchange.NSE, Interval.M1, start, start + timedelta(hours=1)
    )


@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("exchange", [Exchange.NSE, Exchange.MCX])
def test_no_call_has_more_candles_than_fyers_was_seen_to_give(
    exchange: Exchange, interval: Interval
):
    most = {"1D": 24 * 60}.get(INTERVAL_TO_WIRE[interval]) or int(INTERVAL_TO_WIRE[interval])
    session = {Exchange.NSE: 375, Exchange.MCX: 870}[exchange]
    start = datetime(2025, 11, 20, tzinfo=IST)

    for span in spans(exchange, interval, start, _NOW, _NOW):
        days = -(-(span.range_to - span.range_from) // 86_400)
        assert days <= CANDLE_DAYS[interval]
        assert 1500 > days * -(-session // most)


def test_cut_ranges_join_without_a_gap():
    made = list(spans(Exchange.MCX, Interval.M1, datetime(2026, 11, 10, tzinfo=IST), _NOW, _NOW))

    assert 11 == len(made)
    for one, next_one in itertools.pairwise(made):
        assert next_one.range_from == one.range_to + 1
