"""The official SDK against the simulator: the proof that it speaks m.Stock's protocol."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from adapters.mstock import margins, market, parse, portfolio, rows
from adapters.mstock.constants import IST
from adapters.mstock.envelope import Envelope, decode_envelope
from adapters.sdk.models import BrokerOrderState, Interval
from adapters.sdk.simulator import CallKind, ManualClock
from tests.mstock.support import TAG, desk

pytestmark = pytest.mark.sdk

_ROOT = Path(__file__).parents[2]
_SET_UP = (
    "python -m venv .venvs/mstock-sdk && "
    ".venvs/mstock-sdk/bin/pip install -r tests/mstock/sdk-requirements.txt"
)
_TIME_LIMIT_S = 60
# A Monday.
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=IST)


@pytest.fixture
def sdk_python() -> str:
    given = os.environ.get("BROKERGATE_SDK_MSTOCK_PYTHON")
    python = Path(given) if given else _ROOT / ".venvs" / "mstock-sdk" / "bin" / "python"
    if not python.exists():
        message = f"the official m.Stock SDK has no environment at {python}; set it up: {_SET_UP}"
        if os.environ.get("BROKERGATE_REQUIRE_SDK") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return str(python)


def _weekday_before(day: datetime) -> datetime:
    """Of which there are candles: simulators know weekends only."""
    return day - timedelta(days={0: 3, 6: 2}.get(day.weekday(), 1))


class Served(Protocol):
    """A simulator of m.Stock's, in this process or in another one."""

    login_kind: str

    @property
    def base_urls(self) -> dict[str, str]: ...
    @property
    def control_url(self) -> str: ...
    @property
    def credentials(self) -> Mapping[str, str]: ...


async def drive(
    python: str, simulator: Served, folder: Path, today: datetime = NOON
) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        python,
        str(Path(__file__).with_name("sdk_session.py")),
        simulator.base_urls["api"],
        simulator.control_url,
        simulator.login_kind,
        f"{today:%Y-%m-%d}",
        f"{_weekday_before(today):%Y-%m-%d}",
        # The SDK writes its log file there.
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
    assert process.returncode == 0, errors.decode()
    # The SDK prints what it raises; the results are the last line.
    return dict(json.loads(output.decode().splitlines()[-1]))


@pytest.mark.parametrize("login", ["otp", "totp"])
async def test_official_sdk_logs_in_places_lists_modifies_and_cancels(
    sdk_python: str, tmp_path: Path, login: str
) -> None:
    async with desk(login=login, clock=ManualClock(NOON)) as at:
        got = await drive(sdk_python, at.simulator, tmp_path)

        assert got["wrong_password"]["raised"] == "GeneralException"
        assert "9 attempts remaining" in got["wrong_password"]["message"]
        assert len(got["login"]["data"]["jwtToken"]) == 36
        assert got["session"]["data"]["jwtToken"].startswith("eyJ")
        assert ("ClientId" in got["session"]["data"]) == (login == "totp")
        assert got["empty_book"]["data"] is None
        order_id = got["place"][0]["data"]["orderid"]
        (row,) = got["book"]["data"]
        assert (row["orderid"], row["status"], row["price"]) == (order_id, "Pending", "800.50")
        assert "ordertag" not in row
        assert got["details"]["data"][0]["ordertag"] == str(TAG)
        assert got["modify"]["data"]["orderid"].strip() == order_id
        (row,) = got["modified"]["data"]
        assert (row["quantity"], row["price"]) == ("12", "801.00")
        assert got["modify_blank"] == 400
        assert got["cancel"]["data"]["orderid"] == order_id
        assert got["cancel_again"]["raised"] == "GeneralException"
        assert got["cancelled"]["data"][0]["status"] == "Cancelled"
        assert "FUND LIMIT INSUFFICIENT" in got["too_dear"]["message"]
        (trade,) = got["trades"]["data"]
        assert trade["ORDER_NUMBER"] == got["market"][0]["data"]["orderid"]
        assert got["positions"]["data"][0]["netqty"] == "10"
        assert got["holdings"]["data"][0]["tradingsymbol"] == "STATE BANK OF INDIA"
        assert set(got["funds"]["data"][0]) >= {"AVAILABLE_BALANCE", "AMOUNT_UTILIZED"}
        assert got["quote"]["data"]["fetched"][0]["tradingSymbol"] == "SBIN-EQ"
        assert got["quote"]["data"]["unfetched"][0]["symbolToken"] == "999260"
        resting = got["resting"][0]["data"]["orderid"]
        assert got["cancel_all"] == {"status": "success", "data": {"order_id": resting}}
        assert got["cancel_none"]["error_type"] == "InputException"
        assert set(got["master"][0]) >= {"token", "symbol", "name", "exch_seg"}
        assert got["logout"]["message"] == "Success"
        assert got["after_logout"]["raised"] == "InteractiveAPIException"
        assert got["trade_history"]["data"][0]["fillprice"] == "812.00"
        assert got["margin"]["data"]["summary"]["total_charges"] == 8025
        assert got["margin_wrong"]["errorcode"] == "IA400"
        assert len(got["history"]["data"]["candles"]) == 75
        assert len(got["history_day"]["data"]["candles"]) == 1
        assert got["intraday"]["data"]["candles"][0][0] == "2026-11-23 11:45"
        assert got["intraday_day"]["raised"] == "InteractiveAPIException"
        assert set(got["ltp"]["data"]["fetched"][0]) >= {"ltp", "symbolToken"}
        assert got["stop_cancel"]["data"]["orderid"] == got["stop"][0]["data"]["orderid"]
        # What was asked wrongly on purpose is counted, and nothing else.
        assert at.simulator.violations == {
            (CallKind.MODIFY, "Trigger price can not be blank."): 1,
            (CallKind.READ, "Invalid product type."): 1,
        }


async def test_our_parsers_read_what_the_official_sdk_was_told(
    sdk_python: str, tmp_path: Path
) -> None:
    async with desk(clock=ManualClock(NOON)) as at:
        got = await drive(sdk_python, at.simulator, tmp_path)

    def told(name: str) -> Envelope:
        return decode_envelope(200, json.dumps(got[name]).encode())

    (cancelled,) = parse.book_orders(rows.ORDERS.read(told("cancelled")), {})
    assert cancelled.state is BrokerOrderState.CANCELLED
    details = parse.details_row(rows.ORDERS.read(told("details")), cancelled.broker_order_id)
    assert details is not None
    found = parse.order(details, cancelled.broker_order_id, parse.NO_FILLS)
    assert found.broker_tag == TAG
    (fills,) = parse.fills_by_order(rows.TRADES.read(told("trades"))).values()
    assert fills.quantity == 10
    (held,) = portfolio.positions(rows.POSITIONS.read(told("positions")))
    assert held.quantity == 10
    assert len(portfolio.holdings(rows.list_of(told("holdings")))) == 2
    assert portfolio.funds(rows.list_of(told("funds"))).available is not None
    assert margins.margin(told("margin"), 1).required == Decimal("8025.00")
    start, end = NOON - timedelta(days=4), NOON
    for name in ("history", "intraday"):
        assert market.candles(told(name), Interval.M5, start, end)
