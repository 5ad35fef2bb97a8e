"""An order of ours as InvestRight wants it: what is refused here, and the exact body.

Source: dossier hdfc 5.2.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters.hdfc.config import CAPABILITIES
from adapters.hdfc.constants import (
    CASH_PRODUCTS,
    DERIVATIVE_PRODUCTS,
    OPTION_TYPE_ON_WIRE,
    ORDER_TYPE_ON_WIRE,
    PRODUCT_ON_WIRE,
    SIDE_ON_WIRE,
    VALIDITY_ON_WIRE,
)
from adapters.sdk.errors import Denied, NotSupported, ReasonCode
from adapters.sdk.models import (
    Instrument,
    InstrumentType,
    ModifyOrder,
    OrderType,
    PlaceOrder,
)

_encoder = msgspec.json.Encoder()
_ZERO = Decimal(0)


def check(order: PlaceOrder) -> None:
    """Raise `Denied` for an order that InvestRight, or what is proven of it, cannot take.

    Source: dossier hdfc 5.2 to 5.4, 9.2.
    """
    if len(str(order.broker_tag)) != 15 or order.broker_tag <= 0:
        raise _invalid("broker_tag must have exactly 15 digits")
    _check_terms(order)
    _check_codes(order.instrument)


def check_modify(change: ModifyOrder) -> None:
    """Raise `Denied` for a change that InvestRight, or what is proven of it, cannot take.

    Whether a modified quantity is the new total or the new rest is undocumented, and it has to
    be sent with every change (dossier hdfc 5.5): a part-filled order is not modified at all.
    """
    if change.filled_quantity:
        raise NotSupported("hdfc: modifying a part-filled order is unproven; cancel it instead")
    _check_terms(change)


def modify_body(change: ModifyOrder) -> bytes:
    """Write the modify body: every documented member, since only the type is marked required."""
    return _encoder.encode(
        {
            "quantity": change.quantity,
            "order_type": ORDER_TYPE_ON_WIRE[change.order_type],
            "validity": VALIDITY_ON_WIRE[change.validity],
            "disclosed_quantity": change.disclosed_quantity,
            "product": PRODUCT_ON_WIRE[change.product],
            "price": _number(change.price),
            "trigger_price": _number(change.trigger_price),
            "amo": change.amo,
        }
    )


def body(order: PlaceOrder) -> bytes:
    """Write the place body: members and spellings as in the documented samples.

    Prices go out as JSON numbers with the digits they came with; the tag as a JSON integer.
    """
    instrument, codes = order.instrument, order.instrument.codes
    members: dict[str, object] = {
        "exchange": codes["exchange"],
        "security_id": codes["security_id"],
    }
    if instrument.is_derivative:
        members["underlying_symbol"] = codes["underlying_symbol"]
    members |= {
        "instrument_segment": codes["instrument_segment"],
        "transaction_type": SIDE_ON_WIRE[order.side],
        "product": PRODUCT_ON_WIRE[order.product],
        "order_type": ORDER_TYPE_ON_WIRE[order.order_type],
        "price": _number(order.price),
        "trigger_price": _number(order.trigger_price),
        "quantity": order.quantity,
        "disclosed_quantity": order.disclosed_quantity,
    }
    if instrument.option_type is not None:
        members["option_type"] = OPTION_TYPE_ON_WIRE[instrument.option_type]
        members["strike_price"] = _number(instrument.strike)
    if instrument.expiry is not None:
        members["expiry_date"] = f"{instrument.expiry:%Y%m%d}"
    members |= {
        "validity": VALIDITY_ON_WIRE[order.validity],
        "amo": order.amo,
        "external_reference_number": order.broker_tag,
    }
    return _encoder.encode(members)


def _check_terms(order: PlaceOrder | ModifyOrder) -> None:
    instrument = order.instrument
    if instrument.exchange not in CAPABILITIES.exchanges:
        raise NotSupported(
            f"hdfc: the quantity unit of {instrument.exchange} orders is unproven, none are sent"
        )
    if instrument.type is InstrumentType.INDEX:
        raise Denied(
            f"{instrument.instrument} is quoted, not traded", reason=ReasonCode.INSTRUMENT_BLOCKED
        )
    if order.order_type not in CAPABILITIES.order_types:
        raise Denied(
            f"hdfc: {order.order_type} orders through the API are unproven, use LIMIT or SL",
            reason=ReasonCode.ORDER_TYPE_NOT_ALLOWED,
        )
    products = DERIVATIVE_PRODUCTS if instrument.is_derivative else CASH_PRODUCTS
    if order.product not in products:
        kind = "derivatives" if instrument.is_derivative else "cash"
        raise Denied(
            f"hdfc: {order.product} does not exist on {kind}",
            reason=ReasonCode.PRODUCT_NOT_ALLOWED,
        )
    _check_numbers(order)


def _check_codes(instrument: Instrument) -> None:
    needed = {"exchange", "security_id", "instrument_segment"}
    if instrument.is_derivative:
        needed.add("underlying_symbol")
    incomplete = (instrument.is_derivative and instrument.expiry is None) or (
        instrument.type is InstrumentType.OPT
        and (instrument.strike is None or instrument.option_type is None)
    )
    if incomplete or not all(instrument.codes.get(name) for name in needed):
        raise Denied(
            f"hdfc: the instrument master does not say how to order {instrument.instrument}",
            reason=ReasonCode.INSTRUMENT_UNKNOWN,
        )


def _check_numbers(order: PlaceOrder | ModifyOrder) -> None:
    instrument = order.instrument
    if order.quantity <= 0:
        raise _invalid("quantity must be positive")
    if order.quantity % instrument.lot_size:
        raise Denied(
            f"quantity {order.quantity} is not a multiple of the lot of {instrument.lot_size}",
            reason=ReasonCode.LOT_SIZE,
        )
    if not _is_price(order.price):
        raise _invalid(f"{order.order_type} needs a price above zero")
    if (order.order_type is OrderType.SL) != _is_price(order.trigger_price):
        raise _invalid("trigger_price goes with SL, and only with SL")
    if not 0 <= order.disclosed_quantity <= order.quantity:
        raise _invalid("disclosed_quantity must lie between 0 and quantity")
    if order.disclosed_quantity and instrument.is_derivative:
        raise _invalid("disclosed_quantity is for cash orders only")


def _invalid(message: str) -> Denied:
    return Denied(f"hdfc: {message}", reason=ReasonCode.INVALID_ORDER)


def _is_price(value: Decimal | None) -> bool:
    return value is not None and value.is_finite() and value > 0


def _number(value: Decimal | None) -> msgspec.Raw:
    return msgspec.Raw(f"{value or _ZERO:f}".encode())
