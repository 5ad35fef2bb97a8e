"""An order of ours in m.Stock's words, and the checks that need no broker. Pure, no I/O."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from adapters.mstock.config import CAPABILITIES, StopSpelling
from adapters.mstock.constants import (
    PRODUCT_TO_WIRE,
    SEGMENT_CASH,
    SEGMENT_DERIVATIVES,
    VARIETY_AMO,
    VARIETY_NORMAL,
    VARIETY_STOPLOSS,
)
from adapters.sdk.errors import Denied, NotSupported, ReasonCode
from adapters.sdk.models import (
    Instrument,
    InstrumentType,
    ModifyOrder,
    OrderRef,
    OrderType,
    PlaceOrder,
    Product,
)

_PRICED: Final = frozenset({OrderType.LIMIT, OrderType.SL})
_STOPS: Final = frozenset({OrderType.SL, OrderType.SL_M})
_LARGEST_PRICE: Final = Decimal(10_000_000)


def check(order: PlaceOrder) -> None:
    """Raise `Denied` for an order that m.Stock or this adapter cannot take."""
    check_contract(order.instrument)
    if not 10**14 <= order.broker_tag < 10**15:
        raise Denied("broker_tag must have 15 digits", reason=ReasonCode.INVALID_ORDER)
    _check_variety(order.order_type, amo=order.amo)
    check_product(order.product, order.instrument)
    _check_prices(order)
    _check_quantity(order)


def check_modify(change: ModifyOrder) -> None:
    """Raise `Denied` for a change that m.Stock or this adapter cannot take.

    A modify replaces the whole order, so every modify states a quantity, and whether that is
    the total or what remains of a part-filled order is unproven (dossier 5.2): read the wrong
    way, even a change of price would buy the filled part again.
    """
    if change.filled_quantity:
        raise NotSupported("m.Stock: a part-filled order cannot be modified safely; cancel it")
    check_contract(change.instrument)
    _check_variety(change.order_type, amo=change.amo)
    _check_prices(change)
    _check_quantity(change)


def check_contract(instrument: Instrument) -> None:
    """Raise `Denied` for a contract that cannot be traded here, or that m.Stock has no name for."""
    if instrument.exchange not in CAPABILITIES.exchanges:
        # Whether API users get these segments, and in which unit, is unproven (dossier 1, 9).
        raise NotSupported(f"m.Stock: {instrument.exchange.value} is not proven through this API")
    if instrument.type is InstrumentType.INDEX:
        raise Denied("an index is quoted, not traded", reason=ReasonCode.INSTRUMENT_BLOCKED)
    if not instrument.codes.get("token") or not instrument.codes.get("tradingsymbol"):
        raise Denied(
            f"{instrument.instrument} has no m.Stock token", reason=ReasonCode.INSTRUMENT_UNKNOWN
        )


def check_product(product: Product, instrument: Instrument) -> None:
    """Raise `Denied` for a product that does not go with the segment."""
    wants_derivative = product is Product.NRML
    wants_cash = product in (Product.CNC, Product.MTF)
    if (wants_derivative and not instrument.is_derivative) or (
        wants_cash and instrument.is_derivative
    ):
        kind = "derivatives" if instrument.is_derivative else "cash"
        raise Denied(
            f"product {product.value} does not go with {kind}",
            reason=ReasonCode.PRODUCT_NOT_ALLOWED,
        )


def modify_fields(change: ModifyOrder, stop_spelling: StopSpelling) -> dict[str, str]:
    """Build the body of a modify; `triggerprice` is mandatory for every type (dossier 5.2)."""
    codes = change.instrument.codes
    return {
        "variety": _variety(change.order_type, amo=change.amo),
        "tradingsymbol": codes["tradingsymbol"],
        "symboltoken": codes["token"],
        "exchange": change.instrument.exchange.value,
        "transactiontype": change.side.value,
        "orderid": change.broker_order_id,
        "ordertype": _wire_type(change.order_type, stop_spelling),
        "quantity": str(change.quantity),
        "producttype": PRODUCT_TO_WIRE[change.product],
        "duration": change.validity.value,
        "price": _rupees(change.price) if change.order_type in _PRICED else "0",
        "triggerprice": _rupees(change.trigger_price) if change.order_type in _STOPS else "0",
        "disclosedquantity": str(change.disclosed_quantity),
        "modqty_remng": "0",
    }


def place_fields(order: PlaceOrder, stop_spelling: StopSpelling) -> dict[str, str]:
    """Build the body of a placement: every field, every value a string (dossier 5.1)."""
    codes = order.instrument.codes
    return {
        "variety": _variety(order.order_type, amo=order.amo),
        "tradingsymbol": codes["tradingsymbol"],
        "symboltoken": codes["token"],
        "exchange": order.instrument.exchange.value,
        "transactiontype": order.side.value,
        "ordertype": _wire_type(order.order_type, stop_spelling),
        "quantity": str(order.quantity),
        "producttype": PRODUCT_TO_WIRE[order.product],
        "price": _rupees(order.price) if order.order_type in _PRICED else "0",
        "triggerprice": _rupees(order.trigger_price) if order.order_type in _STOPS else "0",
        "squareoff": "0",
        "stoploss": "0",
        "trailingStopLoss": "",
        "disclosedquantity": str(order.disclosed_quantity),
        "duration": order.validity.value,
        "ordertag": str(order.broker_tag),
    }


def variety(ref: OrderRef) -> str:
    """Return the variety that the order was placed with, which a cancel repeats (dossier 5.2)."""
    return _variety(ref.order_type, amo=ref.amo)


def segment(ref: OrderRef) -> str | None:
    """Return E or D for the order details, or None where the instrument is not known."""
    if ref.instrument is None:
        return None
    return SEGMENT_DERIVATIVES if ref.instrument.is_derivative else SEGMENT_CASH


def _variety(order_type: OrderType | None, *, amo: bool) -> str:
    if amo:
        return VARIETY_AMO
    return VARIETY_STOPLOSS if order_type in _STOPS else VARIETY_NORMAL


def _wire_type(order_type: OrderType, stop_spelling: StopSpelling) -> str:
    stops = {OrderType.SL: stop_spelling.limit, OrderType.SL_M: stop_spelling.market}
    return stops.get(order_type, order_type.value)


def _check_variety(order_type: OrderType, *, amo: bool) -> None:
    if amo and order_type in _STOPS:
        # The one `variety` field can say AMO or STOPLOSS, not both (dossier 5.1).
        raise NotSupported("m.Stock: an after-market stop order cannot be expressed")


def _check_prices(order: PlaceOrder | ModifyOrder) -> None:
    for name, price, is_used in (
        ("price", order.price, order.order_type in _PRICED),
        ("trigger_price", order.trigger_price, order.order_type in _STOPS),
    ):
        if is_used and price is None:
            raise _invalid(f"{order.order_type.value} needs a {name}")
        if price is not None and not (price.is_finite() and 0 < price < _LARGEST_PRICE):
            raise _invalid(f"{name} must be positive")
        if price is not None and not is_used:
            raise _invalid(f"{order.order_type.value} takes no {name}")


def _check_quantity(order: PlaceOrder | ModifyOrder) -> None:
    if order.quantity <= 0:
        raise _invalid("quantity must be positive")
    if order.instrument.is_derivative and order.quantity % order.instrument.lot_size:
        raise Denied(
            f"quantity must be a multiple of the lot of {order.instrument.lot_size}",
            reason=ReasonCode.LOT_SIZE,
        )
    disclosed = order.disclosed_quantity
    # More than 30 % of the quantity, and less than all of it, which m.Stock refuses.
    if disclosed and not order.quantity * 3 < disclosed * 10 < order.quantity * 10:
        raise _invalid("disclosed_quantity must be over 30 % of the quantity and under all of it")


def _invalid(message: str) -> Denied:
    return Denied(message, reason=ReasonCode.INVALID_ORDER)


def _rupees(price: Decimal | None) -> str:
    return "0" if price is None else f"{price:f}"
