"""Removes the oldest rows so that what is left still proves itself.

Rows go up to a checkpoint, which becomes the first row: it is signed, and holds the hash and the
mac that the rest goes on from. In the same transaction a row of the kind `retention` tells what
went, so a log that lost its beginning otherwise is told from one that was shortened in its time.
"""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from gateway.store.audit.chain import AuditChain
from gateway.store.audit.checkpoint import RETENTION, read_checkpoint

_REMOVED = "audit_removed"


class Removal(msgspec.Struct, frozen=True):
    """Rows `first` to `through`, of which the last one was written before `until_us`."""

    first: int
    through: int
    until_us: int


def removable(connection: apsw.Connection, before_us: int) -> list[Removal]:
    """What may go: one removal for each checkpoint made before then, but the newest of all.

    Nothing goes that is younger than the oldest order with a leg that is not over.
    """
    oldest: int | None = connection.execute(
        "SELECT min(created_us) FROM orders WHERE order_id IN"
        " (SELECT order_id FROM legs WHERE terminal = 0)"
    ).get
    if oldest is not None:
        before_us = min(before_us, oldest)
    first: int = connection.execute("SELECT coalesce(min(seq), 1) FROM audit").get
    newest: int = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM audit WHERE kind='checkpoint'"
    ).get
    rows: Any = connection.execute(
        "SELECT seq, body FROM audit WHERE kind='checkpoint' AND seq > ? AND seq < ? ORDER BY seq",
        (first, newest),
    )
    found = []
    for seq, body in rows:
        checkpoint = read_checkpoint(body) if isinstance(body, bytes) else None
        if checkpoint is None or checkpoint.at_us >= before_us:
            break
        found.append(Removal(first, seq - 1, checkpoint.at_us))
        first = seq
    return found


def remove(
    connection: apsw.Connection,
    chain: AuditChain,
    removal: Removal,
    at_us: int,
    archive: str | None,
) -> None:
    """Remove rows inside the caller's transaction. `archive`: the file that they were kept in."""
    through = str(removal.through).encode()
    connection.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES (?,?)", (_REMOVED, through)
    )
    connection.execute("DELETE FROM audit WHERE seq <= ?", (removal.through,))
    body: dict[str, Any] = {
        "event": "removed",
        "first": removal.first,
        "through": removal.through,
        "until_us": removal.until_us,
        "archive": archive,
    }
    chain.append(connection, RETENTION, at_us, body)
