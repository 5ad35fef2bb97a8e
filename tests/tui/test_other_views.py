"""Portfolio, breakers and limits, contracts."""

from __future__ import annotations

from tests.gateway.rig import Rig
from tests.tui.conftest import console


async def test_positions_holdings_and_funds_stand_with_their_totals(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers", "hdfc")) as rig, console(rig) as desk:
        placed = await rig.place(
            accounts=["fyers-main"], product="MIS", price="830.00", wait_for="final"
        )
        assert 10 == placed.leg("fyers-main")["filled_quantity"], placed.json
        await desk.sees("● connected")
        await desk.keys("5")
        await desk.sees("[positions]", "NSE:SBIN", "1 at 2 accounts")
        await desk.keys("p", "p")
        await desk.sees("[funds]", "fyers-main", "total ₹: available")


async def test_an_account_that_cannot_be_read_is_said_beside_the_others(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers", "hdfc")) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await rig.call("DELETE", "/v1/sessions/hdfc-main")
        await desk.keys("5", "p", "p")
        await desk.sees("✗", "1 not read")


async def test_a_held_breaker_is_shown_everywhere_and_reset_behind_a_question(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        body = {"account": "hdfc-main", "class": "place", "hold": True, "reason": "trying"}
        await rig.call("POST", "/v1/breakers/reset", body)
        await desk.sees("✗ place")
        await desk.keys("6")
        await desk.sees("trying", "risk limits")
        await desk.keys("b")
        await desk.sees("Reset this breaker?", "hdfc-main: place")
        await desk.keys("tab", "enter")
        await desk.until(lambda: "trying" not in desk.screen, "the breaker to close")


async def test_contracts_are_searched_and_keys_work_again_after_escape(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("7")
        await desk.type("NSE:SBIN")
        await desk.keys("enter")
        await desk.sees("NSE:SBIN ")
        await desk.keys("slash", "escape", "1")
        await desk.sees("[1 Overview]")
