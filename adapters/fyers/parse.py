"""Turn Fyers' answers to logins and orders into models or errors. Pure: no I/O, no clock."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from adapters.fyers.constants import (
    CODE_INVALID_ORDER_ID,
    CODE_PLACED,
    CODE_REJECTED,
    CODES_SUCCESS,
    ORDER_TYPE_FROM_WIRE,
    PRODUCT_FROM_WIRE,
    SIDE_FROM_WIRE,
    STATUS_FROM_WIRE,
    STATUS_PENDING,
    STATUS_UNUSED,
    VALIDITY_FROM_WIRE,
)
from adapters.fyers.envelope import (
    Envelope,
    bad_answer,
    lenient,
    login_refusal,
    mask,
    message_reason,
    payload,
    refusal,
    require_read,
)
from adapters.fyers.values import (
    Notice,
    broker_tag,
    integer,
    overlook,
    parse_time,
    price,
    text,
)
from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    CancelRequested,
    Modified,
    OrderType,
    Placed,
)
from adapters.sdk.rowcache import RowCache


def parse_placed(envelope: Envelope) -> Placed:
    """Read the answer to a place (dossier 5.3).

    Raises `Refused` for a definitive refusal, with the order's id where Fyers keeps the rejected
    order in its book, and `BadAnswer` for everything that proves nothing: code 201, an id on an
    error other than -99, an accepted answer without an id, any 5xx, a rate limit, any unlisted
    code.
    """
    accepted = envelope.ok or (envelope.ok is None and envelope.code == CODE_PLACED)
    if accepted and envelope.code in CODES_SUCCESS:
        if envelope.order_id is None:
            raise bad_answer(envelope, "took the order but gave no order id")
        return Placed(broker_order_id=envelope.order_id, message=envelope.message or None)
    if envelope.order_id is not None and envelope.code != CODE_REJECTED:
        raise bad_answer(envelope, "answered with an order id and no acceptance")
    raise refusal(envelope)


def parse_modified(envelope: Envelope, broker_order_id: str) -> Modified:
    """Read the answer to a modify (dossier 5.4).

    Raises `Refused` where Fyers says no (-52: the order is done) and `BadAnswer` otherwise.
    A refusal says that the change was not made, never what became of the order.
    """
    if envelope.is_success:
        return Modified(broker_order_id=broker_order_id, message=envelope.message or None)
    raise refusal(envelope)


def parse_cancel_requested(envelope: Envelope, broker_order_id: str) -> CancelRequested:
    """Read the answer to a cancel (dossier 5.4).

    Raises `Refused` where Fyers says no (-52: the order is done) and `BadAnswer` otherwise.
    """
    if envelope.is_success:
        return CancelRequested(broker_order_id=broker_order_id, message=envelope.message or None)
    raise refusal(envelope)


def parse_order_book(
    envelope: Envelope, notice: Notice = overlook, cache: RowCache[BrokerOrder] | None = None
) -> list[BrokerOrder]:
    """Read an order book, in the order that Fyers gives it (dossier 5.5).

    An empty book may have `orderBook` empty, null or absent; but it is only empty where the
    answer says `s: ok`. A row with an unknown status, type or product is kept, with None there,
    and `notice` hears of it. Rows that `cache` knows from the last book are not read again.

    Raises:
        BadAnswer: the answer is not a success, or one row cannot be read. Never a part of a book.
    """
    require_read(envelope)
    rows = payload(envelope, _RAW_BOOK).orderBook or []

    def orders_of(array: msgspec.Raw) -> list[BrokerOrder]:
        new = msgspec.structs.replace(envelope, body=b'{"orderBook":%b}' % bytes(array))
        book = payload(new, _ORDER_BOOK)
        return [_order(row, envelope, notice) for row in book.orderBook or ()]

    return (cache or RowCache()).read(rows, orders_of)


def is_unknown_order(envelope: Envelope) -> bool:
    """Whether a read of one order was answered with "invalid order id" (dossier 4.2, -51)."""
    return envelope.ok is False and envelope.code == CODE_INVALID_ORDER_ID and envelope.status < 500


def parse_client_code(envelope: Envelope) -> str:
    """Read the client code out of a profile (dossier 7.5)."""
    require_read(envelope)
    profile = payload(envelope, _PROFILE)
    code = profile.data.fy_id.strip()
    if not code:
        raise bad_answer(envelope, "gave a profile without a client code")
    return code


def parse_access_token(envelope: Envelope) -> str:
    """Read the token out of the code exchange (dossier 3.1 step 4).

    Raises `LoginRefused` where Fyers refuses the code, which is then spent.
    """
    if envelope.is_success:
        token = payload(envelope, _TOKEN).access_token
        if not token.isascii() or not token.isprintable() or not token.strip():
            raise bad_answer(envelope, "gave no usable access token")
        return token.strip()
    raise login_refusal(envelope)


class _WireToken(msgspec.Struct):
    access_token: str


class _WireProfileData(msgspec.Struct):
    fy_id: str


class _WireProfile(msgspec.Struct):
    data: _WireProfileData


class _WireOrder(msgspec.Struct):
    id: str | int
    symbol: str
    qty: int
    filledQty: int
    status: str | int | None = None
    type: str | int | None = None
    side: str | int | None = None
    productType: str | None = None
    orderValidity: str | None = None
    limitPrice: Decimal | None = None
    stopPrice: Decimal | None = None
    tradedPrice: Decimal | None = None
    orderTag: str | int | None = None
    exchOrdId: str | int | None = None
    orderDateTime: str | int | None = None
    message: str | None = None


class _WireOrderBook(msgspec.Struct):
    orderBook: list[_WireOrder] | None = None


class _RawBook(msgspec.Struct):
    orderBook: list[msgspec.Raw] | None = None


_TOKEN: Final = lenient(_WireToken)
_PROFILE: Final = lenient(_WireProfile)
_ORDER_BOOK: Final = lenient(_WireOrderBook)
_RAW_BOOK: Final = lenient(_RawBook)


def _order(row: _WireOrder, envelope: Envelope, notice: Notice) -> BrokerOrder:
    broker_order_id = text(row.id)
    if broker_order_id is None or not row.symbol or row.qty < 0 or row.filledQty < 0:
        raise bad_answer(envelope, "gave an order book row that cannot be read")
    status = integer(row.status)
    order_type = ORDER_TYPE_FROM_WIRE.get(integer(row.type) or 0)
    side = SIDE_FROM_WIRE.get(integer(row.side) or 0)
    product = PRODUCT_FROM_WIRE.get(row.productType or "")
    validity = VALIDITY_FROM_WIRE.get(row.orderValidity or "")
    filled = row.filledQty
    state = _state(status, order_type, row.qty, filled)
    if not (state and order_type and side and product and validity) or status == STATUS_UNUSED:
        for field, known in (
            ("status", None if status == STATUS_UNUSED else state),
            ("type", order_type),
            ("side", side),
            ("productType", product),
            ("orderValidity", validity),
        ):
            if known is None:
                notice(field, str(getattr(row, field)))
    message = mask(row.message) if row.message else None
    return BrokerOrder(
        broker_order_id=broker_order_id,
        state=state,
        raw_state="" if row.status is None else str(row.status),
        codes=_codes(row.symbol),
        side=side,
        order_type=order_type,
        product=product,
        validity=validity,
        quantity=row.qty,
        filled_quantity=filled,
        # On a market order the book shows the protection price there (dossier 5.5), which is
        # no price that anybody asked for.
        price=None if order_type in (OrderType.MARKET, OrderType.SL_M) else price(row.limitPrice),
        # A modify that turned a stop order into another type cannot unset its trigger (5.4).
        trigger_price=(
            None if order_type in (OrderType.MARKET, OrderType.LIMIT) else price(row.stopPrice)
        ),
        average_price=price(row.tradedPrice) if filled else None,
        broker_tag=broker_tag(row.orderTag),
        exchange_order_id=text(row.exchOrdId),
        message=message,
        placed_at=parse_time(row.orderDateTime),
        reason=(
            message_reason(message) if message and state is BrokerOrderState.REJECTED else None
        ),
    )


@lru_cache(2048)  # One for each contract, shared by its rows; nobody changes it.
def _codes(symbol: str) -> dict[str, str]:
    return {"symbol": symbol}


def _state(
    status: int | None, order_type: OrderType | None, quantity: int, filled: int
) -> BrokerOrderState | None:
    if status != STATUS_PENDING:
        return None if status is None else STATUS_FROM_WIRE.get(status)
    if 0 < filled < quantity:
        return BrokerOrderState.PARTIALLY_FILLED
    if order_type in (OrderType.SL, OrderType.SL_M):
        return BrokerOrderState.TRIGGER_PENDING
    return BrokerOrderState.OPEN
