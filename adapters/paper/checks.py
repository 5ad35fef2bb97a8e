"""What the practice broker takes of orders and changes, before they get to its book. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from adapters.paper.config import CAPABILITIES
from adapters.sdk.errors import Denied, NotSupported, ReasonCode
from adapters.sdk.models import (
    Instrument,
    InstrumentType,
    MarginOrder,
    ModifyOrder,
    OrderType,
    PlaceOrder,
    Product,
    Side,
)

_PRICED = (OrderType.LIMIT, OrderType.SL)
_STOPS = (OrderType.SL, OrderType.SL_M)


def check_order(order: PlaceOrder) -> None:
    """Raise `Denied` for what no broker here would take either."""
    _check_contract(order.instrument)
    _check_product(order.instrument, order.product)
    _check_prices(order)
    _check_quantity(order.instrument, order.quantity)
    _check_disclosed(order)
    if not 10**14 <= order.broker_tag < 10**15:
        raise _invalid("broker_tag must have exactly 15 digits")


def check_modify(change: ModifyOrder) -> None:
    """Raise `Denied` for a change that could not be an order."""
    _check_contract(change.instrument)
    if not change.broker_order_id:
        raise _invalid("a modify needs the order's id")
    _check_prices(change)
    _check_quantity(change.instrument, change.quantity)
    _check_disclosed(change)
    if change.quantity <= change.filled_quantity:
        raise _invalid(
            f"the quantity is the new total and has to be above the {change.filled_quantity}"
            " that are filled"
        )


def check_margin(orders: Sequence[MarginOrder]) -> None:
    """Raise `Denied` for orders that nothing can be worked out for."""
    for order in orders:
        _check_contract(order.instrument)
        _check_product(order.instrument, order.product)
        _check_prices(order)
        _check_quantity(order.instrument, order.quantity)


def _check_contract(contract: Instrument) -> None:
    if contract.exchange not in CAPABILITIES.exchanges:
        raise NotSupported(f"orders on {contract.exchange.value} cannot be practised here")
    if contract.type is InstrumentType.INDEX:
        raise Denied(
            f"{contract.instrument} is an index: it is quoted, not traded",
            reason=ReasonCode.INSTRUMENT_BLOCKED,
        )


def _check_product(contract: Instrument, product: Product) -> None:
    if product is Product.NRML and not contract.is_derivative:
        raise _not_allowed("NRML is for derivatives; take CNC or MIS for cash")
    if product in (Product.CNC, Product.MTF) and contract.is_derivative:
        raise _not_allowed(f"{product.value} is for cash; take NRML or MIS for derivatives")


def _check_prices(order: PlaceOrder | ModifyOrder | MarginOrder) -> None:
    name = order.order_type.value
    for field, price, wanted in (
        ("price", order.price, order.order_type in _PRICED),
        ("trigger_price", order.trigger_price, order.order_type in _STOPS),
    ):
        if wanted and (price is None or price <= 0):
            raise _invalid(f"{name} needs a {field} above zero")
        if not wanted and price:
            raise _invalid(f"{name} takes no {field}")
    if order.order_type is OrderType.SL:
        limit, trigger = order.price or Decimal(0), order.trigger_price or Decimal(0)
        if order.side is Side.BUY and limit < trigger:
            raise _invalid("the price of a BUY SL cannot be below its trigger_price")
        if order.side is Side.SELL and limit > trigger:
            raise _invalid("the price of a SELL SL cannot be above its trigger_price")


def _check_quantity(contract: Instrument, quantity: int) -> None:
    if quantity <= 0:
        raise _invalid("quantity has to be above zero")
    if quantity % contract.lot_size:
        raise Denied(
            f"{quantity} is not a multiple of the lot of {contract.lot_size}",
            reason=ReasonCode.LOT_SIZE,
        )


def _check_disclosed(order: PlaceOrder | ModifyOrder) -> None:
    if not 0 <= order.disclosed_quantity <= order.quantity:
        raise _invalid("disclosed_quantity has to be between 0 and quantity")


def _invalid(message: str) -> Denied:
    return Denied(message, reason=ReasonCode.INVALID_ORDER)


def _not_allowed(message: str) -> Denied:
    return Denied(message, reason=ReasonCode.PRODUCT_NOT_ALLOWED)
