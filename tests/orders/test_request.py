from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.orders.request import OrderRequest, fingerprint, problems_of

GOOD = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": "812.50",
    "accounts": ["fyers-main"],
}


def order(**changes) -> OrderRequest:
    body = {**GOOD, **changes}
    return msgspec.json.decode(
        msgspec.json.encode({k: v for k, v in body.items() if v is not ...}), type=OrderRequest
    )


def fields(**changes) -> set[str]:
    return {error.field for error in problems_of(order(**changes))}


def test_a_good_order_has_no_problems():
    assert problems_of(order()) == []


def test_a_price_is_taken_by_its_digits_whether_text_or_number():
    text = msgspec.json.decode(b'{"p":"812.10"}', type=dict[str, Decimal])["p"]
    body = msgspec.json.encode(order()).replace(b'"812.50"', b"812.1")

    assert msgspec.json.decode(body, type=OrderRequest).price == text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price": "812.500001"}, "price"),
        ({"price": "-1"}, "price"),
        ({"price": "0"}, "price"),
        ({"price": "NaN"}, "price"),
        ({"price": "Infinity"}, "price"),
        ({"price": "1e20"}, "price"),
        ({"price": ...}, "price"),
        ({"order_type": "MARKET"}, "price"),
        ({"order_type": "SL"}, "trigger_price"),
        ({"trigger_price": "800"}, "trigger_price"),
        ({"instrument": "SBIN"}, "instrument"),
        ({"quantity": ...}, "quantity"),
        ({"lots": 2}, "quantity"),
        ({"disclosed_quantity": 11}, "disclosed_quantity"),
        ({"accounts": ["a", "a"]}, "accounts"),
    ],
)
def test_each_mistake_names_its_field(changes, field):
    assert field in fields(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": -1},
        {"quantity": 0},
        {"quantity": 1.5},
        {"quantity": "10"},
        {"side": "buy"},
        {"product": "BO"},
        {"accounts": []},
        {"ttl_ms": 30_001},
        {"wait_ms": 60_001},
        {"colour": "red"},
        {"quantities": {"fyers-main": -5}},
    ],
)
def test_a_wrong_shape_is_refused_by_the_decoder(changes):
    with pytest.raises(msgspec.ValidationError):
        order(**changes)


def test_the_fingerprint_ignores_how_long_the_client_waits():
    assert fingerprint(order()) == fingerprint(order(wait_ms=0, wait_for="final"))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": 11},
        {"price": "812.55"},
        {"side": "SELL"},
        {"accounts": ["other"]},
        {"strategy": "x"},
        {"ttl_ms": 4000},
    ],
)
def test_the_fingerprint_tells_orders_apart(changes):
    assert fingerprint(order()) != fingerprint(order(**changes))


@given(
    st.decimals(min_value="0.0001", max_value="99999999", places=4),
    st.integers(min_value=0, max_value=4),
)
def test_the_fingerprint_does_not_depend_on_how_a_price_is_spelled(price, zeros):
    spelled = format(price, "f")
    padded = spelled + "0" * zeros if "." in spelled else spelled

    assert fingerprint(order(price=spelled)) == fingerprint(order(price=padded))
