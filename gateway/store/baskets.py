"""Baskets in the journal: the key, its fingerprint and what was asked for, in one transaction."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from gateway.orders.basket import Basket
from gateway.store.audit import AuditChain
from gateway.store.journal import Existing, find_key

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Basket).decode


def insert_basket(
    connection: apsw.Connection, chain: AuditChain, basket: Basket, actor: dict[str, Any]
) -> Existing | None:
    """Write a basket and claim its key; or say who has the key already."""
    existing = find_key(connection, basket.client, basket.idempotency_key)
    if existing is not None:
        return existing
    connection.execute(
        "INSERT INTO idempotency (client, key, order_id, fingerprint, created_us)"
        " VALUES (?,?,?,?,?)",
        (
            basket.client,
            basket.idempotency_key,
            basket.basket_id,
            basket.fingerprint,
            basket.created_us,
        ),
    )
    connection.execute(
        "INSERT INTO baskets (basket_id, client, created_us, data) VALUES (?,?,?,?)",
        (basket.basket_id, basket.client, basket.created_us, _encode(basket)),
    )
    body = {"actor": actor, "basket_id": basket.basket_id, "request": basket.request}
    chain.append(connection, "basket", basket.created_us, body)
    return None


def load_basket(connection: apsw.Connection, basket_id: str) -> Basket | None:
    row: Any = connection.execute(
        "SELECT data FROM baskets WHERE basket_id=?", (basket_id,)
    ).fetchone()
    return _decode(row[0]) if row else None
