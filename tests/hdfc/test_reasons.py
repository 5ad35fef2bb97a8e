"""Codes and texts of the broker's risk and order systems to our reasons (dossier 4.2 to 4.4)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from adapters.hdfc import parse
from adapters.hdfc.reasons import OMS_CODES, is_doubtful, reason_of
from adapters.hdfc.values import unrecognised
from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import BrokerOrder, BrokerOrderState
from tests.hdfc.support import answer_of, payload

REJECTED: dict[str, Any] = {
    "order_id": "26042500000504",
    "status": "Rejected",
    "quantity": 10,
    "filled_quantity": 0,
    "pending_quantity": 0,
}


def rejected(message: str, raw: str = "", **changes: Any) -> BrokerOrder:
    row = REJECTED | {"status_message": message, "status_message_raw": raw} | changes
    (order,) = parse.parse_order_book(answer_of({"status": "success", "data": [row]}))
    return order


# Every code that the dossier's table 4.4 names, and what it stands for.
@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (range(1001, 1011), ReasonCode.INVALID_ORDER),
        ((1011, 1012, 1013), ReasonCode.BROKER_REJECTED),
        ((1014, 1015), ReasonCode.MARKET_CLOSED),
        ((1016, 1017), ReasonCode.INSTRUMENT_BLOCKED),
        (range(5001, 5016), ReasonCode.BROKER_REJECTED),
        ((5050,), ReasonCode.PRICE_BAND),
        ((5051, 5098), ReasonCode.BROKER_REJECTED),
        (range(6101, 6108), ReasonCode.BROKER_REJECTED),
        ((7001,), ReasonCode.PRICE_BAND),
        ((7003,), ReasonCode.INSTRUMENT_BLOCKED),
        ((11001, *range(12001, 12007)), ReasonCode.MARGIN_SHORT),
        (range(15000, 15016), ReasonCode.SEGMENT_NOT_ENABLED),
        ((16000, 16278), ReasonCode.MARKET_CLOSED),
        ((16049, 16330), ReasonCode.INSTRUMENT_BLOCKED),
        ((16283,), ReasonCode.TICK_SIZE),
        ((16284, 16316, 16308, 17070), ReasonCode.PRICE_BAND),
        ((16307,), ReasonCode.FREEZE_QUANTITY),
        ((16328,), ReasonCode.LOT_SIZE),
        ((16344, 16346, 16615, 16616, 17080), ReasonCode.EXCHANGE_REJECTED),
        ((20100,), ReasonCode.RATE_LIMITED),
        ((20102, 20103, 20104, 50001, 50003), ReasonCode.BROKER_UNAVAILABLE),
        ((50002,), ReasonCode.BROKER_REJECTED),
    ],
)
def test_oms_codes(codes: Any, reason: ReasonCode) -> None:
    for code in codes:
        assert reason_of(f"{code} : no") is reason
        assert reason_of(f"Error from backend: ({code})-no") is reason
        assert reason_of("no", str(code)) is reason


def test_codes_between_the_listed_ones_say_nothing() -> None:
    listed = {n for low, high, _ in OMS_CODES for n in range(low, high + 1)}
    for code in (1018, 5016, 5049, 5052, 6100, 6108, 7002, 11002, 12007, 15016, 20101, 50004):
        assert code not in listed
        assert reason_of(f"{code} : no") is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("RMS: Margin Exceeds", ReasonCode.MARGIN_SHORT),
        ("RMS: rule 17 check failed", ReasonCode.BROKER_REJECTED),
        ("15005 MIS not allowed", ReasonCode.PRODUCT_NOT_ALLOWED),
        ("15006 short sell not allowed", ReasonCode.PRODUCT_NOT_ALLOWED),
        ("15000 not ready", ReasonCode.SEGMENT_NOT_ENABLED),
        ("16500 trading halted, scrip suspended", ReasonCode.INSTRUMENT_BLOCKED),
        ("1012 margin limit of the position", ReasonCode.MARGIN_SHORT),
        ("12001 bad tick", ReasonCode.MARGIN_SHORT),
        ("Insufficient funds, short by (15000)", ReasonCode.MARGIN_SHORT),
        ("price outside execution range", ReasonCode.PRICE_BAND),
        ("Pre-Open orders not allowed now", ReasonCode.MARKET_CLOSED),
        ("eDIS authorisation pending", ReasonCode.EDIS_REQUIRED),
        ("`product` is invalid", ReasonCode.PRODUCT_NOT_ALLOWED),
        ("`exchange_order_id` can't be blank", ReasonCode.INVALID_ORDER),
        ("algo orders from merchant can only of Limit type", ReasonCode.ORDER_TYPE_NOT_ALLOWED),
        ("computer says no", None),
        ("", None),
    ],
)
def test_texts(words: str, reason: ReasonCode | None) -> None:
    assert reason_of(words) is reason


@pytest.mark.parametrize("code", ["45010", "50001", "50002", "50003", "20100", "20102", "20104"])
def test_codes_that_leave_an_order_open(code: str) -> None:
    assert is_doubtful("no", code)
    assert is_doubtful(f"{code} - no")
    assert is_doubtful(f"backend ({code}) no")


def test_rejection_in_the_book_has_its_reason_and_keeps_the_code_in_its_message() -> None:
    (row,) = parse.parse_order_book(answer_of(payload("get_orders_rejected_oms.json")))
    assert (row.state, row.reason) == (BrokerOrderState.REJECTED, ReasonCode.TICK_SIZE)
    assert row.message == (
        "Order rejected by the exchange [16283 : Order price is not a multiple of the tick]"
    )
    (row,) = parse.parse_order_book(answer_of(payload("get_orders_rejected.json")))
    assert (row.message, row.reason) == ("RMS: Margin Exceeds", ReasonCode.MARGIN_SHORT)


@pytest.mark.parametrize(
    ("message", "raw", "shown"),
    [
        ("no margin", "", "no margin"),
        ("", "11001 no margin", "11001 no margin"),
        ("no margin", "no margin", "no margin"),
        ("no margin", "11001 : no margin", "11001 : no margin"),
        ("11001 : no margin at all", "no margin", "11001 : no margin at all"),
        ("", "", None),
    ],
)
def test_both_texts_of_a_rejection_are_kept_once(message: str, raw: str, shown: str | None) -> None:
    assert rejected(message, raw).message == shown


def test_rejection_that_says_nothing_has_no_reason() -> None:
    assert rejected("").reason is None
    assert rejected("computer says no").reason is None


@pytest.mark.parametrize("words", ["20104 : BSE", "Result of transaction unknown"])
def test_rejection_whose_result_nobody_knows_ends_nothing(words: str) -> None:
    row = rejected(words)
    assert (row.state, row.raw_state, row.message) == (None, "Rejected", words)
    assert rejected("20102 : BSE service unavailable").state is BrokerOrderState.REJECTED


def test_reason_belongs_to_rejected_orders_only() -> None:
    row = rejected("12001 blocked for margin", status="CANCELLED")
    assert (row.state, row.reason) == (BrokerOrderState.CANCELLED, None)


def test_unknown_words_of_a_row_are_logged_once_and_shown_raw(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unrecognised.cache_clear()
    words = {
        "status": "Frozen",
        "order_type": "ICEBERG",
        "product": "SUPER",
        "validity": "GTT",
        "transaction_type": "Short",
    }
    with caplog.at_level(logging.WARNING):
        row, again = rejected("", **words), rejected("", **words)
    assert row == again
    assert (row.state, row.raw_state, row.order_type, row.product) == (None, "Frozen", None, None)
    assert sorted(record.getMessage() for record in caplog.records) == [
        "HDFC: unrecognised order status 'Frozen'",
        "HDFC: unrecognised order type 'ICEBERG'",
        "HDFC: unrecognised product 'SUPER'",
        "HDFC: unrecognised side 'Short'",
        "HDFC: unrecognised validity 'GTT'",
    ]


def test_words_that_are_the_brokers_but_none_of_ours_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for product in ("COLL-SELL", "ENCASH", "COVER"):
        assert rejected("", product=product, validity="GTD").product is None
    assert not caplog.records
