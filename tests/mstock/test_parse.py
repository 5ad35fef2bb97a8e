from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.mstock import parse, rows
from adapters.mstock.constants import IST
from adapters.mstock.envelope import decode_envelope
from adapters.sdk.errors import BadAnswer, LoginExpired, LoginRefused, ReasonCode, Refused
from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    OrderType,
    Product,
    Side,
    Validity,
)
from tests.mstock.support import TAG, answer

ORDER_ID = "21612611221476"


def book() -> dict[str, BrokerOrder]:
    fills = parse.fills_by_order(rows.TRADES.read(answer("get_tradebook")))
    orders = parse.book_orders(rows.ORDERS.read(answer("get_orders_every_status")), fills)
    return {order.broker_order_id[-2:]: order for order in orders}


def row(**changes: Any) -> rows.OrderRow:
    return rows.ORDERS.of({**rows.list_of(answer("get_orders"))[0], **changes})


def trade(**changes: Any) -> rows.TradeRow:
    return rows.TRADES.of({**rows.list_of(answer("get_tradebook"))[0], **changes})


def state(status: str, *, filled: int = 0, **changes: Any) -> BrokerOrderState | None:
    fields = row(status=status, orderstatus=status, quantity="10", **changes)
    return parse.order(fields, ORDER_ID, parse.Fills(filled, Decimal(filled))).state


def test_the_request_token_is_what_step_1_calls_jwt_token() -> None:
    token = parse.request_token(answer("post_connect_login"))
    assert token == "697c39bf-9411-46b0-81c2-000000000000"


def test_a_filled_refresh_token_of_step_1_is_preferred() -> None:
    envelope = decode_envelope(
        200, b'{"status":"true","data":{"jwtToken":"a-jwt","refreshToken":"a-refresh"}}'
    )
    assert parse.request_token(envelope) == "a-refresh"


def test_a_wrong_password_is_refused_with_the_attempts_that_remain() -> None:
    with pytest.raises(LoginRefused, match="9 attempts remaining") as caught:
        parse.request_token(answer("post_connect_login_wrong_password"))
    assert caught.value.restart
    assert caught.value.broker_code == "MA500"


@pytest.mark.parametrize("data", [None, [], {}, {"jwtToken": "", "refreshToken": ""}, "token"])
def test_a_login_without_a_token_is_a_bad_answer(data: Any) -> None:
    raw = json.dumps({"status": "true", "data": data}).encode()
    with pytest.raises(BadAnswer):
        parse.request_token(decode_envelope(200, raw))


def test_a_token_with_a_line_break_is_a_bad_answer() -> None:
    raw = json.dumps({"status": "true", "data": {"jwtToken": "a\r\nb"}}).encode()
    with pytest.raises(BadAnswer):
        parse.login_tokens(decode_envelope(200, raw), mode="otp")


def test_an_otp_session_names_no_client_and_ignores_the_message() -> None:
    tokens = parse.login_tokens(answer("post_session_token"), mode="otp")
    assert tokens.client_id is None
    assert tokens.jwt.startswith("eyJ")
    assert tokens.jwt not in repr(tokens)


def test_a_totp_session_names_its_client() -> None:
    tokens = parse.login_tokens(answer("post_session_verifytotp"), mode="totp")
    assert tokens.client_id == "MA000001"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("post_session_token_otp_expired", "otp"),
        ("post_session_verifytotp_wrong_http400", "totp"),
        ("post_session_token_key_dead_http403", "otp"),
        ("ia401_http401", "otp"),
    ],
)
def test_a_login_that_cannot_go_on_begins_again(name: str, mode: str) -> None:
    with pytest.raises(LoginRefused) as caught:
        parse.login_tokens(answer(name), mode=mode)
    assert caught.value.restart


def test_a_mistyped_otp_may_be_typed_again() -> None:
    raw = b'{"status":"false","message":"Please enter a valid OTP","errorcode":"MA500"}'
    with pytest.raises(LoginRefused) as caught:
        parse.login_tokens(decode_envelope(200, raw), mode="otp")
    assert not caught.value.restart


@pytest.mark.parametrize(
    ("http", "code"), [(500, "MA500"), (200, "IA500"), (429, "MA500"), (405, "")]
)
def test_a_login_answer_that_refuses_nothing_is_a_bad_answer(http: int, code: str) -> None:
    raw = json.dumps({"status": "false", "message": "no", "errorcode": code}).encode()
    with pytest.raises(BadAnswer):
        parse.login_tokens(decode_envelope(http, raw), mode="otp")


@pytest.mark.parametrize(
    ("issued", "ends"),
    [
        ("2026-11-23T08:45:00+05:30", "2026-11-23T20:45:00+05:30"),
        ("2026-11-23T12:00:01+05:30", "2026-11-24T00:00:00+05:30"),
        ("2026-11-23T06:00:00+00:00", "2026-11-23T23:30:00+05:30"),
        ("2026-11-23T19:00:00+00:00", "2026-11-24T12:30:00+05:30"),
    ],
)
def test_a_session_ends_after_12_hours_or_at_midnight_in_india(issued: str, ends: str) -> None:
    found = parse.session_end(datetime.fromisoformat(issued))
    assert datetime.fromisoformat(ends) == found


def test_a_placement_gives_the_order_id_out_of_a_list() -> None:
    assert parse.placed(answer("post_orders_regular")).broker_order_id == ORDER_ID


def test_the_older_shape_of_a_placement_is_read_and_trimmed() -> None:
    placed = parse.placed(answer("post_orders_regular_older_mock"))
    assert placed.broker_order_id == "1191241106101"


def test_a_placement_without_an_id_proves_nothing() -> None:
    with pytest.raises(BadAnswer):
        parse.placed(decode_envelope(200, b'[{"status":"true","data":{"script":"IDEA-EQ"}}]'))


def test_an_accepted_cancel_keeps_the_id_that_was_asked_for() -> None:
    found = parse.cancel_requested(answer("delete_orders_regular"), ORDER_ID)
    assert found.broker_order_id == ORDER_ID


def test_an_accepted_cancel_of_another_order_proves_nothing() -> None:
    with pytest.raises(BadAnswer):
        parse.cancel_requested(answer("delete_orders_regular"), "21612611221999")


def test_a_cancel_of_a_closed_order_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        parse.cancel_requested(answer("delete_orders_regular_closed"), ORDER_ID)
    assert caught.value.broker_code == "RS-00093"


@pytest.mark.parametrize("data", [b"null", b'"None"', b'"none"', b"[]"])
def test_a_good_answer_without_rows_is_an_empty_book(data: bytes) -> None:
    raw = b'{"status":"true","message":"SUCCESS","errorcode":"","data":%s}' % data
    assert rows.list_of(decode_envelope(200, raw)) == []


@pytest.mark.parametrize(
    ("http", "raw"),
    [
        (200, b'{"status":"false","message":"no","errorcode":"","data":null}'),
        (200, b'{"status":"false","message":"no","errorcode":"IA500","data":[]}'),
        (500, b'{"status":"true","data":[]}'),
        (200, b'{"status":"true"}'),
        (200, b'{"status":"true","data":{}}'),
        (200, b'{"status":"true","data":"Nothing"}'),
        (200, b'{"status":"true","data":[null]}'),
        (200, b'{"status":"true","errorcode":"IA500","data":null}'),
    ],
)
def test_no_other_answer_is_an_empty_book(http: int, raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        rows.list_of(decode_envelope(http, raw))


def test_a_dead_session_is_not_an_empty_book() -> None:
    with pytest.raises(LoginExpired):
        rows.list_of(answer("ia401_http401"))


def test_the_book_reads_every_status_of_the_sample() -> None:
    states = {key: order.state for key, order in book().items()}
    assert states == {
        "76": BrokerOrderState.OPEN,
        "77": BrokerOrderState.PENDING,
        "78": BrokerOrderState.REJECTED,
        "79": BrokerOrderState.FILLED,
        "80": BrokerOrderState.CANCELLED,
        "81": BrokerOrderState.TRIGGER_PENDING,
        "82": BrokerOrderState.PENDING,
        "83": BrokerOrderState.PARTIALLY_FILLED,
        "84": BrokerOrderState.OPEN,
        "01": None,
    }


def test_a_resting_order_is_read_whole() -> None:
    assert book()["76"] == BrokerOrder(
        broker_order_id=ORDER_ID,
        state=BrokerOrderState.OPEN,
        raw_state="Pending",
        codes={"exchange": "NSE", "token": "14366"},
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        product=Product.CNC,
        validity=Validity.DAY,
        quantity=1,
        filled_quantity=0,
        price=Decimal("6.10"),
        exchange_order_id="1100000012345678",
        message="CONFIRMED",
        placed_at=datetime(2026, 11, 22, 10, 20, 34, tzinfo=IST),
    )


def test_fills_and_their_average_come_from_the_trade_book() -> None:
    filled = book()["79"]
    assert filled.filled_quantity == 3
    assert filled.average_price == Decimal("6.1333")


def test_a_cancelled_order_keeps_what_had_filled() -> None:
    assert book()["80"].filled_quantity == 2


def test_an_unknown_status_changes_nothing_and_is_shown() -> None:
    assert book()["01"].state is None
    assert book()["01"].raw_state == "Frozen"


def test_a_derivative_is_named_by_its_own_segment_and_margin_is_nrml() -> None:
    option = book()["84"]
    assert option.codes == {"exchange": "NFO", "token": "54322"}
    assert option.product is Product.NRML


def test_margin_on_a_share_is_mtf_and_never_intraday() -> None:
    found = parse.order(row(producttype="MARGIN"), ORDER_ID, parse.NO_FILLS)
    assert found.product is Product.MTF


def test_a_currency_row_matches_no_share_of_the_same_token() -> None:
    found = parse.order(row(instrumenttype="FUTCUR"), ORDER_ID, parse.NO_FILLS)
    assert found.codes == {"token": "14366", "book_exchange": "NSE", "instrumenttype": "FUTCUR"}


def test_a_row_that_does_not_tell_its_segment_claims_none() -> None:
    found = parse.order(row(instrumenttype=None, symboltoken=""), ORDER_ID, parse.NO_FILLS)
    assert found.codes == {"book_exchange": "NSE"}


def test_filled_shares_of_the_book_are_not_believed() -> None:
    found = parse.order(
        row(quantity="10", filledshares="10", averageprice="6.10"), ORDER_ID, parse.NO_FILLS
    )
    assert found.filled_quantity == 0
    assert found.average_price is None
    assert found.state is BrokerOrderState.OPEN


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        ("Transit", 0, BrokerOrderState.PENDING),
        (" transit ", 0, BrokerOrderState.PENDING),
        ("Transit", 1, None),
        ("O-Pending", 0, BrokerOrderState.PENDING),
        ("O-Modified", 0, BrokerOrderState.PENDING),
        ("Pending", 0, BrokerOrderState.OPEN),
        ("Pending", 4, BrokerOrderState.PARTIALLY_FILLED),
        ("Pending", 10, BrokerOrderState.FILLED),
        ("Open", 0, BrokerOrderState.OPEN),
        ("Modified", 3, BrokerOrderState.PARTIALLY_FILLED),
        ("M-Pending", 0, BrokerOrderState.OPEN),
        ("Trigger Pending", 0, BrokerOrderState.TRIGGER_PENDING),
        ("Traded", 10, BrokerOrderState.FILLED),
        ("TRADED", 10, BrokerOrderState.FILLED),
        ("Traded", 4, BrokerOrderState.PARTIALLY_FILLED),
        ("Trade Confirmed", 10, BrokerOrderState.FILLED),
        ("Complete", 10, BrokerOrderState.FILLED),
        ("Executed", 9, BrokerOrderState.PARTIALLY_FILLED),
        ("Partially Filled", 4, BrokerOrderState.PARTIALLY_FILLED),
        ("Part Traded", 4, BrokerOrderState.PARTIALLY_FILLED),
        ("Unfilled", 0, None),
        ("Not executed", 0, None),
        ("Cancelled", 4, BrokerOrderState.CANCELLED),
        ("O-Cancelled", 0, BrokerOrderState.CANCELLED),
        ("Rejected", 0, BrokerOrderState.REJECTED),
        ("Rejected", 2, None),
        ("Expired", 0, BrokerOrderState.EXPIRED),
        ("Lapsed", 0, BrokerOrderState.EXPIRED),
        ("", 0, None),
        ("Pending Approval", 0, None),
    ],
)
def test_statuses_map_as_the_dossier_says(
    status: str, filled: int, expected: BrokerOrderState | None
) -> None:
    assert expected == state(status, filled=filled)


@pytest.mark.parametrize(
    ("cancelled", "filled", "expected"),
    [
        ("6", 0, None),
        ("6", 4, BrokerOrderState.CANCELLED),
        ("10", 0, BrokerOrderState.CANCELLED),
        ("0", 0, BrokerOrderState.CANCELLED),
        ("", 4, BrokerOrderState.CANCELLED),
    ],
)
def test_a_cancelled_order_waits_for_the_fills_that_its_trade_book_lacks(
    cancelled: str, filled: int, expected: BrokerOrderState | None
) -> None:
    assert state("Cancelled", filled=filled, cancelsize=cancelled) is expected


@pytest.mark.parametrize("word", ["SL", "SL-M", "STOP_LOSS", "STOPLOSS_LIMIT", "STOP_LOSS_MARKET"])
def test_a_pending_stop_without_a_fill_waits_for_its_trigger(word: str) -> None:
    assert state("Pending", ordertype=word) is BrokerOrderState.TRIGGER_PENDING


def test_a_pending_stop_with_a_fill_has_been_triggered() -> None:
    assert state("Pending", filled=4, ordertype="SL") is BrokerOrderState.PARTIALLY_FILLED


def test_prices_that_an_order_type_does_not_have_are_none() -> None:
    market = parse.order(
        row(ordertype="MARKET", price="812.00", triggerprice="5"), ORDER_ID, parse.NO_FILLS
    )
    assert (market.price, market.trigger_price) == (None, None)


@pytest.mark.parametrize(
    "changes", [{"quantity": ""}, {"quantity": "ten"}, {"quantity": "1.5"}, {"quantity": "-1"}]
)
def test_a_row_without_a_quantity_makes_the_whole_read_bad(changes: dict[str, str]) -> None:
    with pytest.raises(BadAnswer):
        parse.book_orders([row(), row(**changes)], {})


def test_a_row_without_an_order_id_makes_the_whole_read_bad() -> None:
    with pytest.raises(BadAnswer):
        parse.book_orders([row(orderid=None)], {})


@pytest.mark.parametrize("missing", ["ORDER_NUMBER", "QUANTITY", "PRICE"])
def test_a_trade_that_cannot_be_read_makes_the_whole_read_bad(missing: str) -> None:
    with pytest.raises(BadAnswer):
        parse.fills_by_order([trade(**{missing: None})])


def test_a_trade_that_is_listed_twice_counts_once() -> None:
    trades = rows.TRADES.read(answer("get_tradebook"))
    fills = parse.fills_by_order([*trades, trades[0]])
    assert fills["21612611221479"].quantity == 3


def test_the_details_echo_the_tag_and_keep_the_id_that_was_asked_for() -> None:
    details = rows.ORDERS.read(answer("post_order_details"))
    chosen = parse.details_row(details, ORDER_ID)
    assert chosen is not None
    found = parse.order(chosen, ORDER_ID, parse.NO_FILLS)
    assert found.broker_order_id == ORDER_ID
    assert found.exchange_order_id == "1100000012345678"
    assert found.broker_tag == TAG
    assert found.price == Decimal("6.1")
    assert found.placed_at == datetime(2026, 11, 22, 13, 20, 34, tzinfo=IST)


@pytest.mark.parametrize("tag", ["", "GW01HZX9K3", "12345678901234", "012345678901234", None])
def test_a_tag_that_is_not_15_digits_is_not_ours(tag: str | None) -> None:
    assert parse.order(row(ordertag=tag), ORDER_ID, parse.NO_FILLS).broker_tag is None


def test_no_details_are_no_order() -> None:
    assert parse.details_row([], ORDER_ID) is None


def test_of_several_details_the_newest_counts() -> None:
    older = row(updatetime="22-11-2026 10:20:34 AM", status="Transit")
    newer = row(updatetime="22-11-2026 12:20:34 PM", status="Traded")
    assert parse.details_row([newer, older], ORDER_ID) is newer


def test_several_details_without_a_newest_are_a_bad_answer() -> None:
    with pytest.raises(BadAnswer):
        parse.details_row([row(status="Transit"), row(status="Traded")], ORDER_ID)
    with pytest.raises(BadAnswer):
        parse.details_row([row(updatetime="", exchorderupdatetime=""), row()], "another")


def test_the_trade_book_is_needed_where_an_order_may_have_fills() -> None:
    assert not parse.may_have_fills(row(status="Transit"))
    assert not parse.may_have_fills(row(status="Rejected"))
    assert parse.may_have_fills(row(status="Cancelled"))
    assert parse.may_have_fills(row(status="Some new word"))


def test_a_refused_login_names_the_address_where_that_is_the_reason() -> None:
    with pytest.raises(LoginRefused) as caught:
        parse.request_token(answer("ia403_ip_mismatch_http403"))
    assert caught.value.reason == ReasonCode.IP_NOT_WHITELISTED


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("EXCH:16308:The order has been canceled due to price freeze.", ReasonCode.PRICE_BAND),
        ("EXCH:16284:The order price is out of the days price range.", ReasonCode.PRICE_BAND),
        ("RMS:2161:FUND LIMIT INSUFFICIENT", ReasonCode.MARGIN_SHORT),
        ("UNSOLICITATED INSERT", ReasonCode.EXCHANGE_REJECTED),
        ("", ReasonCode.EXCHANGE_REJECTED),
    ],
)
def test_a_rejected_order_says_why_in_our_words_too(words: str, reason: ReasonCode) -> None:
    found = parse.order(row(status="Rejected", text=words), ORDER_ID, parse.NO_FILLS)
    assert (found.reason, found.message) == (reason, words or None)


def test_an_order_that_is_not_rejected_has_no_reason() -> None:
    assert parse.order(row(text="FUND LIMIT INSUFFICIENT"), ORDER_ID, parse.NO_FILLS).reason is None
