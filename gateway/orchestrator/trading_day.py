"""Which trading day an order belongs to, and when that day's book can change no more.

A holiday that the calendar does not know makes a day too early: a leg that waits for that day's
book ends with the operator, never as absent.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from adapters.sdk.models import Exchange
from gateway.calendar import Calendar
from gateway.orders.times import IST, ist

_MORNING = time(9, 0)
_LONGEST_BREAK_DAYS = 15
# Some minutes after each segment's last trade, for the book to settle.
CLOSE = {
    Exchange.NSE: time(15, 45),
    Exchange.BSE: time(15, 45),
    Exchange.NFO: time(15, 45),
    Exchange.BFO: time(15, 45),
    Exchange.CDS: time(17, 15),
    Exchange.BCD: time(17, 15),
    Exchange.MCX: time(23, 57),
}


def trade_date(created_us: int, instrument: str, calendar: Calendar, *, amo: bool) -> date:
    """The day whose session an order is for: the next one when it comes after the close."""
    at = ist(created_us)
    day = at.date()
    exchange = Exchange(instrument.partition(":")[0])
    close = CLOSE[exchange]
    if at.time() >= close or (amo and at.time() >= time(9, 0)):
        day += timedelta(days=1)
    latest = day + timedelta(days=_LONGEST_BREAK_DAYS)
    while day < latest and not calendar.trades_on(day, exchange):
        day += timedelta(days=1)
    return day


def is_closed(day: date, instrument: str, at_us: int) -> bool:
    """Whether `day`'s session of the instrument's segment was over at that time."""
    close = CLOSE[Exchange(instrument.partition(":")[0])]
    return ist(at_us) >= datetime.combine(day, close, IST)


def is_rolled(day: date, at_us: int) -> bool:
    """Whether the book of `day` may be gone by then: the next calendar day has begun."""
    return ist(at_us).date() > day


def is_lost(day: date, at_us: int) -> bool:
    """Whether the book of `day` is surely gone: the morning after it, before any market opens."""
    return ist(at_us) >= datetime.combine(day + timedelta(days=1), _MORNING, IST)
