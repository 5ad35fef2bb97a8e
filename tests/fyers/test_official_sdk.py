"""The official SDK against the simulator: the proof that the simulator speaks Fyers' protocol."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.fyers import parse
from adapters.fyers.constants import IST
from adapters.fyers.envelope import Envelope
from adapters.fyers.parse_account import parse_positions, parse_trade_book
from adapters.fyers.parse_quotes import parse_quotes
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import Refused
from adapters.sdk.models import BrokerOrderState
from tests.fyers.payloads import answer_of, envelope_of

pytestmark = pytest.mark.sdk

_ROOT = Path(__file__).parents[2]
_SET_UP = (
    "python -m venv .venvs/fyers-sdk && "
    ".venvs/fyers-sdk/bin/pip install -r tests/fyers/sdk-requirements.txt"
)
_TIME_LIMIT_S = 60


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


async def _drive(python: str, simulator: FyersSimulator, folder: Path) -> dict[str, Any]:
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
        credentials = json.dumps(dict(simulator.credentials)).encode()
        async with asyncio.timeout(_TIME_LIMIT_S):
            output, errors = await process.communicate(credentials)
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
    got = await _drive(sdk_python, simulator, tmp_path)

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
    assert 10 == got["positions"]["netPositions"][0]["netQty"]
    assert 2 == len(got["holdings"]["holdings"])
    assert list(range(1, 11)) == [row["id"] for row in got["funds"]["fund_limit"]]
    assert ["ok", "ok", "error"] == [row["s"] for row in got["quotes"]["d"]]
    assert ["ok", "ok"] == [row["s"] for row in got["quotes_by_body"]["d"]]
    assert 5 == len(got["depth"]["d"]["NSE:M&M-EQ"]["ask"])
    assert "you are successfully logged out" == got["logout"]["message"]
    assert -16 == got["after_logout"]["code"]
    assert not simulator.violations


async def test_our_parsers_read_what_the_official_sdk_was_told(
    sdk_python: str, simulator: FyersSimulator, tmp_path: Path
):
    got = await _drive(sdk_python, simulator, tmp_path)

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
    (position,) = parse_positions(told("positions"))
    assert (trade.codes, 10, Decimal(812)) == (
        position.codes,
        position.quantity,
        position.average_price,
    )
    names = {"NSE:SBIN-EQ": "NSE:SBIN", "NSE:M&M-EQ": "NSE:M&M", "NSE:NO-EQ": "NSE:NO"}
    now = datetime.now(IST)
    assert {"NSE:SBIN"} == parse_quotes(told("quotes"), names, now).keys()
    assert {"NSE:SBIN", "NSE:M&M"} == parse_quotes(told("quotes_by_body"), names, now).keys()
