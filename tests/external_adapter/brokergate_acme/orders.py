"""An order of ours in Acme's words, and the checks that need no broker. No I/O."""

from __future__ import annotations

from typing import Any

from adapters.sdk.errors import Denied, NotSupported, ReasonCode
from adapters.sdk.models import InstrumentType, ModifyOrder, OrderType, PlaceOrder, Product
from brokergate_acme import constants as wire
from brokergate_acme.config import CAPABILITIES, TITLE

_PRICED = (OrderType.LIMIT, OrderType.SL)
_STOPS = (OrderType.SL, OrderType.SL_M)


def check(order: PlaceOrder) -> None:
    """Raise `Denied` for an order that the broker or this adapter cannot take."""
    if not 10**14 <= order.broker_tag < 10**15:
        raise _invalid("broker_tag must have exactly 15 digits")
    if order.amo:
        raise NotSupported(f"{TITLE}: after-market orders are not proven")
    _check_terms(order)


def check_change(change: ModifyOrder) -> None:
    """Raise `Denied` for a change that the broker or this adapter cannot take."""
    _check_terms(change)


def place_fields(order: PlaceOrder) -> dict[str, Any]:
    """Build the body of a placement. Prices go by their digits, the tag as text."""
    return {
        "key": order.instrument.codes["key"],
        "side": wire.SIDES[order.side],
        "product": wire.PRODUCTS[order.product],
        "ref": str(order.broker_tag),
        **_terms(order),
    }


def change_fields(change: ModifyOrder) -> dict[str, Any]:
    """Build the body of a change: `quantity` is the new total (Acme's documents, "Modify")."""
    return _terms(change)


def _terms(order: PlaceOrder | ModifyOrder) -> dict[str, Any]:
    return {
        "type": wire.ORDER_TYPES[order.order_type],
        "validity": wire.VALIDITIES[order.validity],
        "quantity": order.quantity,
        "price": order.price,
        "trigger": order.trigger_price,
    }


def _check_terms(order: PlaceOrder | ModifyOrder) -> None:
    instrument = order.instrument
    for what, value, declared in (
        ("exchange", instrument.exchange, CAPABILITIES.exchanges),
        ("order type", order.order_type, CAPABILITIES.order_types),
        ("product", order.product, CAPABILITIES.products),
        ("validity", order.validity, CAPABILITIES.validities),
    ):
        if value not in declared:
            raise NotSupported(f"{TITLE} takes no {what} {value.value} through this adapter")
    if instrument.type is InstrumentType.INDEX:
        raise Denied("an index is not traded", reason=ReasonCode.INSTRUMENT_BLOCKED)
    if not instrument.codes.get("key"):
        raise Denied(f"no key of {TITLE}'s is known", reason=ReasonCode.INSTRUMENT_UNKNOWN)
    if (order.product is Product.CNC) == instrument.is_derivative and order.product in (
        Product.CNC,
        Product.NRML,
    ):
        raise Denied(
            "CNC is for shares, NRML for derivatives", reason=ReasonCode.PRODUCT_NOT_ALLOWED
        )
    if order.disclosed_quantity:
        raise NotSupported(f"{TITLE} has no disclosed quantity")
    if order.quantity <= 0 or order.quantity % instrument.lot_size:
        raise Denied(
            f"quantity must be a multiple of {instrument.lot_size}", reason=ReasonCode.LOT_SIZE
        )
    for name, price, wanted in (
        ("price", order.price, order.order_type in _PRICED),
        ("trigger_price", order.trigger_price, order.order_type in _STOPS),
    ):
        if wanted and (price is None or price <= 0):
            raise _invalid(f"a {order.order_type.value} order needs a {name} above zero")
        if not wanted and price:
            raise _invalid(f"a {order.order_type.value} order takes no {name}")


def _invalid(words: str) -> Denied:
    return Denied(words, reason=ReasonCode.INVALID_ORDER)
