"""REDUCE_ONLY: what is proven not to cross zero passes, what is not proven is refused."""

from __future__ import annotations

import asyncio

import pytest

from tests.kill.help import elsewhere, engage, hold, legs, until

DENIED = {"fyers-main": ("DENIED", "kill_switch")}
SELL = {"side": "SELL", "product": "MIS", "accounts": ["fyers-main"], "price": "805.00"}


async def test_closing_part_of_a_position_passes_and_crossing_zero_does_not(one):
    hold(one, "fyers", 10)
    await engage(one, level="REDUCE_ONLY")

    crossing = await one.place("k1", **{**SELL, "quantity": 11})
    assert DENIED == legs(crossing)
    reason = crossing.leg("fyers-main")["reason"]
    assert (10, 0) == (reason["details"]["position"], reason["details"]["reserved"])
    assert reason["details"]["positions_age_ms"] >= 0
    assert "cross zero" in reason["message"]
    closing = await one.place("k2", wait_for="final", **{**SELL, "quantity": 10})
    assert "FILLED" == closing.leg("fyers-main")["state"], closing.json
    again = await one.place("k3", **{**SELL, "quantity": 1})
    assert DENIED == legs(again)
    assert [10, 10] == [order.quantity for order in one.ledger("fyers")]


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_short_position_is_reduced_by_buying_at_every_broker(rig, broker):
    account = f"{broker}-main"
    hold(rig, broker, -5)
    await engage(rig, level="REDUCE_ONLY")
    buy = {"side": "BUY", "product": "MIS", "accounts": [account], "price": "820.00"}

    selling = await rig.place("k1", **{**buy, "side": "SELL", "quantity": 1})
    assert {account: ("DENIED", "kill_switch")} == legs(selling)
    crossing = await rig.place("k2", **{**buy, "quantity": 6})
    assert {account: ("DENIED", "kill_switch")} == legs(crossing)
    closing = await rig.place("k3", **{**buy, "quantity": 5})
    assert "accepted" == closing.json["summary"], closing.json


async def test_another_product_is_another_position(one):
    hold(one, "fyers", 10)
    await engage(one, level="REDUCE_ONLY")

    assert DENIED == legs(await one.place(**{**SELL, "product": "CNC", "quantity": 1}))


async def test_working_orders_count_ours_and_others(one):
    hold(one, "fyers", 10)
    await engage(one, level="REDUCE_ONLY")
    far = {**SELL, "price": "840.00"}

    assert "accepted" == (await one.place("k1", **{**far, "quantity": 6})).json["summary"]
    assert DENIED == legs(await one.place("k2", **{**far, "quantity": 5}))
    from adapters.sdk.models import Product, Side

    elsewhere(one, "fyers", side=Side.SELL, product=Product.MIS, quantity=3, price=840)
    await asyncio.sleep(3.1)  # until the look at the account is no longer fresh
    assert DENIED == legs(await one.place("k3", **{**far, "quantity": 2}))
    assert "accepted" == (await one.place("k4", **{**far, "quantity": 1})).json["summary"]


async def test_many_at_once_close_no_more_than_there_is(one):
    hold(one, "fyers", 10)
    await engage(one, level="REDUCE_ONLY")

    placed = await asyncio.gather(
        *(one.place(f"k{n}", **{**SELL, "quantity": 4, "price": "840.00"}) for n in range(6))
    )

    summaries = [reply.json["summary"] for reply in placed]
    assert 1 <= summaries.count("accepted") <= 2
    assert 10 >= sum(order.quantity for order in one.ledger("fyers")[1:])


async def test_unresolved_quantity_counts(one):
    hold(one, "fyers", 10)
    one.sims["fyers"].faults.add(
        [{"call": "place", "action": "reset_before_read"}, {"call": "book", "action": "book_fail"}]
    )
    lost = await one.place("k1", **{**SELL, "quantity": 6})
    assert "unknown" == lost.leg("fyers-main")["outcome"]
    await engage(one, level="REDUCE_ONLY")

    assert DENIED == legs(await one.place("k2", **{**SELL, "quantity": 5}))
    assert 1 == len(one.ledger("fyers"))


async def test_positions_that_cannot_be_read_refuse(one):
    hold(one, "fyers", 10)
    one.sims["fyers"].faults.add([{"call": "read", "action": "status", "count": None}])
    await engage(one, level="REDUCE_ONLY")

    placed = await one.place(**{**SELL, "quantity": 1})

    assert DENIED == legs(placed)
    assert "could not be read" in placed.leg("fyers-main")["reason"]["message"]


async def test_reduce_only_that_comes_before_the_first_byte_is_asked_again(one, monkeypatch):
    from gateway.kill import Level, Scope
    from gateway.orchestrator.runner import LegRunner

    ready = LegRunner.ready

    async def ready_then_stopped(self):
        await ready(self)
        await one.gateway.kill.engage(Scope.GLOBAL, None, Level.REDUCE_ONLY, "x", {})

    monkeypatch.setattr(LegRunner, "ready", ready_then_stopped)

    assert DENIED == legs(await one.place(accounts=["fyers-main"]))
    assert [] == one.ledger("fyers")


async def test_modify_upwards_is_stopped_while_only_reducing(one):
    placed = await one.place(accounts=["fyers-main"], wait_for="book", price="780.00")
    await engage(one, level="REDUCE_ONLY")
    path = f"/v1/orders/{placed.json['order_id']}"

    refused = await one.call("PATCH", path, {"quantity": 11})

    assert "refused" == refused.json["legs"][0]["modify"]
    await until(lambda: [10] == [o.quantity for o in one.ledger("fyers")], "it was modified")
