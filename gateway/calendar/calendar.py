"""Whether an exchange trades now, and when next. Pure: days in, answers out."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum

import msgspec

from adapters.sdk.models import Exchange
from gateway.calendar.days import Days, Holiday, Hours, SpecialSession
from gateway.orders.times import IST

# Longer than any row of holidays and weekends.
_LOOK_AHEAD_DAYS = 15
# What a special session takes orders before and after its trading.
_AROUND_SPECIAL = timedelta(minutes=15)


class Session(StrEnum):
    """PRE_OPEN: orders are taken for the opening auction. CLOSING: after the last usual trade."""

    PRE_OPEN = "pre_open"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`takes_orders`: orders that are not after-market ones. `known`: the day's holidays are."""

    exchange: Exchange
    session: Session
    takes_orders: bool
    opens_at: datetime | None
    closes_at: datetime | None
    next_open_at: datetime | None
    holiday: str | None
    known: bool


class Calendar:
    """Answers by the newest days it was given."""

    def __init__(self, days: Days) -> None:
        self.use(days)

    def use(self, days: Days) -> None:
        """Take these days from now on."""
        self.days = days
        self._holidays = {
            (holiday.date, exchange): holiday
            for holiday in days.holidays
            for exchange in holiday.exchanges
        }
        self._listed = {exchange for _, exchange in self._holidays}
        self._special = {
            (session.date, exchange): session
            for session in days.special_sessions
            for exchange in session.exchanges
        }

    def is_known(self, day: date, exchange: Exchange) -> bool:
        """Whether that day's holidays are known; otherwise only the weekend is."""
        return exchange in self._listed and self.days.from_ <= day <= self.days.until

    def holiday(self, day: date, exchange: Exchange) -> Holiday | None:
        return self._holidays.get((day, exchange))

    def trades_on(self, day: date, exchange: Exchange) -> bool:
        """Whether the exchange has a session on that day."""
        return self._hours(day, exchange) is not None

    def status(self, exchange: Exchange, at: datetime) -> Status:
        """Say how things stand at an aware time."""
        now = at.astimezone(IST)
        day, clock = now.date(), now.timetz().replace(tzinfo=None)
        hours = self._hours(day, exchange)
        session = _session(hours, clock) if hours else Session.CLOSED
        holiday = self.holiday(day, exchange)
        return Status(
            exchange=exchange,
            session=session,
            takes_orders=session is not Session.CLOSED,
            opens_at=datetime.combine(day, hours.open, IST) if hours else None,
            closes_at=datetime.combine(day, hours.close, IST) if hours else None,
            next_open_at=self._next_open(exchange, now),
            holiday=holiday.name if holiday else None,
            known=self.is_known(day, exchange),
        )

    def _hours(self, day: date, exchange: Exchange) -> Hours | None:
        special = self._special.get((day, exchange))
        if special is not None:
            return _hours_of(special)
        if day.weekday() >= 5 or (day, exchange) in self._holidays:
            return None
        return self.days.hours[exchange]

    def _next_open(self, exchange: Exchange, now: datetime) -> datetime | None:
        for ahead in range(_LOOK_AHEAD_DAYS):
            day = now.date() + timedelta(days=ahead)
            hours = self._hours(day, exchange)
            if hours is not None:
                opens = datetime.combine(day, hours.open, IST)
                if opens > now:
                    return opens
        return None


def _session(hours: Hours, clock: time) -> Session:
    if hours.open <= clock < hours.close:
        return Session.OPEN
    if hours.orders_from <= clock < hours.open:
        return Session.PRE_OPEN
    if hours.close <= clock < hours.orders_until:
        return Session.CLOSING
    return Session.CLOSED


def _hours_of(special: SpecialSession) -> Hours:
    opens = datetime.combine(special.date, special.open)
    closes = datetime.combine(special.date, special.close)
    return Hours(
        orders_from=(opens - _AROUND_SPECIAL).time(),
        open=special.open,
        close=special.close,
        orders_until=(closes + _AROUND_SPECIAL).time(),
    )
