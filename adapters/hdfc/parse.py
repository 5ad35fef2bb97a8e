"""InvestRight's order bodies to our models and errors. No I/O.

A book is parsed whole or not at all: a row without its id or quantity raises, because a part of
a book would prove an order absent that is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

import msgspec

from adapters.hdfc.constants import (
    ORDER_TYPE_FROM_WIRE,
    PRODUCT_FROM_WIRE,
    SIDE_FROM_WIRE,
    VALIDITY_FROM_WIRE,
)
from adapters.hdfc.envelope import Answer, is_null, items, members, raw_text, scrub
from adapters.hdfc.reasons import is_unknown_result, reason_of
from adapters.hdfc.refusals import is_no_data, is_not_found, is_success, read_error, write_error
from adapters.hdfc.rows import ORDERS, OrderRow, codes
from adapters.hdfc.statuses import order_state
from adapters.hdfc.values import Unreadable, per_unit, price, text, time, whole, word
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    CancelRequested,
    Modified,
    OrderType,
    Placed,
)
from adapters.sdk.rowcache import RowCache

_ORDER_ID = re.compile(r"[!-~]{1,64}")
_TAG_DIGITS = 15
_NUMBER = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?([Ee]\+?[0-9]{1,2})?")


def parse_placed(answer: Answer) -> Placed:
    """Read the answer to a place: an id, or the error it stands for.

    Raises:
        Refused, LoginExpired, BadAnswer: see `refusals`.

    Source: dossier hdfc 4.1, 5.1.
    """
    return Placed(broker_order_id=_order_id(answer, "order"), message=answer.message())


def parse_cancel(answer: Answer, broker_order_id: str) -> CancelRequested:
    """Read the answer to a cancel. Success names the same order; another id settles nothing.

    Raises:
        Refused, LoginExpired, BadAnswer: see `refusals`.
    """
    named = _order_id(answer, "cancel")
    if named != broker_order_id:
        raise BadAnswer("HDFC: the cancel was answered for another order", status=answer.status)
    return CancelRequested(broker_order_id=named, message=answer.message())


def parse_modified(answer: Answer, broker_order_id: str) -> Modified:
    """Read the answer to a modify, which only acknowledges it: the book shows the outcome.

    Raises:
        Refused, LoginExpired, BadAnswer: see `refusals`.
    """
    named = _order_id(answer, "modify")
    if named != broker_order_id:
        raise BadAnswer("HDFC: the modify was answered for another order", status=answer.status)
    return Modified(broker_order_id=named, message=answer.message())


def parse_order_book(
    answer: Answer, *, may_be_empty: bool = False, cache: RowCache[BrokerOrder] | None = None
) -> list[BrokerOrder]:
    """Read the day's orders, in the broker's order.

    No orders is an empty list, null or no data inside a success. An error that says "no data" is
    believed only where nothing speaks against an empty book (`may_be_empty`), since an empty
    book proves orders absent (dossier 12.5). Rows that `cache` knows from the last book are not
    read again.

    Raises:
        LoginExpired, BadAnswer
    """
    if may_be_empty and is_no_data(answer):
        return []
    if not is_success(answer):
        raise read_error(answer, "the order book")
    data = (answer.members or {}).get("data")
    if is_null(data):
        return []
    scrubbed: dict[str, str] = {}

    def clean(words: str) -> str:
        if words not in scrubbed:
            scrubbed[words] = scrub(words, answer.secrets)
        return scrubbed[words]

    def orders_of(raw: msgspec.Raw | None) -> list[BrokerOrder]:
        return ORDERS.read(raw, lambda row: _order(row, clean), answer)

    rows = items(data)
    if rows is None:
        return orders_of(data)
    return (cache or RowCache()).read(rows, orders_of)


def parse_single_order(answer: Answer, broker_order_id: str) -> BrokerOrder | None:
    """Read one order, which comes as a list of one; None when the broker knows no such order.

    Raises:
        LoginExpired, BadAnswer: also when only other orders are listed.

    Source: dossier hdfc 5.1, 12.4.
    """
    if is_not_found(answer):
        return None
    orders = parse_order_book(answer)
    mine = [order for order in orders if order.broker_order_id == broker_order_id]
    if len(mine) != 1 and orders:
        raise BadAnswer("HDFC: the single order is not the one asked for", status=answer.status)
    return mine[0] if mine else None


def _order_id(answer: Answer, action: str) -> str:
    if is_success(answer):
        data = members((answer.members or {}).get("data")) or {}
        order_id = raw_text(data.get("order_id"))
        if order_id and _ORDER_ID.fullmatch(order_id):
            return order_id
        raise BadAnswer(f"HDFC: the {action} succeeded without an order id", status=answer.status)
    raise write_error(answer, action)


def _order(row: OrderRow, clean: Callable[[str], str]) -> BrokerOrder:
    order_id = text(row.order_id)
    quantity = whole(row.quantity, "quantity")
    if order_id is None or not _ORDER_ID.fullmatch(order_id):
        raise Unreadable("no order_id")
    if quantity is None:
        raise Unreadable("no quantity")
    filled = whole(row.filled_quantity, "filled_quantity") or 0
    order_type = word("order type", ORDER_TYPE_FROM_WIRE, row.order_type)
    exchange_order_id = text(row.exchange_order_id)
    said = _said(row)
    status = clean(text(row.status) or "")
    state = order_state(
        status,
        quantity=quantity,
        filled=filled,
        pending=whole(row.pending_quantity, "pending_quantity"),
        at_exchange=exchange_order_id is not None,
        is_stop=order_type is OrderType.SL or order_type is OrderType.SL_M,
    )
    reason = None
    if state is BrokerOrderState.REJECTED and said:
        reason = reason_of(said)
        if is_unknown_result(said):
            state = None
    return BrokerOrder(
        broker_order_id=order_id,
        state=state,
        raw_state=status,
        codes=codes(row),
        side=word("side", SIDE_FROM_WIRE, row.transaction_type),
        order_type=order_type,
        product=word("product", PRODUCT_FROM_WIRE, row.product),
        quantity=quantity,
        filled_quantity=filled,
        validity=word("validity", VALIDITY_FROM_WIRE, row.validity),
        price=price(row.price, "price"),
        trigger_price=price(row.trigger_price, "trigger_price"),
        average_price=_average_price(row, filled),
        broker_tag=_broker_tag(row),
        exchange_order_id=exchange_order_id,
        message=clean(said) if said else None,
        placed_at=time(row.order_timestamp),
        reason=reason,
    )


def _said(row: OrderRow) -> str | None:
    """Put both texts of a row together, so that a code which only one of them has is kept."""
    words, raw = text(row.status_message), text(row.status_message_raw)
    if words is None or raw is None or words == raw:
        return words or raw
    if raw in words:
        return words
    return raw if words in raw else f"{words} [{raw}]"


def _average_price(row: OrderRow, filled: int) -> Decimal | None:
    """Prefer the value over the fills: `average_price` is 0.0 even on fully traded rows (5.6)."""
    average = price(row.average_price, "average_price")
    if average is not None or filled == 0:
        return average
    traded = price(row.total_traded_value, "total_traded_value")
    return None if traded is None else per_unit(traded, filled)


def _broker_tag(row: OrderRow) -> int | None:
    """Read our tag back; anything but 15 digits is the broker's own or somebody else's (5.7).

    The documents' bare number may pass through somebody's double and come back as 1.7E14.
    """
    for value in (row.external_reference_number, row.external_reference_rumber):
        written = text(value) or ""
        found = Decimal(written) if _NUMBER.fullmatch(written) else Decimal(0)
        if found.adjusted() == _TAG_DIGITS - 1 and found == int(found):
            return int(found)
    return None
