"""The kill switch's rows: functions over an open connection, for the store.

A row is kept as its parts and as a whole; reading trusts it only where both say the same, so
that a damaged row is told from a good one.
"""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from gateway.orders.times import now_us
from gateway.store import sealed
from gateway.store.audit import AuditChain

_MERGED = "emergency_merged"


class KillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One engagement. `data` is its JSON; `target` is empty for the global scope."""

    scope: str
    target: str
    level: str
    data: bytes


def put_kill(connection: apsw.Connection, row: KillRow) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO kill_switch (scope, target, level, data) VALUES (?,?,?,?)",
        (row.scope, row.target, row.level, row.data),
    )


def delete_kill(connection: apsw.Connection, scope: str, target: str) -> None:
    connection.execute("DELETE FROM kill_switch WHERE scope=? AND target=?", (scope, target))


def load_kills(connection: apsw.Connection) -> list[tuple[Any, Any, Any, Any]]:
    """Return the rows as they are, whatever they hold."""
    rows: list[Any] = connection.execute(
        "SELECT scope, target, level, data FROM kill_switch"
    ).fetchall()
    return rows


def merge_emergency(
    connection: apsw.Connection, chain: AuditChain, lines: list[dict[str, Any]]
) -> int:
    """Append emergency lines to the audit log, each once however often this is tried."""
    marker = sealed.meta(connection, _MERGED)
    ids = [str(line.get("id", "")) for line in lines]
    if marker is not None and marker.decode() in ids:
        lines = lines[ids.index(marker.decode()) + 1 :]
    for line in lines:
        at = line.get("at_us")
        account, order_id = line.get("account"), line.get("order_id")
        chain.append(
            connection,
            "emergency",
            at if isinstance(at, int) else now_us(),
            line,
            account=account if isinstance(account, str) else None,
            order_id=order_id if isinstance(order_id, str) else None,
        )
    last = next((name for name in reversed(ids) if name), None)
    if last is not None:
        sealed.set_meta(connection, _MERGED, last.encode())
    return len(lines)
