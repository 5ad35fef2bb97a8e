"""When an account's books of a day are worth keeping. Pure: times in, times out.

After the close of the cash and F&O segments; after that of a later segment where the day used
it; and before the session ends.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta

from adapters.sdk.models import Exchange
from gateway.calendar import Calendar
from gateway.orchestrator.trading_day import CLOSE, trade_date
from gateway.orders.records import Leg
from gateway.orders.states import BROKER_FINAL
from gateway.orders.times import IST, ist, to_us

# Long enough for three slow reads and a second try.
BEFORE_EXPIRY = timedelta(minutes=10)
# Before this, a book may still be that of the day before.
_OPENS = time(9, 0)
# From the evening before the longest row of days without a session.
_LONGEST_GAP_DAYS = 7
_FIRST_CLOSE = min(CLOSE.values())


def closes_of(day: date, used: Collection[Exchange]) -> list[int]:
    """The closes of a day after which books are kept, in microseconds, in order."""
    at = {_FIRST_CLOSE} | {CLOSE[exchange] for exchange in used}
    return [to_us(datetime.combine(day, close, IST)) for close in sorted(at)]


def before_expiry(day: date, expires_at: datetime) -> int | None:
    """The last good moment before a session ends, where that is in the day's trading hours."""
    at = (expires_at - BEFORE_EXPIRY).astimezone(IST)
    return to_us(at) if at.date() == day and at.time() >= _OPENS else None


def begins(day: date) -> int:
    return to_us(datetime.combine(day, time(0), IST))


def made_since(day: date) -> int:
    """From when an order may be one of that day: the evening of the last session before it."""
    return begins(day - timedelta(days=_LONGEST_GAP_DAYS))


def belongs(leg: Leg, day: date, calendar: Calendar) -> bool:
    """Whether a leg is for that day's session, or was made on that day."""
    return _session_of(leg, calendar) == day or ist(leg.created_us).date() == day


def is_due_in_book(leg: Leg, day: date, begun_us: int, calendar: Calendar) -> bool:
    """Whether a book of that day, read at `begun_us`, has to show the leg if it exists.

    One that is for a later session shows from when it was sent; one that ended on an earlier
    day may be gone.
    """
    if ist(leg.created_us).date() < day:
        ended = leg.state in BROKER_FINAL and (leg.as_of_us or leg.updated_us) < begins(day)
        return not ended
    return _session_of(leg, calendar) == day or leg.created_us < begun_us


def _session_of(leg: Leg, calendar: Calendar) -> date:
    return trade_date(leg.created_us, leg.instrument, calendar, amo=leg.amo)


def exchange_of(instrument: str | None) -> Exchange | None:
    name = (instrument or "").partition(":")[0]
    return Exchange(name) if name in Exchange.__members__ else None
