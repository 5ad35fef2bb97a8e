"""The local m.Stock is as strict, and as odd, as the dossier says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.mstock.config import STOP_SPELLING
from adapters.mstock.constants import IST, PREFIX
from adapters.mstock.orders import place_fields
from adapters.mstock.simulator import MstockSimulator
from adapters.sdk.simulator import ManualClock
from adapters.sdk.transport import HttpRequest, HttpResponse, WebTransport
from tests.mstock.support import Desk, desk, payload

# A Monday.
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=IST)


class Wire:
    """Raw calls to the simulator, signed as a client signs them unless told otherwise."""

    def __init__(self, at: Desk) -> None:
        self.web = WebTransport(at.simulator.url)
        self.headers = {
            "X-Mirae-Version": "1",
            "X-PrivateKey": at.session.extra["api_key"],
            "Authorization": f"Bearer {at.session.token}",
            "Content-Type": "application/json",
        }
        self.fields = place_fields(at.order(), STOP_SPELLING)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> HttpResponse:
        sent = {**self.headers, **(headers or {})}
        named = tuple((name, value) for name, value in sent.items() if value is not None)
        raw = b"" if body is None else json.dumps(body).encode()
        return await self.web.send(HttpRequest(method, PREFIX + path, named, raw))

    async def place(self, **changes: Any) -> HttpResponse:
        body = {name: value for name, value in (self.fields | changes).items() if value is not None}
        return await self.call("POST", "/orders/regular", body)


@asynccontextmanager
async def wire(folder: Path, **options: Any) -> AsyncIterator[tuple[Desk, Wire]]:
    async with desk(**options) as at:
        await at.log_in()
        await at.load(folder)
        raw = Wire(at)
        try:
            yield at, raw
        finally:
            await raw.web.close()


def shape(value: Any) -> Any:
    """Reduce an answer to its keys and kinds of value."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


@pytest.mark.parametrize(
    ("method", "path", "body", "sample"),
    [
        ("GET", "/orders", None, "get_orders"),
        ("GET", "/tradebook", None, "get_tradebook"),
    ],
)
async def test_rows_have_the_fields_of_the_brokers_own(
    tmp_path: Path, method: str, path: str, body: Any, sample: str
) -> None:
    async with wire(tmp_path) as (at, raw):
        await at.place(at.order(price=Decimal("812.00")))
        got = (await raw.call(method, path, body)).json()
        expected = json.loads(payload(sample))
        assert shape({**expected["data"][0]}) == shape(got["data"][0])
        assert (got["status"], got["errorcode"]) == ("true", "")


async def test_details_have_the_fields_of_the_brokers_own(tmp_path: Path) -> None:
    async with wire(tmp_path) as (at, raw):
        ref = await at.place(at.order())
        body = {"order_no": ref.broker_order_id, "segment": "E"}
        (row,) = (await raw.call("POST", "/order/details", body)).json()["data"]
        (expected,) = json.loads(payload("post_order_details"))["data"]
        assert shape(expected) == shape(row)
        assert row["orderid"] != ref.broker_order_id
        assert row["filledshares"] == "10"


async def test_a_placement_is_answered_in_a_list_of_one(tmp_path: Path) -> None:
    async with wire(tmp_path) as (_, raw):
        got = (await raw.place()).json()
        assert shape(json.loads(payload("post_orders_regular"))) == shape(got)


async def test_a_call_without_the_version_is_refused_inside_http_200(tmp_path: Path) -> None:
    async with wire(tmp_path) as (_, raw):
        got = await raw.call("GET", "/orders", headers={"X-Mirae-Version": None})
        assert (got.status, got.json()["error_type"]) == (200, "VersionException")


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer wrong", "token sim-mstock-key:jwt"]
)
async def test_a_call_without_a_good_bearer_token_is_ia401(
    tmp_path: Path, authorization: str | None
) -> None:
    async with wire(tmp_path) as (_, raw):
        got = await raw.call("GET", "/orders", headers={"Authorization": authorization})
        assert (got.status, got.json()["errorcode"]) == (401, "IA401")


async def test_the_request_token_of_step_1_is_no_session(tmp_path: Path) -> None:
    async with wire(tmp_path) as (at, raw):
        step = await at.adapter.begin_login(at.simulator.credentials)
        token = step.pending["request_token"]  # type: ignore[union-attr]
        got = await raw.call("GET", "/orders", headers={"Authorization": f"Bearer {token}"})
        assert got.status == 401


async def test_a_call_without_the_key_is_ia403(tmp_path: Path) -> None:
    async with wire(tmp_path) as (_, raw):
        got = await raw.call("GET", "/orders", headers={"X-PrivateKey": None})
        assert (got.status, got.json()["errorcode"]) == (403, "IA403")


async def test_the_verb_of_the_docs_is_refused_with_405(tmp_path: Path) -> None:
    async with wire(tmp_path) as (at, raw):
        assert (await raw.call("GET", "/orders/regular")).status == 405
        assert at.simulator.engine.orders == []


@pytest.mark.parametrize(
    "changes",
    [{"triggerprice": None}, {"quantity": 10}, {"trailingStopLoss": None}, {"ordertag": None}],
)
async def test_a_field_that_is_missing_or_no_text_is_a_validation_problem(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    async with wire(tmp_path) as (at, raw):
        got = await raw.place(**changes)
        assert (got.status, got.json()["status"]) == (400, 400)
        assert list(changes) == list(got.json()["errors"])
        assert at.simulator.engine.orders == []


@pytest.mark.parametrize(
    "changes",
    [
        {"ordertype": "STOP"},
        {"ordertype": "STOPLOSS_LIMIT", "variety": "STOPLOSS"},
        {"producttype": "CNC"},
        {"exchange": "NFO"},
        {"tradingsymbol": "SBIN"},
        {"symboltoken": ""},
        {"quantity": "0"},
        {"price": "0"},
        {"disclosedquantity": "10"},
        {"ordertag": "x" * 20},
        {"ordertag": "with-dash"},
        {"duration": "GTC"},
    ],
)
async def test_a_value_that_is_not_allowed_is_ia400_and_places_nothing(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    async with wire(tmp_path) as (at, raw):
        got = await raw.place(**changes)
        assert (got.status, got.json()["errorcode"]) == (400, "IA400")
        assert at.simulator.engine.orders == []


async def test_a_cancel_needs_its_body(tmp_path: Path) -> None:
    async with wire(tmp_path) as (at, raw):
        ref = await at.place(at.order())
        path = f"/orders/regular/{ref.broker_order_id}"
        assert (await raw.call("DELETE", path)).status == 400
        other = {"variety": "NORMAL", "orderid": "1"}
        assert (await raw.call("DELETE", path, other)).status == 400
        assert not at.simulator.engine.orders[0].is_final


async def test_a_modify_without_a_trigger_price_is_refused_as_the_mock_shows(
    tmp_path: Path,
) -> None:
    async with wire(tmp_path) as (at, raw):
        ref = await at.place(at.order())
        body = {**raw.fields, "orderid": ref.broker_order_id, "triggerprice": ""}
        got = await raw.call("PUT", f"/orders/regular/{ref.broker_order_id}", body)
        assert got.json() == json.loads(payload("put_orders_regular_blank_trigger_http400"))


async def test_a_derivative_is_in_the_book_under_another_exchange_name_and_product(
    tmp_path: Path,
) -> None:
    async with wire(tmp_path) as (at, raw):
        name = next(key for key in at.instruments if key.startswith("NFO:NIFTY") and "CE" in key)
        option = at.instruments[name]
        fields = {
            "tradingsymbol": option.codes["tradingsymbol"],
            "symboltoken": option.codes["token"],
            "exchange": "NFO",
            "producttype": "CARRYFORWARD",
            "quantity": str(option.lot_size),
            "price": "5.00",
        }
        await raw.place(**fields)
        (row,) = (await raw.call("GET", "/orders")).json()["data"]
        assert (row["exchange"], row["producttype"]) == ("NSE", "MARGIN")
        assert row["instrumenttype"] == "OPTIDX"
        assert row["tradingsymbol"].startswith("NIFTY-")
        assert row["tradingsymbol"].endswith("-CE")


async def test_otp_and_totp_exclude_each_other() -> None:
    async with desk(login="totp") as at:
        assert at.simulator.otp is None
        step = await at.adapter.begin_login({**at.simulator.credentials, "totp_secret": ""})
        web = WebTransport(at.simulator.url)
        body = {
            "refreshToken": step.pending["request_token"],  # type: ignore[union-attr]
            "otp": await at.simulator.read_otp(),
        }
        headers = (
            ("X-Mirae-Version", "1"),
            ("X-PrivateKey", at.simulator.credentials["api_key"]),
            ("Content-Type", "application/json"),
        )
        got = await web.send(
            HttpRequest("POST", PREFIX + "/session/token", headers, json.dumps(body).encode())
        )
        await web.close()
        assert got.json()["status"] == "false"


async def test_wrong_passwords_count_down_to_a_locked_account() -> None:
    async with desk(attempts=2) as at:
        credentials = at.simulator.credentials
        for left in ("1", "0", "0"):
            with pytest.raises(Exception, match=f"{left} attempts remaining"):
                await at.adapter.begin_login({**credentials, "password": "no"})
        with pytest.raises(Exception, match="0 attempts remaining"):
            await at.adapter.begin_login(credentials)


async def test_positions_and_funds_follow_the_fills(tmp_path: Path) -> None:
    async with wire(tmp_path) as (at, raw):
        before = (await raw.call("GET", "/user/fundsummary")).json()["data"][0]
        await at.place(at.order(price=Decimal("812.00")))
        await at.adapter.order_book(at.session)
        (held,) = (await raw.call("GET", "/portfolio/positions")).json()["data"]
        after = (await raw.call("GET", "/user/fundsummary")).json()["data"][0]
        assert (held["netqty"], held["netvalue"]) == ("10", "-8120.00")
        assert held["tradingsymbol"] == ""
        spent = Decimal(before["AVAILABLE_BALANCE"]) - Decimal(after["AVAILABLE_BALANCE"])
        assert spent == Decimal("8120.00")


async def test_a_twelve_hour_clock_loses_am_and_pm(tmp_path: Path) -> None:
    async with wire(tmp_path, twelve_hour_clock=True) as (at, raw):
        await at.place(at.order())
        (row,) = (await raw.call("GET", "/orders")).json()["data"]
        assert 1 <= int(row["updatetime"].split(" ")[1][:2]) <= 12


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="login is otp or totp"):
        MstockSimulator(options={"login": "sms"})


async def counted(at: Desk) -> list[str]:
    return [what for _, what in at.simulator.violations]


HISTORY = {
    "exchange": "NSE",
    "symboltoken": "3045",
    "interval": "ONE_DAY",
    "fromdate": "2026-11-16 09:15",
    "todate": "2026-11-20 15:30",
}
MARGIN = {
    "product_type": "DELIVERY",
    "transaction_type": "BUY",
    "quantity": "5",
    "price": "800",
    "exchange": "NSE",
    "symbol_name": "SBIN-EQ",
    "token": "3045",
    "trigger_price": 0,
}


@pytest.mark.parametrize(
    ("path", "body", "http"),
    [
        ("/instruments/historical", {**HISTORY, "exchange": "1"}, 400),
        ("/instruments/historical", {**HISTORY, "symboltoken": 3045}, 400),
        ("/instruments/historical", {**HISTORY, "symboltoken": "999260"}, 400),
        ("/instruments/historical", {**HISTORY, "interval": "1m"}, 400),
        ("/instruments/historical", {**HISTORY, "fromdate": "2026-11-16T09:15:00"}, 400),
        ("/instruments/historical", {**HISTORY, "todate": "2026-11-15 15:30"}, 400),
        ("/instruments/historical", {**HISTORY, "interval": "ONE_MINUTE"}, 400),
        ("/instruments/historical", {"exchange": "NSE"}, 400),
        ("/instruments/intraday", {**HISTORY, "exchange": "NSE"}, 400),
        ("/instruments/intraday", {**HISTORY, "exchange": "3"}, 400),
        ("/instruments/quote", {"mode": "FULL", "exchangeTokens": {"NSE": ["3045"]}}, 400),
        ("/instruments/quote", {"mode": "LTP", "exchangeTokens": {"NSE": [3045]}}, 400),
        ("/instruments/quote", {"mode": "LTP", "exchangeTokens": {"NSE": "3045"}}, 400),
        ("/instruments/quote", {"mode": "LTP"}, 400),
        ("/margins/orders", {}, 400),
        ("/margins/orders", MARGIN, 400),
        ("/margins/orders", {"orders": [{**MARGIN, "quantity": 5}]}, 400),
        ("/margins/orders", {"orders": [{**MARGIN, "token": "1"}]}, 400),
        ("/margins/orders", {"orders": [{**MARGIN, "product_type": "CNC"}]}, 400),
        ("/margins/orders", {"orders": ["x"]}, 400),
        ("/trades", {"fromdate": "2026-11-16"}, 400),
        ("/order/details", {"order_no": 5}, 400),
    ],
)
async def test_a_question_that_the_documents_forbid_gets_the_brokers_error_and_is_counted(
    tmp_path: Path, path: str, body: dict[str, Any], http: int
) -> None:
    async with wire(tmp_path) as (at, raw):
        got = await raw.call("POST", path, body)
        assert got.status == http
        assert got.json()["status"] == 400 or got.json()["errorcode"] == "IA400"
        assert len(await counted(at)) == 1


@pytest.mark.parametrize("path", ["/orders/regular", "/margins/orders", "/instruments/quote"])
async def test_a_body_that_is_not_declared_as_json_is_refused_and_counted(
    tmp_path: Path, path: str
) -> None:
    async with wire(tmp_path) as (at, raw):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        got = await raw.call("POST", path, raw.fields, headers=headers)
        assert (got.status, got.json()["status"]) == (400, 400)
        assert await counted(at) == ["missing or of the wrong type: body"]


async def test_the_validation_problem_of_margins_is_the_brokers_own(tmp_path: Path) -> None:
    async with wire(tmp_path) as (_, raw):
        got = (await raw.call("POST", "/margins/orders", {})).json()
        expected = json.loads(payload("post_margins_orders_validation_http400"))
        assert got["errors"] == expected["errors"]
        assert shape(got) == shape(expected)


@pytest.mark.parametrize(
    ("path", "body", "sample"),
    [
        ("/instruments/quote", {"mode": "OHLC", "exchangeTokens": {"NSE": ["3045"]}}, "quote"),
        ("/instruments/historical", {**HISTORY, "interval": "FIVE_MINUTE"}, "historical"),
    ],
)
async def test_data_has_the_shape_of_the_brokers_own(
    tmp_path: Path, path: str, body: dict[str, Any], sample: str
) -> None:
    async with wire(tmp_path, clock=ManualClock(NOON)) as (_, raw):
        got = (await raw.call("POST", path, body)).json()
        expected = json.loads(payload(f"post_instruments_{sample}"))
        assert shape(expected["data"]) == shape(got["data"])


async def test_margins_and_holdings_have_the_shape_of_the_brokers_own(tmp_path: Path) -> None:
    async with wire(tmp_path) as (_, raw):
        margin = (await raw.call("POST", "/margins/orders", {"orders": [MARGIN]})).json()
        expected = json.loads(payload("post_margins_orders"))
        assert margin["data"].keys() == expected["data"].keys()
        assert margin["data"]["summary"].keys() == expected["data"]["summary"].keys()
        held = (await raw.call("GET", "/portfolio/holdings")).json()["data"]
        sample = json.loads(payload("get_portfolio_holdings"))["data"]
        assert shape(sample) == shape(held)
        assert held[-1]["quantity"] == 0


async def test_ltp_mode_has_no_other_prices(tmp_path: Path) -> None:
    async with wire(tmp_path) as (_, raw):
        asked = {"mode": "LTP", "exchangeTokens": {"NSE": ["3045"], "XYZ": ["1"]}}
        data = (await raw.call("POST", "/instruments/quote", asked)).json()["data"]
        assert set(data["fetched"][0]) == {"exchange", "tradingSymbol", "symbolToken", "ltp"}
        assert data["unfetched"][0]["exchange"] == "XYZ"


async def test_a_days_candle_of_today_is_http_500_as_observed(tmp_path: Path) -> None:
    async with wire(tmp_path) as (_, raw):
        body = {"exchange": "1", "symboltoken": "3045", "interval": "ONE_DAY"}
        assert (await raw.call("POST", "/instruments/intraday", body)).status == 500


async def test_historical_candles_leave_today_out_and_intraday_ones_are_newest_first(
    tmp_path: Path,
) -> None:
    async with wire(tmp_path, clock=ManualClock(NOON)) as (_, raw):
        body = {**HISTORY, "fromdate": "20-11-2026", "todate": "2026-11-23"}
        days = (await raw.call("POST", "/instruments/historical", body)).json()["data"]["candles"]
        assert [row[0] for row in days] == ["2026-11-20T00:00:00+05"]
        body = {"exchange": "1", "symboltoken": "3045", "interval": "ONE_HOUR"}
        hours = (await raw.call("POST", "/instruments/intraday", body)).json()["data"]["candles"]
        assert [row[0][-5:] for row in hours] == ["11:15", "10:15", "09:15"]


async def test_the_history_of_trades_names_the_exchanges_order(tmp_path: Path) -> None:
    async with wire(tmp_path, clock=ManualClock(NOON)) as (at, raw):
        body = {"fromdate": "2026-11-23", "todate": "2026-11-23"}
        assert (await raw.call("POST", "/trades", body)).json()["data"] == []
        ref = await at.place(at.order(price=Decimal("812.00")))
        (row,) = (await raw.call("POST", "/trades", body)).json()["data"]
        assert row["orderid"] != ref.broker_order_id
        assert (row["fillsize"], row["fillprice"]) == ("10", "812.00")
