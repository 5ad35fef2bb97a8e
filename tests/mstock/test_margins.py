from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from adapters.mstock import margins
from adapters.mstock.envelope import decode_envelope
from adapters.mstock.master import read_master
from adapters.sdk.errors import BadAnswer, Denied, LoginExpired, ReasonCode, Refused
from adapters.sdk.models import BrokerMargin, MarginOrder, OrderType, Product, Side
from tests.mstock.support import PAYLOADS, answer

MASTER = PAYLOADS / "get_instruments_OpenAPIScripMaster.json"
INSTRUMENTS = {row.instrument: row for row in read_master([MASTER])}


def order(name: str = "NSE:ACC", **changes: Any) -> MarginOrder:
    fields: dict[str, Any] = {
        "instrument": INSTRUMENTS[name],
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "quantity": 5,
        "price": Decimal("2250"),
    }
    return MarginOrder(**(fields | changes))


def test_a_question_is_written_as_the_docs_show_it() -> None:
    assert margins.request([order()], {}) == {
        "orders": [
            {
                "product_type": "DELIVERY",
                "transaction_type": "BUY",
                "quantity": "5",
                "price": "2250",
                "exchange": "NSE",
                "symbol_name": "ACC-EQ",
                "token": "22",
                "trigger_price": Decimal(0),
            }
        ]
    }


def test_a_market_order_is_asked_with_the_last_price_and_never_with_zero() -> None:
    market = order(order_type=OrderType.MARKET, price=None)
    assert margins.without_price([market, order()]) == [INSTRUMENTS["NSE:ACC"]]
    (asked,) = margins.request([market], {"NSE:ACC": Decimal("1850.5")})["orders"]
    assert asked["price"] == "1850.5"
    with pytest.raises(Denied) as caught:
        margins.request([market], {})
    assert caught.value.reason is ReasonCode.PRICE_UNAVAILABLE


def test_a_stop_market_order_is_asked_with_its_trigger() -> None:
    stop = order(order_type=OrderType.SL_M, price=None, trigger_price=Decimal("1800"))
    assert margins.without_price([stop]) == []
    (asked,) = margins.request([stop], {})["orders"]
    assert (asked["price"], asked["trigger_price"]) == ("1800", Decimal("1800"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"product": Product.NRML}, ReasonCode.PRODUCT_NOT_ALLOWED),
        ({"quantity": 0}, ReasonCode.INVALID_ORDER),
        ({"instrument": INSTRUMENTS["NSE:NIFTY 50"]}, ReasonCode.INSTRUMENT_BLOCKED),
    ],
)
def test_what_cannot_be_asked_is_denied(changes: dict[str, Any], reason: ReasonCode) -> None:
    with pytest.raises(Denied) as caught:
        margins.check([order(), order(**changes)])
    assert caught.value.reason is reason


def test_no_orders_are_denied() -> None:
    with pytest.raises(Denied):
        margins.check([])


def test_the_total_and_what_each_needs_are_read() -> None:
    assert margins.margin(answer("post_margins_orders"), 1) == BrokerMargin(
        required=Decimal("11270.0"), orders=[Decimal("11270.0")]
    )


def margin(data: Any, count: int = 2) -> BrokerMargin:
    raw = json.dumps({"status": "true", "data": data}).encode()
    return margins.margin(decode_envelope(200, raw), count)


def test_what_each_needs_is_unknown_where_the_list_is_not_of_that_length() -> None:
    got = margin({"summary": {"total_charges": "10.50"}, "charges": [{"total_charges": 3}]})
    assert got == BrokerMargin(required=Decimal("10.50"), orders=[None, None])
    assert margin({"summary": {"total_charges": 1}, "charges": None}).orders == [None, None]


def test_one_order_of_several_may_be_unknown() -> None:
    got = margin({"summary": {"total_charges": 9}, "charges": [{"total_charges": 3}, None]})
    assert got.orders == [Decimal(3), None]


def test_a_list_of_one_around_the_data_is_unwrapped() -> None:
    assert margin([{"summary": {"total_charges": 9}}], 1).required == Decimal(9)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"summary": None},
        {"summary": {"total_charges": None}},
        {"summary": {"total_charges": "None"}},
        {"summary": {"total_charges": -1}},
        {"summary": [], "charges": []},
    ],
)
def test_a_margin_without_a_total_is_a_bad_answer(data: Any) -> None:
    with pytest.raises(BadAnswer):
        margin(data)


def test_a_question_found_wrong_is_refused() -> None:
    with pytest.raises(Refused):
        margins.margin(answer("post_margins_orders_validation_http400"), 1)


def test_a_dead_session_has_no_margins() -> None:
    with pytest.raises(LoginExpired):
        margins.margin(answer("ia401_http401"), 1)
