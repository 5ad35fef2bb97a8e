"""Order bodies: payload files to models."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.hdfc import parse
from adapters.hdfc.constants import IST
from adapters.hdfc.envelope import read_answer
from adapters.sdk.errors import BadAnswer, LoginExpired
from adapters.sdk.models import BrokerOrder, BrokerOrderState, OrderType, Product, Side, Validity
from tests.hdfc.support import answer_of, payload

ROW: dict[str, Any] = {
    "order_id": "26042500000504",
    "status": "PENDING",
    "quantity": 10,
    "filled_quantity": 0,
    "pending_quantity": 10,
}


def book(**changes: Any) -> list[BrokerOrder]:
    return parse.parse_order_book(answer_of({"status": "success", "data": [ROW | changes]}))


def test_traded_row_of_the_documents_is_a_fill_at_value_over_quantity() -> None:
    (row,) = parse.parse_order_book(answer_of(payload("get_orders.json")))
    assert row == BrokerOrder(
        broker_order_id="26043000401982",
        state=BrokerOrderState.FILLED,
        raw_state="Traded",
        codes={"exchange": "NSE", "instrument_segment": "OPTIDX", "security_id": "49599"},
        side=Side.BUY,
        order_type=OrderType.MARKET,
        product=Product.NRML,
        quantity=15,
        filled_quantity=15,
        validity=Validity.DAY,
        average_price=Decimal("38.60"),
        broker_tag=None,
        exchange_order_id="1600000205048078",
        placed_at=datetime(2026, 4, 30, 12, 40, 12, tzinfo=IST),
    )


def test_rejected_row_carries_the_brokers_words() -> None:
    (row,) = parse.parse_order_book(answer_of(payload("get_orders_rejected.json")))
    assert row.state is BrokerOrderState.REJECTED
    assert row.message == "RMS: Margin Exceeds"
    assert row.broker_tag == 176300000012302
    assert row.price == Decimal("38.6")


def test_single_order_is_the_one_row_of_a_list() -> None:
    row = parse.parse_single_order(answer_of(payload("get_order_open.json")), "26042500000504")
    assert row is not None
    assert row.state is BrokerOrderState.OPEN
    assert row.broker_tag == 176300000012301
    assert row.codes["security_id"] == "WIPLTDEQNR"


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        (176300000012301, 176300000012301),
        ("176300000012301", 176300000012301),
        ("00000176300000012301", 176300000012301),
        (176300000012301.0, 176300000012301),
        ("1.76300000012301E14", 176300000012301),
        (176300000012301.5, None),
        ("1e99", None),
        ("STAPI202404306812180", None),
        ("17630000001230", None),
        ("1763000000123012", None),
        (1.5, None),
        ("", None),
        (None, None),
        ([176300000012301], None),
    ],
)
def test_only_fifteen_digits_are_our_tag(written: Any, tag: int | None) -> None:
    assert book(external_reference_number=written)[0].broker_tag == tag


def test_a_byte_order_mark_does_not_hide_an_order_that_was_taken() -> None:
    taken = b'\xef\xbb\xbf{"status":"success","data":{"order_id":"26042500000504"}}\r\n'
    assert parse.parse_placed(read_answer(200, taken)).broker_order_id == "26042500000504"


def test_tag_that_went_through_a_double_is_read() -> None:
    row = json.dumps(ROW)[:-1].encode() + b',"external_reference_number":1.76300000012301E14}'
    answer = answer_of(b'{"status":"success","data":[' + row + b"]}")
    assert parse.parse_order_book(answer)[0].broker_tag == 176300000012301


def test_misspelt_reference_is_read_too() -> None:
    assert book(external_reference_rumber="176300000012301")[0].broker_tag == 176300000012301


def test_numbers_as_text_with_separators_are_read_by_their_digits() -> None:
    (row,) = book(quantity="1,000", filled_quantity="", price="1,402.10", trigger_price="")
    assert (row.quantity, row.filled_quantity) == (1000, 0)
    assert (row.price, row.trigger_price) == (Decimal("1402.10"), None)


def test_average_price_that_the_broker_gives_is_kept() -> None:
    (row,) = book(filled_quantity=3, average_price=10.25, total_traded_value=1.0)
    assert row.average_price == Decimal("10.25")


def test_average_price_is_rounded_to_four_decimals() -> None:
    assert book(filled_quantity=3, total_traded_value=100)[0].average_price == Decimal("33.3333")


def test_values_outside_the_vocabulary_are_none_not_guessed() -> None:
    (row,) = book(order_type="BRACKET", product="COLL-SELL", transaction_type="SHORT", validity="X")
    assert (row.order_type, row.product, row.side, row.validity) == (None, None, None, None)


def test_stray_spelling_of_a_stop_order_is_read() -> None:
    assert book(order_type="sl-l", transaction_type="SELL")[0].order_type is OrderType.SL


@pytest.mark.parametrize(
    "body",
    [{"status": "success", "data": []}, {"status": "success", "data": None}, {"status": "success"}],
)
def test_empty_book_inside_a_success_is_empty(body: Any) -> None:
    assert parse.parse_order_book(answer_of(body)) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>maintenance</html>"),
        (200, b'{"status":"success","data":[{"order_id":"1","quantity":1},'),
        (200, {"data": []}),
        (200, {"status": "success", "data": {}}),
        (200, {"status": "success", "data": "none"}),
        (200, {"status": "success", "data": [1]}),
        (200, {"status": "success", "data": [{"quantity": 1, "status": "Traded"}]}),
        (200, {"status": "success", "data": [{"order_id": "1", "status": "Traded"}]}),
        (200, {"status": "success", "data": [ROW, ROW | {"quantity": "many"}]}),
        (200, {"status": "success", "data": [ROW | {"quantity": -1}]}),
        (200, {"status": "success", "data": [ROW | {"quantity": 1.5}]}),
        (200, {"status": "success", "data": [ROW | {"quantity": "1e30"}]}),
        (
            200,
            {
                "status": "success",
                "data": [ROW | {"filled_quantity": 1, "total_traded_value": "1e24"}],
            },
        ),
        (200, {"status": "success", "data": [ROW | {"filled_quantity": "NaN"}]}),
        (200, {"status": "error", "message": "No data found"}),
        (302, {"status": "success", "data": []}),
        (404, b""),
        (403, {"status": "error", "message": "IP not whitelisted"}),
        (429, {"error": "merchantKeyRateLimit - too many requests"}),
        (502, b"bad gateway"),
    ],
)
def test_anything_but_a_whole_good_book_is_not_read(status: int, body: Any) -> None:
    with pytest.raises(BadAnswer):
        parse.parse_order_book(answer_of(body, status))


def test_dead_session_on_a_read_is_login_expired() -> None:
    with pytest.raises(LoginExpired):
        parse.parse_order_book(answer_of(payload("error_401.json"), 401))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"status": "success", "data": []}),
        (200, {"status": "error", "message": "Order not found"}),
        (404, {"status": "error", "message": "No such order"}),
    ],
)
def test_order_that_the_broker_says_it_lacks_is_none(status: int, body: Any) -> None:
    assert parse.parse_single_order(answer_of(body, status), "1") is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, b"<html>"),
        (200, {"status": "success", "data": [ROW]}),
        (500, {"message": "order not found"}),
    ],
)
def test_doubtful_answers_do_not_make_an_order_absent(status: int, body: Any) -> None:
    with pytest.raises(BadAnswer):
        parse.parse_single_order(answer_of(body, status), "1")


def test_unmentioned_time_is_none() -> None:
    assert book(order_timestamp="yesterday")[0].placed_at is None
