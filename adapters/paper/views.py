"""The engine's orders, fills and positions as rows of a broker. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from adapters.paper.contracts import codes_of
from adapters.sdk.models import (
    BrokerFunds,
    BrokerHolding,
    BrokerOrder,
    BrokerOrderState,
    BrokerPosition,
    BrokerTrade,
    OrderType,
)
from adapters.sdk.simulator import Contract, Funds, Holding, Position, SimOrder, Trade

_PAISA_OF_PAISA = Decimal("0.0001")
_PRICED = (OrderType.LIMIT, OrderType.SL)
_STOPS = (OrderType.SL, OrderType.SL_M)
LastPrice = Callable[[Contract], Decimal | None]


def order_row(order: SimOrder) -> BrokerOrder:
    waits = order.amo and order.state is BrokerOrderState.PENDING
    return BrokerOrder(
        broker_order_id=order.broker_order_id,
        state=order.state,
        raw_state="WAITING FOR THE OPEN" if waits else order.state.value,
        codes=codes_of(order.contract),
        side=order.side,
        order_type=order.order_type,
        product=order.product,
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        validity=order.validity,
        price=order.price if order.order_type in _PRICED else None,
        trigger_price=order.trigger_price if order.order_type in _STOPS else None,
        average_price=order.average_price,
        broker_tag=_tag(order),
        instrument=order.contract.instrument,
        exchange_order_id=order.exchange_order_id or None,
        message=order.message or None,
        placed_at=order.accepted_at,
    )


def trade_row(trade: Trade) -> BrokerTrade:
    order, fill = trade.order, trade.fill
    return BrokerTrade(
        trade_id=fill.trade_id,
        broker_order_id=order.broker_order_id,
        codes=codes_of(order.contract),
        side=order.side,
        product=order.product,
        quantity=fill.quantity,
        price=fill.price,
        exchange_order_id=order.exchange_order_id,
        broker_tag=_tag(order),
        traded_at=fill.at,
    )


def position_row(position: Position, last_price: LastPrice) -> BrokerPosition:
    last = last_price(position.contract)
    return BrokerPosition(
        codes=codes_of(position.contract),
        product=position.product,
        quantity=position.quantity,
        buy_quantity=position.buy_quantity,
        sell_quantity=position.sell_quantity,
        buy_price=_rounded(position.buy_price) if position.buy_quantity else None,
        sell_price=_rounded(position.sell_price) if position.sell_quantity else None,
        average_price=_rounded(position.average_price) if position.quantity else None,
        last_price=last,
        realised_pnl=position.realised,
        unrealised_pnl=position.unrealised(last) if last is not None else None,
    )


def holding_row(holding: Holding, last_price: LastPrice) -> BrokerHolding:
    last = last_price(holding.contract)
    gain = (last - holding.average_price) * holding.quantity if last is not None else None
    return BrokerHolding(
        codes=codes_of(holding.contract),
        quantity=holding.quantity,
        isin=holding.contract.isin,
        name=holding.contract.name,
        t1_quantity=holding.t1_quantity,
        pledged_quantity=0,
        average_price=holding.average_price,
        last_price=last,
        pnl=gain,
    )


def funds_row(funds: Funds) -> BrokerFunds:
    return BrokerFunds(
        available=funds.available,
        used=funds.used,
        opening=funds.opening,
        collateral=funds.collateral,
    )


def _tag(order: SimOrder) -> int | None:
    return int(order.tag) if order.tag is not None and order.tag.isdecimal() else None


def _rounded(price: Decimal) -> Decimal:
    return price.quantize(_PAISA_OF_PAISA)
