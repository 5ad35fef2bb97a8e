"""Unresolved legs: what is shown of them, and settling them on a person's word."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.rig import Rig
from tests.tui.conftest import console


def hiding(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "data", brokers=("mstock",), options={"echo": "none"})


async def lose_an_order(rig: Rig) -> str:
    """Place an order whose answer is lost at a broker that hides tags; return its leg's id."""
    rig.sims["mstock"].faults.add([{"call": "place", "action": "accept_then_reset"}])
    placed = await rig.place(accounts=["mstock-main"])
    assert "unknown" == placed.leg("mstock-main")["outcome"]
    return str(placed.leg("mstock-main")["leg_id"])


async def test_a_lost_order_is_listed_and_adopted_with_a_reason(tmp_path):
    async with hiding(tmp_path) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await lose_an_order(rig)
        await desk.sees("1 UNRESOLVED")
        await desk.keys("2")
        await desk.sees("BUY 10 NSE:SBIN", "8125.00", "? UNKNOWN", "timeout")
        [order] = rig.ledger("mstock")

        await desk.keys("a")
        await desk.type(str(order.broker_order_id))
        await desk.keys("enter")
        await desk.type("no")
        await desk.keys("enter")
        await desk.sees("3 to 500 characters")
        await desk.type("w in the app")
        await desk.keys("enter")
        await desk.sees("On your word?", "mstock-main", "BUY 10 NSE:SBIN")
        await desk.keys("tab", "enter")

        await desk.sees("✓ Nothing is unresolved")
        assert [] == (await rig.call("GET", "/v1/unresolved")).json["unresolved"]
        assert 1 == len(rig.ledger("mstock"))


async def test_a_leg_is_declared_absent_with_a_reason(tmp_path):
    async with hiding(tmp_path) as rig, console(rig) as desk:
        await lose_an_order(rig)
        await desk.sees("1 UNRESOLVED")
        await desk.keys("2")
        await desk.sees("? UNKNOWN")
        await desk.keys("x")
        await desk.type("looked everywhere")
        await desk.keys("enter")
        await desk.sees("On your word?")
        await desk.keys("tab", "enter")
        await desk.sees("✓ Nothing is unresolved")
        assert [] == (await rig.call("GET", "/v1/unresolved")).json["unresolved"]


async def test_a_dialog_that_is_open_follows_the_suspects_and_the_end_of_its_leg(tmp_path):
    async with hiding(tmp_path) as rig, console(rig) as desk:
        await desk.sees("● connected")
        leg_id = await lose_an_order(rig)
        await desk.sees("1 UNRESOLVED")
        await desk.keys("2")
        await desk.sees("BUY 10 NSE:SBIN")
        await desk.keys("a")
        [order] = rig.ledger("mstock")
        await desk.sees("Adopt an order", f"suspect {order.broker_order_id}")
        field = desk.app.screen.query_one("#order")
        await desk.until(lambda: field.value == order.broker_order_id, "the id to be offered")
        body = {"action": "absent", "reason": "somebody else looked"}
        path = f"/v1/unresolved/{leg_id}/resolve"
        assert 200 == (await rig.call("POST", path, body)).status
        await desk.sees("no longer unresolved")
