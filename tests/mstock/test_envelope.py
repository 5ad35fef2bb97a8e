from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.mstock.envelope import (
    decode_envelope,
    order_id,
    question_error,
    read_error,
    write_error,
)
from adapters.sdk.errors import BadAnswer, LoginExpired, ReasonCode, Refused
from tests.mstock.support import answer


def body(status: Any, message: str = "", code: Any = "", data: Any = None) -> bytes:
    return json.dumps(
        {"status": status, "message": message, "errorcode": code, "data": data}
    ).encode()


@pytest.mark.parametrize("status", ["true", "True", True, "success", " SUCCESS "])
def test_every_spelling_of_success_is_success(status: Any) -> None:
    assert decode_envelope(200, body(status)).proves_success


@pytest.mark.parametrize("status", ["false", "False", False, "error", "ERROR"])
def test_every_spelling_of_failure_is_failure(status: Any) -> None:
    assert not decode_envelope(200, body(status)).good


def test_a_list_of_one_envelope_is_unwrapped() -> None:
    envelope = decode_envelope(200, b"[" + body("true", data={"orderid": "1"}) + b"]")
    assert envelope.data == {"orderid": "1"}


def test_a_byte_order_mark_does_not_hide_the_answer() -> None:
    raw = b"\xef\xbb\xbf" + body("true", data={"orderid": "1"}) + b"\r\n"
    assert decode_envelope(200, raw).data == {"orderid": "1"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  \n",
        b"<html><body>502</body></html>",
        b'{"status":"true"',
        b"[]",
        b"[{}, {}]",
        b"null",
        b"{}",
        b'{"status":null}',
        b'{"status":"maybe"}',
        b'{"status":1,"data":null}',
        b'{"status":200,"errors":{}}',
        b'{"status":400}',
        b"\xff\xfe",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"status":"true","data":1e999999999999999999999}',
    ],
)
def test_what_is_no_envelope_is_a_bad_answer(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode_envelope(200, raw)


@pytest.mark.parametrize("errorcode", ["", None, "None", "null"])
def test_a_success_with_an_empty_error_code_is_a_success(errorcode: Any) -> None:
    assert decode_envelope(200, body("true", code=errorcode)).proves_success


@pytest.mark.parametrize(
    ("http", "code"), [(200, "IA401"), (200, "RS-0111"), (500, ""), (302, ""), (429, "")]
)
def test_a_success_that_contradicts_itself_is_none(http: int, code: str) -> None:
    envelope = decode_envelope(http, body("true", code=code, data={"orderid": "21612611221476"}))
    assert not envelope.proves_success
    assert isinstance(write_error(envelope), BadAnswer)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"orderid": " 21612611221476"}, "21612611221476"),
        ({"order_id": "1191241106101"}, "1191241106101"),
        ({"orderid": 1191241106101}, "1191241106101"),
        ([{"orderid": "7"}], "7"),
        ({"orderid": ""}, ""),
        ({"orderid": "0"}, ""),
        ({"orderid": "None"}, ""),
        ({"orderid": None}, ""),
        ({"orderid": "../orders"}, ""),
        ({"orderid": True}, ""),
        ("21612611221476", ""),
        (None, ""),
    ],
)
def test_an_order_id_is_read_trimmed_or_not_at_all(data: Any, expected: str) -> None:
    assert expected == order_id(data)


@pytest.mark.parametrize(
    ("http", "status", "code", "message", "reason"),
    [
        (200, "false", "RS-0111", "FUND LIMIT INSUFFICIENT", ReasonCode.MARGIN_SHORT),
        (200, "false", "RS-0999", "Something specific", ReasonCode.EXCHANGE_REJECTED),
        (200, "false", "RS-00093", "Order is Cancelled.", ReasonCode.EXCHANGE_REJECTED),
        (400, "False", "IA400", "Enter valid trigger price.", ReasonCode.INVALID_ORDER),
        (401, "false", "400", "Enter valid trigger price.", ReasonCode.INVALID_ORDER),
        (200, "false", "IA400", "Invalid product. valid ...", ReasonCode.PRODUCT_NOT_ALLOWED),
        (404, "false", "IA404", "", ReasonCode.INVALID_ORDER),
        (
            403,
            False,
            "IA403",
            "Primary and Secondary IP Address are not matching with current IP address.",
            ReasonCode.IP_NOT_WHITELISTED,
        ),
        (
            403,
            "false",
            "IA403",
            "API is suspended/expired for use. Please check your API subscription and try again.",
            ReasonCode.SESSION_EXPIRED,
        ),
        (
            403,
            "error",
            None,
            "API is suspended/expired for use. Please check your API subscription and try again.",
            ReasonCode.SESSION_EXPIRED,
        ),
    ],
)
def test_a_listed_refusal_of_a_write_is_refused(
    http: int, status: Any, code: str | None, message: str, reason: ReasonCode
) -> None:
    error = write_error(decode_envelope(http, body(status, message, code)))
    assert isinstance(error, Refused)
    assert reason == error.reason
    assert code == error.broker_code
    assert (message or None) == error.broker_message
    assert not error.repeatable


@pytest.mark.parametrize(
    ("http", "status", "code", "message"),
    [
        (500, "false", "IA500", "Internal error"),
        (200, "false", "IA500", "Internal error"),
        (200, "false", "MA500", "something went wrong"),
        (500, "false", "MA500", "something went wrong"),
        (200, "false", "MA777", "A text that sounds specific"),
        (200, "false", "MA408", "duplicate"),
        (200, "error", "InputException", "Order Does not Exsist."),
        (200, "false", "", "Rejected"),
        (200, "false", "IA999", "?"),
        (403, "false", "IA403", "A third meaning"),
        (403, "false", "", "Your session has expired"),
        (429, "false", "IA400", "slow down"),
        (429, "false", "RS-0111", "FUND LIMIT INSUFFICIENT"),
        (500, "false", "RS-0111", "FUND LIMIT INSUFFICIENT"),
        (502, "false", "IA401", "Invalid request. Please try again."),
        (408, "false", "IA400", ""),
    ],
)
def test_everything_else_on_a_write_proves_nothing(
    http: int, status: Any, code: str, message: str
) -> None:
    error = write_error(decode_envelope(http, body(status, message, code)))
    assert isinstance(error, BadAnswer)
    assert http == error.status


@pytest.mark.parametrize("code", ["RS-0111", "IA400", "IA401", "IA403"])
def test_a_failure_that_names_an_order_proves_nothing(code: str) -> None:
    refused = decode_envelope(200, body("false", "no", code, {"orderid": "21612611221476"}))
    error = write_error(refused)
    assert isinstance(error, BadAnswer)
    assert "21612611221476" in error.message


@pytest.mark.parametrize("http", [401, 400, 200])
def test_ia401_is_a_dead_session_that_created_nothing(http: int) -> None:
    error = write_error(decode_envelope(http, body("false", "Invalid request.", "IA401")))
    assert isinstance(error, LoginExpired)
    assert error.created_nothing


def test_http_401_without_its_code_does_not_prove_that_nothing_was_created() -> None:
    error = write_error(decode_envelope(401, body("false", "Unauthorized")))
    assert isinstance(error, LoginExpired)
    assert not error.created_nothing


def test_a_validation_problem_is_refused() -> None:
    error = write_error(answer("post_margins_orders_validation_http400"))
    assert isinstance(error, Refused)
    assert "The orders field is required." in str(error.broker_message)


@pytest.mark.parametrize("http", [200, 500])
def test_a_validation_problem_under_another_status_proves_nothing(http: int) -> None:
    raw = b'{"title":"x","status":400,"errors":{"a":["b"]}}'
    assert isinstance(write_error(decode_envelope(http, raw)), BadAnswer)


@pytest.mark.parametrize("raw", [b"", b"<html>405 Not Allowed</html>", b'{"status":"false"}'])
def test_http_405_is_refused_whatever_the_body(raw: bytes) -> None:
    assert isinstance(write_error(decode_envelope(405, raw)), Refused)


def test_an_rms_refusal_keeps_the_order_id() -> None:
    error = write_error(answer("post_orders_regular_rms"))
    assert isinstance(error, Refused)
    assert error.broker_order_id == "21612611221477"
    assert error.reason == ReasonCode.MARGIN_SHORT
    assert error.broker_code == "RS-0111"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("EXCH:16308:The order has been canceled due to price freeze.", ReasonCode.PRICE_BAND),
        ("EXCH:16284:The order price is out of the days price range.", ReasonCode.PRICE_BAND),
        ("RMS:216:QUANTITY FREEZE limit exceeded", ReasonCode.FREEZE_QUANTITY),
        ("RMS:216:MARKET IS CLOSED", ReasonCode.MARKET_CLOSED),
    ],
)
def test_rms_words_become_our_reasons(words: str, reason: ReasonCode) -> None:
    error = write_error(decode_envelope(200, body("false", words, "RS-0111")))
    assert reason == error.reason


def test_the_two_meanings_of_ia403_are_told_apart() -> None:
    ip = write_error(answer("ia403_ip_mismatch_http403"))
    key = write_error(answer("ia403_key_dead_http403"))
    assert ip.reason == ReasonCode.IP_NOT_WHITELISTED
    assert "the key itself is fine" in ip.message
    assert key.reason == ReasonCode.SESSION_EXPIRED
    assert "logging in again does not help" in key.message


def test_ia403_on_a_read_is_not_the_end_of_the_session() -> None:
    error = read_error(answer("ia403_ip_mismatch_http403"))
    assert isinstance(error, BadAnswer)
    assert error.reason == ReasonCode.IP_NOT_WHITELISTED


def test_ia401_on_a_read_is_the_end_of_the_session() -> None:
    assert isinstance(read_error(answer("ia401_http401")), LoginExpired)


def test_http_429_says_rate_limited_and_proves_nothing() -> None:
    error = write_error(decode_envelope(429, body("false", "Too many requests")))
    assert isinstance(error, BadAnswer)
    assert error.reason == ReasonCode.RATE_LIMITED


@pytest.mark.parametrize("raw", [b"Too Many Requests", b"", b"{}", b"<html>429</html>"])
def test_http_429_without_an_envelope_is_a_rate_limit_too(raw: bytes) -> None:
    with pytest.raises(BadAnswer) as caught:
        decode_envelope(429, raw, retry_after_s=7.0)
    assert caught.value.reason == ReasonCode.RATE_LIMITED
    assert caught.value.retry_after_s == 7.0


def test_how_long_to_stay_away_is_kept_with_the_broker_s_words() -> None:
    limited = decode_envelope(429, body("false", "Too many requests"), retry_after_s=2.0)
    for error in (write_error(limited), read_error(limited)):
        assert error.retry_after_s == 2.0


def test_a_question_is_refused_only_by_what_is_listed_for_requests() -> None:
    assert isinstance(question_error(decode_envelope(400, body("false", "no", "IA400"))), Refused)
    for http, code in ((500, "IA400"), (200, "IA500"), (200, "RS-0111"), (403, "IA403")):
        error = question_error(decode_envelope(http, body("false", "no", code)))
        assert isinstance(error, BadAnswer)
    assert isinstance(
        question_error(decode_envelope(401, body("false", "", "IA401"))), LoginExpired
    )


def test_a_dead_key_on_a_read_says_what_to_do() -> None:
    assert "renew it in the portal" in read_error(answer("ia403_key_dead_http403")).message
