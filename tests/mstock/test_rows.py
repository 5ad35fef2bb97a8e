"""A book in its documented form is decoded straight into structs; any other goes the slow way."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.mstock import rows
from adapters.sdk.errors import BadAnswer, LoginExpired
from tests.mstock.support import payload


def book(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(payload("get_orders"))
    value["data"][0] |= changes
    return value


def decoded(value: Any, http: int = 200) -> Any:
    return rows.ORDERS.decode(http, json.dumps(value).encode())


@pytest.mark.parametrize("name", ["get_orders", "get_orders_every_status"])
def test_the_documented_book_is_kept_undecoded_row_by_row(name: str) -> None:
    envelope = rows.ORDERS.decode(200, payload(name))
    assert all(isinstance(row, msgspec.Raw) for row in envelope.data)
    assert envelope.proves_success


def test_documented_trades_are_decoded_into_structs() -> None:
    envelope = rows.TRADES.decode(200, payload("get_tradebook"))
    assert all(isinstance(row, rows.TradeRow) for row in envelope.data)


@pytest.mark.parametrize("changes", [{"quantity": 1}, {"text": None}, {"brand_new_field": [1.5]}])
def test_whole_numbers_nulls_and_new_fields_are_read(changes: Any) -> None:
    as_documented = book()["data"][0]["quantity"]
    (row,) = rows.ORDERS.read(decoded(book(**changes)))
    assert str(changes.get("quantity", as_documented)) == str(row.quantity)


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"price": 6.1}, "price", "6.1"),
        ({"orderid": True}, "orderid", ""),
        ({"symboltoken": []}, "symboltoken", ""),
        ({"quantity": 10**30}, "quantity", ""),
    ],
)
def test_other_values_are_read_the_slow_way(
    changes: dict[str, Any], name: str, expected: str
) -> None:
    envelope = decoded(book(**changes))
    (row,) = rows.ORDERS.read(envelope)
    assert rows.values.clean(getattr(row, name)) == expected


def test_a_trades_numbers_may_be_text() -> None:
    value = json.loads(payload("get_tradebook"))
    value["data"][0] |= {"PRICE": "6.10", "QUANTITY": "3"}
    value["data"][1] |= {"PRICE": "", "QUANTITY": 3.0}
    first, second, *_ = rows.TRADES.read(rows.TRADES.decode(200, json.dumps(value).encode()))
    assert (first.PRICE, first.QUANTITY) == (Decimal("6.10"), "3")
    assert (second.PRICE, second.QUANTITY) == (None, "3.0")


@pytest.mark.parametrize("status", ["true", "True", True, "success"])
def test_every_spelling_of_success_has_rows(status: Any) -> None:
    assert len(rows.ORDERS.read(decoded(book() | {"status": status}))) == 1
    assert len(rows.ORDERS.read(decoded([book() | {"status": status}]))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "false"},
        {"status": False},
        {"status": "error"},
        {"errorcode": "IA500"},
        {"error_type": "GeneralException"},
    ],
)
def test_rows_beside_an_error_are_no_book(changes: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        rows.ORDERS.read(decoded(book() | changes))


@pytest.mark.parametrize("http", [302, 400, 429, 500])
def test_rows_under_another_http_status_are_no_book(http: int) -> None:
    with pytest.raises(BadAnswer):
        rows.ORDERS.read(decoded(book(), http))


def test_rows_beside_a_dead_session_are_the_dead_session() -> None:
    with pytest.raises(LoginExpired):
        rows.ORDERS.read(decoded(book() | {"status": "false", "errorcode": "IA401"}, 401))


@pytest.mark.parametrize("cut", [2, 40, 900])
def test_a_book_that_was_cut_short_is_no_book(cut: int) -> None:
    with pytest.raises(BadAnswer):
        rows.ORDERS.decode(200, payload("get_orders")[:-cut])
