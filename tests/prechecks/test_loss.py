"""The day's loss: how it is counted, and that the kill switch engages itself once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from adapters.sdk.models import BrokerPosition, Product
from gateway.prechecks.loss import profit_of
from tests.gateway.rig import Rig


def position(**changes: Any) -> BrokerPosition:
    return BrokerPosition(**{"codes": {}, "product": Product.MIS, "quantity": 10, **changes})


TRADES = {
    "buy_quantity": 20,
    "buy_price": Decimal(100),
    "sell_quantity": 10,
    "sell_price": Decimal(90),
}


@pytest.mark.parametrize(
    ("row", "last", "profit"),
    [
        (position(realised_pnl=Decimal(-5), unrealised_pnl=Decimal(-7)), None, -12),
        (position(realised_pnl=Decimal(-5), quantity=0), None, -5),
        (position(realised_pnl=Decimal(-5), average_price=Decimal(100)), Decimal(99), -15),
        (position(**TRADES), Decimal(95), -150),
        (position(**TRADES, multiplier=Decimal(2)), Decimal(95), -300),
        (position(**TRADES), None, None),
        (position(**{**TRADES, "buy_quantity": 15}), Decimal(95), None),
        (position(average_price=Decimal(100)), Decimal(99), None),
        (position(realised_pnl=Decimal(-5)), None, None),
    ],
)
def test_profit_is_realised_and_not_or_unknown(row, last, profit):
    assert profit_of(row, last) == profit


async def lose(rig: Rig, quantity: int) -> None:
    """Buy at 812 and let the price fall by 10 rupees."""
    order = {"accounts": ["fyers-main"], "product": "MIS", "quantity": quantity, "price": "812.00"}
    placed = await rig.place(f"lose-{quantity}", wait_for="final", **order)
    assert placed.json["legs"][0]["state"] == "FILLED"
    simulator = rig.sims["fyers"]
    contract = simulator.universe.by_instrument("NSE:SBIN")
    simulator.engine.set_price(contract, Decimal("802.00"))


async def limited(rig: Rig, most: str, **target: str) -> None:
    body = {"scope": "global", **target, "limits": {"max_daily_loss": most}, "reason": "a test"}
    assert (await rig.call("PUT", "/v1/limits", body)).status == 200


@pytest.fixture
async def one(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        yield rig


@pytest.mark.parametrize(
    ("target", "scope"),
    [({"scope": "account", "target": "fyers-main"}, "account"), ({}, "global")],
)
async def test_a_loss_at_the_limit_engages_the_kill_switch_with_the_numbers(one, target, scope):
    await lose(one, 10)
    await limited(one, "100", **target)

    await one.gateway.losses.look()
    reply = await one.place("next", accounts=["fyers-main"])

    reason = reply.json["legs"][0]["reason"]
    assert reason["code"] == "kill_switch"
    assert "max_daily_loss is 100" in reason["message"]
    (engaged,) = one.gateway.kill.switch.all()
    assert (engaged.scope, engaged.level) == (scope, "HALT_NEW")
    audit = await audit_of(one)
    assert [body["event"] for body in audit] == ["max_daily_loss"]


async def test_a_loss_below_the_limit_engages_nothing(one):
    await lose(one, 10)
    await limited(one, "100.01")

    await one.gateway.losses.look()

    assert one.gateway.kill.switch.all() == []


async def test_once_released_the_same_figure_does_not_engage_again_today(one):
    await lose(one, 10)
    await limited(one, "100")
    await one.gateway.losses.look()
    body = {"scope": "global", "reason": "seen to", "confirm": "RELEASE"}
    assert (await one.call("POST", "/v1/kill-switch/release", body)).status == 200

    await one.gateway.losses.look()
    assert one.gateway.kill.switch.all() == []

    await limited(one, "50")
    await one.gateway.losses.look()
    assert len(one.gateway.kill.switch.all()) == 1


async def test_what_cannot_be_read_is_said_once_and_engages_nothing(one, caplog):
    await lose(one, 10)
    await limited(one, "1")
    one.sims["fyers"].faults.add([{"call": "read", "action": "status", "count": None}])

    await one.gateway.losses.look()
    await one.gateway.losses.look()

    said = [record for record in caplog.records if "is not watched now" in record.message]
    assert len(said) == 1
    assert one.gateway.kill.switch.all() == []


async def audit_of(rig: Rig) -> list[dict[str, Any]]:
    for _ in range(100):
        reply = await rig.call("GET", "/v1/audit?kind=alarm")
        rows = [row["body"] for row in reply.json.get("rows", reply.json.get("events", []))]
        if rows:
            return rows
        await asyncio.sleep(0.02)
    raise AssertionError("no alarm was audited")
