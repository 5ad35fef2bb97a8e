"""Orders, legs and idempotency keys in SQLite, each change in one transaction with its audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from gateway.orders.records import Leg, Order
from gateway.orders.states import TERMINAL, LegState, require
from gateway.store.audit import AuditChain, seq_at

_encode = msgspec.json.Encoder().encode
_decode_order = msgspec.json.Decoder(Order).decode
_decode_leg = msgspec.json.Decoder(Leg).decode


class Existing(msgspec.Struct, frozen=True, gc=False):
    """The key was used before: which order it made, and the fingerprint of that request."""

    order_id: str
    fingerprint: bytes


class LegEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a leg's history. `ms` is what the step took."""

    event: str
    at_us: int
    attempt: int = 0
    broker_code: str | None = None
    broker_message: str | None = None
    ms: float | None = None
    details: dict[str, Any] = {}


class StaleLeg(RuntimeError):
    """The journal holds another state than the caller believed: a bug, so nothing is written."""


def insert_order(
    connection: apsw.Connection,
    chain: AuditChain,
    order: Order,
    legs: Sequence[tuple[Leg, Sequence[tuple[LegState | None, LegState, LegEvent]]]],
    actor: dict[str, Any],
) -> Existing | None:
    """Write T1: key, fingerprint, order, legs, tags and audit rows; or say who has the key.

    Each leg comes with the transitions it has already made in this transaction, so that T1
    and a first SEND_BEGIN can be one commit.
    """
    existing = find_key(connection, order.client, order.idempotency_key)
    if existing is not None:
        return existing
    connection.execute(
        "INSERT INTO idempotency (client, key, order_id, fingerprint, created_us)"
        " VALUES (?,?,?,?,?)",
        (
            order.client,
            order.idempotency_key,
            order.order_id,
            order.fingerprint,
            order.created_us,
        ),
    )
    request = order.request
    connection.execute(
        "INSERT INTO orders (order_id, client, strategy, instrument, created_us, data)"
        " VALUES (?,?,?,?,?,?)",
        (
            order.order_id,
            order.client,
            request.strategy,
            request.instrument,
            order.created_us,
            _encode(order),
        ),
    )
    chain.append(
        connection,
        "order",
        order.created_us,
        {
            "actor": actor,
            "request": request,
            "legs": [leg.leg_id for leg, _ in legs],
            "resolved": {
                leg.leg_id: {"account": leg.account, "quantity": leg.quantity} for leg, _ in legs
            },
            "checks": {leg.leg_id: leg.checks for leg, _ in legs if leg.checks},
        },
        order_id=order.order_id,
    )
    for leg, steps in legs:
        connection.execute(
            "INSERT INTO legs (order_id, n, account, broker_tag, state, terminal, broker_order_id,"
            " data) VALUES (?,?,?,?,?,?,?,?)",
            (
                leg.order_id,
                leg.n,
                leg.account,
                leg.broker_tag,
                leg.state,
                leg.state in TERMINAL,
                leg.broker_order_id,
                _encode(leg),
            ),
        )
        for old, new, event in steps:
            if old is not None:
                require(old, new)
            _append_leg_event(connection, chain, leg, old, new, event)
    return None


def update_leg(
    connection: apsw.Connection,
    chain: AuditChain,
    leg: Leg,
    old: LegState,
    event: LegEvent,
) -> None:
    """Write a leg's new record and its audit row. `old` must be what the journal holds.

    A change that keeps the state (fills, evidence) is written the same way.
    """
    row: Any = connection.execute(
        "SELECT state FROM legs WHERE order_id=? AND n=?", (leg.order_id, leg.n)
    ).fetchone()
    if row is None or row[0] != old:
        raise StaleLeg(f"{leg.leg_id} is {row and row[0]} in the journal, not {old}")
    if leg.state != old:
        require(old, leg.state)
    connection.execute(
        "UPDATE legs SET state=?, terminal=?, broker_order_id=?, data=? WHERE order_id=? AND n=?",
        (
            leg.state,
            leg.state in TERMINAL,
            leg.broker_order_id,
            _encode(leg),
            leg.order_id,
            leg.n,
        ),
    )
    _append_leg_event(connection, chain, leg, old, leg.state, event)


def find_key(connection: apsw.Connection, client: str, key: str) -> Existing | None:
    row: Any = connection.execute(
        "SELECT order_id, fingerprint FROM idempotency WHERE client=? AND key=?", (client, key)
    ).fetchone()
    return Existing(row[0], row[1]) if row else None


def load_order(connection: apsw.Connection, order_id: str) -> tuple[Order, list[Leg]] | None:
    row: Any = connection.execute(
        "SELECT data FROM orders WHERE order_id=?", (order_id,)
    ).fetchone()
    if row is None:
        return None
    return _decode_order(row[0]), load_legs(connection, order_id)


def load_legs(connection: apsw.Connection, order_id: str) -> list[Leg]:
    rows: Any = connection.execute("SELECT data FROM legs WHERE order_id=? ORDER BY n", (order_id,))
    return [_decode_leg(data) for (data,) in rows]


def load_open_orders(connection: apsw.Connection) -> list[tuple[Order, list[Leg]]]:
    """Every order with a leg that is not terminal, oldest first: what a start has to look after."""
    ids: list[Any] = connection.execute(
        "SELECT DISTINCT order_id FROM legs WHERE terminal = 0 ORDER BY order_id"
    ).fetchall()
    loaded = (load_order(connection, order_id) for (order_id,) in ids)
    return [order for order in loaded if order is not None]


def find_tag(connection: apsw.Connection, broker_tag: int) -> tuple[str, int] | None:
    """Return the order id and leg number that a tag was minted for."""
    row: Any = connection.execute(
        "SELECT order_id, n FROM legs WHERE broker_tag=?", (broker_tag,)
    ).fetchone()
    return (row[0], row[1]) if row else None


def highest_tag(connection: apsw.Connection) -> int:
    tag: int | None = connection.execute("SELECT max(broker_tag) FROM legs").get
    return tag or 0


def sends_since(connection: apsw.Connection, since_us: int) -> dict[str, list[int]]:
    """Return when each account's order messages since then were about to go out, newest first.

    The cost is that of the time asked for. The bodies are looked through in C: a long day has tens
    of thousands, and a start waits for this.
    """
    sends: dict[str, list[int]] = {}
    marked = " OR ".join("instr(body, ?)" for _ in _SEND_MARKS)
    rows: Any = connection.execute(
        "SELECT at_us, account FROM audit WHERE seq >= ? AND at_us >= ? AND account IS NOT NULL"  # noqa: S608
        f" AND kind IN ('leg', 'orderbook') AND instr(body, ?) AND ({marked}) ORDER BY seq DESC",
        # What all of them have spares most rows the other looks.
        (seq_at(connection, since_us - _SET_BACK_US), since_us, b'_begin"', *_SEND_MARKS),
    )
    for at_us, account in rows:
        sends.setdefault(account, []).append(at_us)
    return sends


def leg_history(connection: apsw.Connection, order_id: str) -> list[tuple[int, bytes]]:
    """Return (microseconds, JSON body) of every event of an order's legs, oldest first."""
    rows: list[Any] = connection.execute(
        "SELECT at_us, body FROM audit WHERE order_id=? AND kind='leg' ORDER BY seq", (order_id,)
    ).fetchall()
    return rows


class OrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /v1/orders` may ask for. `before_seq` is where the last page ended."""

    accounts: frozenset[str] | None = None
    states: frozenset[str] = frozenset()
    open: bool | None = None
    strategy: str | None = None
    instrument: str | None = None
    client: str | None = None
    idempotency_key: str | None = None
    from_us: int | None = None
    to_us: int | None = None
    before_seq: int | None = None
    limit: int = 100


def search_orders(
    connection: apsw.Connection, wanted: OrderFilter
) -> list[tuple[int, Order, list[Leg]]]:
    """Return up to `limit` orders, newest first, each with its sequence number."""
    clauses: list[str] = ["1=1"]
    values: list[Any] = []
    for clause, value in (
        ("o.seq < ?", wanted.before_seq),
        ("o.strategy = ?", wanted.strategy),
        ("o.instrument = ?", wanted.instrument),
        ("o.client = ?", wanted.client),
        ("o.created_us >= ?", wanted.from_us),
        ("o.created_us < ?", wanted.to_us),
    ):
        if value is not None:
            clauses.append(clause)
            values.append(value)
    if wanted.idempotency_key is not None:
        # The orders of a basket or a close have keys that begin with its id and a line break.
        clauses.append(
            "o.order_id IN (SELECT order_id FROM idempotency WHERE key = ?"
            " UNION SELECT part.order_id FROM idempotency whole JOIN idempotency part"
            " ON part.client = whole.client AND part.key > whole.order_id || char(10)"
            " AND part.key < whole.order_id || char(11) WHERE whole.key = ?)"
        )
        values.extend((wanted.idempotency_key, wanted.idempotency_key))
    clauses.extend(_leg_clauses(wanted, values))
    rows: list[Any] = connection.execute(
        f"SELECT o.seq, o.order_id, o.data FROM orders o WHERE {' AND '.join(clauses)}"  # noqa: S608
        " ORDER BY o.seq DESC LIMIT ?",
        (*values, wanted.limit),
    ).fetchall()
    return [
        (seq, _decode_order(data), load_legs(connection, order_id)) for seq, order_id, data in rows
    ]


def _leg_clauses(wanted: OrderFilter, values: list[Any]) -> list[str]:
    inner: list[str] = []
    if wanted.accounts is not None:
        inner.append(f"l.account IN ({_marks(wanted.accounts)})")
        values.extend(sorted(wanted.accounts))
    if wanted.states:
        inner.append(f"l.state IN ({_marks(wanted.states)})")
        values.extend(sorted(wanted.states))
    if wanted.open is not None:
        inner.append(f"l.terminal = {0 if wanted.open else 1}")
    if not inner:
        return []
    return [
        f"EXISTS (SELECT 1 FROM legs l WHERE l.order_id = o.order_id AND {' AND '.join(inner)})"  # noqa: S608
    ]


def _marks(items: frozenset[str]) -> str:
    return ",".join("?" * len(items)) or "NULL"


def _append_leg_event(
    connection: apsw.Connection,
    chain: AuditChain,
    leg: Leg,
    old: LegState | None,
    new: LegState,
    event: LegEvent,
) -> None:
    body: dict[str, Any] = {
        "leg_id": leg.leg_id,
        "from": old,
        "to": new,
        "event": event.event,
        "attempt": event.attempt,
        "broker_code": event.broker_code,
        "broker_message": event.broker_message,
        "ms": event.ms,
    }
    if event.details:
        body["details"] = event.details
    chain.append(connection, "leg", event.at_us, body, account=leg.account, order_id=leg.order_id)


# How far a clock may have been set back without a send going uncounted.
_SET_BACK_US = 300_000_000
_SEND_MARKS = (b'"event":"send_begin"', b'"event":"cancel_begin"', b'"event":"modify_begin"')
