"""Every bad request: an answer that names the field and the fix; nothing sent, nothing kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.gateway.rig import ORDER

ONE = {**ORDER, "accounts": ["fyers-main"]}


async def refused(rig, status: int, code: str, reply) -> dict[str, Any]:
    """Check what every refusal has in common, and that it left no trace."""
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json
    assert (body["status"], body["code"]) == (status, code)
    assert {"type", "title", "detail", "request_id", "errors", "sent"} <= set(body)
    assert body["sent"] is False
    assert body["request_id"] == reply.headers["x-request-id"]
    assert rig.ledger("fyers") == []
    assert (await rig.call("GET", "/v1/orders")).json["orders"] == []
    return body


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": -10}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"price": 812.500000001}, "price"),
        ({"price": "abc"}, "price"),
        ({"price": None}, "price"),
        ({"price": "-5"}, "price"),
        ({"side": "HOLD"}, "side"),
        ({"order_type": "BRACKET"}, "order_type"),
        ({"product": "BO"}, "product"),
        ({"validity": "GTC"}, "validity"),
        ({"instrument": "SBIN"}, "instrument"),
        ({"accounts": []}, "accounts"),
        ({"accounts": ["nobody"]}, "accounts[0]"),
        ({"accounts": ["@nobody"]}, "accounts[0]"),
        ({"accounts": ["fyers-main", 7]}, "accounts[1]"),
        ({"quantities": {"nobody": 5}}, "quantities.nobody"),
        ({"colour": "red"}, "colour"),
        ({"ttl_ms": 31_000}, "ttl_ms"),
        ({"wait_ms": -1}, "wait_ms"),
        ({"strategy": "no spaces"}, "strategy"),
        ({"trigger_price": "1"}, "trigger_price"),
    ],
)
async def test_a_wrong_field_is_named(one, changes, field):
    reply = await one.call("POST", "/v1/orders", {**ONE, **changes}, idempotency_key="k")

    body = await refused(one, 422, "invalid_order", reply)

    assert field in {error["field"] for error in body["errors"]}
    assert field.split("[")[0].split(".")[0] in body["detail"]


async def test_an_unknown_account_is_told_which_ones_exist(one):
    reply = await one.call(
        "POST", "/v1/orders", {**ONE, "accounts": ["fyres-main"]}, idempotency_key="k"
    )

    body = await refused(one, 422, "invalid_order", reply)

    assert "fyers-main" in body["detail"]


async def test_a_wrong_choice_is_told_the_right_ones(one):
    reply = await one.call("POST", "/v1/orders", {**ONE, "side": "buy"}, idempotency_key="k")

    body = await refused(one, 422, "invalid_order", reply)
    assert [{"field": "side", "message": "must be one of BUY, SELL, not 'buy'"}] == body["errors"]


async def test_a_wrong_choice_inside_a_list_is_told_the_right_ones(one):
    basket = {"orders": [ONE, {**ONE, "product": "INTRADAY"}]}

    reply = await one.call("POST", "/v1/baskets", basket, idempotency_key="k")

    body = await refused(one, 422, "invalid_order", reply)
    words = "must be one of CNC, MIS, NRML, MTF, not 'INTRADAY'"
    assert [{"field": "orders[1].product", "message": words}] == body["errors"]


async def test_a_missing_field_is_named(one):
    order = {name: value for name, value in ONE.items() if name != "side"}

    reply = await one.call("POST", "/v1/orders", order, idempotency_key="k")

    body = await refused(one, 422, "invalid_order", reply)
    assert body["errors"] == [{"field": "side", "message": "is required"}]


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"", b'{"quantity": 1,}'])
async def test_malformed_json_is_said_to_be_that(one, raw):
    reply = await one.call("POST", "/v1/orders", raw=raw, idempotency_key="k")

    await refused(one, 400, "malformed_json", reply)


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"x"', b"1"])
async def test_json_that_is_no_object_is_refused(one, raw):
    reply = await one.call("POST", "/v1/orders", raw=raw, idempotency_key="k")

    await refused(one, 422, "invalid_order", reply)


async def test_a_missing_idempotency_key_is_refused(one):
    reply = await one.call("POST", "/v1/orders", ONE)

    await refused(one, 400, "idempotency_key_missing", reply)


async def test_an_overlong_idempotency_key_is_refused(one):
    too_long = await one.call("POST", "/v1/orders", ONE, idempotency_key="k" * 256)
    await refused(one, 400, "idempotency_key_invalid", too_long)

    longest = await one.call("POST", "/v1/orders", ONE, idempotency_key="k" * 255)
    assert longest.status == 201


async def test_a_body_that_is_too_large_is_refused(one):
    raw = b'{"strategy": "' + b"x" * 300_000 + b'"}'

    reply = await one.call("POST", "/v1/orders", raw=raw, idempotency_key="k")

    await refused(one, 413, "body_too_large", reply)


@pytest.mark.parametrize(
    ("key", "code"),
    [("", "unauthenticated"), ("nonsense", "unauthenticated"), ("bg_live_x_y", "unauthenticated")],
)
async def test_without_a_good_key_nothing_happens(one, key, code):
    reply = await one.call("POST", "/v1/orders", ONE, key=key, idempotency_key="k")

    await refused(one, 401, code, reply)
    assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_a_mistyped_key_is_refused_without_being_quoted(one):
    wrong = one.key[:-1] + ("a" if one.key[-1] != "a" else "b")

    reply = await one.call("POST", "/v1/orders", ONE, key=wrong, idempotency_key="k")

    body = await refused(one, 401, "unauthenticated", reply)
    assert wrong not in msgspec.json.encode(body).decode()


async def test_a_read_key_cannot_trade(one):
    key = await one.new_key("viewer", ["read"])

    reply = await one.call("POST", "/v1/orders", ONE, key=key, idempotency_key="k")

    body = await refused(one, 403, "scope_missing", reply)
    assert "trade" in body["detail"]


async def test_an_account_outside_the_keys_list_is_unknown_to_it(one):
    key = await one.new_key("narrow", ["trade"], ["other-main"])

    reply = await one.call("POST", "/v1/orders", ONE, key=key, idempotency_key="k")

    body = await refused(one, 422, "invalid_order", reply)
    assert "fyers-main" not in body["errors"][0]["message"].partition("known are")[2]


async def test_unknown_paths_and_methods_are_problems_too(one):
    missing = await one.call("GET", "/v1/nothing")
    method = await one.call("PATCH", "/v1/sessions")

    assert (missing.status, missing.json["code"]) == (404, "path_unknown")
    assert (method.status, method.json["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET"


async def test_an_unknown_order_is_a_404(one):
    for path in ("/v1/orders/ord_x", "/v1/orders/ord_x/history"):
        reply = await one.call("GET", path)
        assert (reply.status, reply.json["code"]) == (404, "order_unknown")
    assert (await one.call("DELETE", "/v1/orders/ord_x")).status == 404


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"instrument": "NSE:NOSUCH"}, "instrument_unknown"),
        ({"instrument": "NSE:NIFTY 50"}, "instrument_blocked"),
        ({"price": "812.53"}, "tick_size"),
        ({"product": "NRML"}, "product_not_allowed"),
    ],
)
async def test_what_one_account_cannot_take_is_its_legs_reason(one, changes, code):
    reply = await one.call("POST", "/v1/orders", {**ONE, **changes}, idempotency_key="k")

    assert (reply.status, reply.json["summary"]) == (200, "not_sent")
    leg = reply.json["legs"][0]
    assert (leg["state"], leg["reason"]["code"]) == ("DENIED", code)
    assert one.ledger("fyers") == []


async def test_require_all_sends_nothing_when_one_leg_fails_its_checks(rig):
    await rig.call("DELETE", "/v1/sessions/hdfc-main")

    reply = await rig.place(require="all")

    assert (reply.status, reply.json["summary"]) == (200, "not_sent")
    assert {"DENIED"} == {leg["state"] for leg in reply.json["legs"]}
    assert "hdfc-main" in reply.leg("fyers-main")["reason"]["message"]
    assert [[], [], []] == [rig.ledger(broker) for broker in rig.sims]


@pytest.mark.parametrize(
    "price",
    ["7_60", "1_0_0", "\u096d\u096c\u0966", "\uff17\uff16", " 760", "760\n", "760.", "0x2f8", ""],
)
async def test_a_price_that_is_no_plain_number_is_refused(one, price):
    reply = await one.call("POST", "/v1/orders", {**ONE, "price": price}, idempotency_key="k")

    assert (reply.status, reply.json["code"]) == (422, "invalid_order")
    assert reply.json["errors"][0]["field"] == "price"
    assert one.ledger("fyers") == []


@pytest.mark.parametrize("price", [b"7.6e2", b'"7.6E+2"', b"760.000000000000000000000", b"76e1"])
async def test_a_price_is_answered_in_plain_digits_however_it_was_written(one, price):
    body = msgspec.json.encode({**ONE, "price": "@"}).replace(b'"@"', price)
    reply = await one.call("POST", "/v1/orders", raw=body, idempotency_key="k")

    shown = reply.json["legs"][0]["sent"]["price"]
    assert reply.json["request"]["price"] == reply.json["legs"][0]["price"] == shown
    assert shown in ("760", "760.0000")
