"""Orders that were placed elsewhere, modified by the broker's id."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.kill.help import RESTING, elsewhere, engage


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_order_placed_elsewhere_is_modified_and_audited_before_it_is_sent(rig, broker):
    order = elsewhere(rig, broker)

    path = f"/v1/orderbook/{broker}-main/{order.broker_order_id}"
    reply = await rig.call("PATCH", path, {"quantity": 5, "price": "781.00"})

    assert (200, "applied", None) == (
        reply.status,
        reply.json["modify"],
        reply.json["leg_id"],
    ), reply.json
    assert (5, Decimal("781.00")) == (order.quantity, order.price)
    sql = "SELECT body FROM audit WHERE kind='orderbook' ORDER BY seq"
    rows = await rig.gateway.store.read(lambda c: [row[0] for row in c.execute(sql)])
    events = [msgspec.json.decode(row)["event"] for row in rows]
    assert ["modify_begin", "modify_sent"] == events


async def test_our_own_order_is_modified_through_its_leg(one):
    placed = await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    leg = placed.leg("fyers-main")

    path = f"/v1/orderbook/fyers-main/{leg['broker_order_id']}"
    reply = await one.call("PATCH", path, {"quantity": 5})

    assert ("applied", leg["leg_id"]) == (reply.json["modify"], reply.json["leg_id"])
    after = (await one.call("GET", f"/v1/orders/{placed.json['order_id']}")).json
    assert 5 == after["legs"][0]["quantity"]


async def test_kill_switch_stops_all_but_a_decrease(one):
    order = elsewhere(one, "fyers")
    path = f"/v1/orderbook/fyers-main/{order.broker_order_id}"
    await engage(one)

    refused = await one.call("PATCH", path, {"quantity": 5})
    assert "refused" == refused.json["modify"]
    assert "HALT_NEW" in refused.json["message"]
    assert 3 == order.quantity
    assert "applied" == (await one.call("PATCH", path, {"quantity": 2})).json["modify"]
    assert 2 == order.quantity


async def test_bad_bodies_and_unknown_orders_are_refused_and_nothing_is_sent(one):
    order = elsewhere(one, "fyers")
    path = f"/v1/orderbook/fyers-main/{order.broker_order_id}"

    for body, field in (
        ({}, "body"),
        ({"price": "-1"}, "price"),
        ({"quantities": {"fyers-main": 1}}, "quantities"),
        ({"side": "SELL"}, "side"),
    ):
        reply = await one.call("PATCH", path, body)
        assert (422, [field]) == (reply.status, [e["field"] for e in reply.json["errors"]])
    assert 404 == (await one.call("PATCH", "/v1/orderbook/fyers-main/1", {"quantity": 1})).status
    assert 404 == (await one.call("PATCH", "/v1/orderbook/nobody/1", {"quantity": 1})).status
    assert 3 == order.quantity
