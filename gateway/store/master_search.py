"""Searches the masters in use: every broker's own index in its order, put together."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from datetime import date
from typing import Any

import apsw

from adapters.sdk.models import Exchange, Instrument
from gateway.store.master_rows import unpacked
from gateway.store.master_terms import Series, Wanted, expressions, order_of, plain, typed_words

Listed = dict[str, Instrument]
"""One contract as every broker lists it, by broker."""

# Of ids that begin as typed; more than a screen of them is only put in order so far.
_MOST_BY_ID = 2000


def search(
    connection: apsw.Connection,
    wanted: Wanted,
    limit: int,
    today: date,
    brokers: Collection[str] | None = None,
) -> list[Listed]:
    """Return the best matches that have not expired by `today`, best first.

    A contract is shown once, as every broker lists it, or every one of `brokers`. Where a
    broker's master has two of its name, that broker is left out.
    """
    if wanted.series == ():
        return []
    found: dict[str, None] = {}
    masters: list[tuple[str, int, int]] = [
        (str(broker), int(generation), int(number))
        for broker, generation, number in connection.execute(
            "SELECT broker, generation, search FROM masters ORDER BY broker"
        )
        if brokers is None or broker in brokers
    ]
    asked = [broker for broker, _, _ in masters]
    for instrument in _candidates(connection, masters, wanted, today):
        found.setdefault(instrument)
        if len(found) >= limit:
            break
    return [_everywhere(connection, instrument, asked) for instrument in found]


def _everywhere(connection: apsw.Connection, instrument: str, brokers: Collection[str]) -> Listed:
    """Return a contract as each of these brokers lists it that has just one of that name."""
    # Crossed, so that the few masters are walked and never the rows of them.
    rows: Any = connection.execute(
        "SELECT m.broker, i.data FROM masters m CROSS JOIN instruments i ON i.broker = m.broker"
        " AND i.generation = m.generation WHERE i.instrument = ? ORDER BY m.broker",
        (instrument,),
    )
    return {
        broker: unpacked(instrument, data) for broker, data in rows if data and broker in brokers
    }


def _candidates(
    connection: apsw.Connection,
    masters: list[tuple[str, int, int]],
    wanted: Wanted,
    today: date,
) -> Iterator[str]:
    by_id = wanted.query.strip().upper()
    if by_id:
        brokers = [broker for broker, _, _ in masters]
        yield from _exact(connection, by_id, wanted, today, brokers)
    for expression in expressions(wanted):
        streams = [_matches(connection, each, expression, today) for each in masters]
        for _, instrument in heapq.merge(*streams):
            yield instrument
    if len(typed_words(wanted.query)) == 1 and any(letter.isdigit() for letter in by_id):
        yield from _begins(connection, masters, by_id, wanted, today)


def _exact(
    connection: apsw.Connection,
    symbol: str,
    wanted: Wanted,
    today: date,
    brokers: Collection[str],
) -> Iterator[str]:
    for exchange in Exchange:
        name = f"{exchange.value}:{symbol}"
        listed = _everywhere(connection, name, brokers)
        if any(_fits(item, wanted, today) for item in listed.values()):
            yield name


def _matches(
    connection: apsw.Connection, master: tuple[str, int, int], expression: str, today: date
) -> Iterator[tuple[str, str]]:
    broker, generation, number = master
    rows: Any = connection.execute(
        f"SELECT r.instrument, i.data FROM search_{number} s"  # noqa: S608
        f" CROSS JOIN ranked_{number} r ON r.rank = s.rowid"
        " CROSS JOIN instruments i ON i.broker = ? AND i.generation = ?"
        f" AND i.instrument = r.instrument WHERE search_{number} MATCH ? ORDER BY s.rowid",
        (broker, generation, expression),
    )
    for instrument, data in rows:
        if not data:
            continue
        item = unpacked(instrument, data)
        if item.expiry is None or item.expiry >= today:
            yield order_of(item), instrument


def _begins(
    connection: apsw.Connection,
    masters: list[tuple[str, int, int]],
    symbol: str,
    wanted: Wanted,
    today: date,
) -> Iterator[str]:
    """Contracts whose whole symbol begins as typed, `NIFTY30DEC25`: ids are in that order."""
    found: dict[str, str] = {}
    for broker, generation, _ in masters:
        for exchange in Exchange:
            first = f"{exchange.value}:{symbol}"
            rows: Any = connection.execute(
                "SELECT instrument, data FROM instruments WHERE broker = ? AND generation = ?"
                " AND instrument >= ? AND instrument < ? LIMIT ?",
                (broker, generation, first, f"{first}\U0010ffff", _MOST_BY_ID),
            )
            for instrument, data in rows:
                if instrument not in found and data:
                    item = unpacked(instrument, data)
                    if _fits(item, wanted, today):
                        found[instrument] = order_of(item)
    yield from sorted(found, key=lambda instrument: found[instrument])


def _fits(item: Instrument, wanted: Wanted, today: date) -> bool:
    """Whether a contract found by its id is within the filters, and has not expired."""
    if item.expiry is not None and item.expiry < today:
        return False
    root = plain(item.underlying or "")
    pairs = (
        (wanted.exchange, item.exchange),
        (wanted.type, item.type),
        (wanted.underlying and plain(wanted.underlying), root),
        (wanted.expiry, item.expiry),
        (wanted.strike, item.strike),
        (wanted.option_type, item.option_type),
    )
    if any(asked is not None and asked != has for asked, has in pairs):
        return False
    if wanted.series is None:
        return True
    return item.expiry is not None and Series(item.exchange, item.type, item.expiry) in (
        wanted.series
    )
