"""Which trading day an order is for, when it may go in, and when it ends. Pure.

The practice market never closes, but an order's day does: otherwise no DAY order would ever end
as it does at a broker. The closing times are those by which the gateway believes a day's book
to be settled, some minutes after the last trade. Weekends are known, holidays are not.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from adapters.sdk.models import Exchange
from adapters.sdk.simulator import IST

_MORNING = time(9, 0)
_OPEN = time(9, 15)
_CLOSE = time(15, 45)


def trade_date(at: datetime, exchange: Exchange, *, amo: bool) -> date:
    """The day whose session an order is for: the next one when it comes after the close."""
    at = at.astimezone(IST)
    day = at.date()
    if at.time() >= _close(exchange) or (amo and at.time() >= _MORNING):
        day += timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def opens_at(day: date, exchange: Exchange) -> datetime:
    """When after-market orders for `day` go in."""
    early = exchange in (Exchange.MCX, Exchange.CDS, Exchange.BCD)
    return datetime.combine(day, _MORNING if early else _OPEN, IST)


def closes_at(day: date, exchange: Exchange) -> datetime:
    """When the orders of `day` end."""
    return datetime.combine(day, _close(exchange), IST)


def next_midnight(at: datetime) -> datetime:
    """When a session that began at `at` ends."""
    return datetime.combine(at.astimezone(IST).date() + timedelta(days=1), time(), IST)


def _close(exchange: Exchange) -> time:
    if exchange is Exchange.MCX:
        return time(23, 57)
    return time(17, 15) if exchange in (Exchange.CDS, Exchange.BCD) else _CLOSE
