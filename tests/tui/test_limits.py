"""Risk limits looked at and changed from the console."""

from __future__ import annotations

from tests.gateway.rig import Rig
from tests.tui.conftest import Desk, console
from tui.dialogs.limits import parsed_value, value_words


async def open_limits(desk: Desk) -> None:
    await desk.sees("● connected")
    await desk.keys("6")
    await desk.sees("risk limits of", "all accounts")
    await desk.keys("m")
    await desk.sees("Risk limits of all accounts together", "max_order_quantity")


async def test_a_limit_is_changed_behind_a_question_and_the_reason_is_audited(tmp_path):
    risk = {"risk": {"max_order_value": "200000", "max_open_orders": 20}}
    async with (
        Rig(tmp_path / "data", brokers=("hdfc",), settings=risk) as rig,
        console(rig) as desk,
    ):
        await open_limits(desk)
        await desk.keys("enter")
        await desk.sees("max_order_quantity of all accounts together", "stands at no limit")
        await desk.type("x")
        await desk.keys("enter")
        await desk.type("smaller size")
        await desk.keys("enter")
        await desk.sees("write it as a whole number")
        await desk.keys("shift+tab", "backspace")
        await desk.type("5")
        await desk.keys("tab", "enter")
        await desk.sees("max_order_quantity: no limit → 5", "because: smaller size")
        await desk.keys("tab", "enter")
        await desk.sees("from api")

        rows = (await rig.call("GET", "/v1/limits")).json["limits"]
        limits = next(row["limits"] for row in rows if row["target"] is None)
        stands = {name: limits[name] for name in ("max_order_quantity", "max_order_value")}
        assert {"max_order_quantity": 5, "max_order_value": "200000"} == stands
        audit = (await rig.call("GET", "/v1/audit?before=end&limit=1")).json["rows"]
        assert "smaller size" == audit[0]["body"]["reason"]

        await desk.keys("d")
        await desk.sees("Put the configuration's limits back")
        await desk.type("day over")
        await desk.keys("enter")
        await desk.sees("the limits of the configuration again")
        await desk.keys("tab", "enter")
        await desk.sees("from config")


async def test_limits_that_somebody_else_changed_meanwhile_are_not_overwritten(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await open_limits(desk)
        await desk.keys("enter")
        await desk.sees("max_order_quantity of all accounts")
        theirs = {"scope": "global", "limits": {"max_open_orders": 3}, "reason": "theirs"}
        assert 200 == (await rig.call("PUT", "/v1/limits", theirs)).status
        await desk.type("5")
        await desk.keys("enter")
        await desk.type("mine")
        await desk.keys("enter")
        await desk.sees("because: mine")
        await desk.keys("tab", "enter")
        await desk.sees("Not done: they were changed meanwhile")
        rows = (await rig.call("GET", "/v1/limits")).json["limits"]
        limits = next(row["limits"] for row in rows if row["target"] is None)
        assert (3, None) == (limits["max_open_orders"], limits["max_order_quantity"])


def test_a_limit_is_typed_as_it_is_shown():
    for name, value in (
        ("max_open_orders", 20),
        ("max_order_value", "200000.50"),
        ("max_day_quantity", None),
        ("price_collar_percent", {"EQ": "3", "OPT": "30"}),
        ("banned_instruments", ["NFO:BANKNIFTY*", "NSE:YESBANK"]),
        ("allowed_products", []),
    ):
        assert value == parsed_value(name, value_words(value))
