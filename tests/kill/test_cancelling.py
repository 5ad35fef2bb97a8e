"""CANCEL_ALL, cancel-all and orders placed elsewhere: the broker's book is the judge."""

from __future__ import annotations

import asyncio

from adapters.sdk.models import BrokerOrderState
from tests.gateway.rig import Rig
from tests.kill.help import RESTING, elsewhere, engage, legs, state, until

MINE = ["fyers-main", "mstock-main", "hdfc-main"]


def open_orders(rig):
    """How many orders are still open, by broker."""
    return {name: sum(1 for order in rig.ledger(name) if not order.is_final) for name in rig.sims}


async def seen_through(rig):
    async def done():
        return all(switch["progress"] == "done" for switch in (await state(rig))["switches"])

    await until(done, "the cancels were not seen through")
    return (await state(rig))["switches"][0]


async def test_cancel_all_clears_the_books_of_ours_and_others(rig):
    await rig.place(accounts=MINE, wait_for="book", **RESTING)
    for name in rig.sims:
        elsewhere(rig, name)
    assert {"fyers": 2, "mstock": 2, "hdfc": 2} == open_orders(rig)

    await engage(rig, level="CANCEL_ALL")

    switch = await seen_through(rig)
    assert {"fyers": 0, "mstock": 0, "hdfc": 0} == open_orders(rig)
    cancels = switch["cancels"]
    assert (6, 6, True) == (cancels["confirmed"], cancels["total"], cancels["done"])
    assert {"confirmed"} == {order["state"] for order in cancels["orders"]}
    assert 3 == sum(1 for order in cancels["orders"] if order["leg_id"] is None)


async def test_cancel_all_of_one_account_leaves_the_others(rig):
    await rig.place(accounts=MINE, wait_for="book", **RESTING)

    await engage(rig, level="CANCEL_ALL", scope="account", target="mstock-main")

    await seen_through(rig)
    assert {"fyers": 1, "mstock": 0, "hdfc": 1} == open_orders(rig)


async def test_cancel_all_of_a_strategy_touches_nothing_else(one):
    await one.place("a", accounts=["fyers-main"], strategy="mine", wait_for="book", **RESTING)
    await one.place("b", accounts=["fyers-main"], strategy="other", wait_for="book", **RESTING)
    elsewhere(one, "fyers")

    await engage(one, level="CANCEL_ALL", scope="strategy", target="mine")

    switch = await seen_through(one)
    assert {"fyers": 2} == open_orders(one)
    assert 1 == switch["cancels"]["total"]


async def test_order_on_the_wire_is_cancelled_once_it_is_known(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "slow", "params": {"ms": 400}}])
    placing = asyncio.create_task(one.place(accounts=["fyers-main"], **RESTING))
    moving = one.gateway.accounts["fyers-main"].moving
    await until(lambda: any(leg.on_wire for leg in moving.values()), "nothing went out")

    await engage(one, level="CANCEL_ALL")

    await placing
    await seen_through(one)
    assert [BrokerOrderState.CANCELLED] == [order.state for order in one.ledger("fyers")]


async def test_cancels_go_on_after_a_restart(one):
    await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    one.sims["fyers"].faults.add([{"call": "cancel", "action": "status", "count": None}])
    asked = await engage(one, level="CANCEL_ALL")
    assert 202 == asked.status
    assert (0, 1) == (asked.json["cancels"]["confirmed"], asked.json["cancels"]["total"])
    await one.stop_gateway()
    one.sims["fyers"].faults.clear()
    await one.start_gateway()

    switch = await seen_through(one)
    assert asked.json["id"] == switch["id"]
    assert {"fyers": 0} == open_orders(one)


async def test_single_cancel_goes_on_after_a_restart_too(one):
    placed = await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    one.sims["fyers"].faults.add([{"call": "cancel", "action": "status", "count": None}])
    asked = await one.call("DELETE", f"/v1/orders/{placed.json['order_id']}")
    assert (202, True) == (asked.status, asked.json["legs"][0]["cancel_requested"])
    await one.stop_gateway()
    one.sims["fyers"].faults.clear()
    await one.start_gateway()

    await until(lambda: one.ledger("fyers")[0].is_final, "the cancel was forgotten")


async def test_known_orders_are_cancelled_though_no_book_can_be_read(one):
    await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    one.sims["fyers"].faults.add([{"call": "book", "action": "book_fail", "count": None}])

    answer = await engage(one, level="CANCEL_ALL")

    await until(lambda: one.ledger("fyers")[0].is_final, "nothing was cancelled")
    assert "fyers-main" in answer.json["cancels"]["problems"]
    one.sims["fyers"].faults.clear()
    assert 1 == (await seen_through(one))["cancels"]["confirmed"]


async def test_account_without_a_session_is_named_as_a_problem(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",), log_in=False) as rig:
        answer = await engage(rig, level="CANCEL_ALL")

        assert 202 == answer.status
        assert ["fyers-main"] == list(answer.json["cancels"]["problems"])
        assert not answer.json["cancels"]["done"]


async def test_cancel_all_route_takes_ours_only_unless_told(one):
    await one.place("a", accounts=["fyers-main"], wait_for="book", **RESTING)
    other = elsewhere(one, "fyers")

    ours = await one.call("POST", "/v1/orders/cancel-all", {})
    assert (200, 1, 1) == (ours.status, ours.json["confirmed"], ours.json["total"])
    assert not other.is_final
    everything = await one.call("POST", "/v1/orders/cancel-all", {"include": "all"})
    assert (200, 1) == (everything.status, everything.json["confirmed"])
    assert other.is_final


async def test_cancel_all_route_narrows_by_instrument_strategy_and_account(rig):
    for key, change in (
        ("a", {"strategy": "x"}),
        ("b", {"strategy": "y"}),
        ("c", {"strategy": "x", "instrument": "NSE:INFY", "price": "1450.00"}),
    ):
        placed = await rig.place(key, accounts=MINE[:2], wait_for="book", **{**RESTING, **change})
        assert "accepted" == placed.json["summary"], placed.json
    elsewhere(rig, "fyers")

    body = {
        "accounts": ["fyers-main"],
        "instrument": "NSE:SBIN",
        "strategy": "x",
        "include": "all",
    }
    reply = await rig.call("POST", "/v1/orders/cancel-all", body)

    assert (200, 1) == (reply.status, reply.json["total"])
    assert {"fyers": 3, "mstock": 3, "hdfc": 0} == open_orders(rig)
    bad = await rig.call("POST", "/v1/orders/cancel-all", {"accounts": ["x", "fyers-main", "@g"]})
    assert ["accounts[0]", "accounts[2]"] == [error["field"] for error in bad.json["errors"]]
    assert (422, False) == (bad.status, bad.json["sent"])


async def test_order_placed_elsewhere_is_cancelled_by_the_brokers_id(rig):
    for name in rig.sims:
        order = elsewhere(rig, name)
        path = f"/v1/orderbook/{name}-main/{order.broker_order_id}"

        reply = await rig.call("DELETE", path)

        assert (200, "confirmed", "CANCELLED") == (
            reply.status,
            reply.json["state"],
            reply.json["ended"],
        ), reply.json
        assert BrokerOrderState.CANCELLED is order.state
        assert 200 == (await rig.call("DELETE", path)).status
    rows = await rig.gateway.store.read(
        lambda c: [
            row[0]
            for row in c.execute("SELECT body FROM audit WHERE kind='orderbook' ORDER BY seq")
        ]
    )
    assert [b"cancel_begin" in row for row in rows] == [True, False] * 3


async def test_deleting_our_own_order_by_the_brokers_id_goes_through_its_leg(one):
    placed = await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    leg = placed.leg("fyers-main")

    reply = await one.call("DELETE", f"/v1/orderbook/fyers-main/{leg['broker_order_id']}")

    assert (200, leg["leg_id"]) == (reply.status, reply.json["leg_id"])
    after = await one.call("GET", f"/v1/orders/{placed.json['order_id']}")
    assert {"fyers-main": ("CANCELLED", None)} == legs(after)


async def test_unknown_orders_and_accounts_of_others_are_refused(rig):
    order = elsewhere(rig, "fyers")
    trader = await rig.new_key("algo", ["trade"], ["mstock-main"])

    path = f"/v1/orderbook/fyers-main/{order.broker_order_id}"
    assert 404 == (await rig.call("DELETE", path, key=trader)).status
    missing = await rig.call("DELETE", "/v1/orderbook/fyers-main/123")
    assert (404, "order_unknown", False) == (
        missing.status,
        missing.json["code"],
        missing.json["sent"],
    )
    assert not order.is_final


async def test_book_that_cannot_be_read_cancels_nothing_and_says_so(one):
    order = elsewhere(one, "fyers")
    one.sims["fyers"].faults.add([{"call": "book", "action": "book_fail", "count": None}])

    reply = await one.call("DELETE", f"/v1/orderbook/fyers-main/{order.broker_order_id}")

    assert (503, False) == (reply.status, reply.json["sent"])
    assert not order.is_final
