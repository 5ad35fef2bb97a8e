"""A book's rows that are there again are told as before, unless their fills have changed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.mstock import parse
from adapters.mstock.book import OrderBook
from adapters.mstock.rows import ORDERS
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerOrder, BrokerOrderState
from tests.mstock.support import payload

ROW = {
    "orderid": "1131220626",
    "status": "complete",
    "orderstatus": "Traded",
    "ordertype": "LIMIT",
    "producttype": "DELIVERY",
    "transactiontype": "BUY",
    "exchange": "NSE",
    "symboltoken": "3045",
    "quantity": "10",
    "price": "815.00",
    "duration": "DAY",
}
OTHER = ROW | {"orderid": "1131220627"}


def raw(row: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(row))


def fills(quantity: int) -> dict[str, parse.Fills]:
    return {"1131220626": parse.Fills(quantity, Decimal(812) * quantity)}


def told(book: OrderBook, row: dict[str, Any], quantity: int = 10) -> BrokerOrder:
    [order] = book.read([raw(row)]).orders(fills(quantity))
    return order


def test_the_same_row_with_the_same_fills_is_the_same_order() -> None:
    book = OrderBook()

    assert told(book, ROW) is told(book, ROW)


def test_more_fills_or_another_status_are_told_anew() -> None:
    book = OrderBook()

    assert (4, 10) == (told(book, ROW, 4).filled_quantity, told(book, ROW).filled_quantity)
    rejected = ROW | {"orderstatus": "Rejected", "status": "rejected"}
    [other] = book.read([raw(rejected)]).orders({})
    assert BrokerOrderState.REJECTED is other.state


def test_a_row_that_is_there_twice_is_told_twice_and_the_order_of_rows_is_kept() -> None:
    orders = OrderBook().read([raw(OTHER), raw(ROW), raw(OTHER)]).orders(fills(10))

    ids = [order.broker_order_id for order in orders]
    assert ["1131220627", "1131220626", "1131220627"] == ids


def test_the_trade_book_is_asked_for_again_where_a_known_row_may_have_fills() -> None:
    book = OrderBook()
    waiting = raw(OTHER | {"status": "Transit", "orderstatus": "Transit"})
    assert not book.read([waiting]).may_have_fills

    for _ in range(2):
        reading = book.read([waiting, raw(ROW)])
        assert reading.may_have_fills
        reading.orders(fills(10))


@pytest.mark.parametrize("changes", [{"orderid": ""}, {"quantity": "many"}])
def test_a_bad_row_fails_the_read_each_time_and_changes_nothing(changes: dict[str, str]) -> None:
    book = OrderBook()
    first = told(book, ROW)

    for _ in range(2):
        with pytest.raises(BadAnswer):
            book.read([raw(ROW), raw(OTHER | changes)]).orders(fills(10))
    assert first is told(book, ROW)


def test_only_the_last_book_is_remembered() -> None:
    book = OrderBook()
    first = told(book, ROW)
    assert [] == book.read([]).orders({})

    assert first is not told(book, ROW)
    assert first == told(book, ROW)


def test_a_book_that_was_decoded_the_slow_way_says_the_same() -> None:
    documented = payload("get_orders_every_status")
    in_a_list = b"[" + documented + b"]"
    fast, slow = (
        OrderBook().read(ORDERS.decode(200, body).data).orders(fills(10))
        for body in (documented, in_a_list)
    )

    assert fast
    assert fast == slow


@pytest.mark.parametrize("row", [b"5", b'"text"', b"[]", b"null"])
def test_a_row_that_is_no_object_is_no_row(row: bytes) -> None:
    with pytest.raises(BadAnswer):
        OrderBook().read([msgspec.Raw(row)])
