"""Which session an order belongs to, and when its book can change no more."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk.models import Exchange
from gateway.calendar import Calendar
from gateway.calendar.days import built_in
from gateway.orchestrator.trading_day import CLOSE, is_closed, is_lost, is_rolled, trade_date
from gateway.orders.times import IST, to_us

FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, 20 + n) for n in range(6))
CALENDAR = Calendar(built_in())
NSE, CDS, MCX = "NSE:SBIN", "CDS:USDINR26DEC26FUT", "MCX:CRUDEOIL18DEC26FUT"


def at(day: date, text: str) -> int:
    return to_us(datetime.combine(day, time.fromisoformat(text), IST))


@pytest.mark.parametrize(
    ("made", "text", "instrument", "amo", "session"),
    [
        (FRIDAY, "09:15", NSE, False, FRIDAY),
        (FRIDAY, "15:29:59", NSE, False, FRIDAY),
        (FRIDAY, "15:44:59", NSE, False, FRIDAY),
        (FRIDAY, "15:45", NSE, False, MONDAY),
        (FRIDAY, "17:00", CDS, False, FRIDAY),
        (FRIDAY, "17:15", CDS, False, MONDAY),
        (FRIDAY, "23:56", MCX, False, FRIDAY),
        (FRIDAY, "23:57", MCX, False, MONDAY),
        (SATURDAY, "00:00", MCX, False, MONDAY),
        (SATURDAY, "11:00", NSE, False, MONDAY),
        (SUNDAY, "23:59", NSE, True, MONDAY),
        (MONDAY, "00:00", NSE, False, MONDAY),
        (FRIDAY, "08:59", NSE, True, FRIDAY),
        (FRIDAY, "09:00", NSE, True, MONDAY),
        (FRIDAY, "16:30", NSE, True, MONDAY),
        (FRIDAY, "20:00", MCX, True, MONDAY),
        # Tuesday is a holiday of the shares; of commodities nothing is known but weekends.
        (MONDAY, "16:30", NSE, True, WEDNESDAY),
        (MONDAY, "16:30", NSE, False, WEDNESDAY),
        (TUESDAY, "10:00", NSE, False, WEDNESDAY),
        (MONDAY, "16:30", MCX, True, TUESDAY),
    ],
)
def test_session_of_an_order(made, text, instrument, amo, session):
    assert session == trade_date(at(made, text), instrument, CALENDAR, amo=amo)


@pytest.mark.parametrize(
    ("instrument", "close"),
    [(NSE, "15:45"), ("BFO:SENSEX", "15:45"), (CDS, "17:15"), (MCX, "23:57")],
)
def test_a_session_is_over_some_minutes_after_its_segments_close(instrument, close):
    assert is_closed(FRIDAY, instrument, at(FRIDAY, close))
    assert not is_closed(FRIDAY, instrument, at(FRIDAY, close) - 1)
    assert is_closed(FRIDAY, instrument, at(SATURDAY, "00:00"))
    assert not is_closed(MONDAY, instrument, at(SUNDAY, "23:59"))


def test_a_book_may_be_gone_with_the_next_day_and_is_with_its_morning():
    assert not is_rolled(FRIDAY, at(FRIDAY, "23:59:59"))
    assert is_rolled(FRIDAY, at(SATURDAY, "00:00"))
    assert not is_rolled(MONDAY, at(SUNDAY, "12:00"))
    assert not is_lost(FRIDAY, at(SATURDAY, "08:59"))
    assert is_lost(FRIDAY, at(SATURDAY, "09:00"))
    assert not is_lost(MONDAY, at(SUNDAY, "12:00"))


@given(
    made=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
    exchange=st.sampled_from(list(Exchange)),
    amo=st.booleans(),
)
def test_no_session_is_on_a_weekend_or_over_when_its_order_is_made(made, exchange, amo):
    us = to_us(made.replace(tzinfo=IST))

    session = trade_date(us, f"{exchange}:X", CALENDAR, amo=amo)

    assert session.weekday() < 5
    assert timedelta(0) <= session - made.date() <= timedelta(days=6)
    assert not is_closed(session, f"{exchange}:X", us)
    assert not is_rolled(session, us)
    # By the time the session's book may be gone, every segment has closed.
    after = to_us(datetime.combine(session + timedelta(days=1), time(0), IST))
    assert is_rolled(session, after)
    assert is_closed(session, f"{exchange}:X", after)


def test_every_exchange_has_a_close():
    assert set(Exchange) == set(CLOSE)
