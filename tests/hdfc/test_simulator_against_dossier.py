"""The simulator's proof, since no official SDK exists: the dossier's wire samples, sent by a raw
HTTP client, get the dossier's answers (dossier hdfc 13), compared member by member with types.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.hdfc.master import HEADER
from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.simulator import CallKind, ManualClock
from tests.hdfc.conftest import INSTANT
from tests.hdfc.raw import KEY, NOON, RawClient, assert_same_shape, option_order, sample

HEX = re.compile(r"[0-9a-f]{32}")


async def test_login_steps_answer_as_the_samples(client: RawClient) -> None:
    simulator = client.simulator
    begun = await client("GET", f"/oapi/v1/login?api_key={KEY}")
    assert begun.status == 200
    assert_same_shape(sample("get_login.json"), begun.json)
    assert HEX.fullmatch(begun.json["tokenId"])
    query = f"api_key={KEY}&token_id={begun.json['tokenId']}"
    password = {"username": "1234567", "password": simulator.credentials["password"]}
    question = await client("POST", f"/oapi/v1/login/validate?{query}", password)
    assert sample("post_login_validate.json") == question.json
    resent = await client("GET", f"/oapi/v1/twofa/resend?{query}")
    assert resent.status == 200
    otp = {"answer": await simulator.read_otp()}
    factor = await client("POST", f"/oapi/v1/twofa/validate?{query}", otp)
    assert_same_shape(sample("post_twofa_validate.json"), factor.json)
    assert factor.json["authorised"] is False
    consent = f"{query}&consent=true&request_token={factor.json['requestToken']}"
    given = await client("GET", f"/oapi/v1/authorise?{consent}")
    assert_same_shape(sample("get_authorise.json"), given.json)
    assert given.json["requestToken"] != factor.json["requestToken"]
    exchange = f"/oapi/v1/access-token?api_key={KEY}&request_token={given.json['requestToken']}"
    secret = {"apiSecret": simulator.credentials["api_secret"]}
    token = await client("POST", exchange, secret)
    assert_same_shape(sample("post_access_token.json"), token.json)
    part = token.json["accessToken"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert (claims["sub"], claims["merchant_api_key"]) == ("1234567", KEY)
    assert claims["exp"] - claims["iat"] == 28_800
    assert (await client("POST", exchange, secret)).status == 401
    assert not simulator.violations


async def test_hosted_login_is_a_page_that_redirects_without_state(client: RawClient) -> None:
    browser = {"Accept": "text/html"}
    page = await client("GET", f"/oapi/v1/login?api_key={KEY}", headers=browser)
    assert page.headers["content-type"].startswith("text/html")
    form = {
        "username": "1234567",
        "password": client.simulator.credentials["password"],
        "otp": await client.simulator.read_otp(),
        "consent": "true",
    }
    done = await client("POST", f"/oapi/v1/login?api_key={KEY}", headers=browser, form=form)
    assert done.status == 302
    location = urlsplit(done.headers["location"])
    assert (location.netloc, list(parse_qs(location.query))) == (
        "gateway.example",
        ["request_token"],
    )


async def test_cash_sample_is_accepted_with_its_bare_number_reference(
    logged_in: RawClient,
) -> None:
    body = sample("post_orders_regular_request_equity.json")
    answer = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    assert answer.status == 200
    assert_same_shape(sample("post_orders_regular.json"), answer.json)
    assert re.fullmatch(r"260430\d{8}", answer.json["data"]["order_id"])
    (order,) = logged_in.simulator.engine.orders
    assert (order.tag, order.contract.instrument) == ("176300000012301", "NSE:WIPRO")
    assert not logged_in.simulator.violations


async def test_traded_option_row_is_the_sample_row(logged_in: RawClient) -> None:
    await logged_in(
        "POST",
        f"/oapi/v1/orders/regular?api_key={KEY}",
        option_order(logged_in.simulator, order_type="MARKET", price=0),
    )
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    assert_same_shape(sample("get_orders.json"), book.json)
    row = book.json["data"][0]
    assert row["status"] == "Traded"
    assert row["order_timestamp"] == "30/04/2026 12:40:12"
    assert (row["transaction_type"], row["option_type"]) == ("Sell", "Call")
    assert (row["underlying_symbol"], row["product"]) == ("BANKNIFTY", "OVERNIGHT")
    assert re.fullmatch(r"\d\d [A-Z]{3} 2026", row["expiry_date"])
    assert row["average_price"] == 0.0
    assert row["total_traded_value"] > 0
    assert row["tradingsymbol"] == row["security_id"]
    assert row["token_id"].endswith(row["security_id"])
    assert row["external_reference_number"] == "176300000012302"
    single = await logged_in("GET", f"/oapi/v1/orders/{row['order_id']}?api_key={KEY}")
    assert single.json == book.json


async def test_rejection_shows_in_the_book_only(logged_in: RawClient) -> None:
    body = sample("post_orders_regular_request_equity.json") | {"quantity": 10**9, "price": 240}
    answer = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    assert answer.json["status"] == "success"
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    assert_same_shape(sample("get_orders_rejected.json"), book.json, partial=True)
    row = book.json["data"][0]
    assert (row["status"], row["filled_quantity"]) == ("Rejected", 0)
    assert "Margin" in row["status_message"]


async def test_generated_reference_replaces_ours() -> None:
    simulator = HdfcSimulator(
        options=INSTANT | {"external_reference": "generated"}, clock=ManualClock(NOON)
    )
    await simulator.start()
    client = RawClient(simulator)
    await client.log_in()
    body = sample("post_orders_regular_request_equity.json")
    await client("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    book = await client("GET", f"/oapi/v1/orders?api_key={KEY}")
    reference = book.json["data"][0]["external_reference_number"]
    assert re.fullmatch(r"STAPI\d{15}", reference)
    await simulator.stop()


async def test_modify_and_cancel_samples(logged_in: RawClient) -> None:
    body = sample("post_orders_regular_request_equity.json") | {"price": 230, "quantity": 5}
    placed = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    target = f"/oapi/v1/orders/regular/{placed.json['data']['order_id']}?api_key={KEY}"
    change = {
        "quantity": 3,
        "order_type": "LIMIT",
        "validity": "DAY",
        "disclosed_quantity": 0,
        "product": "DELIVERY",
        "price": 229.5,
        "trigger_price": 0,
        "amo": False,
    }
    modified = await logged_in("PUT", target, change)
    assert modified.json == placed.json
    (order,) = logged_in.simulator.engine.orders
    assert (order.quantity, order.price) == (3, Decimal("229.5"))
    cancelled = await logged_in("DELETE", target)
    assert cancelled.json == placed.json
    again = await logged_in("DELETE", target)
    assert (again.status, again.json) == (200, sample("delete_orders_regular_refused.json"))
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    assert book.json["data"][0]["status"] == "CANCELLED"
    assert not logged_in.simulator.violations


async def test_master_is_the_documented_csv_without_any_key(client: RawClient) -> None:
    answer = await client("GET", "/oapi/v1/security-master")
    lines = answer.body.decode().splitlines()
    assert answer.headers["content-type"] == "text/csv"
    assert "ir-security-master.csv" in answer.headers["content-disposition"]
    assert lines[0] == HEADER
    assert "NSE,STABANEQNR,EQUITY,,,,1,5,812.00,3045,SBIN,,812.00" in lines
    assert {len(line.split(",")) for line in lines} == {13}
    future = next(line for line in lines if ",FUTIDX," in line and line.startswith("NSE"))
    assert ",-.01,XX," in future
    option = next(line for line in lines if ",OPTIDX," in line and line.startswith("BSE"))
    assert re.match(r"BSE,B\d+,OPTIDX,\d{4}-\d\d-\d\d,\d+,(CE|PE),20,5,", option)
    assert option.split(",")[11] == "SENSEXEQ"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"exchange": "NFO"}, "exchange"),
        ({"security_id": "3787"}, "security_id"),
        ({"security_id": 3787}, "security_id"),
        ({"instrument_segment": "OPTIDX"}, "security_id"),
        ({"transaction_type": "B"}, "transaction_type"),
        ({"product": "CNC"}, "product"),
        ({"order_type": "SLM"}, "order_type"),
        ({"quantity": "1"}, "quantity"),
        ({"quantity": 1.0}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"price": "458"}, "price"),
        ({"price": 0}, "price"),
        ({"validity": "GTD"}, "validity"),
        ({"amo": "false"}, "amo"),
        ({"external_reference_number": "momentum-1"}, "external_reference_number"),
        ({"external_reference_number": 10**20}, "external_reference_number"),
        ({"client_id": "1234567"}, "client_id"),
    ],
)
async def test_wrong_members_are_refused_and_counted(
    logged_in: RawClient, change: dict[str, Any], field: str
) -> None:
    body = sample("post_orders_regular_request_equity.json") | change
    answer = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    message = f"`{field}` is invalid"
    assert (answer.status, answer.json) == (400, {"status": "error", "message": message})
    assert logged_in.simulator.violations[CallKind.PLACE, message] == 1
    assert logged_in.simulator.engine.orders == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"underlying_symbol": "BANKNIFTY"}, "underlying_symbol"),
        ({"expiry_date": "2026-05-26"}, "expiry_date"),
        ({"option_type": "CALL"}, "option_type"),
        ({"strike_price": "58100"}, "strike_price"),
    ],
)
async def test_response_vocabulary_is_refused_in_requests(
    logged_in: RawClient, change: dict[str, Any], field: str
) -> None:
    answer = await logged_in(
        "POST",
        f"/oapi/v1/orders/regular?api_key={KEY}",
        option_order(logged_in.simulator) | change,
    )
    assert answer.json["message"] == f"`{field}` is invalid"


async def test_error_samples(logged_in: RawClient) -> None:
    book = f"/oapi/v1/orders?api_key={KEY}"
    dead = await logged_in("GET", book, signed=False)
    assert (dead.status, dead.json) == (401, sample("error_401.json"))
    bearer = await logged_in("GET", book, headers={"Authorization": f"Bearer {logged_in.token}"})
    assert bearer.status == 401
    keyless = await logged_in("GET", "/oapi/v1/orders")
    assert (keyless.status, keyless.json) == (401, sample("error_401.json"))
    agentless = await logged_in("GET", book, headers={"User-Agent": ""})
    assert agentless.status == 403
    logged_in.simulator.faults.add([{"call": "book", "action": "rate_limit"}])
    throttled = await logged_in("GET", book)
    assert (throttled.status, throttled.json) == (429, sample("error_429.json"))
    missing = await logged_in("GET", f"/oapi/v1/portfolio/overall_positions?api_key={KEY}")
    assert (missing.status, missing.body) == (404, b"")
    wrong_verb = await logged_in("POST", f"/oapi/v1/trades?api_key={KEY}")
    assert wrong_verb.status == 405


async def test_market_order_policy_of_2026() -> None:
    simulator = HdfcSimulator(options=INSTANT)
    await simulator.start()
    client = RawClient(simulator)
    await client.log_in()
    body = option_order(simulator, order_type="MARKET", price=0)
    answer = await client("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    assert (answer.status, answer.json) == (
        403,
        sample("post_orders_regular_limit_only_403.json"),
    )
    await simulator.stop()


async def test_trailing_slash_redirects_and_places_nothing(logged_in: RawClient) -> None:
    body = sample("post_orders_regular_request_equity.json")
    answer = await logged_in("POST", f"/oapi/v1/orders/regular/?api_key={KEY}", body)
    assert answer.status == 307
    assert answer.headers["location"].startswith("/oapi/v1/orders/regular?")
    assert logged_in.simulator.engine.orders == []


async def test_token_dies_after_eight_hours(logged_in: RawClient) -> None:
    clock = logged_in.simulator.clock
    assert isinstance(clock, ManualClock)
    clock.advance(ms=int(timedelta(hours=8).total_seconds() * 1000) - 1)
    book = f"/oapi/v1/orders?api_key={KEY}"
    assert (await logged_in("GET", book)).status == 200
    clock.advance(ms=1)
    assert (await logged_in("GET", book)).status == 401


async def test_after_market_order_waits_in_its_own_words(logged_in: RawClient) -> None:
    logged_in.simulator.engine.set_market(is_open=False)
    body = sample("post_orders_regular_request_equity.json") | {"amo": True, "price": 240}
    await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    row = book.json["data"][0]
    assert (row["order_slot"], row["status"]) == ("AMO", "AMO Req Received")
