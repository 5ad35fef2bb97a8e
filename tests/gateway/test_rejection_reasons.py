"""Why an order that the broker's book shows as rejected was rejected."""

from __future__ import annotations

import pytest

from tests.gateway.rig import Rig
from tests.gateway.test_reconciler import until


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setenv("BROKERGATE_TEST_TIME_SCALE", "100")


async def test_rejection_that_only_the_book_tells_has_the_brokers_reason(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",), options={"cash": 1000}) as rig:
        rig.sims["fyers"].faults.add([{"call": "place", "action": "accept_then_reset"}])

        lost = await rig.place("lost", accounts=["fyers-main"], precheck="off")
        leg = await until(rig, lost.json["order_id"], "REJECTED")

    assert "margin_short" == leg["reason"]["code"]
    assert "Margin Shortfall" in leg["reason"]["broker_message"]
    assert "FX0011" not in leg["reason"]["broker_message"]
