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


def first_bad_row(connection: apsw.Connection, key: bytes) -> tuple[int, str] | None:
    """Walk the chain, streaming; return the first row that does not hold and why, or None."""
    previous, expected = _GENESIS, 1
    rows: Any = connection.execute(
        "SELECT seq, at_us, kind, account, order_id, body, mac FROM audit ORDER BY seq"
    )
    for seq, at_us, kind, account, order_id, body, mac in rows:
        if seq != expected:
            return expected, "is missing"
        intact = isinstance(body, bytes) and isinstance(mac, bytes)
        if not intact or not hmac.compare_digest(
            row_mac(key, previous, seq, at_us, kind, account, order_id, body), mac
        ):
            return seq, "was changed, or the row before it was"
        previous, expected = mac, seq + 1
    return None
