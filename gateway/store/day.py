"""The legs of a day as a start reads them: many, one after another, and no more than it needs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import apsw
import msgspec

from adapters.sdk.models import OrderType, Product, Side
from gateway.orders.records import Leg, Sent
from gateway.orders.states import LegState

PAGE = 2000


class FilledLeg(msgspec.Struct, frozen=True, gc=False):
    """What counts of a leg that was filled: most of a day's. As `Leg`, of which it is a part."""

    order_id: str
    leg_id: str
    account: str
    broker_tag: int
    instrument: str
    side: Side
    order_type: OrderType
    product: Product
    quantity: int
    created_us: int
    filled_quantity: int = 0
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    sent: Sent | None = None
    slice: dict[str, int] | None = None


class Page(msgspec.Struct):
    """Legs in the order in which they were made; `after` is where the next page begins."""

    filled: list[FilledLeg]
    others: list[Leg]
    after: tuple[str, int] | None


_decode_leg = msgspec.json.Decoder(Leg).decode
_decode_filled = msgspec.json.Decoder(FilledLeg).decode


def read_page(
    connection: apsw.Connection,
    after: tuple[str, int],
    until: str,
    account: str | None = None,
) -> Page:
    """Read legs of orders with ids above `after` and below `until`, of one account or of all."""
    mine, value = ("", ()) if account is None else (" AND +account = ?", (account,))
    rows: Any = connection.execute(
        "SELECT order_id, n, state, data FROM legs"  # noqa: S608
        f" WHERE (order_id, n) > (?, ?) AND order_id < ?{mine} ORDER BY order_id, n LIMIT ?",
        (*after, until, *value, PAGE),
    ).fetchall()
    page = Page([], [], None)
    for order_id, n, state, data in rows:
        if state == LegState.FILLED:
            page.filled.append(_decode_filled(data))
        else:
            page.others.append(_decode_leg(data))
        page.after = (order_id, n)
    if len(rows) < PAGE:
        page.after = None
    return page
