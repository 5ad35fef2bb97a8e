"""Baskets: several orders under one key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gateway.rig import ORDER, Rig

ONE = {**ORDER, "accounts": ["fyers-main"]}


def basket(*orders: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"orders": [{**ONE, **order} for order in orders], **more}


async def send(rig: Rig, body: dict[str, Any], key: str = "b1"):
    return await rig.call("POST", "/v1/baskets", body, idempotency_key=key)


def summaries(reply) -> list[str]:
    return [order["summary"] for order in reply.json["orders"]]


async def test_every_order_of_a_basket_has_its_own_id_and_result(one):
    reply = await send(one, basket({}, {"side": "SELL", "price": "811.00"}, {"quantity": 3}))

    assert (reply.status, reply.json["summary"]) == (201, "accepted")
    ids = {order["order_id"] for order in reply.json["orders"]}
    assert len(ids) == 3
    assert sorted(order.quantity for order in one.ledger("fyers")) == [3, 10, 10]
    for order_id in ids:
        assert (await one.call("GET", f"/v1/orders/{order_id}")).status == 200


async def test_the_same_key_answers_the_same_basket(one):
    body = basket({}, {"quantity": 3}, sequence="ordered")
    first = await send(one, body)
    again = await send(one, body)
    other = await send(one, basket({}))
    as_order = await one.call("POST", "/v1/orders", ONE, idempotency_key="b1")

    assert again.headers["idempotency-replayed"] == "true"
    assert again.json["basket_id"] == first.json["basket_id"]
    assert [o["order_id"] for o in again.json["orders"]] == [
        o["order_id"] for o in first.json["orders"]
    ]
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
    assert (as_order.status, as_order.json["code"]) == (422, "idempotency_key_reused")
    assert len(one.ledger("fyers")) == 2


async def test_ten_at_once_with_one_key_make_one_basket(one):
    body = basket({}, {"quantity": 3})

    replies = await asyncio.gather(*(send(one, body) for _ in range(10)))

    assert len({reply.json["basket_id"] for reply in replies}) == 1
    assert len(one.ledger("fyers")) == 2


async def test_an_ordered_basket_stops_at_what_was_rejected(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "reject", "skip": 1}])
    body = basket({}, {"quantity": 3}, {"quantity": 4}, sequence="ordered", stop_on="rejected")

    reply = await send(one, body)

    assert summaries(reply) == ["accepted", "rejected", "not_sent"]
    assert reply.json["summary"] == "partial"
    last = reply.json["orders"][2]["legs"][0]
    assert "order 1" in last["reason"]["message"]
    assert [10] == [order.quantity for order in one.ledger("fyers")]


async def test_an_ordered_basket_goes_on_when_told_never_to_stop(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "reject"}])

    reply = await send(one, basket({}, {"quantity": 3}, sequence="ordered"))

    assert summaries(reply) == ["rejected", "accepted"]


async def test_an_ordered_basket_never_sends_past_an_unknown_order(one, monkeypatch):
    monkeypatch.setattr(one.gateway.baskets, "_settle_s", 0.2)
    one.sims["fyers"].faults.add([{"call": "place", "action": "reset_before_accept"}])

    reply = await send(one, basket({}, {"quantity": 3}, sequence="ordered"))

    assert reply.status == 202
    assert summaries(reply) == ["pending", "not_sent"]
    assert reply.json["orders"][1]["legs"][0]["reason"]["code"] == "unresolved"
    assert one.ledger("fyers") == []


async def test_stop_on_not_filled_waits_for_the_fill(one, monkeypatch):
    monkeypatch.setattr(one.gateway.baskets, "_settle_s", 0.5)
    body = basket({}, {"price": "700.00"}, {"quantity": 3}, sequence="ordered")

    reply = await send(one, {**body, "stop_on": "not_filled"})

    assert summaries(reply) == ["accepted", "accepted", "not_sent"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"orders": []}, "orders"),
        (basket({}, {"quantity": -1}), "orders[1].quantity"),
        (basket({}, {"price": "1.23456"}), "orders[1].price"),
        (basket({}, {"accounts": ["nobody"]}), "orders[1].accounts[0]"),
        (basket({}, stop_on="rejected"), "stop_on"),
        (basket(*[{}] * 51), "orders"),
    ],
)
async def test_one_wrong_order_refuses_the_whole_basket(one, body, field):
    reply = await send(one, body)

    assert (reply.status, reply.json["sent"]) == (422, False)
    assert field in {error["field"] for error in reply.json["errors"]}
    assert one.ledger("fyers") == []
    assert (await send(one, basket({}))).status == 201


async def test_what_a_restart_interrupted_is_never_sent_after_it(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "slow", "params": {"ms": 1500}}])
    body = basket({}, {"quantity": 3}, sequence="ordered")
    sending = asyncio.create_task(send(one, body))
    await asyncio.sleep(0.4)
    sending.cancel()
    one._server.stop()
    await one._serving
    one.gateway.store._writer.close()
    await one.gateway.orders.stop(deadline_s=0)
    await one.gateway.stop()
    await one.start_gateway()

    reply = await send(one, body)

    assert reply.headers["idempotency-replayed"] == "true"
    assert reply.json["orders"][1]["summary"] == "not_sent"
    assert all(order.quantity == 10 for order in one.ledger("fyers"))
