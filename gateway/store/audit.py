"""The tamper-evident log: each row carries an HMAC over itself and the row before it.

Rows are written only inside the transaction of the change they tell of. A leg's history is read
from here too, so a change of state and its audit row cannot drift apart.
"""

from __future__ import annotations

import hmac
from typing import Any

import apsw
import msgspec

_GENESIS = b"\0" * 32
_encode = msgspec.json.Encoder().encode


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `body` is the JSON that was written, byte for byte."""

    seq: int
    at_us: int
    kind: str
    account: str | None
    order_id: str | None
    body: bytes
    mac: bytes


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


class AuditChain:
    """Appends rows and keeps the head. Used on the writer's thread only."""

    def __init__(self, key: bytes, connection: apsw.Connection) -> None:
        self._key = key
        last = connection.execute("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        self.head: tuple[int, bytes] = (last[0], last[1]) if last else (0, _GENESIS)

    def restore(self, head: tuple[int, bytes]) -> None:
        """Go back to an earlier head after a rollback."""
        self.head = head

    def append(
        self,
        connection: apsw.Connection,
        kind: str,
        at_us: int,
        body: dict[str, Any],
        *,
        account: str | None = None,
        order_id: str | None = None,
    ) -> int:
        """Write one row inside the caller's transaction and return its number."""
        seq, previous = self.head[0] + 1, self.head[1]
        encoded = _encode(body)
        mac = row_mac(self._key, previous, seq, at_us, kind, account, order_id, encoded)
        connection.execute(
            "INSERT INTO audit (seq, at_us, kind, account, order_id, body, mac)"
            " VALUES (?,?,?,?,?,?,?)",
            (seq, at_us, kind, account, order_id, encoded, mac),
        )
        self.head = (seq, mac)
        return seq


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


def row_mac(
    key: bytes,
    previous: bytes,
    seq: int,
    at_us: int,
    kind: str,
    account: str | None,
    order_id: str | None,
    body: bytes,
) -> bytes:
    """The HMAC of a row. The head fields are JSON, so no two different rows share their bytes."""
    head = _encode((seq, at_us, kind, account, order_id))
    return hmac.digest(key, previous + head + b"\n" + body, "sha256")


class ChainVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain was walked, and the first row that does not hold, with the reason."""

    checked_to: int
    bad: tuple[int, str] | None = None


def first_bad_row(connection: apsw.Connection, key: bytes) -> tuple[int, str] | None:
    """Walk the chain, streaming; return the first row that does not hold and why, or None."""
    return verify_part(connection, key, 0, -1).bad


def verify_part(connection: apsw.Connection, key: bytes, after: int, limit: int) -> ChainVerdict:
    """Walk at most `limit` rows (-1: all) after a row that is known to hold.

    Parts of which each begins where the one before it ended say together what one walk says.
    """
    previous, expected = _GENESIS, after + 1
    if after:
        row: Any = connection.execute("SELECT mac FROM audit WHERE seq = ?", (after,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            return ChainVerdict(checked_to=after - 1, bad=(after, "is missing"))
        previous = row[0]
    rows: Any = connection.execute(
        "SELECT seq, at_us, kind, account, order_id, body, mac FROM audit WHERE seq > ?"
        " ORDER BY seq LIMIT ?",
        (after, limit),
    )
    for seq, at_us, kind, account, order_id, body, mac in rows:
        if seq != expected:
            return ChainVerdict(checked_to=expected - 1, bad=(expected, "is missing"))
        intact = isinstance(body, bytes) and isinstance(mac, bytes)
        if not intact or not hmac.compare_digest(
            row_mac(key, previous, seq, at_us, kind, account, order_id, body), mac
        ):
            why = "was changed, or the row before it was"
            return ChainVerdict(checked_to=expected - 1, bad=(seq, why))
        previous, expected = mac, seq + 1
    return ChainVerdict(checked_to=expected - 1)
