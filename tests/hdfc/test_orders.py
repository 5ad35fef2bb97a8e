"""What is refused before sending, and the exact bodies of what is sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.hdfc import orders
from adapters.sdk.errors import Denied, NotSupported, ReasonCode
from adapters.sdk.models import (
    Exchange,
    Instrument,
    InstrumentType,
    OrderType,
    Product,
    Side,
    Validity,
)
from tests.hdfc.support import BANKNIFTY_PUT, WIPRO, order, payload


def test_cash_body_is_the_sample_of_the_documents() -> None:
    body = orders.body(order())
    assert json.loads(body) == json.loads(payload("post_orders_regular_request_equity.json"))
    assert b'"price":458,' in body
    assert b'"external_reference_number":176300000012301}' in body


def test_option_body_is_the_sample_of_the_documents() -> None:
    body = orders.body(
        order(
            BANKNIFTY_PUT,
            broker_tag=176300000012302,
            side=Side.SELL,
            product=Product.NRML,
            quantity=30,
            price=Decimal("210.5"),
        )
    )
    assert json.loads(body) == json.loads(payload("post_orders_regular_request_option.json"))


@pytest.mark.parametrize("digits", ["458", "458.50", "0.05", "1402.10", "123456789.123456789"])
def test_prices_go_out_with_their_digits(digits: str) -> None:
    body = orders.body(order(price=Decimal(digits)))
    assert f'"price":{digits},'.encode() in body


def test_price_in_scientific_notation_goes_out_plain() -> None:
    assert b'"price":500,' in orders.body(order(price=Decimal("5E+2")))


def changed(instrument: Instrument, **changes: Any) -> Instrument:
    return msgspec.structs.replace(instrument, **changes)


def test_good_orders_pass() -> None:
    orders.check(order())
    orders.check(order(product=Product.MTF))
    orders.check(order(product=Product.MIS, validity=Validity.IOC))
    orders.check(order(BANKNIFTY_PUT, product=Product.NRML, quantity=60))
    orders.check(order(BANKNIFTY_PUT, product=Product.MIS, quantity=30))
    orders.check(order(order_type=OrderType.SL, trigger_price=Decimal("457")))


@pytest.mark.parametrize("order_type", [OrderType.MARKET, OrderType.SL_M])
def test_market_types_are_not_sent_until_proven(order_type: OrderType) -> None:
    with pytest.raises(Denied) as caught:
        orders.check(order(order_type=order_type, price=None))
    assert caught.value.reason is ReasonCode.ORDER_TYPE_NOT_ALLOWED


@pytest.mark.parametrize("exchange", [Exchange.CDS, Exchange.BCD, Exchange.MCX])
def test_segments_with_an_unproven_unit_are_not_supported(exchange: Exchange) -> None:
    with pytest.raises(NotSupported):
        orders.check(order(changed(BANKNIFTY_PUT, exchange=exchange), quantity=30))


@pytest.mark.parametrize(
    ("instrument", "product"),
    [
        (WIPRO, Product.NRML),
        (BANKNIFTY_PUT, Product.CNC),
        (BANKNIFTY_PUT, Product.MTF),
    ],
)
def test_products_are_not_mapped_across_segments(instrument: Instrument, product: Product) -> None:
    with pytest.raises(Denied) as caught:
        orders.check(order(instrument, product=product, quantity=30))
    assert caught.value.reason is ReasonCode.PRODUCT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"broker_tag": 99999999999999}, ReasonCode.INVALID_ORDER),
        ({"broker_tag": 1000000000000000}, ReasonCode.INVALID_ORDER),
        ({"broker_tag": -17630000001230}, ReasonCode.INVALID_ORDER),
        ({"quantity": 0}, ReasonCode.INVALID_ORDER),
        ({"price": None}, ReasonCode.INVALID_ORDER),
        ({"price": Decimal(0)}, ReasonCode.INVALID_ORDER),
        ({"price": Decimal("NaN")}, ReasonCode.INVALID_ORDER),
        ({"trigger_price": Decimal(1)}, ReasonCode.INVALID_ORDER),
        ({"order_type": OrderType.SL}, ReasonCode.INVALID_ORDER),
        ({"disclosed_quantity": 2}, ReasonCode.INVALID_ORDER),
        ({"disclosed_quantity": -1}, ReasonCode.INVALID_ORDER),
        (
            {"instrument": changed(WIPRO, type=InstrumentType.INDEX)},
            ReasonCode.INSTRUMENT_BLOCKED,
        ),
        (
            {"instrument": changed(WIPRO, codes={"exchange": "NSE"})},
            ReasonCode.INSTRUMENT_UNKNOWN,
        ),
        (
            {
                "instrument": changed(BANKNIFTY_PUT, strike=None),
                "product": Product.NRML,
                "quantity": 30,
            },
            ReasonCode.INSTRUMENT_UNKNOWN,
        ),
        (
            {"instrument": BANKNIFTY_PUT, "product": Product.NRML, "quantity": 31},
            ReasonCode.LOT_SIZE,
        ),
        (
            {
                "instrument": BANKNIFTY_PUT,
                "product": Product.NRML,
                "quantity": 30,
                "disclosed_quantity": 30,
            },
            ReasonCode.INVALID_ORDER,
        ),
    ],
)
def test_orders_that_cannot_be_meant_are_denied(
    changes: dict[str, Any], reason: ReasonCode
) -> None:
    fields = {"instrument": WIPRO, **changes}
    with pytest.raises(Denied) as caught:
        orders.check(order(**fields))
    assert caught.value.reason is reason
