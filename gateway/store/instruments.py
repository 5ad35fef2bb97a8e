"""Instrument masters in a file of their own: one canonical id, every broker's own codes.

Kept apart from the journal because it can always be fetched again: it needs no sync per commit
and no place in a backup. A master is swapped in whole: readers see the old rows or the new.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from adapters.sdk.models import Exchange, Instrument, InstrumentType
from gateway.store import master_search
from gateway.store.master_load import LoadRules, load, prepare
from gateway.store.master_rows import (
    AmbiguousInstrument,
    Expiry,
    MasterChanges,
    MasterInfo,
    MasterTooShort,
    contract_of,
    unpacked,
)
from gateway.store.master_search import Listed
from gateway.store.master_terms import Wanted

__all__ = [
    "AmbiguousInstrument",
    "Expiry",
    "InstrumentStore",
    "Listed",
    "MasterChanges",
    "MasterInfo",
    "MasterTooShort",
    "Wanted",
    "contract_of",
]

T = TypeVar("T")

# Of 999 variables that any SQLite takes.
_ASKED_AT_ONCE = 500
_SMALL_CACHE_KIB = 1024
_LOADING_CACHE_KIB = 2048


class InstrumentStore:
    """Looks instruments up by canonical id and broker; replaces one broker's master at a time.

    Searches have a connection and a thread of their own, so that typing never makes an order wait.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._path = path
        self._connection = self._connect()
        prepare(self._connection)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="instruments")
        self._searching: apsw.Connection | None = None
        self._search_pool = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._load_lock = threading.Lock()

    def close(self) -> None:
        self._pool.shutdown()
        self._search_pool.shutdown()
        self._connection.close()
        if self._searching is not None:
            self._searching.close()

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

    async def search(
        self,
        wanted: Wanted,
        limit: int,
        today: date,
        brokers: Collection[str] | None = None,
    ) -> list[Listed]:
        """Return the best matches that have not expired by `today`, best first.

        A contract is there once, as every broker lists it (every one of `brokers`) that has just
        one of that name.
        """
        return await self._search(master_search.search, wanted, limit, today, brokers)

    async def expiries(self, underlying: str) -> list[Expiry]:
        """Return the expiry days of an underlying in every master, past ones too."""
        return await self._search(_expiries, underlying)

    async def info(self) -> list[MasterInfo]:
        return await self._run(self._info)

    async def replace(
        self,
        broker: str,
        instruments: Iterable[Instrument],
        code_keys: Sequence[str] = (),
        *,
        most_lost_percent: int = 30,
        accept_fewer: bool = False,
    ) -> int:
        """Stream a broker's new master in and swap it; returns its number of rows.

        `code_keys` are the entries of `codes` that contracts are found by. A master that lost
        more than `most_lost_percent` of the rows that have not expired, on one exchange or in
        all, is refused unless `accept_fewer`.

        The parse runs on its own thread. Nothing changes for readers until the last row is in.

        Raises: `MasterTooShort`, `OSError`, and whatever `instruments` raises; the old master
        then stays.
        """
        rules = LoadRules(
            code_keys=code_keys, most_lost_percent=most_lost_percent, accept_fewer=accept_fewer
        )
        return await asyncio.get_running_loop().run_in_executor(
            None, self._replace, broker, instruments, rules
        )

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    async def _search(self, work: Callable[..., T], *args: Any) -> T:
        def run() -> T:
            if self._searching is None:
                self._searching = self._connect()
            # One view of the file, however many statements: a master may be swapped meanwhile.
            self._searching.execute("BEGIN")
            try:
                return work(self._searching, *args)
            finally:
                self._searching.execute("COMMIT")

        return await asyncio.get_running_loop().run_in_executor(self._search_pool, run)

    def _connect(self, cache_kib: int = _SMALL_CACHE_KIB) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(30_000)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{cache_kib}")
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
        return unpacked(instrument, row[0])

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
                found[contract] = None if doubtful else unpacked(instrument, data)
        return {contract: item for contract, item in found.items() if item is not None}

    def _find_isins(self, isins: Collection[str]) -> dict[str, dict[str, list[str]]]:
        wanted = list(isins)
        found: dict[str, dict[str, list[str]]] = {}
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = wanted[start : start + _ASKED_AT_ONCE]
            rows: Any = self._connection.execute(
                "SELECT s.isin, s.broker, s.instrument FROM masters m"  # noqa: S608
                " CROSS JOIN isins s ON s.broker = m.broker AND s.generation = m.generation"
                f" WHERE s.isin IN ({','.join('?' * len(part))})",
                part,
            )
            for isin, broker, instrument in rows:
                found.setdefault(isin, {}).setdefault(broker, []).append(instrument)
        return found

    def _info(self) -> list[MasterInfo]:
        rows: list[Any] = self._connection.execute(
            "SELECT broker, rows, loaded_us, changes FROM masters ORDER BY broker"
        ).fetchall()
        return [
            MasterInfo(
                broker=broker,
                rows=number,
                loaded_us=at,
                changes=msgspec.json.decode(changes, type=MasterChanges | None),
            )
            for broker, number, at, changes in rows
        ]

    def _replace(self, broker: str, instruments: Iterable[Instrument], rules: LoadRules) -> int:
        with self._load_lock:
            connection = self._connect(_LOADING_CACHE_KIB)
            try:
                return load(connection, broker, instruments, rules)
            except apsw.Error as error:
                raise OSError(f"{self._path.name} cannot be written: {error}") from error
            finally:
                connection.close()


def _expiries(connection: apsw.Connection, underlying: str) -> list[Expiry]:
    rows: Any = connection.execute(
        "SELECT m.broker, s.exchange, s.type, s.expiry FROM masters m CROSS JOIN series s"
        " ON s.broker = m.broker AND s.generation = m.generation"
        " WHERE s.underlying = ? AND s.expiry <> '' ORDER BY s.expiry, s.exchange, s.type",
        (underlying,),
    )
    return [
        Expiry(
            broker=broker,
            exchange=Exchange(exchange),
            type=InstrumentType(kind),
            underlying=underlying,
            expiry=date.fromisoformat(expiry),
        )
        for broker, exchange, kind, expiry in rows
    ]
