"""The simulated Fyers by itself: as strict as the dossier, and in its words."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from adapters.fyers.client import app_id_hash, authcode_url
from adapters.fyers.constants import IST
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.models import RedirectRequired, Session
from adapters.sdk.transport import HttpResponse
from tests.fyers.conftest import LIMIT_ORDER, Browser


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in sorted(LIMIT_ORDER)
        for value in (..., None, "1", [], True, 1.5, -3)
        if (name, value) not in [("offlineOrder", True), ("limitPrice", 1.5)]
    ],
)
async def test_required_field_of_a_wrong_type_is_refused(
    simulator: FyersSimulator, browser: Browser, name: str, value: object
):
    answered = await browser.place(**{name: value})

    assert (400, "error") == (answered["status"], answered["s"])
    assert (-300 if (name, value) == ("symbol", "1") else -50) == answered["code"]
    assert "id" not in answered
    assert not simulator.engine.orders


@pytest.mark.parametrize(
    "changes",
    [
        {"type": 5},
        {"side": 0},
        {"productType": "BO"},
        {"productType": "MARGIN"},
        {"validity": "GTC"},
        {"type": 2},
        {"stopPrice": 799},
        {"type": 3, "limitPrice": 0},
        {"type": 4, "stopPrice": 801},
        {"type": 4, "side": -1, "stopPrice": 800},
        {"limitPrice": 800.52},
        {"disclosedQty": 11},
        {"symbol": "NSE:NIFTY50-INDEX"},
        {"isSliceOrder": True},
    ],
)
async def test_order_against_the_rules_creates_nothing(
    simulator: FyersSimulator, browser: Browser, changes: dict[str, Any]
):
    assert -50 == (await browser.place(**changes))["code"]
    assert not simulator.engine.orders


@pytest.mark.parametrize(
    ("tag", "is_good"),
    [
        ("123456789012345", True),
        ("01K9ZC3V6W8Q2M4T7XAB5DEFGH", True),
        ("", True),
        ("a" * 30, True),
        ("a" * 31, False),
        ("with-hyphen", False),
        ("with space", False),
        ("FX0011", False),
        ("Untagged", False),
        (123456789012345, False),
    ],
)
async def test_tag_is_alphanumeric_text_of_thirty_at_most(
    browser: Browser, tag: object, is_good: bool
):
    assert (1101 if is_good else -50) == (await browser.place(orderTag=tag))["code"]


async def test_body_that_is_not_json_is_refused_and_noted(
    simulator: FyersSimulator, browser: Browser
):
    form = urlencode(LIMIT_ORDER).encode()
    answered = await browser.call(
        "POST", "/api/v3/orders/sync", form, content_type="application/x-www-form-urlencoded"
    )

    assert -50 == answered.json()["code"]
    assert 1 == simulator.violations.total()
    for body in (b"{", b"[]", b"null"):
        answered = await browser.call("POST", "/api/v3/orders/sync", body)
        assert -50 == answered.json()["code"]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/api/v3/orders", -16),
        ("/api/v3/funds", -16),
        ("/api/v3/profile", -8),
        ("/data/quotes?symbols=NSE%3ASBIN-EQ", -15),
    ],
)
async def test_only_app_id_and_token_together_open_the_door(
    browser: Browser, target: str, code: int
):
    assert 200 == (await browser.call("GET", target)).status
    _, _, token = browser.authorization.partition(":")
    for wrong in (token, f"Bearer {browser.authorization}", f"OTHER-100:{token}", "x:y"):
        answered = await browser.call("GET", target, authorization=wrong)
        assert (401, code) == (answered.status, answered.json()["code"])


async def test_cancel_by_body_and_by_path(browser: Browser):
    first, second = await browser.place(), await browser.place()

    by_body = await browser.call("DELETE", "/api/v3/orders/sync", {"id": first["id"]})
    by_path = await browser.call("DELETE", f"/api/v3/orders/{second['id']}/sync")

    assert (1103, 1103) == (by_body.json()["code"], by_path.json()["code"])
    again = await browser.call("DELETE", f"/api/v3/orders/{second['id']}/sync")
    assert (-52, second["id"]) == (again.json()["code"], again.json()["id"])
    for body in ({}, {"id": 1}, [], {"id": "26112200000999"}):
        answered = await browser.call("DELETE", "/api/v3/orders/sync", body)
        assert -51 == answered.json()["code"]


async def test_modify_changes_what_is_named_and_keeps_the_rest(
    simulator: FyersSimulator, browser: Browser
):
    placed = await browser.place(orderTag="keepme")

    answered = await browser.call(
        "PATCH", "/api/v3/orders/sync", {"id": placed["id"], "type": 1, "qty": 25}
    )

    assert 1102 == answered.json()["code"]
    (order,) = simulator.engine.orders
    assert (25, "800.5", "keepme") == (order.quantity, str(order.price), order.tag)
    for body in ({"id": placed["id"]}, {"id": placed["id"], "type": 1, "qty": 0}):
        answered = await browser.call("PATCH", "/api/v3/orders/sync", body)
        assert -50 == answered.json()["code"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": ...}, -50),
        ({"type": "1"}, -50),
        ({"type": 5}, -50),
        ({"type": 4}, -50),
        ({"type": 3}, -50),
        ({"type": 4, "stopPrice": 801}, -50),
        ({"type": 2, "limitPrice": 801}, -50),
        ({"limitPrice": 0}, -50),
        ({"limitPrice": "801"}, -50),
        ({"limitPrice": 800.52}, -50),
        ({"limitPrice": 8000}, -50),
        ({"stopPrice": 799}, -50),
        ({"qty": "12"}, -50),
        ({"qty": 0}, -50),
        ({"disclosedQty": 11}, -50),
        ({"side": -1}, -50),
        ({"productType": "INTRADAY"}, -50),
        ({"takeProfit": 5}, -50),
        ({"id": 26112200000001}, -51),
        ({"id": "26112200000999"}, -51),
        ({"takeProfit": 0, "stopLoss": None}, 1102),
        ({"type": 4, "stopPrice": 800}, 1102),
        ({"type": 2}, 1102),
    ],
)
async def test_modify_is_held_to_the_rules(
    simulator: FyersSimulator, browser: Browser, changes: dict[str, Any], code: int
):
    placed = await browser.place()
    (order,) = simulator.engine.orders
    before = (order.order_type, order.quantity, order.price, order.trigger_price)
    body = {"id": placed["id"], "type": 1, **changes}

    answered = await browser.call(
        "PATCH", "/api/v3/orders/sync", {name: v for name, v in body.items() if v is not ...}
    )

    assert code == answered.json()["code"]
    if code != 1102:
        assert before == (order.order_type, order.quantity, order.price, order.trigger_price)


async def test_done_order_is_not_modified(browser: Browser):
    placed = await browser.place(type=2, limitPrice=0)

    answered = await browser.call("PATCH", "/api/v3/orders/sync", {"id": placed["id"], "type": 1})

    assert (-52, placed["id"]) == (answered.json()["code"], answered.json()["id"])


async def test_quotes_are_asked_for_in_the_query_or_in_a_body(browser: Browser):
    names = ["NSE:SBIN-EQ", "NSE:M&M-EQ", "NSE:NO-EQ"]
    query = urlencode({"symbols": ",".join(names)})

    by_query = await browser.call("GET", f"/data/quotes?{query}")
    by_body = await browser.call("POST", "/data/quotes", {"symbols": names})

    assert by_query.json() == by_body.json()
    assert names == [row["n"] for row in by_query.json()["d"]]
    assert -300 == by_query.json()["d"][2]["v"]["code"]
    for body in ({}, {"symbols": "NSE:SBIN-EQ"}, {"symbols": ["NSE:SBIN-EQ"] * 51}, []):
        assert -50 == (await browser.call("POST", "/data/quotes", body)).json()["code"]
    for query in ("", "?symbols=", "?symbols=NSE:SBIN-EQ,", "?symbols=" + ",".join("x" * 51)):
        assert -50 == (await browser.call("GET", f"/data/quotes{query}")).json()["code"]


async def test_order_endpoints_alone_say_how_long_to_stay_away(
    simulator: FyersSimulator, browser: Browser
):
    simulator.faults.add([{"action": "rate_limit", "count": 2}])

    book = await browser.call("GET", "/api/v3/orders")
    funds = await browser.call("GET", "/api/v3/funds")

    assert (429, 429) == (book.status, funds.status)
    assert ("1", "1000") == (book.headers["retry-after"], book.headers["x-retry-after-ms"])
    assert "retry-after" not in funds.headers


async def test_untagged_order_reads_as_untagged_and_filters_apply(browser: Browser):
    await browser.place()
    tagged = await browser.place(orderTag="mine", type=2, limitPrice=0)

    async def book(query: str = "") -> list[dict[str, Any]]:
        return (await browser.call("GET", f"/api/v3/orders{query}")).json()["orderBook"]

    assert ["2:Untagged", "1:mine"] == [row["orderTag"] for row in await book()]
    assert [tagged["id"]] == [row["id"] for row in await book("?order_tag=1%3Amine")]
    assert [tagged["id"]] == [row["id"] for row in await book(f"?id={tagged['id']}")]
    assert [] == await book("?order_tag=mine")
    trades = (await browser.call("GET", "/api/v3/tradebook?order_tag=1:mine")).json()["tradeBook"]
    assert [tagged["id"]] == [row["orderNumber"] for row in trades]


async def test_market_order_shows_a_protection_price(browser: Browser):
    await browser.place(type=2, limitPrice=0)

    (row,) = (await browser.call("GET", "/api/v3/orders")).json()["orderBook"]
    assert (2, 2, 820.1) == (row["type"], row["status"], row["limitPrice"])


async def test_order_ids_are_date_and_sequence(browser: Browser):
    first, second = await browser.place(), await browser.place()

    assert 14 == len(first["id"])
    assert int(first["id"]) + 1 == int(second["id"])


async def test_login_page_wants_the_right_app_redirect_and_password(
    simulator: FyersSimulator, browser: Browser
):
    given = {
        "app_id": simulator.credentials["app_id"],
        "redirect_uri": simulator.credentials["redirect_uri"],
        "state": "s",
    }
    for name in ("app_id", "redirect_uri"):
        url = authcode_url("", **{**given, name: "other"})
        assert 400 == (await browser.call("GET", f"/api/v3{url}")).status
    page = await browser.call("GET", f"/api/v3{authcode_url('', **given)}")
    request_key = page.body.decode().partition('name="request_key" value="')[2].partition('"')[0]

    async def answer(key: str, otp: str) -> HttpResponse:
        form = urlencode({"request_key": key, "otp": otp}).encode()
        return await browser.call(
            "POST",
            "/api/v3/generate-authcode",
            form,
            content_type="application/x-www-form-urlencoded",
        )

    right = simulator.otp or ""
    assert 401 == (await answer(request_key, "000000" if right != "000000" else "1")).status
    assert 400 == (await answer("other", right)).status
    done = await answer(request_key, right)
    assert 302 == done.status
    assert done.headers["location"].startswith(given["redirect_uri"] + "?s=ok&code=200&auth_code=")
    assert 400 == (await answer(request_key, right)).status


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_type": "refresh_token"}, -50),
        ({"appIdHash": "0" * 64}, -371),
        ({"appIdHash": None}, -371),
        ({"code": ""}, -374),
        ({"code": "a.b.c"}, -437),
    ],
)
async def test_code_exchange_names_what_is_wrong(
    simulator: FyersSimulator, browser: Browser, changes: dict[str, Any], code: int
):
    credentials = simulator.credentials
    body = {
        "grant_type": "authorization_code",
        "appIdHash": app_id_hash(credentials["app_id"], credentials["secret_key"]),
        "code": "x",
    }

    answered = await browser.call("POST", "/api/v3/validate-authcode", {**body, **changes})

    assert ("error", code) == (answered.json()["s"], answered.json()["code"])


async def test_helper_says_when_the_page_does_not_take_the_login(simulator: FyersSimulator):
    step = RedirectRequired(
        login_url=authcode_url(
            simulator.base_urls["login"], app_id="OTHER-100", redirect_uri="x", state="s"
        ),
        state="s",
        expires_at=datetime.now(IST),
        pending={},
    )

    with pytest.raises(RuntimeError, match="HTTP 400"):
        await simulator.complete_login(step)


@pytest.mark.parametrize("name", ["NSE_CM", "BSE_CM", "NSE_FO", "BSE_FO", "NSE_CD", "MCX_COM"])
async def test_both_forms_of_a_master_file_name_the_same_contracts(browser: Browser, name: str):
    rows = (await browser.call("GET", f"/sym_details/{name}_sym_master.json")).json()
    lines = (await browser.call("GET", f"/sym_details/{name}.csv")).body.decode().splitlines()

    table = [line.split(",") for line in lines]
    assert all(21 == len(row) for row in table)
    assert list(rows) == [row[9] for row in table]
    assert [row["fyToken"] for row in rows.values()] == [row[0] for row in table]
    assert all(ticker == row["symTicker"] for ticker, row in rows.items())


async def test_unknown_file_is_not_there(browser: Browser):
    for name in ("NSE_CM.txt", "BSE_CD.csv", "OTHER_sym_master.json"):
        assert 404 == (await browser.call("GET", f"/sym_details/{name}")).status


async def test_synthetic_contract_can_be_traded(session: Session):
    core = len(FyersSimulator().universe)
    simulator = FyersSimulator(options={"rows": core + 100})
    await simulator.start()
    simulator.open_session(session.token, client_id="FX0011", expires_at=session.expires_at)
    browser = Browser(simulator, session)
    try:
        placed = await browser.place(symbol="NSE:SYN00001-EQ", limitPrice=100)
        assert 1101 == placed["code"]
        assert -300 == (await browser.place(symbol="NSE:SYN99999-EQ"))["code"]
    finally:
        await browser.web.close()
        await simulator.stop()
