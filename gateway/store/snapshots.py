"""What brokers' books said on a day, kept because they are gone the next."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

import apsw
import msgspec


class SnapshotKind(StrEnum):
    ORDERBOOK = "orderbook"
    TRADES = "trades"
    POSITIONS = "positions"


class Packed(msgspec.Struct, frozen=True):
    """One list of rows as it is stored: their number and their JSON, compressed."""

    rows: int
    data: bytes


class Stored(msgspec.Struct, frozen=True):
    """One list of rows as it was read at `taken_us`, as JSON."""

    taken_us: int
    json: bytes


def pack(rows: int, json: bytes) -> Packed:
    return Packed(rows, zlib.compress(json))


def put_snapshot(
    connection: apsw.Connection,
    account: str,
    day: date,
    taken_us: int,
    parts: Mapping[SnapshotKind, Packed],
) -> None:
    """Keep what was read of an account; what was kept of that day and kind before goes."""
    connection.executemany(
        "INSERT OR REPLACE INTO snapshots (account, day, kind, taken_us, rows, data)"
        " VALUES (?,?,?,?,?,?)",
        [
            (account, day.isoformat(), kind, taken_us, part.rows, part.data)
            for kind, part in parts.items()
        ],
    )


def load_snapshot(
    connection: apsw.Connection, account: str, day: date, kind: SnapshotKind
) -> Stored | None:
    row: Any = connection.execute(
        "SELECT taken_us, data FROM snapshots WHERE account=? AND day=? AND kind=?",
        (account, day.isoformat(), kind),
    ).fetchone()
    return Stored(row[0], zlib.decompress(row[1])) if row else None


def taken_us(connection: apsw.Connection, account: str, day: date) -> int:
    """When the day's order book was last kept; 0 when it was not."""
    at: int | None = connection.execute(
        "SELECT taken_us FROM snapshots WHERE account=? AND day=? AND kind=?",
        (account, day.isoformat(), SnapshotKind.ORDERBOOK),
    ).get
    return at or 0


def mark_missed(connection: apsw.Connection, account: str, day: date, why: str) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO snapshots_missed (account, day, why) VALUES (?,?,?)",
        (account, day.isoformat(), why),
    )


def missed(connection: apsw.Connection, account: str, day: date) -> str | None:
    """Why the day's last snapshot is missing, or None when nobody missed it."""
    why: str | None = connection.execute(
        "SELECT why FROM snapshots_missed WHERE account=? AND day=?", (account, day.isoformat())
    ).get
    return why
