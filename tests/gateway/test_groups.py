"""Groups with multipliers, lots, and what rounds to nothing."""

from __future__ import annotations

import pytest

from tests.gateway.rig import Rig


@pytest.fixture
async def family(tmp_path):
    groups = {"family": {"fyers-main": "1", "mstock-main": "0.5", "hdfc-main": "2"}}
    async with Rig(tmp_path / "data", settings={"groups": groups}) as rig:
        yield rig


def quantities(reply) -> dict[str, int]:
    return {leg["account"]: leg["quantity"] for leg in reply.json["legs"]}


async def test_a_group_multiplies_and_rounds_down(family):
    reply = await family.place(accounts=["@family"], quantity=5)

    assert quantities(reply) == {"fyers-main": 5, "mstock-main": 2, "hdfc-main": 10}
    assert reply.json["summary"] == "accepted"


async def test_a_share_that_rounds_to_zero_is_not_sent(family):
    reply = await family.place(accounts=["@family"], quantity=1)

    leg = reply.leg("mstock-main")
    assert (leg["outcome"], leg["reason"]["code"]) == ("not_sent", "lot_size")
    assert family.ledger("mstock") == []
    assert reply.json["summary"] == "partial"


async def test_a_quantity_named_for_an_account_beats_its_multiplier(family):
    reply = await family.place(accounts=["@family"], quantities={"mstock-main": 7})

    assert quantities(reply)["mstock-main"] == 7


async def test_an_account_named_twice_through_a_group_is_refused(family):
    reply = await family.place(accounts=["fyers-main", "@family"])

    assert reply.status == 422
    assert "fyers-main is named twice" in reply.json["detail"]


async def test_lots_are_turned_into_units_of_each_brokers_lot(family):
    found = await family.call("GET", "/v1/instruments/NSE:SBIN")
    assert found.json["lot_size"] == 1

    reply = await family.place(accounts=["fyers-main"], quantity=None, lots=3)

    assert quantities(reply) == {"fyers-main": 3}


async def test_a_key_that_may_not_use_every_member_cannot_use_the_group(family):
    key = await family.new_key("narrow", ["trade"], ["fyers-main"])
    body = {
        "instrument": "NSE:SBIN",
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 1,
        "price": "812.50",
        "accounts": ["@family"],
    }

    reply = await family.call("POST", "/v1/orders", body, key=key, idempotency_key="k")

    assert reply.status == 422
    assert "mstock-main" not in reply.content.decode()
