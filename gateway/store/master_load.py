"""Puts a broker's new master into the file, beside the one in use, and swaps it in whole.

The rows in use stay as they are until the last new row is in and the new master was found
plausible; one small transaction then makes it the one that is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import apsw
import msgspec

from adapters.sdk.models import Instrument, InstrumentType
from gateway.orders.times import ist, now_us
from gateway.store.master_rows import (
    ChangedTerm,
    MasterChanges,
    MasterTooShort,
    contract_of,
    packed,
    terms_of,
    unpacked,
)
from gateway.store.master_terms import order_of, words_of

# Older files are made anew: a master can always be fetched again.
FORMAT = 4
_TABLES = """
CREATE TABLE IF NOT EXISTS instruments (
    instrument TEXT NOT NULL,
    broker TEXT NOT NULL,
    generation INTEGER NOT NULL,
    terms TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (broker, generation, instrument)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contracts (
    broker TEXT NOT NULL,
    generation INTEGER NOT NULL,
    contract TEXT NOT NULL,
    instrument TEXT NOT NULL,
    PRIMARY KEY (broker, generation, contract, instrument)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS isins (
    isin TEXT NOT NULL,
    broker TEXT NOT NULL,
    generation INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    PRIMARY KEY (broker, generation, isin, instrument)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (
    broker TEXT NOT NULL,
    generation INTEGER NOT NULL,
    underlying TEXT NOT NULL,
    exchange TEXT NOT NULL,
    type TEXT NOT NULL,
    expiry TEXT NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (broker, generation, underlying, exchange, type, expiry)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS masters (
    broker TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    search INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    loaded_us INTEGER NOT NULL,
    changes BLOB
) WITHOUT ROWID;
"""
_BY_GENERATION = ("instruments", "contracts", "isins", "series")
_BATCH = 2000
_NAMED = 50
# Where so few rows are missing, no share of them is suspicious.
_FEW_ROWS = 50

_Series = tuple[str, str, str, str]
_StoredRow = tuple[str, str, bytes, str | None, str | None, str, str]


class LoadRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a new master must be like. `accept_fewer`: however many rows it lost."""

    code_keys: Sequence[str] = ()
    most_lost_percent: int = 30
    accept_fewer: bool = False


def prepare(connection: apsw.Connection) -> None:
    """Make the tables; what an older version of the program left is dropped."""
    with connection:
        if connection.execute("PRAGMA user_version").get != FORMAT:
            for table in (*_BY_GENERATION, "masters"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(_TABLES)
        connection.execute(f"PRAGMA user_version={FORMAT}")


def load(
    connection: apsw.Connection, broker: str, instruments: Iterable[Instrument], rules: LoadRules
) -> int:
    """Stream a master in and swap it; returns its number of rows.

    Raises: `MasterTooShort`, and whatever `instruments` raises; the old master then stays.
    """
    current: Any = connection.execute(
        "SELECT generation, rows FROM masters WHERE broker=?", (broker,)
    ).fetchone()
    old, old_rows = current or (0, 0)
    fresh = old + 1
    # A load that died half-way left rows of this generation behind.
    _forget(connection, broker, keep=old)
    _drop_unused_indexes(connection)
    _make_staging(connection)
    count, series = _stage(connection, broker, fresh, instruments, rules.code_keys)
    try:
        _check_is_plausible(connection, broker, old, count, series, rules)
    except MasterTooShort:
        _forget(connection, broker, keep=old)
        raise
    search = _index(connection, broker, fresh, series)
    changes = _compare(connection, broker, old, fresh, old_rows) if old else None
    with connection:
        connection.execute(
            "INSERT OR REPLACE INTO masters (broker, generation, search, rows, loaded_us, changes)"
            " VALUES (?,?,?,?,?,?)",
            (broker, fresh, search, count, now_us(), msgspec.json.encode(changes)),
        )
        _forget(connection, broker, keep=fresh)
        _drop_unused_indexes(connection)
    return count


def _make_staging(connection: apsw.Connection) -> None:
    connection.execute(
        "CREATE TEMP TABLE staged (contract TEXT, instrument TEXT);"
        "CREATE TEMP TABLE staged_isins (isin TEXT, instrument TEXT);"
        "CREATE TEMP TABLE staged_words (sort TEXT, instrument TEXT, words TEXT)"
    )


def _stage(
    connection: apsw.Connection,
    broker: str,
    generation: int,
    instruments: Iterable[Instrument],
    code_keys: Sequence[str],
) -> tuple[int, Counter[_Series]]:
    count, series = 0, Counter[_Series]()
    batch: list[_StoredRow] = []
    for item in instruments:
        count += 1
        expiry = item.expiry.isoformat() if item.expiry else ""
        series[item.underlying or "", item.exchange.value, item.type.value, expiry] += 1
        # Derivatives carry no ISIN of their own: that of their share would name the wrong thing.
        isin = item.isin if item.type is InstrumentType.EQ else None
        contract = contract_of(item.codes, code_keys)
        words = (order_of(item), words_of(item))
        batch.append((item.instrument, terms_of(item), packed(item), contract, isin, *words))
        if len(batch) >= _BATCH:
            _insert(connection, broker, generation, batch)
            batch = []
    _insert(connection, broker, generation, batch)
    return count, series


def _insert(
    connection: apsw.Connection, broker: str, generation: int, batch: list[_StoredRow]
) -> None:
    """Insert one batch in a transaction of its own, so that readers are never held up.

    Two rows with one canonical id leave it empty: which contract is meant may not be guessed.
    """
    with connection:
        connection.executemany(
            "INSERT INTO instruments (broker, generation, instrument, terms, data)"
            " VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET data = x''",
            ((broker, generation, *row[:3]) for row in batch),
        )
        connection.executemany(
            "INSERT INTO staged (contract, instrument) VALUES (?,?)",
            ((row[3], row[0]) for row in batch if row[3] is not None),
        )
        connection.executemany(
            "INSERT INTO staged_isins (isin, instrument) VALUES (?,?)",
            ((row[4], row[0]) for row in batch if row[4] is not None),
        )
        connection.executemany(
            "INSERT INTO staged_words (sort, instrument, words) VALUES (?,?,?)",
            ((row[5], row[0], row[6]) for row in batch),
        )


def _check_is_plausible(
    connection: apsw.Connection,
    broker: str,
    old: int,
    count: int,
    series: Counter[_Series],
    rules: LoadRules,
) -> None:
    """Refuse a master that lost many rows which had not expired, on any exchange or in all."""
    if count == 0:
        raise MasterTooShort(f"{broker}: the new master has no rows; kept the old")
    if rules.accept_fewer:
        return
    today = ist(now_us()).date().isoformat()
    before: Counter[str] = Counter()
    rows: Any = connection.execute(
        "SELECT exchange, expiry, rows FROM series WHERE broker=? AND generation=?", (broker, old)
    )
    for exchange, expiry, number in rows:
        if not expiry or expiry >= today:
            before[exchange] += number
            before["all exchanges"] += number
    now: Counter[str] = Counter()
    for (_, exchange, _, _), number in series.items():
        now[exchange] += number
        now["all exchanges"] += number
    for where, number in before.items():
        lost = number - now[where]
        if lost > _FEW_ROWS and lost * 100 > number * rules.most_lost_percent:
            raise MasterTooShort(
                f"{broker}: the new master has {now[where]} rows for {where}, the one in use"
                f" {number} that have not expired; kept the old"
            )


def _index(
    connection: apsw.Connection, broker: str, generation: int, series: Counter[_Series]
) -> int:
    """Fill the look-ups of the new generation; returns the number of its search index.

    In order, which keeps every page it writes in the small cache: five times quicker than as
    the rows come.
    """
    connection.execute(
        "INSERT OR IGNORE INTO contracts (broker, generation, contract, instrument)"
        " SELECT ?, ?, contract, instrument FROM staged ORDER BY contract, instrument",
        (broker, generation),
    )
    connection.execute(
        "INSERT OR IGNORE INTO isins (broker, generation, isin, instrument)"
        " SELECT ?, ?, isin, instrument FROM staged_isins ORDER BY isin, instrument",
        (broker, generation),
    )
    connection.executemany(
        "INSERT INTO series (broker, generation, underlying, exchange, type, expiry, rows)"
        " VALUES (?,?,?,?,?,?,?)",
        ((broker, generation, *key, rows) for key, rows in sorted(series.items())),
    )
    return _index_words(connection)


def _index_words(connection: apsw.Connection) -> int:
    number = int(connection.execute("SELECT ifnull(max(search), 0) FROM masters").get) + 1
    with connection:
        connection.execute(
            f"CREATE TABLE ranked_{number} (rank INTEGER PRIMARY KEY, instrument TEXT NOT NULL);"
            f"CREATE VIRTUAL TABLE search_{number} USING fts5"
            " (words, content='', detail=none, columnsize=0, tokenize='ascii', prefix='2 3 4 5 6')"
        )
        connection.execute(
            f"INSERT INTO ranked_{number} (rank, instrument)"  # noqa: S608
            " SELECT row_number() OVER (ORDER BY sort, instrument), instrument FROM staged_words"
        )
        connection.execute(
            f"INSERT INTO search_{number} (rowid, words)"  # noqa: S608
            " SELECT row_number() OVER (ORDER BY sort, instrument), words FROM staged_words"
        )
        connection.execute(
            f"INSERT INTO search_{number} (search_{number}) VALUES ('optimize')"  # noqa: S608
        )
    return number


def _compare(
    connection: apsw.Connection, broker: str, old: int, fresh: int, old_rows: int
) -> MasterChanges:
    today = ist(now_us()).date()
    added: list[str] = []
    added_count = gone_count = expired = 0
    gone: list[str] = []
    for instrument, _ in _only_in(connection, broker, fresh, old):
        added_count += 1
        if len(added) < _NAMED:
            added.append(instrument)
    for instrument, data in _only_in(connection, broker, old, fresh):
        if data and _has_expired(unpacked(instrument, data), today):
            expired += 1
            continue
        gone_count += 1
        if len(gone) < _NAMED:
            gone.append(instrument)
    changed = 0
    named: list[ChangedTerm] = []
    rows: Any = connection.execute(
        "SELECT n.instrument, o.terms, n.terms FROM instruments n JOIN instruments o"
        " ON o.broker = n.broker AND o.generation = ? AND o.instrument = n.instrument"
        " WHERE n.broker = ? AND n.generation = ? AND n.terms <> o.terms",
        (old, broker, fresh),
    )
    for instrument, was, now in rows:
        changed += 1
        if len(named) < _NAMED:
            named += _told(instrument, was, now)
    return MasterChanges(
        previous_rows=old_rows,
        added=added_count,
        gone=gone_count,
        expired=expired,
        changed=changed,
        added_instruments=added,
        gone_instruments=gone,
        changed_terms=named,
    )


def _only_in(
    connection: apsw.Connection, broker: str, one: int, other: int
) -> Iterator[tuple[str, bytes]]:
    rows: Any = connection.execute(
        "SELECT a.instrument, a.data FROM instruments a LEFT JOIN instruments b"
        " ON b.broker = a.broker AND b.generation = ? AND b.instrument = a.instrument"
        " WHERE a.broker = ? AND a.generation = ? AND b.instrument IS NULL",
        (other, broker, one),
    )
    yield from rows


def _has_expired(item: Instrument, today: date) -> bool:
    return item.expiry is not None and item.expiry < today


def _told(instrument: str, was: str, now: str) -> list[ChangedTerm]:
    fields = ("lot_size", "tick_size", "freeze_quantity")
    return [
        ChangedTerm(instrument=instrument, field=field, was=before or None, now=after or None)
        for field, before, after in zip(fields, was.split("|"), now.split("|"), strict=True)
        if before != after
    ]


def _forget(connection: apsw.Connection, broker: str, *, keep: int) -> None:
    for table in _BY_GENERATION:
        connection.execute(
            f"DELETE FROM {table} WHERE broker=? AND generation<>?",  # noqa: S608
            (broker, keep),
        )


def _drop_unused_indexes(connection: apsw.Connection) -> None:
    used = {str(number) for (number,) in connection.execute("SELECT search FROM masters")}
    tables: Any = connection.execute(
        "SELECT name FROM sqlite_schema WHERE name GLOB 'ranked_[0-9]*'"
        " OR sql LIKE 'CREATE VIRTUAL TABLE search_%'"
    ).fetchall()
    for (name,) in tables:
        if name.partition("_")[2] not in used:
            connection.execute(f"DROP TABLE {name}")
