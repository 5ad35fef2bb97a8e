"""Which ranges of time the history call is asked for. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec

from adapters.fyers.config import CANDLE_DAYS
from adapters.fyers.constants import IST
from adapters.sdk.models import Exchange, Interval

_SHARE_SESSION_MINUTES: Final = 375
_SESSION_MINUTES: Final = {Exchange.MCX: 870, Exchange.CDS: 480, Exchange.BCD: 480}
_LAST_MOMENT: Final = time(23, 59, 59)


class Span(msgspec.Struct, frozen=True):
    """One call's range in epoch seconds, both ends included."""

    range_from: int
    range_to: int


def spans(
    exchange: Exchange, interval: Interval, start: datetime, end: datetime, now: datetime
) -> Iterator[Span]:
    """Cut a range into calls of at most `CANDLE_DAYS`; nothing after `now` is asked for.

    Markets that are open longer than shares get fewer days a call, so that no call has more
    candles than a share's. A day's candle is stamped 00:00 UTC of its date, which is later than
    the day's beginning in India; so daily ranges go from that stamp to the day's end.
    """
    start, end, now = start.astimezone(IST), end.astimezone(IST), now.astimezone(IST)
    end = min(end, now)
    is_daily = interval is Interval.D1
    days = CANDLE_DAYS[interval]
    if not is_daily:
        minutes = _SESSION_MINUTES.get(exchange, _SHARE_SESSION_MINUTES)
        days = max(1, days * _SHARE_SESSION_MINUTES // minutes)
    first = start.date()
    while first <= end.date():
        last = min(first + timedelta(days=days - 1), end.date())
        if is_daily:
            span = Span(_stamp(first), _seconds(min(_day_end(last), now)))
        else:
            begins = max(start, datetime.combine(first, time(), IST))
            span = Span(_seconds(begins), _seconds(min(end, _day_end(last))))
        if span.range_from <= span.range_to:
            yield span
        first = last + timedelta(days=1)


def _day_end(day: date) -> datetime:
    return datetime.combine(day, _LAST_MOMENT, IST)


def _stamp(day: date) -> int:
    return _seconds(datetime.combine(day, time(), UTC))


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
