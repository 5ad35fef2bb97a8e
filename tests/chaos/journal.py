"""The journal as it lies on the disk, read without the gateway's help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway.orders.records import Leg, Order
from gateway.secrets.sealing import Keyring
from gateway.store import sealed
from gateway.store.audit.check import check_log
from gateway.store.audit.checkpoint import parse_public_key
from tests.chaos.evidence import AuditRow, Journal


def read_journal(path: Path) -> Journal:
    """Load everything that the checker walks through."""
    connection = _open(path)
    try:
        orders: Any = connection.execute("SELECT data FROM orders ORDER BY seq").fetchall()
        legs: Any = connection.execute("SELECT data FROM legs ORDER BY order_id, n").fetchall()
        keys: Any = connection.execute("SELECT client, key, order_id FROM idempotency").fetchall()
        rows: Any = connection.execute(
            "SELECT seq, at_us, body FROM audit WHERE kind='leg' ORDER BY seq"
        ).fetchall()
        alarms: Any = connection.execute("SELECT body FROM audit WHERE kind='alarm'").fetchall()
    finally:
        connection.close()
    told = [msgspec.json.decode(body) for (body,) in alarms]
    return Journal(
        orders=[msgspec.json.decode(data, type=Order) for (data,) in orders],
        legs=[msgspec.json.decode(data, type=Leg) for (data,) in legs],
        keys=[(client, key, order_id) for client, key, order_id in keys],
        alarms=[(alarm["event"], alarm.get("leg_id") or "") for alarm in told],
        audit=[_audit_row(seq, at_us, body) for seq, at_us, body in rows],
    )


def verify_audit(path: Path, keyring: Keyring) -> str | None:
    """Walk the audit chain as a crash left it; None when it holds, else where it does not."""
    connection = _open(path)
    try:
        public_key = parse_public_key(sealed.public_key(connection) or "")
        key = sealed.audit_key(connection, keyring)
        verdict = check_log(connection, key, public_key)
        rest: Any = connection.execute("PRAGMA quick_check").fetchone()
    finally:
        connection.close()
    if not verdict.ok:
        return verdict.problem
    return None if rest[0] == "ok" else f"the database is damaged: {rest[0]}"


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5000)
    return connection


def _audit_row(seq: int, at_us: int, body: bytes) -> AuditRow:
    fields = msgspec.json.decode(body)
    return msgspec.convert({**fields, "seq": seq, "at_us": at_us}, AuditRow)
