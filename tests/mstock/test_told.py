"""A book's rows that are there again are told as before, unless their fills have changed."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from adapters.mstock import parse
from adapters.mstock.rows import OrderRow
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerOrderState

ROW = OrderRow(
    orderid="1131220626",
    status="complete",
    orderstatus="Traded",
    ordertype="LIMIT",
    producttype="DELIVERY",
    transactiontype="BUY",
    exchange="NSE",
    symboltoken="3045",
    quantity="10",
    price="815.00",
    duration="DAY",
)


def fills(quantity: int) -> dict[str, parse.Fills]:
    return {"1131220626": parse.Fills(quantity, Decimal(812) * quantity)}


def test_the_same_row_with_the_same_fills_is_the_same_order():
    told: parse.Told = {}
    [first] = parse.book_orders([ROW], fills(10), told)
    [again] = parse.book_orders([msgspec.structs.replace(ROW)], fills(10), told)
    assert first is again


def test_more_fills_or_another_status_are_told_anew():
    told: parse.Told = {}
    [part] = parse.book_orders([ROW], fills(4), told)
    [whole] = parse.book_orders([ROW], fills(10), told)
    assert (4, 10) == (part.filled_quantity, whole.filled_quantity)
    rejected = msgspec.structs.replace(ROW, orderstatus="Rejected", status="rejected")
    [other] = parse.book_orders([rejected], {}, told)
    assert BrokerOrderState.REJECTED is other.state


def test_only_the_last_book_is_remembered_and_a_bad_one_changes_nothing():
    told: parse.Told = {}
    parse.book_orders([ROW], fills(10), told)
    nameless = msgspec.structs.replace(ROW, orderid="")
    with pytest.raises(BadAnswer):
        parse.book_orders([nameless], {}, told)
    assert 1 == len(told)
    parse.book_orders([], {}, told)
    assert not told
