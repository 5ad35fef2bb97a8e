"""The simulated Fyers' account and market data by themselves: strict, and in its words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from adapters.fyers.constants import IST
from adapters.fyers.simulator import FyersSimulator
from adapters.fyers.simulator_limits import MOST_BREACHES, RateLimits
from tests.fyers.conftest import Browser

_MARGIN_ORDER: dict[str, Any] = {
    "symbol": "NSE:SBIN-EQ",
    "qty": 10,
    "side": 1,
    "type": 1,
    "productType": "CNC",
    "limitPrice": 800.5,
    "stopLoss": 0,
    "stopPrice": 0,
    "takeProfit": 0,
}
_MONDAY = datetime(2026, 11, 16, tzinfo=IST)


def history(**changes: Any) -> str:
    fields = {
        "symbol": "NSE:SBIN-EQ",
        "resolution": "D",
        "date_format": "1",
        "range_from": "2026-11-16",
        "range_to": "2026-11-18",
        "cont_flag": "1",
        **changes,
    }
    return "/data/history?" + "&".join(f"{k}={v}" for k, v in fields.items() if v is not ...)


async def test_margin_of_what_is_documented(browser: Browser, simulator: FyersSimulator):
    answered = await browser.call(
        "POST", "/api/v3/multiorder/margin", {"data": [_MARGIN_ORDER, _MARGIN_ORDER]}
    )

    assert {"s": "ok", "code": 200, "message": ""} == {
        name: answered.json()[name] for name in ("s", "code", "message")
    }
    assert 16010 == answered.json()["data"]["margin_new_order"]
    assert not simulator.engine.orders


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in sorted(_MARGIN_ORDER) for value in (..., None, "1", [], True, -3)],
)
async def test_margin_field_of_a_wrong_type_is_refused(browser: Browser, name: str, value: object):
    order = {k: v for k, v in {**_MARGIN_ORDER, name: value}.items() if v is not ...}

    answered = await browser.call("POST", "/api/v3/multiorder/margin", {"data": [order]})

    assert 400 == answered.status
    assert (-310 if (name, value) == ("symbol", "1") else -50) == answered.json()["code"]


@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": {}}, [], "x", b"{", {"data": ["x"]}])
async def test_margin_of_no_orders_is_refused(browser: Browser, body: Any):
    assert 400 == (await browser.call("POST", "/api/v3/multiorder/margin", body)).status


async def test_body_of_another_content_type_is_refused_and_counted(
    browser: Browser, simulator: FyersSimulator
):
    for target, body in (
        ("/api/v3/multiorder/margin", {"data": [_MARGIN_ORDER]}),
        ("/data/quotes", {"symbols": ["NSE:SBIN-EQ"]}),
    ):
        answered = await browser.call(
            "POST", target, body, content_type="application/x-www-form-urlencoded"
        )
        assert 400 == answered.status

    assert 2 == sum(simulator.violations.values())


async def test_authorization_of_another_form_is_refused_and_counted(
    browser: Browser, simulator: FyersSimulator
):
    token = browser.authorization.partition(":")[2]
    for wrong in (f"Bearer {browser.authorization}", token):
        answered = await browser.call("GET", "/api/v3/funds", authorization=wrong)
        assert (401, -16) == (answered.status, answered.json()["code"])

    assert 2 == sum(simulator.violations.values())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NSE:NO-EQ"}, -300),
        ({"symbol": ...}, -300),
        ({"resolution": "7"}, -50),
        ({"resolution": ...}, -50),
        ({"date_format": "2"}, -50),
        ({"date_format": ...}, -50),
        ({"range_from": "1795000000"}, -50),
        ({"date_format": "0"}, -50),
        ({"range_from": "2026-11-19"}, -50),
        ({"range_from": "2025-11-16"}, -50),
        ({"range_from": "2026-08-09", "resolution": "60"}, -50),
        ({"cont_flag": "yes"}, -50),
        ({"oi_flag": "2"}, -50),
    ],
)
async def test_history_is_held_to_the_rules(browser: Browser, changes: dict[str, Any], code: int):
    answered = await browser.call("GET", history(**changes))

    assert (400, "error", code) == (
        answered.status,
        answered.json()["s"],
        answered.json()["code"],
    )


async def test_days_are_stamped_midnight_utc_and_both_ends_are_included(browser: Browser):
    rows = (await browser.call("GET", history())).json()["candles"]

    noon_utc = [int((_MONDAY + timedelta(days=day, hours=5.5)).timestamp()) for day in range(3)]
    assert noon_utc == [row[0] for row in rows]
    assert {6} == {len(row) for row in rows}


async def test_range_in_seconds_picks_days_by_their_stamp(browser: Browser):
    stamp = int((_MONDAY + timedelta(hours=5.5)).timestamp())
    asked = {"date_format": "0", "range_to": stamp}

    exact = await browser.call("GET", history(**asked, range_from=stamp))
    before = await browser.call(
        "GET", history(**{**asked, "range_to": stamp - 1}, range_from=stamp - 3600)
    )

    assert [stamp] == [row[0] for row in exact.json()["candles"]]
    assert ("no_data", []) == (before.json()["s"], before.json()["candles"])


async def test_a_hundred_days_of_minutes_and_a_year_of_days_are_given(browser: Browser):
    minutes = await browser.call("GET", history(range_from="2026-08-11", resolution="60"))
    days = await browser.call("GET", history(range_from="2025-11-18"))

    assert 400 < len(minutes.json()["candles"])
    assert 250 < len(days.json()["candles"])


async def test_open_interest_is_a_seventh_value_where_it_is_asked_for(browser: Browser):
    rows = (await browser.call("GET", history(oi_flag=1))).json()["candles"]

    assert {7} == {len(row) for row in rows}


@pytest.mark.parametrize("options", [{"quotes_refuse_whole": True}])
async def test_batch_with_a_bad_symbol_may_be_refused_whole(browser: Browser):
    answered = await browser.call("GET", "/data/quotes?symbols=NSE:SBIN-EQ,NSE:NO-EQ")

    assert (400, -300) == (answered.status, answered.json()["code"])


@pytest.mark.parametrize("names", [[], [""], [7], ["NSE:SBIN-EQ"] * 51, "NSE:SBIN-EQ", None])
async def test_quotes_take_one_to_fifty_symbols(browser: Browser, names: Any):
    answered = await browser.call("POST", "/data/quotes", {"symbols": names})

    assert (400, -50) == (answered.status, answered.json()["code"])


async def test_market_status_follows_the_market(browser: Browser, simulator: FyersSimulator):
    simulator.engine.set_market(is_open=False)

    rows = (await browser.call("GET", "/data/marketStatus")).json()["marketStatus"]

    assert {"CLOSED"} == {row["status"] for row in rows}


@pytest.mark.parametrize(
    "options",
    [
        {"holdings": [{"instrument": "NSE:NOSUCH", "quantity": 1, "price": 1}]},
        {"holdings": [{"instrument": "NSE:SBIN", "quantity": "x", "price": 1}]},
        {"carried": [{"instrument": "NSE:SBIN", "quantity": 1}]},
        {"carried": [{"instrument": "NSE:SBIN", "quantity": 1, "price": 1, "colour": "red"}]},
    ],
)
def test_option_that_names_nothing_is_refused(options: dict[str, Any]):
    with pytest.raises(ValueError):
        FyersSimulator(options=options)


def test_ten_calls_a_second_pass():
    limits, now = RateLimits(), _MONDAY

    assert [True] * 10 + [False] == [limits.take(now) for _ in range(11)]
    assert not limits.take(now + timedelta(milliseconds=999))
    assert limits.take(now + timedelta(seconds=1))
    assert 0 == limits.breaches


def _overrun(limits: RateLimits, now: datetime) -> list[bool]:
    """Make 201 calls within the minute, slowly enough for every second of it."""
    return [limits.take(now + timedelta(seconds=0.2) * number) for number in range(201)]


def test_two_hundred_calls_a_minute_pass_and_the_fourth_breach_blocks_the_day():
    limits = RateLimits()
    for breach in range(MOST_BREACHES):
        now = _MONDAY + timedelta(minutes=5 * breach)
        assert [True] * 200 + [False] == _overrun(limits, now)
        assert limits.take(now + timedelta(minutes=2))
    assert MOST_BREACHES == limits.breaches

    _overrun(limits, _MONDAY + timedelta(hours=1))

    assert not limits.take(_MONDAY + timedelta(hours=20))
    assert limits.take(_MONDAY + timedelta(hours=24))


@pytest.mark.parametrize("options", [{"rate_limits": True}])
async def test_too_many_calls_are_answered_as_fyers_does_and_counted(
    browser: Browser, simulator: FyersSimulator
):
    answers = [await browser.call("GET", "/api/v3/funds") for _ in range(12)]

    limited = [answer for answer in answers if answer.status == 429]
    assert limited
    assert {"code": 429, "message": "request limit reached", "s": "error"} == limited[0].json()
    assert len(limited) == sum(simulator.violations.values())
    simulator.reset()
    assert 200 == (await browser.call("GET", "/api/v3/funds")).status
