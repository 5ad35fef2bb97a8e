"""What each minute of a running gateway was like, in a file of its own.

The orders' evidence is the journal: a file that cannot be read or written is only no help.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec

from gateway.kpi.minutes import MINUTE_US, Minute
from gateway.store.beside import SideFile

log = logging.getLogger(__name__)

T = TypeVar("T")

# A minute takes some 200 bytes, so these are about 40 MB.
KEPT_US = 140 * 1440 * MINUTE_US
_CACHE_KIB = 256
_TABLE = (
    "CREATE TABLE IF NOT EXISTS minutes (at INTEGER PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID"
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Minute).decode


class FigureStore:
    def __init__(self, path: Path) -> None:
        self._file = SideFile(path, _TABLE, name="figures", cache_kib=_CACHE_KIB)
        self._connection = self._file.connection

    def close(self) -> None:
        self._file.close()

    async def add(self, minute: Minute) -> None:
        """Keep a minute, added to what is kept of it, and forget what is too old."""
        await self._run(lambda: self._add(minute), None)

    async def between(self, from_us: int, to_us: int) -> list[Minute]:
        """Return the minutes that begin in a range, oldest first."""
        return await self._run(lambda: self._between(from_us, to_us), [])

    async def first_us(self) -> int | None:
        """Return when the oldest minute that is kept was first looked at."""
        return await self._run(self._first, None)

    async def _run(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return await self._file.run(work)
        except (apsw.Error, msgspec.MsgspecError) as error:
            log.warning("the figures of the minutes are of no use now: %s", error)
            return otherwise

    def _add(self, minute: Minute) -> None:
        for known in self._between(minute.at_us, minute.at_us + 1):
            # Two runs of the gateway may share a minute.
            minute.since_us = min(minute.since_us, known.since_us)
            minute.seconds += known.seconds
            minute.rss = max(minute.rss, known.rss)
            minute.lag_ms = max(minute.lag_ms, known.lag_ms)
            minute.repeats += known.repeats
            for account, spent in known.accounts.items():
                mine = minute.accounts.setdefault(account, {})
                for condition, seconds in spent.items():
                    mine[condition] = mine.get(condition, 0.0) + seconds
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO minutes (at, data) VALUES (?, ?)",
                (minute.at_us, _encode(minute)),
            )
            self._connection.execute("DELETE FROM minutes WHERE at < ?", (minute.at_us - KEPT_US,))

    def _between(self, from_us: int, to_us: int) -> list[Minute]:
        rows = self._connection.execute(
            "SELECT data FROM minutes WHERE at >= ? AND at < ? ORDER BY at", (from_us, to_us)
        )
        return [_decode(data) for (data,) in rows]

    def _first(self) -> int | None:
        oldest = self._connection.execute("SELECT data FROM minutes ORDER BY at LIMIT 1").fetchone()
        return _decode(oldest[0]).since_us if oldest else None
