"""What an answer to a write proves (dossier 4.2): refusals are a list, all else is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.hdfc import parse
from adapters.sdk.errors import BadAnswer, LoginExpired, ReasonCode, Refused
from tests.hdfc.support import answer_of, payload

OK = {"status": "success", "data": {"order_id": "26042500000504"}}


def test_success_gives_the_order_id() -> None:
    placed = parse.parse_placed(answer_of(payload("post_orders_regular.json")))
    assert placed.broker_order_id == "26042500000504"
    cancelled = parse.parse_cancel(
        answer_of(payload("delete_orders_regular.json")), "26042500000504"
    )
    assert cancelled.broker_order_id == "26042500000504"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, {"status": "error", "message": "RMS: Margin Exceeds"}, ReasonCode.MARGIN_SHORT),
        (200, {"status": "failed", "message": "no"}, ReasonCode.BROKER_REJECTED),
        (201, {"status": "ERROR", "error": "no"}, ReasonCode.BROKER_REJECTED),
        (200, {"error": "Invalid lot"}, ReasonCode.LOT_SIZE),
        (200, {"status": "error", "message": "16283 - bad price"}, ReasonCode.TICK_SIZE),
        (200, {"status": "error", "message": "(7003)-scrip"}, ReasonCode.INSTRUMENT_BLOCKED),
        (200, {"status": "error", "message": "16500 text"}, ReasonCode.EXCHANGE_REJECTED),
        (200, {"status": "error", "message": "x", "error_code": 12001}, ReasonCode.MARGIN_SHORT),
        (400, {"message": "Client error, please check params"}, ReasonCode.INVALID_ORDER),
        (404, b"", ReasonCode.INVALID_ORDER),
        (405, {"message": "Method Not Allowed"}, ReasonCode.INVALID_ORDER),
        (422, {"detail": "`product` is invalid"}, ReasonCode.PRODUCT_NOT_ALLOWED),
        (403, {"message": "Request from IP 1.2.3.4 denied"}, ReasonCode.IP_NOT_WHITELISTED),
        (403, b"", ReasonCode.BROKER_REJECTED),
        (403, {"error": "invalid credentials"}, ReasonCode.BROKER_REJECTED),
    ],
)
def test_listed_refusals(status: int, body: Any, reason: ReasonCode) -> None:
    with pytest.raises(Refused) as caught:
        parse.parse_placed(answer_of(body, status))
    assert caught.value.reason is reason
    assert not caught.value.repeatable


def test_limit_only_policy_is_an_order_type_refusal() -> None:
    answer = answer_of(payload("post_orders_regular_limit_only_403.json"), 403)
    with pytest.raises(Refused) as caught:
        parse.parse_placed(answer)
    assert caught.value.reason is ReasonCode.ORDER_TYPE_NOT_ALLOWED
    assert caught.value.broker_message == "algo orders from merchant can only of Limit type"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>ok</html>"),
        (200, b'{"status":"success","data":{"order_id":'),
        (200, b"[]"),
        (200, {"status": "success"}),
        (200, {"status": "success", "data": None}),
        (200, {"status": "success", "data": {"order_id": ""}}),
        (200, {"status": "success", "data": {"order_id": None}}),
        (200, {"data": {"order_id": "1"}}),
        (200, {"status": "error"}),
        (200, {"status": "pending", "message": "wait"}),
        (200, {"message": "received"}),
        (200, {"status": "error", "message": "no", "data": {"order_id": "1"}}),
        (200, {"status": "error", "message": "Something went wrong", "error_code": 45010}),
        (200, {"status": "error", "message": "20104 result of transaction unknown"}),
        (200, {"status": "error", "message": "50002 order already present"}),
        (200, {"status": "error", "message": "request timed out at OMS"}),
        (200, {"error": "merchantKeyRateLimit - too many requests"}),
        (400, {"message": "Something went wrong"}),
        (400, b""),
        (403, b"<html>Forbidden</html>"),
        (404, b"<html>Not Found</html>"),
        (404, b"[]"),
        (405, b"<html>"),
        (422, b"no"),
        (200, {"status": "error", "message": "20100 throttled"}),
        (301, b""),
        (302, {"status": "success", "data": {"order_id": "1"}}),
        (402, {"message": "no"}),
        (408, b""),
        (409, {"message": "duplicate"}),
        (429, {"error": "merchantKeyRateLimit - too many requests"}),
        (500, {"status": "error", "message": "RMS: Margin Exceeds"}),
        (502, b"<html>bad gateway</html>"),
        (503, b""),
        (504, b""),
    ],
)
def test_everything_else_leaves_the_outcome_open(status: int, body: Any) -> None:
    with pytest.raises(BadAnswer) as caught:
        parse.parse_placed(answer_of(body, status))
    assert caught.value.status == status


def test_throttled_write_says_so_and_stays_unknown() -> None:
    with pytest.raises(BadAnswer) as caught:
        parse.parse_placed(answer_of(payload("error_429.json"), 429))
    assert caught.value.reason is ReasonCode.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": "invalid credentials"}),
        (401, b""),
        (200, {"error": "invalid credentials"}),
        (200, {"status": "error", "message": "Request Unauthorised", "error_code": 40000}),
    ],
)
def test_dead_session_on_a_write_proves_nothing_about_the_order(status: int, body: Any) -> None:
    with pytest.raises(LoginExpired) as caught:
        parse.parse_placed(answer_of(body, status))
    assert not caught.value.created_nothing


def test_refused_cancel_keeps_the_words() -> None:
    answer = answer_of(payload("delete_orders_regular_refused.json"))
    with pytest.raises(Refused, match="Order cannot be cancelled"):
        parse.parse_cancel(answer, "26042500000504")


def test_cancel_answered_for_another_order_settles_nothing() -> None:
    with pytest.raises(BadAnswer):
        parse.parse_cancel(answer_of(OK), "26042500000505")


def test_secrets_are_taken_out_of_the_brokers_words() -> None:
    secrets = ("THE-KEY-OF-THE-APP", "tok.en-value")
    page = (
        b"<html>GET /oapi/v1/orders?api_key=THE-KEY-OF-THE-APP tok.en-value "
        b"https://x/?request_token=abcdef123456&token_id=fedcba</html>"
    )
    for status in (200, 400, 401, 403, 429, 500):
        with pytest.raises((BadAnswer, Refused, LoginExpired)) as caught:
            parse.parse_placed(answer_of(page, status, secrets))
        said = f"{caught.value} {caught.value.broker_message}"
        assert "html" in said
        for secret in (*secrets, "abcdef123456", "fedcba"):
            assert secret not in said
