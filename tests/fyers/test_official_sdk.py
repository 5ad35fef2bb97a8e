"""The official SDK against the simulator: the proof that the simulator speaks Fyers' protocol."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.fyers import parse
from adapters.fyers.constants import IST
from adapters.fyers.envelope import Envelope
from adapters.fyers.parse_account import parse_positions, parse_trade_book
from adapters.fyers.parse_market import parse_candles, parse_depth
from adapters.fyers.parse_portfolio import parse_funds, parse_holdings, parse_margin
from adapters.fyers.parse_quotes import parse_quotes
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import Refused
from adapters.sdk.models import BrokerOrderState, InstrumentType, Product
from tests.fyers.payloads import answer_of, envelope_of

pytestmark = pytest.mark.sdk

_ROOT = Path(__file__).parents[2]
_SET_UP = (
    "python -m venv .venvs/fyers-sdk && "
    ".venvs/fyers-sdk/bin/pip install -r tests/fyers/sdk-requirements.txt"
)
_TIME_LIMIT_S = 60


def _friday() -> datetime:
    """The midnight of the last Friday before today, of which there are candles."""
    today = datetime.combine(datetime.now(IST).date(), time(), IST)
    return today - timedelta(days=(today.weekday() - 4 - 1) % 7 + 1)


def _history() -> dict[str, dict[str, str]]:
    """What to ask of candles, by what the answer is called: both forms of a date."""
    day = _friday()
    asked = {"symbol": "NSE:SBIN-EQ", "cont_flag": "1"}
    stamps = {
        "date_format": "0",
        "range_from": str(int(day.timestamp())),
        "range_to": str(int((day + timedelta(hours=23)).timestamp())),
    }
    days = {
        "date_format": "1",
        "range_from": f"{day - timedelta(days=4):%Y-%m-%d}",
        "range_to": f"{day:%Y-%m-%d}",
    }
    saturday = f"{day + timedelta(days=1):%Y-%m-%d}"
    return {
        "minutes": {**asked, **stamps, "resolution": "5"},
        "days": {**asked, **days, "resolution": "D"},
        "interest": {**asked, **days, "resolution": "1D", "oi_flag": "1"},
        "no_days": {
            **asked,
            **days,
            "range_from": saturday,
            "range_to": saturday,
            "resolution": "D",
        },
        "no_candles": {**asked, **days, "resolution": "7"},
    }


@pytest.fixture
def options() -> dict[str, Any]:
    """An account with every kind of holding, and a future sold on an earlier day."""
    future = next(
        contract
        for contract in FyersSimulator().universe.core
        if contract.underlying == "NIFTY" and contract.type is InstrumentType.FUT
    )
    pledged = {"instrument": "NSE:INFY", "quantity": 20, "price": "1510", "t1": 5, "pledged": 12}
    return {
        "holdings": [{"instrument": "NSE:SBIN", "quantity": 50, "price": "640.25"}, pledged],
        "carried": [{"instrument": future.instrument, "quantity": -65, "price": "26100"}],
    }


@pytest.fixture
def sdk_python() -> str:
    given = os.environ.get("BROKERGATE_SDK_FYERS_PYTHON")
    python = Path(given) if given else _ROOT / ".venvs" / "fyers-sdk" / "bin" / "python"
    if not python.exists():
        message = f"the official Fyers SDK has no environment at {python}; set it up: {_SET_UP}"
        if os.environ.get("CI") or os.environ.get("BROKERGATE_REQUIRE_SDK") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return str(python)


async def drive(python: str, simulator: FyersSimulator, folder: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("sdk_session.py")
    process = await asyncio.create_subprocess_exec(
        python,
        str(script),
        simulator.base_urls["api"],
        simulator.base_urls["data"],
        simulator.control_url,
        # The SDK writes its log files there.
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        given = {"credentials": dict(simulator.credentials), "history": _history()}
        async with asyncio.timeout(_TIME_LIMIT_S):
            output, errors = await process.communicate(json.dumps(given).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert 0 == process.returncode, errors.decode()
    # The SDK prints log lines of its own; the results are the last line.
    return dict(json.loads(output.decode().splitlines()[-1]))


async def test_official_sdk_logs_in_places_lists_modifies_and_cancels(
    sdk_python: str, simulator: FyersSimulator, tmp_path: Path
):
    got = await drive(sdk_python, simulator, tmp_path)

    assert (["ok"], ["200"], ["a-state"]) == tuple(
        got["redirect"][name] for name in ("s", "code", "state")
    )
    assert {"s", "code", "message", "access_token", "refresh_token"} == got["token"].keys()
    assert "FX0011" == got["profile"]["data"]["fy_id"]
    order_id = got["place"]["id"]
    assert ("ok", 1101) == (got["place"]["s"], got["place"]["code"])
    for listing in ("book", "by_tag", "by_id", "get_orders"):
        assert [order_id] == [row["id"] for row in got[listing]["orderBook"]], listing
    assert "1:123456789012345" == got["book"]["orderBook"][0]["orderTag"]
    assert ("ok", 1102, order_id) == tuple(got["modify"][name] for name in ("s", "code", "id"))
    assert (801, 12, 6) == tuple(
        got["modified"]["orderBook"][0][name] for name in ("limitPrice", "qty", "status")
    )
    assert ("ok", 1102) == (got["to_stop"]["s"], got["to_stop"]["code"])
    assert (4, 820.5, 820, 12) == tuple(
        got["stop"]["orderBook"][0][name] for name in ("type", "limitPrice", "stopPrice", "qty")
    )
    assert ("error", -52) == (got["modify_done"]["s"], got["modify_done"]["code"])
    assert ("ok", 1103, order_id) == tuple(got["cancel"][name] for name in ("s", "code", "id"))
    assert ("error", -52, order_id) == tuple(
        got["cancel_again"][name] for name in ("s", "code", "id")
    )
    assert 1 == got["cancelled"]["orderBook"][0]["status"]
    assert ("error", -50) == (got["invalid"]["s"], got["invalid"]["code"])
    assert ("error", -99) == (got["too_dear"]["s"], got["too_dear"]["code"])
    assert got["too_dear"]["id"]
    assert got["market"]["id"] == got["trades"]["tradeBook"][0]["orderNumber"]
    assert 10 == got["positions"]["netPositions"][1]["netQty"]
    assert 2 == len(got["holdings"]["holdings"])
    assert list(range(1, 11)) == [row["id"] for row in got["funds"]["fund_limit"]]
    assert ["ok", "ok", "error"] == [row["s"] for row in got["quotes"]["d"]]
    assert ["ok", "ok"] == [row["s"] for row in got["quotes_by_body"]["d"]]
    assert 5 == len(got["depth"]["d"]["NSE:M&M-EQ"]["ask"])
    assert (5, 12) == tuple(
        got["holdings"]["holdings"][1][name] for name in ("qty_t1", "collateralQuantity")
    )
    carried = got["positions"]["netPositions"][0]
    assert (-65, -1, 65, 0) == tuple(
        carried[name] for name in ("netQty", "side", "cfSellQty", "daySellQty")
    )
    assert -300 == got["no_depth"]["code"]
    assert (75, 6) == (len(got["minutes"]["candles"]), len(got["minutes"]["candles"][0]))
    assert 5 == len(got["days"]["candles"]) == len(got["interest"]["candles"])
    assert 7 == len(got["interest"]["candles"][0])
    assert "no_data" == got["no_days"]["s"]
    assert ("error", -50) == (got["no_candles"]["s"], got["no_candles"]["code"])
    assert ("ok", 160) == (got["margin"]["s"], got["margin"]["data"]["margin_new_order"])
    assert got["trades"]["tradeBook"] == got["trades_by_tag"]["tradeBook"]
    assert {"OPEN"} == {row["status"] for row in got["market_status"]["marketStatus"]}
    assert "you are successfully logged out" == got["logout"]["message"]
    assert -16 == got["after_logout"]["code"]
    assert not simulator.violations


async def test_our_parsers_read_what_the_official_sdk_was_told(
    sdk_python: str, simulator: FyersSimulator, tmp_path: Path
):
    got = await drive(sdk_python, simulator, tmp_path)

    def told(name: str) -> Envelope:
        return envelope_of(answer_of(json.dumps(got[name])))

    (row,) = parse.parse_order_book(told("cancelled"))
    assert BrokerOrderState.CANCELLED is row.state
    assert 123456789012345 == row.broker_tag
    (row,) = parse.parse_order_book(told("stop"))
    assert (BrokerOrderState.TRIGGER_PENDING, 12) == (row.state, row.quantity)
    assert (
        row.broker_order_id
        == parse.parse_modified(told("to_stop"), got["place"]["id"]).broker_order_id
    )
    with pytest.raises(Refused):
        parse.parse_modified(told("modify_done"), got["place"]["id"])
    (trade,) = parse_trade_book(told("trades"))
    assert (got["market"]["id"], 10, Decimal(812)) == (
        trade.broker_order_id,
        trade.quantity,
        trade.price,
    )
    carried, position = parse_positions(told("positions"))
    assert (-65, Product.NRML, Decimal(26100)) == (
        carried.quantity,
        carried.product,
        carried.average_price,
    )
    assert (trade.codes, 10, Decimal(812)) == (
        position.codes,
        position.quantity,
        position.average_price,
    )
    names = {"NSE:SBIN-EQ": "NSE:SBIN", "NSE:M&M-EQ": "NSE:M&M", "NSE:NO-EQ": "NSE:NO"}
    now = datetime.now(IST)
    assert {"NSE:SBIN"} == parse_quotes(told("quotes"), names, now).keys()
    assert {"NSE:SBIN", "NSE:M&M"} == parse_quotes(told("quotes_by_body"), names, now).keys()
    owned, pledged = parse_holdings(told("holdings"))
    assert (50, Decimal("640.25")) == (owned.quantity, owned.average_price)
    assert (20, 5, 12) == (pledged.quantity, pledged.t1_quantity, pledged.pledged_quantity)
    funds = parse_funds(told("funds"))
    margin = parse_margin(told("margin"), 1)
    assert funds.available == margin.available
    assert margin.required == Decimal(160) + (funds.used or 0)
    depth = parse_depth(told("depth"), "NSE:M&M-EQ", "NSE:M&M", now)
    assert depth is not None
    assert (5, 5) == (len(depth.bids), len(depth.asks))
    assert parse_depth(told("no_depth"), "NSE:NO-EQ", "NSE:NO", now) is None
    friday = _friday()
    kinds = {"daily": False, "derivative": False}
    bars = parse_candles(told("minutes"), friday, now, **kinds)
    assert (75, friday + timedelta(hours=9, minutes=15)) == (len(bars), bars[0].at)
    kinds["daily"] = True
    (day,) = parse_candles(told("days"), friday, now, **kinds)
    assert (friday, bars[0].open, bars[-1].close) == (day.at, day.open, day.close)
    assert parse_candles(told("interest"), friday, now, **kinds) == [day]
    assert [] == parse_candles(told("no_days"), friday, now, **kinds)
    with pytest.raises(Refused):
        parse_candles(told("no_candles"), friday, now, **kinds)
