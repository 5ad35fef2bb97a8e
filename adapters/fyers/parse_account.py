"""Turn Fyers' trade book and positions into models or errors. Pure: no I/O, no clock.

Both are whole or an error, like the order book. Quantities of MCX and currency rows are Fyers'
own, which are lots, since a row does not say how large a lot is (dossier 5.7).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from adapters.fyers.constants import PRODUCT_FROM_WIRE, SIDE_FROM_WIRE
from adapters.fyers.envelope import Envelope, bad_answer, lenient, payload, require_read
from adapters.fyers.values import (
    Notice,
    amount,
    broker_tag,
    integer,
    overlook,
    parse_time,
    price,
    text,
)
from adapters.sdk.models import BrokerPosition, BrokerTrade


def parse_trade_book(envelope: Envelope, notice: Notice = overlook) -> list[BrokerTrade]:
    """Read every fill of the day, in the order that Fyers gives them (dossier 5.10).

    An empty book may have `tradeBook` empty, null or absent.

    Raises:
        BadAnswer: the answer is not a success, or one row cannot be read. Never a part of a book.
    """
    require_read(envelope)
    book = payload(envelope, _TRADE_BOOK)
    return [_trade(row, envelope, notice) for row in book.tradeBook or ()]


def parse_positions(envelope: Envelope, notice: Notice = overlook) -> list[BrokerPosition]:
    """Read the net positions, closed ones of the day included (dossier 7.1).

    `multiplier` is `qtyMulti_com`, units per unit of quantity in commodity and currency.

    Raises:
        BadAnswer: the answer is not a success, or one row cannot be read or says of itself both
            that it is long and that it is short.
    """
    require_read(envelope)
    wire = payload(envelope, _POSITIONS)
    return [_position(row, envelope, notice) for row in wire.netPositions or ()]


class _WireTrade(msgspec.Struct):
    tradeNumber: str | int
    orderNumber: str | int
    symbol: str
    tradedQty: int
    tradePrice: Decimal
    side: str | int | None = None
    productType: str | None = None
    exchangeOrderNo: str | int | None = None
    orderTag: str | int | None = None
    orderDateTime: str | int | None = None


class _WireTradeBook(msgspec.Struct):
    tradeBook: list[_WireTrade] | None = None


class _WirePosition(msgspec.Struct):
    symbol: str
    netQty: int
    side: str | int | None = None
    productType: str | None = None
    buyQty: int | None = None
    sellQty: int | None = None
    buyAvg: Decimal | None = None
    sellAvg: Decimal | None = None
    netAvg: Decimal | None = None
    ltp: Decimal | None = None
    realized_profit: Decimal | None = None
    unrealized_profit: Decimal | None = None
    qtyMulti_com: Decimal | None = None


class _WirePositions(msgspec.Struct):
    netPositions: list[_WirePosition] | None = None


_TRADE_BOOK: Final = lenient(_WireTradeBook)
_POSITIONS: Final = lenient(_WirePositions)


def _trade(row: _WireTrade, envelope: Envelope, notice: Notice) -> BrokerTrade:
    trade_id, broker_order_id = text(row.tradeNumber), text(row.orderNumber)
    paid = price(row.tradePrice)
    if (
        trade_id is None
        or broker_order_id is None
        or paid is None
        or not row.symbol
        or row.tradedQty <= 0
    ):
        raise bad_answer(envelope, "gave a trade book row that cannot be read")
    side = SIDE_FROM_WIRE.get(integer(row.side) or 0)
    product = PRODUCT_FROM_WIRE.get(row.productType or "")
    if side is None:
        notice("side", str(row.side))
    if product is None:
        notice("productType", str(row.productType))
    return BrokerTrade(
        trade_id=trade_id,
        broker_order_id=broker_order_id,
        codes={"symbol": row.symbol},
        side=side,
        product=product,
        quantity=row.tradedQty,
        price=paid,
        exchange_order_id=text(row.exchangeOrderNo),
        broker_tag=broker_tag(row.orderTag),
        traded_at=parse_time(row.orderDateTime),
    )


def _position(row: _WirePosition, envelope: Envelope, notice: Notice) -> BrokerPosition:
    side = integer(row.side) or 0
    if not row.symbol or side * row.netQty < 0:
        raise bad_answer(envelope, "gave a position that cannot be read")
    product = PRODUCT_FROM_WIRE.get(row.productType or "")
    if product is None:
        notice("productType", str(row.productType))
    return BrokerPosition(
        codes={"symbol": row.symbol},
        product=product,
        quantity=row.netQty,
        buy_quantity=row.buyQty,
        sell_quantity=row.sellQty,
        buy_price=price(row.buyAvg),
        sell_price=price(row.sellAvg),
        average_price=price(row.netAvg),
        last_price=price(row.ltp),
        realised_pnl=amount(row.realized_profit),
        unrealised_pnl=amount(row.unrealized_profit),
        multiplier=price(row.qtyMulti_com) or Decimal(1),
    )
