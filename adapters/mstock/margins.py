"""m.Stock's margin calculator: what is asked, and what its answer says. Pure, no I/O.

Source: dossier 7.4. Its words differ from those of the order route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from adapters.mstock import values
from adapters.mstock.constants import PRODUCT_TO_WIRE
from adapters.mstock.envelope import Envelope, question_error
from adapters.mstock.orders import check_contract, check_product
from adapters.sdk.errors import BadAnswer, Denied, ReasonCode
from adapters.sdk.models import BrokerMargin, Instrument, MarginOrder, OrderType

_ZERO: Final = Decimal(0)


def check(orders: Sequence[MarginOrder]) -> None:
    """Raise `Denied` for what cannot be asked."""
    if not orders:
        raise Denied("no orders to calculate a margin for", reason=ReasonCode.INVALID_ORDER)
    for order in orders:
        check_contract(order.instrument)
        check_product(order.product, order.instrument)
        if order.quantity <= 0:
            raise Denied("quantity must be positive", reason=ReasonCode.INVALID_ORDER)


def without_price(orders: Sequence[MarginOrder]) -> list[Instrument]:
    """List the instruments whose market price is needed to ask at all."""
    return list({o.instrument.instrument: o.instrument for o in orders if not _price(o)}.values())


def request(
    orders: Sequence[MarginOrder], last_prices: Mapping[str, Decimal]
) -> dict[str, list[dict[str, Any]]]:
    """Build the body. The calculator knows no order types: it multiplies the price it is given.

    A market order is therefore asked with the last price, and a stop-market order with its trigger:
    zero, which placing one sends, would come back as no margin at all.

    Raises:
        Denied: a market order of an instrument that has no price now.
    """
    asked = []
    for order in orders:
        price = _price(order) or last_prices.get(order.instrument.instrument)
        if not price:
            raise Denied(
                f"{order.instrument.instrument} has no price now: state one",
                reason=ReasonCode.PRICE_UNAVAILABLE,
            )
        codes = order.instrument.codes
        asked.append(
            {
                "product_type": PRODUCT_TO_WIRE[order.product],
                "transaction_type": order.side.value,
                "quantity": str(order.quantity),
                "price": f"{price:f}",
                "exchange": order.instrument.exchange.value,
                "symbol_name": codes["tradingsymbol"],
                "token": codes["token"],
                "trigger_price": order.trigger_price or _ZERO,
            }
        )
    return {"orders": asked}


def margin(envelope: Envelope, count: int) -> BrokerMargin:
    """Read the answer for `count` orders. The calculator does not say what is available.

    Raises:
        Refused: a listed refusal of the request.
        LoginExpired: the session is dead.
        BadAnswer: anything else without the total.
    """
    if not envelope.proves_success:
        raise question_error(envelope)
    data = envelope.data
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    summary = data.get("summary") if isinstance(data, Mapping) else None
    required = _total(summary)
    if required is None:
        raise BadAnswer("m.Stock's margin has no total", status=envelope.http)
    each = data.get("charges") if isinstance(data, Mapping) else None
    if not isinstance(each, list) or len(each) != count:
        return BrokerMargin(required=required, orders=[None] * count)
    return BrokerMargin(required=required, orders=[_total(one) for one in each])


def _price(order: MarginOrder) -> Decimal | None:
    return order.trigger_price if order.order_type is OrderType.SL_M else order.price


def _total(part: object) -> Decimal | None:
    """Read `total_charges`, which is the margin required and not only the charges."""
    found = values.number(part, "total_charges") if isinstance(part, Mapping) else None
    return None if found is None or found < 0 else found
