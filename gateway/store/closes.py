"""Requests to close positions in the journal, and whose fills a position is made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import apsw
import msgspec

from gateway.orders.close import Close, CloseOutcome
from gateway.orders.records import Leg, Purpose
from gateway.store.audit import AuditChain
from gateway.store.journal import Existing, find_key

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Close).decode
_decode_outcome = msgspec.json.Decoder(CloseOutcome).decode
_decode_leg = msgspec.json.Decoder(Leg).decode


class Traded(msgspec.Struct, frozen=True):
    """A leg that has fills, with whom its order was for."""

    leg: Leg
    strategy: str | None
    key_id: str | None
    purpose: Purpose


class _Owner(msgspec.Struct):
    key_id: str | None = None
    purpose: Purpose = Purpose.CLIENT


_decode_owner = msgspec.json.Decoder(_Owner).decode


def insert_close(
    connection: apsw.Connection, chain: AuditChain, close: Close, actor: dict[str, Any]
) -> Existing | None:
    """Write a request and claim its key; or say who has the key already."""
    existing = find_key(connection, close.client, close.idempotency_key)
    if existing is not None:
        return existing
    connection.execute(
        "INSERT INTO idempotency (client, key, order_id, fingerprint, created_us)"
        " VALUES (?,?,?,?,?)",
        (close.client, close.idempotency_key, close.close_id, close.fingerprint, close.created_us),
    )
    connection.execute(
        "INSERT INTO closes (close_id, client, created_us, data) VALUES (?,?,?,?)",
        (close.close_id, close.client, close.created_us, _encode(close)),
    )
    body = {
        "event": "asked",
        "actor": actor,
        "close_id": close.close_id,
        "accounts": close.accounts,
        "request": close.request,
    }
    chain.append(connection, "close", close.created_us, body)
    return None


def finish_close(
    connection: apsw.Connection,
    chain: AuditChain,
    close_id: str,
    outcome: CloseOutcome,
    at_us: int,
) -> None:
    """Keep what became of a request."""
    connection.execute("UPDATE closes SET outcome=? WHERE close_id=?", (_encode(outcome), close_id))
    body = {"event": "ended", "close_id": close_id, "outcome": outcome}
    chain.append(connection, "close", at_us, body)


def load_close(
    connection: apsw.Connection, close_id: str
) -> tuple[Close, CloseOutcome | None, list[str]] | None:
    """Return a request, what became of it where that is known, and the ids of its orders."""
    row: Any = connection.execute(
        "SELECT data, outcome FROM closes WHERE close_id=?", (close_id,)
    ).fetchone()
    if row is None:
        return None
    close = _decode(row[0])
    orders: list[Any] = connection.execute(
        "SELECT order_id FROM idempotency WHERE client=? AND key>=? AND key<? ORDER BY order_id",
        (close.client, f"{close_id}\n", f"{close_id}\x0b"),
    ).fetchall()
    outcome = _decode_outcome(row[1]) if row[1] is not None else None
    return close, outcome, [order_id for (order_id,) in orders]


def traded_legs(
    connection: apsw.Connection, account: str, instruments: Collection[str]
) -> list[Traded]:
    """Every leg at an account, in these instruments, that has traded anything, ever."""
    names = list(instruments)
    rows: Any = connection.execute(
        "SELECT o.strategy, o.data, l.data FROM orders o JOIN legs l ON l.order_id = o.order_id"  # noqa: S608
        f" WHERE o.instrument IN ({','.join('?' * len(names))}) AND l.account = ?",
        (*names, account),
    )
    found = []
    for strategy, order, data in rows:
        leg = _decode_leg(data)
        if leg.filled_quantity:
            owner = _decode_owner(order)
            found.append(Traded(leg, strategy, owner.key_id, owner.purpose))
    return found
