"""What an account says of its day: fills, and the broker's last words of trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.gateway.rig import Rig


async def account(rig: Rig) -> dict[str, Any]:
    [view] = (await rig.call("GET", "/v1/accounts")).json["accounts"]
    return dict(view)


async def test_fills_of_the_day_are_counted_and_survive_a_restart(tmp_path: Path) -> None:
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig:
        assert {"legs": 0, "quantity": 0} == (await account(rig))["filled_today"]
        order = {"accounts": ["hdfc-main"], "product": "MIS"}
        await rig.place("k1", **order, price="830.00", wait_for="final")
        await rig.place("k2", **order, price="830.00", quantity=7, wait_for="final")
        await rig.place("k3", **order, price="760.00", wait_for="book")
        assert {"legs": 2, "quantity": 17} == (await account(rig))["filled_today"]

        await rig.restart_gateway()

        assert {"legs": 2, "quantity": 17} == (await account(rig))["filled_today"]


async def test_the_last_error_is_told_in_the_brokers_words(tmp_path: Path) -> None:
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig:
        assert (await account(rig))["last_error"] is None
        rig.sims["hdfc"].faults.add([{"call": "place", "action": "reject"}])
        placed = await rig.place(accounts=["hdfc-main"])
        words = placed.leg("hdfc-main")["reason"]["broker_message"]

        error = (await account(rig))["last_error"]

        assert words
        assert ("place", words) == (error["call"], error["text"])


async def test_a_pace_that_the_adapter_caps_is_shown_with_both_figures(tmp_path: Path) -> None:
    asked = {"limits": {"orders_per_second": 10}}
    async with Rig(
        tmp_path / "data", brokers=("fyers",), account_settings=asked, log_in=False
    ) as rig:
        limits = (await account(rig))["limits"]

    assert {
        "orders_per_second": 8,
        "orders_per_second_configured": 10,
        "orders_per_second_adapter": 8,
    }.items() <= limits.items()
