"""What Fyers takes of orders and changes, and how they are written. Pure: no I/O."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapters.fyers.config import CAPABILITIES
from adapters.fyers.constants import ORDER_TYPE_TO_WIRE, PRODUCT_TO_WIRE, SIDE_TO_WIRE
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


def check_order(order: PlaceOrder) -> None:
    """Raise `Denied` for what Fyers or this adapter cannot take (dossier 5.2, 5.7, 6.1)."""
    _check_terms(order)
    _check_disclosed(order)
    if not 10**14 <= order.broker_tag < 10**15:
        raise _invalid("broker_tag must have exactly 15 digits")


def check_margin(order: MarginOrder) -> None:
    """Raise `Denied` for an order whose margin Fyers would not be asked for as it stands."""
    _check_terms(order)


def check_modify(change: ModifyOrder) -> None:
    """Raise `Denied` for a change that Fyers or this adapter cannot take (dossier 5.4).

    Whether Fyers' `qty` is the total or the remainder of a part-filled order is not documented,
    so a part-filled order keeps its quantity.
    """
    _check_contract(change.instrument)
    if not change.broker_order_id:
        raise _invalid("a modify needs the order's id")
    _check_prices(change)
    if change.quantity != change.previous_quantity:
        if change.filled_quantity:
            raise _invalid(
                "the quantity of a part-filled order cannot be changed at Fyers: whether it"
                " counts the filled part is not documented"
            )
        _check_quantity(change.instrument, change.quantity)
    _check_disclosed(change)


def order_body(order: PlaceOrder) -> dict[str, Any]:
    """Write an order as `POST /orders/sync` wants it (dossier 5.2).

    Prices go by their digits. `takeProfit`, `stopLoss` and `isSliceOrder` are left out, since
    leaving them out is what means "none" (dossier 6.1).
    """
    return {
        "symbol": order.instrument.codes["symbol"],
        "qty": order.quantity,
        "type": ORDER_TYPE_TO_WIRE[order.order_type],
        "side": SIDE_TO_WIRE[order.side],
        "productType": PRODUCT_TO_WIRE[order.product],
        "limitPrice": _wire_price(order.price),
        "stopPrice": _wire_price(order.trigger_price),
        "validity": order.validity.value,
        "disclosedQty": order.disclosed_quantity,
        "offlineOrder": order.amo,
        "orderTag": str(order.broker_tag),
    }


def change_body(change: ModifyOrder) -> dict[str, Any]:
    """Write a change as `PATCH /orders/sync` wants it (dossier 5.4).

    What is left out stays as it is, so `qty` goes only where it changes: sent unchanged while
    the order fills, it could be read as what remains. `takeProfit` and `stopLoss` are left out
    too, since a zero there deletes a leg.
    """
    body: dict[str, Any] = {
        "id": change.broker_order_id,
        "type": ORDER_TYPE_TO_WIRE[change.order_type],
    }
    if change.price:
        body["limitPrice"] = _wire_price(change.price)
    if change.trigger_price:
        body["stopPrice"] = _wire_price(change.trigger_price)
    if change.quantity != change.previous_quantity:
        body["qty"] = change.quantity
    if change.disclosed_quantity:
        body["disclosedQty"] = change.disclosed_quantity
    return body


def margin_body(order: MarginOrder) -> dict[str, Any]:
    """Write one order as `POST /multiorder/margin` wants it (dossier 7.4)."""
    return {
        "symbol": order.instrument.codes["symbol"],
        "qty": order.quantity,
        "side": SIDE_TO_WIRE[order.side],
        "type": ORDER_TYPE_TO_WIRE[order.order_type],
        "productType": PRODUCT_TO_WIRE[order.product],
        "limitPrice": _wire_price(order.price),
        "stopLoss": 0,
        "stopPrice": _wire_price(order.trigger_price),
        "takeProfit": 0,
    }


def _check_terms(order: PlaceOrder | MarginOrder) -> None:
    contract = order.instrument
    _check_contract(contract)
    if not contract.codes.get("symbol"):
        raise Denied(
            f"{contract.instrument} has no Fyers symbol", reason=ReasonCode.INSTRUMENT_UNKNOWN
        )
    if order.product is Product.NRML and not contract.is_derivative:
        raise _not_allowed("NRML is for derivatives; take CNC or MIS for cash")
    if order.product in (Product.CNC, Product.MTF) and contract.is_derivative:
        raise _not_allowed(f"{order.product.value} is for cash; take NRML or MIS for derivatives")
    _check_prices(order)
    _check_quantity(contract, order.quantity)


def _check_contract(contract: Instrument) -> None:
    if contract.exchange not in CAPABILITIES.exchanges:
        raise NotSupported(
            f"Fyers counts {contract.exchange.value} orders in lots, and that is not proven"
            " well enough to convert units"
        )
    if contract.type is InstrumentType.INDEX:
        raise Denied("an index is quoted, not traded", reason=ReasonCode.INSTRUMENT_BLOCKED)


def _check_prices(order: PlaceOrder | ModifyOrder | MarginOrder) -> None:
    wants_price = order.order_type in (OrderType.LIMIT, OrderType.SL)
    wants_trigger = order.order_type in (OrderType.SL, OrderType.SL_M)
    for name, value, wanted in (
        ("price", order.price, wants_price),
        ("trigger_price", order.trigger_price, wants_trigger),
    ):
        if wanted and (value is None or not value.is_finite() or value <= 0):
            raise _invalid(f"{order.order_type.value} needs a {name} above zero")
        if not wanted and value:
            raise _invalid(f"{order.order_type.value} takes no {name}")
    if order.order_type is OrderType.SL and order.price and order.trigger_price:
        if order.side is Side.BUY and order.trigger_price > order.price:
            raise _invalid("a buy SL needs its trigger_price at or below its price")
        if order.side is Side.SELL and order.trigger_price < order.price:
            raise _invalid("a sell SL needs its trigger_price at or above its price")


def _check_quantity(contract: Instrument, quantity: int) -> None:
    if quantity <= 0:
        raise _invalid("quantity must be above zero")
    if quantity % contract.lot_size:
        raise Denied(
            f"quantity {quantity} is no multiple of the lot of {contract.lot_size}",
            reason=ReasonCode.LOT_SIZE,
        )


def _check_disclosed(order: PlaceOrder | ModifyOrder) -> None:
    if order.disclosed_quantity and order.instrument.is_derivative:
        raise _invalid("disclosed_quantity is for equity only")
    if not 0 <= order.disclosed_quantity <= order.quantity:
        raise _invalid("disclosed_quantity must lie between zero and quantity")


def _wire_price(price: Decimal | None) -> Decimal | int:
    return Decimal(f"{price:f}") if price else 0


def _invalid(message: str) -> Denied:
    return Denied(message, reason=ReasonCode.INVALID_ORDER)


def _not_allowed(message: str) -> Denied:
    return Denied(message, reason=ReasonCode.PRODUCT_NOT_ALLOWED)
