from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from adapters.fyers import parse
from adapters.fyers.constants import IST
from adapters.fyers.parse_account import parse_positions, parse_trade_book
from adapters.fyers.parse_quotes import parse_quotes
from adapters.fyers.values import parse_time
from adapters.sdk.errors import (
    BadAnswer,
    LoginExpired,
    LoginRefused,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import BrokerOrderState, OrderType, Product, Side, Validity
from adapters.sdk.transport import HttpResponse
from tests.fyers.payloads import answer, answer_of, body, envelope_of


def placed(response: HttpResponse):
    return parse.parse_placed(envelope_of(response))


def cancelled(response: HttpResponse):
    return parse.parse_cancel_requested(envelope_of(response), "26112200000123")


def modified(response: HttpResponse):
    return parse.parse_modified(envelope_of(response), "26112200000123")


def order_book(response: HttpResponse):
    return parse.parse_order_book(envelope_of(response))


def trade_book(response: HttpResponse):
    return parse_trade_book(envelope_of(response))


def positions(response: HttpResponse):
    return parse_positions(envelope_of(response))


def quotes(response: HttpResponse):
    return parse_quotes(envelope_of(response), _NAMES, _READ_AT)


_NAMES = {"NSE:SBIN-EQ": "NSE:SBIN", "NSE:NIFTY50-INDEX": "NSE:NIFTY 50"}
_READ_AT = datetime(2026, 11, 22, 10, 30, tzinfo=IST)


def test_accepted_order_gives_its_id():
    assert "26112200000123" == placed(answer("post_orders_sync")).broker_order_id


def test_numeric_order_id_is_read_as_text():
    answered = placed(answer_of('{"s":"OK","code":1101,"message":"x","id":26112200000123}'))

    assert "26112200000123" == answered.broker_order_id


def test_rejection_with_an_id_is_refused_and_names_the_order_in_the_book():
    with pytest.raises(Refused) as caught:
        placed(answer("post_orders_sync_margin_shortfall"))

    assert "26112200000124" == caught.value.broker_order_id
    assert ReasonCode.MARGIN_SHORT is caught.value.reason
    assert "-99" == caught.value.broker_code
    assert not caught.value.repeatable


def test_client_code_never_reaches_a_message():
    with pytest.raises(Refused) as caught:
        placed(answer("post_orders_sync_margin_shortfall"))

    assert "FX0011" not in f"{caught.value} {caught.value.broker_message}"
    assert "FX0011" not in str([row.message for row in order_book(answer("get_orders"))])


@pytest.mark.parametrize("code", [-99, -50, -51, -52, -53, -300, -310, -352, -373, -410, 400])
@pytest.mark.parametrize("status", [200, 400])
def test_listed_code_is_a_refusal_that_is_not_repeated(code: int, status: int):
    with pytest.raises(Refused) as caught:
        placed(answer_of(f'{{"s":"error","code":{code},"message":"no"}}', status))

    assert not caught.value.repeatable
    assert caught.value.broker_order_id is None


@pytest.mark.parametrize("code", [-96, -174, -201, -202, -204, -205, -329, 201])
@pytest.mark.parametrize("status", [200, 403])
def test_ambiguous_code_proves_nothing_whatever_its_words(code: int, status: int):
    text = f'{{"s":"error","code":{code},"message":"connection to ip 10.0.0.1 lost"}}'
    with pytest.raises(BadAnswer):
        placed(answer_of(text, status))


@pytest.mark.parametrize("code", [-9999, 0, 77])
def test_unlisted_code_proves_nothing(code: int):
    with pytest.raises(BadAnswer):
        placed(answer_of(f'{{"s":"error","code":{code},"message":"hm"}}'))


@pytest.mark.parametrize("verdict", ["ok", "error", "?"])
def test_missing_acknowledgement_proves_nothing_even_with_an_id(verdict: str):
    with pytest.raises(BadAnswer):
        placed(answer_of(f'{{"s":"{verdict}","code":201,"message":"","id":"26112200000125"}}'))


@pytest.mark.parametrize(
    "text",
    [
        '{"s":"ok","code":1101,"message":"taken"}',
        '{"s":"ok","code":1101,"message":"taken","id":""}',
        '{"s":"ok","code":1101,"id":true}',
        '{"s":"ok","code":-50,"id":"26112200000125"}',
        '{"s":"error","code":-50,"message":"Invalid input","id":"26112200000125"}',
        '{"code":-50,"message":"Invalid input"}',
        '{"s":"error","message":"no code"}',
        "{}",
        "[]",
        "null",
        "",
        "<html>502 Bad Gateway</html>",
        '{"s":"ok","code":1101,"id":"2611220000',
    ],
)
def test_answer_without_verdict_or_id_proves_nothing(text: str):
    with pytest.raises(BadAnswer):
        placed(answer_of(text))


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_server_error_is_never_a_refusal_whatever_its_body_says(status: int):
    with pytest.raises(BadAnswer):
        placed(answer("post_orders_sync_invalid", status))
    with pytest.raises(BadAnswer):
        placed(answer("post_orders_sync_rate_limited", status))
    with pytest.raises(BadAnswer):
        placed(answer_of("<html>cloudflare</html>", status))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, '{"code":-16,"message":"Could not authenticate the user","s":"error"}'),
        (
            200,
            '{"s":"error","code":-8,"message":"Your token has expired. Please generate a token"}',
        ),
        (400, '{"message":"Please provide valid token","code":-15,"s":"error"}'),
        (403, '{"s":"error","code":-17,"message":"Could not authenticate the user"}'),
        (401, "<html>401</html>"),
        (401, '{"message":"nope"}'),
    ],
)
def test_dead_token_does_not_claim_that_nothing_was_created(status: int, text: str):
    with pytest.raises(LoginExpired) as caught:
        placed(answer_of(text, status))

    assert not caught.value.created_nothing


def test_retired_refresh_call_is_not_a_dead_token():
    with pytest.raises(BadAnswer):
        placed(
            answer_of(
                '{"s":"error","code":-16,"message":"Refresh token API is currently disabled to'
                ' comply with SEBI regulations."}'
            )
        )


@pytest.mark.parametrize("code", [429, -429, -353])
@pytest.mark.parametrize("status", [429, 400, 200])
@pytest.mark.parametrize("write", [placed, modified, cancelled])
def test_rate_limit_answer_to_a_write_proves_nothing(
    write: Callable[[HttpResponse], object], code: int, status: int
):
    text = f'{{"code":{code},"message":"request limit reached","s":"error"}}'
    with pytest.raises(BadAnswer) as caught:
        write(answer_of(text, status))

    assert ReasonCode.RATE_LIMITED is caught.value.reason
    assert str(code) == caught.value.broker_code


@pytest.mark.parametrize(
    "text",
    [
        "<html>429</html>",
        '{"message":"Too many"}',
        '{"code":-50,"message":"x","s":"error"}',
        '{"code":429,"message":"x","s":"error","id":"1"}',
    ],
)
@pytest.mark.parametrize("write", [placed, modified, cancelled])
def test_http_429_proves_nothing_whatever_its_body_says(
    write: Callable[[HttpResponse], object], text: str
):
    with pytest.raises(BadAnswer) as caught:
        write(answer_of(text, 429))

    assert ReasonCode.RATE_LIMITED is caught.value.reason


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2", "x-retry-after-ms": "1250"}, 1.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("text", [None, "<html>429</html>"])
def test_rate_limit_says_how_long_to_wait(
    headers: dict[str, str], seconds: float | None, text: str | None
):
    data = body("post_orders_sync_rate_limited") if text is None else text.encode()
    for call in (placed, modified, cancelled, order_book, trade_book, positions, quotes):
        with pytest.raises(BadAnswer) as caught:
            call(HttpResponse(429, headers, data))
        assert seconds == caught.value.retry_after_s, call


def test_rate_limited_login_may_be_tried_again():
    with pytest.raises(LoginRefused) as caught:
        parse.parse_access_token(
            envelope_of(answer("post_orders_sync_rate_limited", 429, {"retry-after": "3"}))
        )

    assert (False, 3.0) == (caught.value.restart, caught.value.retry_after_s)


def test_missing_permission_is_refused_but_an_edge_page_is_not():
    with pytest.raises(Refused):
        placed(answer_of('{"s":"error","code":-1234,"message":"App lacks the permission"}', 403))
    with pytest.raises(BadAnswer):
        placed(answer_of("<html>403 Forbidden</html>", 403))


@pytest.mark.parametrize(
    "message", ["Static IP is not whitelisted", "Request from an unregistered IP", "whitelist it"]
)
def test_unregistered_address_is_named(message: str):
    with pytest.raises(Refused) as caught:
        placed(answer_of(f'{{"s":"error","code":-1234,"message":"{message}"}}'))

    assert ReasonCode.IP_NOT_WHITELISTED is caught.value.reason
    assert message == caught.value.broker_message


def test_text_that_only_mentions_an_address_proves_no_refusal():
    with pytest.raises(BadAnswer):
        placed(answer_of('{"s":"error","code":-1234,"message":"timeout to ip 10.0.0.1"}'))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "RED:RULE:{Allowed Basket} in Basket NSE.MIS.NSE_MIS_BASKET",
            ReasonCode.PRODUCT_NOT_ALLOWED,
        ),
        ("RED:MIS Orders are disallowed after system square off", ReasonCode.PRODUCT_NOT_ALLOWED),
        ("RED:RULE:{Check circuit limit ...}Current:1 LowerCircuit:2", ReasonCode.PRICE_BAND),
        ("RED:Freeze qty Set:1800 Current:1900", ReasonCode.FREEZE_QUANTITY),
        ("ORA:AMO is stopped", ReasonCode.MARKET_CLOSED),
        ("16447 Order entry not allowed in Pre-open", ReasonCode.MARKET_CLOSED),
        ("16999 Something of the exchange", ReasonCode.EXCHANGE_REJECTED),
        ("EXCH:16416:Invalid Counter Broker Id", ReasonCode.EXCHANGE_REJECTED),
        ("StopLoss not a multiple of tick size 0.0500", ReasonCode.TICK_SIZE),
        ("RED:something new", ReasonCode.BROKER_REJECTED),
        ("SAF:order is not open to cancel", ReasonCode.BROKER_REJECTED),
        ("RED:Markets are closed right now", ReasonCode.MARKET_CLOSED),
    ],
)
def test_rejection_text_names_the_reason(message: str, reason: ReasonCode):
    with pytest.raises(Refused) as caught:
        placed(answer_of(msgspec.json.encode({"s": "error", "code": -99, "message": message})))

    assert reason is caught.value.reason


def test_cancel_is_taken_or_refused_or_unknown():
    assert "26112200000123" == cancelled(answer("delete_order_sync")).broker_order_id
    with pytest.raises(Refused) as caught:
        cancelled(answer("delete_order_sync_not_pending", 400))
    assert "-52" == caught.value.broker_code
    with pytest.raises(BadAnswer):
        cancelled(answer_of('{"s":"ok","code":201,"message":""}'))


def test_modify_is_taken_or_refused_or_unknown():
    assert "26112200000123" == modified(answer("patch_orders_sync")).broker_order_id
    assert modified(answer_of('{"s":"ok","code":1101,"message":"Successfully modified order"}'))
    for text in (
        body("patch_orders_sync_not_pending"),
        b'{"s":"error","code":-50,"message":"x"}',
        b'{"s":"error","code":-51,"message":"x"}',
        b'{"s":"error","code":-99,"message":"RED:Margin Shortfall"}',
    ):
        with pytest.raises(Refused):
            modified(answer_of(text, 400))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"s":"ok","code":201,"message":""}', 200),
        ('{"s":"ok","code":-50}', 200),
        ('{"s":"error","code":-9999}', 200),
        ('{"s":"error","code":-52,"message":"Not a pending order"}', 502),
        ('{"code":1102}', 200),
        ("<html></html>", 200),
        ("", 200),
    ],
)
def test_answer_to_a_modify_that_is_on_no_list_proves_nothing(text: str, status: int):
    with pytest.raises(BadAnswer):
        modified(answer_of(text, status))


def test_order_book_reads_every_row():
    rows = {row.broker_order_id: row for row in order_book(answer("get_orders"))}

    assert 8 == len(rows)
    opened = rows["26112200000123"]
    assert (BrokerOrderState.OPEN, "6") == (opened.state, opened.raw_state)
    assert {"symbol": "NSE:SBIN-EQ"} == opened.codes
    assert (Side.BUY, OrderType.LIMIT, Product.MIS) == (
        opened.side,
        opened.order_type,
        opened.product,
    )
    assert (Validity.DAY, 1, 0) == (opened.validity, opened.quantity, opened.filled_quantity)
    assert (Decimal("800.5"), None, None) == (
        opened.price,
        opened.trigger_price,
        opened.average_price,
    )
    assert 123456789012345 == opened.broker_tag
    assert "1100000001089341" == opened.exchange_order_id
    assert datetime(2026, 11, 22, 10, 5, 6, tzinfo=IST) == opened.placed_at


def test_trigger_left_over_on_a_limit_order_is_no_trigger():
    text = body("get_orders").replace(b'"stopPrice":0', b'"stopPrice":799', 1)

    (row, *_) = order_book(answer_of(text))
    assert (OrderType.LIMIT, None) == (row.order_type, row.trigger_price)


def test_market_order_shows_its_fill_and_not_its_protection_price():
    row = next(
        row for row in order_book(answer("get_orders")) if row.order_type is OrderType.MARKET
    )

    assert BrokerOrderState.FILLED is row.state
    assert row.price is None
    assert (Decimal("801.25"), 10) == (row.average_price, row.filled_quantity)
    assert row.broker_tag is None


def test_pending_status_is_told_apart_by_fills_and_type():
    states = {row.broker_order_id[-2:]: row.state for row in order_book(answer("get_orders"))}

    assert {
        "23": BrokerOrderState.OPEN,
        "24": BrokerOrderState.FILLED,
        "25": BrokerOrderState.TRIGGER_PENDING,
        "26": BrokerOrderState.PARTIALLY_FILLED,
        "27": BrokerOrderState.CANCELLED,
        "28": BrokerOrderState.REJECTED,
        "29": BrokerOrderState.PENDING,
        "30": None,
    } == states


def test_unknown_words_are_kept_raw_and_never_guessed():
    row = order_book(answer("get_orders"))[-1]

    assert "8" == row.raw_state
    assert [None] * 5 == [row.state, row.side, row.order_type, row.product, row.validity]


def test_unknown_words_are_told_and_known_ones_are_not():
    told: list[tuple[str, str]] = []

    parse.parse_order_book(
        envelope_of(answer("get_orders")), lambda field, value: told.append((field, value))
    )

    fields = ["status", "type", "side", "productType", "orderValidity"]
    assert fields == [field for field, _ in told]
    assert ("status", "8") == told[0]


def test_status_that_is_documented_as_unused_reads_as_pending_and_is_told():
    told: list[tuple[str, str]] = []
    text = body("get_orders").replace(b'"status":6', b'"status":3', 1)

    row = parse.parse_order_book(
        envelope_of(answer_of(text)), lambda field, value: told.append((field, value))
    )[0]

    assert BrokerOrderState.PENDING is row.state
    assert ("status", "3") == told[0]


def test_rejected_row_says_why_where_its_words_are_known():
    reasons = {row.broker_order_id[-2:]: row.reason for row in order_book(answer("get_orders"))}

    assert ReasonCode.MARGIN_SHORT is reasons.pop("28")
    assert {None} == set(reasons.values())
    unknown = body("get_orders").replace(b"RED:Margin Shortfall", b"Something new")
    assert {None} == {row.reason for row in order_book(answer_of(unknown))}


def test_tag_of_another_program_is_not_ours():
    tags = [row.broker_tag for row in order_book(answer("get_orders"))]

    assert None is tags[3]
    assert 923456789012345 == tags[2]


@pytest.mark.parametrize("book", [',"orderBook":[]', ',"orderBook":null', ""])
def test_empty_book_comes_in_three_forms(book: str):
    assert [] == order_book(answer_of(f'{{"s":"ok","code":200,"message":""{book}}}'))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"orderBook":[]}', 200),
        ('{"s":"error","code":-50,"message":"x","orderBook":[]}', 200),
        ('{"s":"ok","code":201,"message":"","orderBook":[]}', 200),
        ('{"s":"ok","code":200,"message":"","orderBook":[]}', 502),
        ('{"s":"ok","code":200,"message":"","orderBook":{}}', 200),
        ('{"s":"ok","code":200,"message":"","orderBook":[{"id":"1"}]}', 200),
        ('{"s":"ok","code":200,"message":"","orderBook":[null]}', 200),
        ("<html></html>", 200),
    ],
)
def test_failed_or_unreadable_book_is_never_an_empty_one(text: str, status: int):
    with pytest.raises(BadAnswer):
        order_book(answer_of(text, status))


def test_one_unreadable_row_spoils_the_whole_book():
    rows = msgspec.json.decode(body("get_orders"))
    rows["orderBook"][3]["filledQty"] = "many"

    with pytest.raises(BadAnswer):
        order_book(answer_of(msgspec.json.encode(rows)))


def test_prices_keep_their_digits():
    text = body("get_orders").replace(b'"limitPrice":800.5,', b'"limitPrice":800.1000000000001,', 1)

    assert Decimal("800.1000000000001") == order_book(answer_of(text))[0].price


def test_profile_proves_the_client_code():
    assert "FX0011" == parse.parse_client_code(envelope_of(answer("get_profile")))
    with pytest.raises(BadAnswer):
        parse.parse_client_code(
            envelope_of(answer_of('{"s":"ok","code":200,"data":{"fy_id":" "}}'))
        )


def test_code_exchange_gives_a_token_or_refuses():
    token = parse.parse_access_token(envelope_of(answer("post_validate_authcode")))
    assert token.startswith("eyJ")

    with pytest.raises(LoginRefused) as caught:
        parse.parse_access_token(envelope_of(answer("post_validate_authcode_invalid_code")))
    assert caught.value.restart
    assert "-437" == caught.value.broker_code


@pytest.mark.parametrize("text", ["04-Aug-2025", "04-Foo-2025 10:05:06", "x", "", "1-1-1 1:1:1"])
def test_unreadable_time_is_no_time(text: str):
    assert parse_time(text) is None
