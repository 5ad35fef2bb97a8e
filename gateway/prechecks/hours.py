"""Whether the segment takes orders now."""

from __future__ import annotations

from datetime import datetime

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import Exchange
from gateway.calendar import Calendar
from gateway.orders.checks import Check
from gateway.orders.times import IST
from gateway.prechecks.verdict import failed, passed


def check_hours(
    calendar: Calendar, exchange: Exchange, at: datetime, *, amo: bool, offers_amo: bool
) -> Check:
    """Refuse a normal order while the segment is closed; an after-market one may always wait."""
    if amo:
        return passed("market_hours")
    status = calendar.status(exchange, at)
    if status.takes_orders:
        return passed("market_hours")
    why = f" ({status.holiday})" if status.holiday else ""
    opens = status.next_open_at
    when = f"; it opens {opens.astimezone(IST):%a %d %b at %H:%M} IST" if opens else ""
    hint = ', or send it as "amo": true' if offers_amo else ""
    return failed(
        "market_hours",
        ReasonCode.MARKET_CLOSED,
        "instrument",
        f"{exchange} is closed{why}{when}{hint}",
        next_open_at=opens.isoformat() if opens else None,
        holiday=status.holiday,
    )
