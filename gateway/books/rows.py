"""Rows of order books, trades and positions as answers show them (design section 4).

What a broker does not give is null. Ours (`order_id`, `leg_id`, `strategy`, `broker_tag`) are null
for orders placed elsewhere.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from adapters.sdk.models import BrokerOrderState, OrderType, Product, Side, Validity
from gateway.books.known import KnownOrder, KnownPosition, KnownTrade
from gateway.orders.records import digits
from gateway.orders.times import IST
from gateway.store.owners import Owners


class OrderRow(msgspec.Struct, kw_only=True):
    """`state` is null where the broker's word for it is unknown; `message` then says that word."""

    broker_order_id: str
    exchange_order_id: str | None
    order_id: str | None
    leg_id: str | None
    strategy: str | None
    broker_tag: str | None
    instrument: str | None
    side: Side | None
    order_type: OrderType | None
    product: Product | None
    validity: Validity | None
    quantity: int
    filled_quantity: int
    price: Decimal | None
    trigger_price: Decimal | None
    average_price: Decimal | None
    state: BrokerOrderState | None
    message: str | None
    placed_at: str | None


class TradeRow(msgspec.Struct, kw_only=True):
    trade_id: str
    broker_order_id: str
    order_id: str | None
    leg_id: str | None
    strategy: str | None
    instrument: str | None
    side: Side | None
    product: Product | None
    quantity: int
    price: Decimal
    traded_at: str | None


class PositionRow(msgspec.Struct, kw_only=True):
    """`quantity` is net and signed; `lots` is null where it is no whole number of lots."""

    instrument: str | None
    product: Product | None
    quantity: int
    lots: int | None
    lot_size: int | None
    multiplier: Decimal
    buy_quantity: int | None
    sell_quantity: int | None
    buy_price: Decimal | None
    sell_price: Decimal | None
    average_price: Decimal | None
    last_price: Decimal | None
    realised_pnl: Decimal | None
    unrealised_pnl: Decimal | None


def order_row(known: KnownOrder, owners: Owners) -> OrderRow:
    row = known.row
    owner = owners.of(row.broker_order_id, row.broker_tag)
    leg = owner.leg if owner else None
    return OrderRow(
        broker_order_id=row.broker_order_id,
        exchange_order_id=row.exchange_order_id,
        order_id=leg.order_id if leg else None,
        leg_id=leg.leg_id if leg else None,
        strategy=owner.strategy if owner else None,
        broker_tag=digits(leg.broker_tag) if leg else None,
        instrument=known.instrument,
        side=row.side,
        order_type=row.order_type,
        product=row.product,
        validity=row.validity,
        quantity=row.quantity,
        filled_quantity=row.filled_quantity,
        price=price(row.price),
        trigger_price=price(row.trigger_price),
        average_price=price(row.average_price),
        state=row.state,
        message=row.message or (row.raw_state if row.state is None else None),
        placed_at=time(row.placed_at),
    )


def trade_row(known: KnownTrade, owners: Owners) -> TradeRow:
    row = known.row
    owner = owners.of(row.broker_order_id, row.broker_tag)
    leg = owner.leg if owner else None
    return TradeRow(
        trade_id=row.trade_id,
        broker_order_id=row.broker_order_id,
        order_id=leg.order_id if leg else None,
        leg_id=leg.leg_id if leg else None,
        strategy=owner.strategy if owner else None,
        instrument=known.instrument,
        side=row.side,
        product=row.product,
        quantity=row.quantity,
        price=money(row.price),
        traded_at=time(row.traded_at),
    )


def position_row(known: KnownPosition) -> PositionRow:
    row, lot_size = known.row, known.lot_size
    # With a multiplier, the broker's quantity is in a unit of its own and says nothing of lots.
    counts_units = lot_size and row.multiplier == 1 and row.quantity % lot_size == 0
    return PositionRow(
        instrument=known.instrument,
        product=row.product,
        quantity=row.quantity,
        lots=row.quantity // lot_size if lot_size and counts_units else None,
        lot_size=lot_size,
        multiplier=row.multiplier,
        buy_quantity=row.buy_quantity,
        sell_quantity=row.sell_quantity,
        buy_price=price(row.buy_price),
        sell_price=price(row.sell_price),
        average_price=price(row.average_price),
        last_price=price(row.last_price),
        realised_pnl=amount(row.realised_pnl),
        unrealised_pnl=amount(row.unrealised_pnl),
    )


def price(value: Decimal | None) -> Decimal | None:
    """Spell a price; brokers say 0 where there is none."""
    return money(value) if value else None


def money(value: Decimal) -> Decimal:
    """Spell an amount with the decimals it has, two at least, whatever zeros the broker adds."""
    exponent = value.normalize().as_tuple().exponent
    decimals = max(-exponent if isinstance(exponent, int) else 0, 2)
    return value.quantize(Decimal(1).scaleb(-decimals))


def time(at: datetime | None) -> str | None:
    return at.astimezone(IST).isoformat(timespec="milliseconds") if at else None


def amount(value: Decimal | None) -> Decimal | None:
    """Spell an amount of which zero means zero."""
    return None if value is None else money(value)
