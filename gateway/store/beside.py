"""SQLite files beside the journal: a help, and never a condition for starting or trading.

A damaged file is put aside and begun anew. Where none can be written, on a full disk or one that
takes no writes, memory serves until the next start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

log = logging.getLogger(__name__)

T = TypeVar("T")


class SideFile:
    """One connection, and the one thread that it is used on. `name` is said in the log.

    `checked`: look at every page on opening; for small files that are to be relied on.
    """

    def __init__(
        self,
        path: Path,
        tables: str,
        *,
        name: str,
        cache_kib: int,
        synchronous: str = "NORMAL",
        checked: bool = False,
    ) -> None:
        self._tables = tables
        self._name = name
        self._cache_kib = cache_kib
        self._synchronous = synchronous
        self._checked = checked
        self.connection = self._open(path)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    def close(self) -> None:
        self._pool.shutdown()
        self.connection.close()

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` on the file's thread. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _open(self, path: Path) -> apsw.Connection:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                return self._prepared(path)
            except (apsw.NotADBError, apsw.CorruptError) as error:
                log.error("%s is damaged and begun anew: %s", path, error)
                path.replace(path.with_name(f"{path.name}.damaged"))
                for suffix in ("-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
                return self._prepared(path)
        except (apsw.Error, OSError) as error:
            log.error("%s are kept in memory only: %s", self._name, error)
            return self._prepared(None)

    def _prepared(self, path: Path | None) -> apsw.Connection:
        if path is not None:
            path.touch(mode=0o600)
        connection = apsw.Connection(":memory:" if path is None else str(path))
        try:
            connection.set_busy_timeout(5000)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA cache_size = -{self._cache_kib}")
            connection.execute(self._tables)
            if self._checked and (found := connection.execute("PRAGMA quick_check").get) != "ok":
                raise apsw.CorruptError(str(found))
        except BaseException:
            connection.close()
            raise
        return connection
