"""The frozen program under a broker's own SDK, and under faults and kills."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.mstock.constants import IST
from gateway import failpoints
from tests.chaos.plan import Plan
from tests.chaos.run import run
from tests.cli.conftest import Program, read_until, stop
from tests.fyers.test_official_sdk import drive, sdk_python
from tests.mstock.test_official_sdk import drive as drive_mstock
from tests.mstock.test_official_sdk import sdk_python as mstock_python
from tests.packaging.conftest import binaries

__all__ = ["mstock_python", "sdk_python"]


@pytest.mark.sdk
async def test_the_brokers_own_sdk_trades_with_the_simulator_inside(
    program: Program, sdk_python: str, tmp_path: Path
) -> None:
    at_once = [
        word for name in ("book_lag_ms", "fill_delay_ms") for word in ("--option", f"{name}=0")
    ]
    simulator = program.start("simulate", "fyers", "--port", "0", "--json", *at_once)
    told = SimpleNamespace(**json.loads(read_until(simulator, "control_url")[-1]))

    got = await drive(sdk_python, told, tmp_path)

    order_id = got["place"]["id"]
    assert [order_id] == [row["id"] for row in got["book"]["orderBook"]]
    assert ("ok", order_id) == tuple(got["cancel"][name] for name in ("s", "id"))
    assert got["market"]["id"] == got["trades"]["tradeBook"][0]["orderNumber"]
    assert 0 == stop(simulator, signal.SIGTERM)


@pytest.mark.sdk
async def test_mstocks_own_sdk_trades_with_the_simulator_inside(
    program: Program, mstock_python: str, tmp_path: Path
) -> None:
    options = ("book_lag_ms=0", "ack_delay_ms=0", "fill_delay_ms=0", "login=otp")
    given = [word for option in options for word in ("--option", option)]
    simulator = program.start("simulate", "mstock", "--port", "0", "--json", *given)
    told = SimpleNamespace(login_kind="otp", **json.loads(read_until(simulator, "control_url")[-1]))

    got = await drive_mstock(mstock_python, told, tmp_path, datetime.now(IST))

    order_id = got["place"][0]["data"]["orderid"]
    assert [order_id] == [row["orderid"] for row in got["book"]["data"]]
    assert order_id == got["cancel"]["data"]["orderid"]
    assert got["market"][0]["data"]["orderid"] == got["trades"]["data"][0]["ORDER_NUMBER"]
    assert "Success" == got["logout"]["message"]
    assert 0 == stop(simulator, signal.SIGTERM)


async def test_faults_and_kills_break_no_invariant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = binaries()
    if not found:
        pytest.skip("BROKERGATE_BINARIES names no folder: run `just build`")
    # The folder, as services run it: of the one file, a kill from outside ends the half that
    # unpacked it and not the one that serves.
    monkeypatch.setattr("tests.chaos.processes.PROGRAM", [str(found["folder"])])
    # "checkpoint" is a program of its own around the gateway's modules.
    monkeypatch.setattr("tests.chaos.run._DEATHS", ("random", *failpoints.POINTS))
    plan = Plan(orders=80, kills=4, seed=5, scale=30)

    outcome = await run(plan, tmp_path)

    assert [] == outcome.violations
    assert plan.kills == outcome.score.kills
    assert outcome.score.orders >= plan.orders
    assert outcome.score.faults > 30
