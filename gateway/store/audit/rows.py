"""Rows of the audit log as they are read: one page after another, oldest first."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `body` is the JSON that was written, byte for byte."""

    seq: int
    at_us: int
    kind: str
    account: str | None
    order_id: str | None
    body: bytes
    mac: bytes


class FoundRow(msgspec.Struct, frozen=True):
    """A row as it was found, its columns unchecked. `hash` is what an export claims of it."""

    seq: int
    at_us: Any
    kind: Any
    account: Any
    order_id: Any
    body: Any
    mac: Any
    hash: bytes | None = None


class RowFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows: those after `after`, oldest first. None or empty: no such condition.

    `before`: the newest `limit` rows before that number instead.
    `accounts` are the accounts that a key may see: rows of no account are then only those of
    `common_kinds`. `account` is one that was asked for.
    """

    after: int = 0
    before: int | None = None
    limit: int = 500
    kinds: frozenset[str] = frozenset()
    accounts: frozenset[str] | None = None
    common_kinds: frozenset[str] = frozenset()
    account: str | None = None
    order_id: str | None = None


def rows_after(connection: apsw.Connection, wanted: RowFilter) -> tuple[list[AuditRow], int]:
    """Return rows and up to where the log was looked through: its end, or the last row returned."""
    last: int = connection.execute("SELECT coalesce(max(seq), 0) FROM audit").get
    backwards = wanted.before is not None
    if wanted.before is not None:
        last = min(last, wanted.before - 1)
    clauses, values = ["seq > ?", "seq <= ?"], [wanted.after, last]
    clauses += _conditions(wanted, values)
    rows: list[Any] = connection.execute(
        "SELECT seq, at_us, kind, account, order_id, body, mac FROM audit"  # noqa: S608
        f" WHERE {' AND '.join(clauses)} ORDER BY seq {'DESC' if backwards else ''} LIMIT ?",
        (*values, wanted.limit),
    ).fetchall()
    found = [
        AuditRow(seq=seq, at_us=at, kind=kind, account=account, order_id=order, body=body, mac=mac)
        for seq, at, kind, account, order, body, mac in rows
    ]
    if backwards:
        return found[::-1], max(last, 0)
    return found, found[-1].seq if len(found) == wanted.limit else max(last, wanted.after)


def last_seq(connection: apsw.Connection) -> int:
    found: int = connection.execute("SELECT coalesce(max(seq), 0) FROM audit").get
    return found


def seq_at(connection: apsw.Connection, at_us: int) -> int:
    """Return the first row's number at or after a time, by halving: rows are in order of time.

    Where the clock was set back they are not quite; look at a row's own time, and start early.
    """
    first: int | None = connection.execute("SELECT min(seq) FROM audit").get
    low, high = first or 1, last_seq(connection) + 1
    while low < high:
        middle = (low + high) // 2
        found: int | None = connection.execute("SELECT at_us FROM audit WHERE seq=?", (middle,)).get
        if found is not None and found < at_us:
            low = middle + 1
        else:
            high = middle
    return low


def rows_from(connection: apsw.Connection, seq: int, limit: int) -> list[AuditRow]:
    """Return up to `limit` rows from a number on, without their seals."""
    rows: list[Any] = connection.execute(
        "SELECT seq, at_us, kind, account, order_id, body FROM audit WHERE seq >= ?"
        " ORDER BY seq LIMIT ?",
        (seq, limit),
    ).fetchall()
    return [
        AuditRow(seq=seq, at_us=at, kind=kind, account=account, order_id=order, body=body, mac=b"")
        for seq, at, kind, account, order, body in rows
    ]


def read_rows(connection: apsw.Connection, after: int, until: int, limit: int) -> list[FoundRow]:
    """Read rows as they are, also those whose columns hold what they never should."""
    found: Any = connection.execute(
        "SELECT seq, at_us, CAST(kind AS BLOB), CAST(account AS BLOB), CAST(order_id AS BLOB),"
        " body, mac FROM audit WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        (after, until, limit),
    ).fetchall()
    return [
        FoundRow(seq, at_us, _text(kind), _text(account), _text(order_id), body, mac)
        for seq, at_us, kind, account, order_id, body, mac in found
    ]


def _conditions(wanted: RowFilter, values: list[Any]) -> list[str]:
    clauses = []
    if wanted.kinds:
        clauses.append(f"kind IN ({_marks(wanted.kinds)})")
        values.extend(sorted(wanted.kinds))
    if wanted.accounts is not None:
        theirs = f"account IN ({_marks(wanted.accounts)})"
        common = f"account IS NULL AND kind IN ({_marks(wanted.common_kinds)})"
        clauses.append(f"({theirs} OR {common})")
        values.extend([*sorted(wanted.accounts), *sorted(wanted.common_kinds)])
    if wanted.account is not None:
        clauses.append("account = ?")
        values.append(wanted.account)
    if wanted.order_id is not None:
        clauses.append("order_id = ?")
        values.append(wanted.order_id)
    return clauses


def _marks(items: frozenset[str]) -> str:
    return ",".join("?" * len(items)) or "NULL"


def _text(value: Any) -> Any:
    """Decode a text column; what is no UTF-8 stays bytes, which no written row ever had."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value
