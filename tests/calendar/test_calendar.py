"""Whether an exchange trades at a given moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import msgspec
import pytest

from adapters.sdk.models import Exchange
from gateway.calendar import Calendar, Session
from gateway.calendar.days import EQUITY, SpecialSession, built_in
from gateway.orders.times import IST

NSE, MCX = Exchange.NSE, Exchange.MCX
MONDAY, HOLIDAY, SATURDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 21)


def at(day: date, text: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(text), IST)


@pytest.mark.parametrize(
    ("day", "text", "session"),
    [
        (MONDAY, "08:59:59", Session.CLOSED),
        (MONDAY, "09:00", Session.PRE_OPEN),
        (MONDAY, "09:15", Session.OPEN),
        (MONDAY, "15:29:59.999999", Session.OPEN),
        (MONDAY, "15:30", Session.CLOSING),
        (MONDAY, "15:45", Session.CLOSED),
        (HOLIDAY, "11:00", Session.CLOSED),
        (SATURDAY, "11:00", Session.CLOSED),
    ],
)
def test_session_of_a_moment(day: date, text: str, session: Session) -> None:
    status = Calendar(built_in()).status(NSE, at(day, text))

    assert status.session is session
    assert status.takes_orders is (session is not Session.CLOSED)


def test_a_time_elsewhere_is_the_same_moment() -> None:
    moment = at(MONDAY, "09:15").astimezone(UTC)

    assert Calendar(built_in()).status(NSE, moment).session is Session.OPEN


def test_next_opening_passes_over_weekends_and_holidays() -> None:
    calendar = Calendar(built_in())

    assert calendar.status(NSE, at(SATURDAY, "12:00")).next_open_at == at(MONDAY, "09:15")
    evening = calendar.status(NSE, at(MONDAY, "16:00"))
    assert evening.next_open_at == at(date(2026, 11, 25), "09:15")
    assert calendar.status(NSE, at(HOLIDAY, "12:00")).holiday == "Guru Nanak Jayanti"


def test_days_that_no_list_covers_are_said_to_be_unknown() -> None:
    calendar = Calendar(built_in())

    assert calendar.status(NSE, at(MONDAY, "12:00")).known
    assert not calendar.status(NSE, at(date(2027, 1, 26), "12:00")).known
    assert calendar.trades_on(date(2027, 1, 26), NSE)
    assert not calendar.status(MCX, at(MONDAY, "12:00")).known


def test_a_special_session_trades_on_a_holiday_or_a_sunday() -> None:
    sunday = date(2026, 11, 8)
    special = SpecialSession(
        date=sunday, name="Muhurat", open=time(18, 15), close=time(19, 15), exchanges=EQUITY
    )
    calendar = Calendar(msgspec.structs.replace(built_in(), special_sessions=[special]))

    assert calendar.status(NSE, at(sunday, "18:30")).session is Session.OPEN
    assert calendar.status(NSE, at(sunday, "18:05")).takes_orders
    assert calendar.status(NSE, at(sunday, "12:00")).session is Session.CLOSED
    assert calendar.trades_on(sunday, NSE)
    assert not calendar.trades_on(sunday, MCX)
