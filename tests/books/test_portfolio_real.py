"""Holdings, funds and margins of the three simulated brokers, by their own adapters."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.sdk.interface import Feature
from tests.books.test_portfolio import HOLDING_FIELDS, ORDER

BROKERS = ["fyers", "mstock", "hdfc"]


@pytest.mark.parametrize("broker", BROKERS)
async def test_the_simulated_shares_are_named_and_counted(rig, broker):
    reply = await rig.call("GET", f"/v1/holdings?accounts={broker}-main")

    (result,) = reply.json["results"]
    assert result["ok"], result
    listed = rig.sims[broker].engine.account.holdings
    assert listed
    rows = {row["instrument"]: row for row in result["data"]}
    for holding in listed:
        row = rows[holding.contract.instrument]
        assert list(row) == HOLDING_FIELDS
        assert row["quantity"] == holding.quantity


@pytest.mark.parametrize("broker", BROKERS)
async def test_the_simulated_money_is_told(rig, broker):
    reply = await rig.call("GET", f"/v1/funds?accounts={broker}-main")

    (result,) = reply.json["results"]
    assert result["ok"], result
    funds = rig.sims[broker].engine.account.funds
    assert Decimal(result["data"]["available"]) == funds.available


async def test_the_margin_of_an_order_is_the_calculators_or_an_estimate(rig):
    reply = await rig.call("POST", "/v1/margins", {"accounts": ["@two"], "orders": [ORDER]})

    for result in reply.json["results"]:
        account = rig.gateway.accounts[result["account"]]
        if account.plugin.capabilities.has(Feature.MARGINS):
            assert (True, "broker") == (result["ok"], result["data"]["source"]), result
            assert Decimal(result["data"]["required"]) > 0
        else:
            assert (True, "estimate") == (result["ok"], result["data"]["source"]), result
            assert Decimal(result["data"]["required"]) == Decimal(ORDER["price"]) * 10
            assert Decimal(result["data"]["available"]) > 0
