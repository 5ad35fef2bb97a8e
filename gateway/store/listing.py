"""Copies one broker's whole instrument master out of the store, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway.store.master_rows import unpacked

_encode = msgspec.json.Encoder().encode


def copy_listing(store: Path, broker: str, path: Path) -> int:
    """Write the master that is in use, as `BorrowedMarket.copy_instruments` wants it.

    Names that could mean two contracts are left out. Returns how many rows there are. Blocks.
    """
    connection = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(30_000)
    copied = 0
    try:
        rows: Any = connection.execute(
            "SELECT i.instrument, i.data FROM masters m JOIN instruments i ON i.broker = m.broker"
            " AND i.generation = m.generation WHERE m.broker=? ORDER BY i.instrument",
            (broker,),
        )
        with path.open("wb") as file:
            for instrument, data in rows:
                if data:
                    file.write(_encode(unpacked(instrument, data)) + b"\n")
                    copied += 1
            file.write(b'{"rows":%d}\n' % copied)
    finally:
        connection.close()
    return copied
