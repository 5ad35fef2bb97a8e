"""Which expiry days an underlying has yet to see, and which of them is nearest, next, monthly."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec

from adapters.sdk.models import Exchange, InstrumentType
from gateway.store.instruments import Expiry

WORDS = ("nearest", "next", "monthly")


class MarkedExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """An expiry day of one exchange's futures or options.

    `nearest` is the first that is not over (today's counts), `next` the one after it. `monthly`
    is the last of its calendar month, on which contracts of the month end. `brokers` are those
    whose masters list the day.
    """

    expiry: date
    exchange: Exchange
    type: InstrumentType
    nearest: bool
    next: bool
    monthly: bool
    brokers: list[str]


def marked(found: Iterable[Expiry], today: date) -> list[MarkedExpiry]:
    """Mark the days from `today` on, by exchange and type, in the order of their dates.

    A master's days before today still tell which day of this month was its last.
    """
    listed: dict[tuple[Exchange, InstrumentType], dict[date, list[str]]] = {}
    for each in found:
        days = listed.setdefault((each.exchange, each.type), {})
        days.setdefault(each.expiry, []).append(each.broker)
    rows = [
        row
        for (exchange, kind), days in listed.items()
        for row in _marked(exchange, kind, days, today)
    ]
    return sorted(rows, key=lambda row: (row.expiry, row.exchange, row.type))


def chosen(rows: Iterable[MarkedExpiry], word: str) -> list[MarkedExpiry]:
    """Return what `nearest`, `next` or `monthly` means: one day per exchange and type.

    `monthly` is the nearest monthly day.
    """
    first: dict[tuple[Exchange, InstrumentType], MarkedExpiry] = {}
    for row in rows:
        if getattr(row, word):
            first.setdefault((row.exchange, row.type), row)
    return list(first.values())


def _marked(
    exchange: Exchange, kind: InstrumentType, days: dict[date, list[str]], today: date
) -> Iterable[MarkedExpiry]:
    last_of_month: dict[tuple[int, int], date] = {}
    for day in sorted(days):
        last_of_month[day.year, day.month] = day
    ahead = [day for day in sorted(days) if day >= today]
    for at, day in enumerate(ahead):
        yield MarkedExpiry(
            expiry=day,
            exchange=exchange,
            type=kind,
            nearest=at == 0,
            next=at == 1,
            monthly=last_of_month[day.year, day.month] == day,
            brokers=sorted(days[day]),
        )
