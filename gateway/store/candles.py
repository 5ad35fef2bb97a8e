"""Candles that are final, and which times were asked for, in a file of its own.

It can always be fetched again: no place in a backup, and a file that cannot be read or written is
only no help. Times are microseconds since 1970;
a range begins with its first and ends before its last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import apsw

from adapters.sdk.models import Candle
from gateway.orders.times import ist, to_us
from gateway.store.beside import SideFile

log = logging.getLogger(__name__)

T = TypeVar("T")
Range = tuple[int, int]
Series = tuple[str, str, str]
"""Broker, canonical id and interval."""

# About 100 bytes each.
MOST_CANDLES = 1_000_000
_CACHE_KIB = 1024
_DAY_US = 86_400_000_000
_TABLES = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, broker TEXT NOT NULL, instrument TEXT NOT NULL,
    interval TEXT NOT NULL, used_us INTEGER NOT NULL, UNIQUE (broker, instrument, interval)
);
CREATE TABLE IF NOT EXISTS candles (
    series INTEGER NOT NULL, at INTEGER NOT NULL, open TEXT NOT NULL, high TEXT NOT NULL,
    low TEXT NOT NULL, close TEXT NOT NULL, volume INTEGER, open_interest INTEGER,
    PRIMARY KEY (series, at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS covered (
    series INTEGER NOT NULL, begins INTEGER NOT NULL, ends INTEGER NOT NULL,
    read_us INTEGER NOT NULL, PRIMARY KEY (series, begins, read_us)
) WITHOUT ROWID;
"""


class CandleStore:
    """`most` candles are kept; of more, the series that were not used for longest go first."""

    def __init__(self, path: Path, *, most: int = MOST_CANDLES) -> None:
        self._most = most
        self._file = SideFile(path, _TABLES, name="candles", cache_kib=_CACHE_KIB)
        self._connection = self._file.connection

    def close(self) -> None:
        self._file.close()

    async def load(self, series: Series, wanted: Range, used_us: int) -> list[Candle]:
        """Return the kept candles that begin in a range, oldest first."""
        return await self._run(lambda: self._load(series, wanted, used_us), [])

    async def missing(self, series: Series, wanted: Range, fresh_us: int) -> list[Range]:
        """Return what of a range was not read at or after `fresh_us`."""
        return await self._run(lambda: self._missing(series, wanted, fresh_us), [wanted])

    async def save(
        self, series: Series, covered: Range, candles: Sequence[Candle], read_us: int
    ) -> None:
        """Keep what a broker answered for a range, in place of what was kept of it."""
        await self._run(lambda: self._save(series, covered, candles, read_us), None)

    async def _run(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return await self._file.run(work)
        except apsw.Error as error:
            log.warning("the cache of candles is of no use now: %s", error)
            return otherwise

    def _id(self, series: Series) -> int | None:
        found = self._connection.execute(
            "SELECT id FROM series WHERE broker = ? AND instrument = ? AND interval = ?", series
        ).fetchone()
        return int(found[0]) if found else None

    def _load(self, series: Series, wanted: Range, used_us: int) -> list[Candle]:
        key = self._id(series)
        if key is None:
            return []
        self._connection.execute("UPDATE series SET used_us = ? WHERE id = ?", (used_us, key))
        rows = self._connection.execute(
            "SELECT at, open, high, low, close, volume, open_interest FROM candles"
            " WHERE series = ? AND at >= ? AND at < ? ORDER BY at",
            (key, *wanted),
        )
        return [
            Candle(
                at=ist(at),
                open=Decimal(opened),
                high=Decimal(high),
                low=Decimal(low),
                close=Decimal(close),
                volume=volume,
                open_interest=interest,
            )
            for at, opened, high, low, close, volume, interest in rows
        ]

    def _missing(self, series: Series, wanted: Range, fresh_us: int) -> list[Range]:
        key = self._id(series)
        rows: list[Range] = []
        if key is not None:
            rows = list(
                self._connection.execute(
                    "SELECT begins, ends FROM covered WHERE series = ? AND ends > ? AND begins < ?"
                    " AND read_us >= ? ORDER BY begins",
                    (key, *wanted, fresh_us),
                )
            )
        gaps = []
        at, end = wanted
        for begins, ends in rows:
            if begins > at:
                gaps.append((at, min(begins, end)))
            at = max(at, ends)
        if at < end:
            gaps.append((at, end))
        return gaps

    def _save(
        self, series: Series, covered: Range, candles: Sequence[Candle], read_us: int
    ) -> None:
        with self._connection:
            self._connection.execute(
                "INSERT INTO series (broker, instrument, interval, used_us) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET used_us = excluded.used_us",
                (*series, read_us),
            )
            key = self._id(series)
            assert key is not None  # noqa: S101
            self._connection.execute(
                "DELETE FROM candles WHERE series = ? AND at >= ? AND at < ?", (key, *covered)
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [_row(key, candle) for candle in candles],
            )
            self._cover(key, covered, read_us)
            self._prune(key)

    def _cover(self, key: int, covered: Range, read_us: int) -> None:
        """Add a range, joined to one of that day that it continues; older ones inside it go."""
        joined = self._connection.execute(
            "SELECT begins, read_us FROM covered WHERE series = ? AND begins <= ? AND ends >= ?"
            " AND read_us > ? ORDER BY begins LIMIT 1",
            (key, covered[0], covered[0], read_us - _DAY_US),
        ).fetchone()
        if joined:
            covered = (joined[0], covered[1])
            read_us = joined[1]
        self._connection.execute(
            "DELETE FROM covered WHERE series = ? AND begins >= ? AND ends <= ?", (key, *covered)
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO covered VALUES (?, ?, ?, ?)", (key, *covered, read_us)
        )

    def _prune(self, newest: int) -> None:
        count = self._connection.execute("SELECT count(*) FROM candles").get
        if count <= self._most:
            return
        rows = self._connection.execute(
            "SELECT s.id, (SELECT count(*) FROM candles c WHERE c.series = s.id) FROM series s"
            " WHERE s.id != ? ORDER BY s.used_us",
            (newest,),
        ).fetchall()
        for key, size in rows:
            if count <= self._most:
                break
            for table, column in (("candles", "series"), ("covered", "series"), ("series", "id")):
                self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (key,))  # noqa: S608
            count -= size


def _row(key: int, candle: Candle) -> tuple[int | str | None, ...]:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return (
        key,
        to_us(candle.at),
        *(format(price, "f") for price in prices),
        candle.volume,
        candle.open_interest,
    )
