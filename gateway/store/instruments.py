"""Instrument masters in a file of their own: one canonical id, every broker's own codes.

Kept apart from the journal because it can always be fetched again: it needs no sync per commit
and no place in a backup. A master is swapped in whole: readers see the old rows or the new.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType
from gateway.orders.times import now_us

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS instruments (
    instrument TEXT NOT NULL,
    broker TEXT NOT NULL,
    generation INTEGER NOT NULL,
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
CREATE TABLE IF NOT EXISTS masters (
    broker TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    loaded_us INTEGER NOT NULL
) WITHOUT ROWID;
"""
# Older files are made anew: a master can always be fetched again.
_FORMAT = 3
_BATCH = 2000
# Of 999 variables that any SQLite takes.
_ASKED_AT_ONCE = 500


class MasterRow(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """An instrument as stored: an array instead of an object, since names repeat per row."""

    symbol: str
    name: str
    type: InstrumentType
    lot_size: int
    tick_size: Decimal
    codes: dict[str, str]
    underlying: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    option_type: OptionType | None = None
    freeze_quantity: int | None = None
    isin: str | None = None


class MasterInfo(msgspec.Struct, frozen=True, kw_only=True):
    broker: str
    rows: int
    loaded_us: int


class AmbiguousInstrument(LookupError):
    """One canonical id stands for two contracts in a broker's master."""


class MasterTooShort(ValueError):
    """A new master lost so many rows that it is more likely cut short than true."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(MasterRow).decode


class InstrumentStore:
    """Looks instruments up by canonical id and broker; replaces one broker's master at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._path = path
        self._connection = self._connect()
        _prepare(self._connection)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="instruments")
        self._load_lock = threading.Lock()

    def close(self) -> None:
        self._pool.shutdown()
        self._connection.close()

    async def find(self, broker: str, instrument: str) -> Instrument | None:
        """Return the contract as that broker lists it, or None.

        Raises: `AmbiguousInstrument` when the master has two contracts of that name.
        """
        return await self._run(self._find, broker, instrument)

    async def find_contracts(
        self, broker: str, contracts: Collection[str]
    ) -> dict[str, Instrument]:
        """Return what each contract of `contract_of` is called here.

        One that the master lacks, or that it has under two names, is missing from the answer.
        """
        return await self._run(self._find_contracts, broker, contracts)

    async def find_isins(self, isins: Collection[str]) -> dict[str, dict[str, list[str]]]:
        """Return, for each ISIN and each broker that lists it, its shares' canonical ids."""
        return await self._run(self._find_isins, isins)

    async def info(self) -> list[MasterInfo]:
        return await self._run(self._info)

    async def replace(
        self, broker: str, instruments: Iterable[Instrument], code_keys: Sequence[str] = ()
    ) -> int:
        """Stream a broker's new master in and swap it; returns its number of rows.

        `code_keys` are the entries of `codes` that contracts are found by.

        The parse runs on its own thread. Nothing changes for readers until the last row is in.

        Raises: `MasterTooShort`, and whatever `instruments` raises; the old master then stays.
        """
        return await asyncio.get_running_loop().run_in_executor(
            None, self._replace, broker, instruments, code_keys
        )

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(30_000)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-2048")
        return connection

    def _find(self, broker: str, instrument: str) -> Instrument | None:
        row: Any = self._connection.execute(
            "SELECT i.data FROM masters m JOIN instruments i ON i.broker = m.broker"
            " AND i.generation = m.generation WHERE m.broker=? AND i.instrument=?",
            (broker, instrument),
        ).fetchone()
        if row is None:
            return None
        if not row[0]:
            raise AmbiguousInstrument(f"{instrument} could mean two contracts at {broker}")
        return _instrument(instrument, _decode(row[0]))

    def _find_contracts(self, broker: str, contracts: Collection[str]) -> dict[str, Instrument]:
        wanted = list(contracts)
        found: dict[str, Instrument | None] = {}
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = wanted[start : start + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(part))
            rows: Any = self._connection.execute(
                "SELECT c.contract, c.instrument, i.data FROM masters m"  # noqa: S608
                " JOIN contracts c ON c.broker = m.broker AND c.generation = m.generation"
                " JOIN instruments i ON i.broker = c.broker AND i.generation = c.generation"
                " AND i.instrument = c.instrument"
                f" WHERE m.broker=? AND c.contract IN ({marks})",
                (broker, *part),
            )
            for contract, instrument, data in rows:
                doubtful = contract in found or not data
                found[contract] = None if doubtful else _instrument(instrument, _decode(data))
        return {contract: item for contract, item in found.items() if item is not None}

    def _find_isins(self, isins: Collection[str]) -> dict[str, dict[str, list[str]]]:
        wanted = list(isins)
        found: dict[str, dict[str, list[str]]] = {}
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = wanted[start : start + _ASKED_AT_ONCE]
            rows: Any = self._connection.execute(
                "SELECT s.isin, s.broker, s.instrument FROM masters m"  # noqa: S608
                " JOIN isins s ON s.broker = m.broker AND s.generation = m.generation"
                f" WHERE s.isin IN ({','.join('?' * len(part))})",
                part,
            )
            for isin, broker, instrument in rows:
                found.setdefault(isin, {}).setdefault(broker, []).append(instrument)
        return found

    def _info(self) -> list[MasterInfo]:
        rows: list[Any] = self._connection.execute(
            "SELECT broker, rows, loaded_us FROM masters ORDER BY broker"
        ).fetchall()
        return [MasterInfo(broker=b, rows=n, loaded_us=at) for b, n, at in rows]

    def _replace(
        self, broker: str, instruments: Iterable[Instrument], code_keys: Sequence[str]
    ) -> int:
        with self._load_lock:
            connection = self._connect()
            try:
                return _load(connection, broker, instruments, code_keys)
            finally:
                connection.close()


def _prepare(connection: apsw.Connection) -> None:
    with connection:
        if connection.execute("PRAGMA user_version").get != _FORMAT:
            for table in ("instruments", "contracts", "isins", "masters"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(_TABLES)
        connection.execute(f"PRAGMA user_version={_FORMAT}")


def contract_of(codes: Mapping[str, str], code_keys: Sequence[str]) -> str | None:
    """Join the broker's codes that together name a contract, or None where one is missing."""
    values = [codes.get(key) for key in code_keys]
    return "\x1f".join(filter(None, values)) if values and all(values) else None


def _load(
    connection: apsw.Connection,
    broker: str,
    instruments: Iterable[Instrument],
    code_keys: Sequence[str],
) -> int:
    current: Any = connection.execute(
        "SELECT generation, rows FROM masters WHERE broker=?", (broker,)
    ).fetchone()
    generation, old_rows = (current[0], current[1]) if current else (0, 0)
    fresh = generation + 1
    # A load that died half-way left rows of this generation behind.
    _forget(connection, broker, keep=generation)
    connection.execute("CREATE TEMP TABLE staged (contract TEXT, instrument TEXT)")
    connection.execute("CREATE TEMP TABLE staged_isins (isin TEXT, instrument TEXT)")
    count = 0
    batch: list[_StoredRow] = []
    for item in instruments:
        contract = contract_of(item.codes, code_keys)
        # Derivatives carry no ISIN of their own: that of their share would name the wrong thing.
        isin = item.isin if item.type is InstrumentType.EQ else None
        batch.append((item.instrument, broker, fresh, _encode(_row(item)), contract, isin))
        if len(batch) >= _BATCH:
            count += _insert(connection, batch)
            batch = []
    count += _insert(connection, batch)
    if count == 0 or count < old_rows // 2:
        _forget(connection, broker, keep=generation)
        raise MasterTooShort(
            f"{broker}: the new master has {count} rows, the one in use {old_rows}; kept the old"
        )
    # In order, which keeps every page it writes in the small cache: five times quicker than as
    # the rows come.
    connection.execute(
        "INSERT OR IGNORE INTO contracts (broker, generation, contract, instrument)"
        " SELECT ?, ?, contract, instrument FROM staged ORDER BY contract, instrument",
        (broker, fresh),
    )
    connection.execute(
        "INSERT OR IGNORE INTO isins (broker, generation, isin, instrument)"
        " SELECT ?, ?, isin, instrument FROM staged_isins ORDER BY isin, instrument",
        (broker, fresh),
    )
    with connection:
        connection.execute(
            "INSERT OR REPLACE INTO masters (broker, generation, rows, loaded_us) VALUES (?,?,?,?)",
            (broker, fresh, count, now_us()),
        )
        _forget(connection, broker, keep=fresh)
    return count


def _forget(connection: apsw.Connection, broker: str, *, keep: int) -> None:
    for table in ("instruments", "contracts", "isins"):
        connection.execute(
            f"DELETE FROM {table} WHERE broker=? AND generation<>?",  # noqa: S608
            (broker, keep),
        )


_StoredRow = tuple[str, str, int, bytes, str | None, str | None]


def _insert(connection: apsw.Connection, batch: list[_StoredRow]) -> int:
    """Insert one batch in a transaction of its own, so that readers are never held up.

    Two rows with one canonical id leave it empty: which contract is meant may not be guessed.
    """
    if not batch:
        return 0
    with connection:
        connection.executemany(
            "INSERT INTO instruments (instrument, broker, generation, data) VALUES (?,?,?,?)"
            " ON CONFLICT DO UPDATE SET data = x''",
            (row[:4] for row in batch),
        )
        connection.executemany(
            "INSERT INTO staged (contract, instrument) VALUES (?,?)",
            ((row[4], row[0]) for row in batch if row[4] is not None),
        )
        connection.executemany(
            "INSERT INTO staged_isins (isin, instrument) VALUES (?,?)",
            ((row[5], row[0]) for row in batch if row[5] is not None),
        )
    return len(batch)


def _row(item: Instrument) -> MasterRow:
    return MasterRow(
        item.symbol,
        item.name,
        item.type,
        item.lot_size,
        item.tick_size,
        item.codes,
        item.underlying,
        item.expiry,
        item.strike,
        item.option_type,
        item.freeze_quantity,
        item.isin,
    )


def _instrument(instrument: str, row: MasterRow) -> Instrument:
    return Instrument(
        instrument=instrument,
        exchange=Exchange(instrument.partition(":")[0]),
        symbol=row.symbol,
        name=row.name,
        type=row.type,
        lot_size=row.lot_size,
        tick_size=row.tick_size,
        codes=row.codes,
        underlying=row.underlying,
        expiry=row.expiry,
        strike=row.strike,
        option_type=row.option_type,
        freeze_quantity=row.freeze_quantity,
        isin=row.isin,
    )
