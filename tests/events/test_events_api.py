"""`GET /v1/events` over real sockets, against the simulators."""

from __future__ import annotations

import asyncio

import pytest

from tests.events.listener import listening
from tests.gateway.rig import Rig


async def test_an_order_is_told_from_acceptance_to_its_fill_with_the_whole_leg(one: Rig) -> None:
    async with listening(one, "/v1/events?type=order") as events:
        placed = await one.place(wait_for="final", strategy="momentum", accounts=["fyers-main"])
        told = await events.until(to="FILLED")

    assert events.headers["content-type"] == "text/event-stream"
    assert [e["seq"] for e in told] == sorted({e["seq"] for e in told})
    assert told[0]["event"] == "accepted"
    assert "SENDING" in [e["to"] for e in told]
    last = told[-1]
    assert last["type"] == "order"
    assert last["order_id"] == placed.json["order_id"]
    assert (last["strategy"], last["account"]) == ("momentum", "fyers-main")
    assert last["leg"].keys() == placed.json["legs"][0].keys()
    assert last["leg"]["filled_quantity"] == 10
    assert last["at"].endswith("+05:30")


async def test_who_comes_back_with_the_last_id_hears_exactly_what_was_missed(one: Rig) -> None:
    async with listening(one, "/v1/events?type=order") as events:
        await one.place("k1", wait_for="final", accounts=["fyers-main"])
        first = await events.until(to="FILLED")
    await one.place("k2", wait_for="final", accounts=["fyers-main"])
    await one.restart_gateway()

    async with listening(one, "/v1/events?type=order", after=first[2]["seq"]) as events:
        missed = await events.until(to="FILLED", order_id=first[0]["order_id"])
        second = await events.until(to="FILLED")

    assert missed == first[3:]
    assert {e["order_id"] for e in second}.isdisjoint({first[0]["order_id"]})


async def test_strategy_account_and_type_each_keep_only_their_own(rig: Rig) -> None:
    async with (
        listening(rig, "/v1/events?strategy=b") as of_b,
        listening(rig, "/v1/events?account=hdfc-main&type=order,kill") as of_hdfc,
    ):
        await rig.place("k1", strategy="a")
        await rig.place("k2", strategy="b", accounts=["fyers-main"])
        heard_b = await of_b.until(to="ACKED")
        heard_hdfc = await of_hdfc.until(to="ACKED")

    assert {e["strategy"] for e in heard_b} == {"b"}
    assert {e["account"] for e in heard_hdfc} == {"hdfc-main"}


async def test_a_key_hears_only_of_its_accounts_and_of_what_stops_all(rig: Rig) -> None:
    key = await rig.new_key("desk", ["read"], accounts=["mstock-main"])
    async with listening(rig, "/v1/events", key=key) as events:
        await rig.place("k1", wait_for="ack")
        body = {"scope": "account", "target": "fyers-main", "level": "HALT_NEW", "reason": "x"}
        await rig.call("POST", "/v1/kill-switch/engage", body)
        body = {"scope": "strategy", "target": "secret-one", "level": "HALT_NEW", "reason": "x"}
        await rig.call("POST", "/v1/kill-switch/engage", body)
        body = {"scope": "global", "target": None, "level": "HALT_NEW", "reason": "all of it"}
        await rig.call("POST", "/v1/kill-switch/engage", body)
        heard = await events.until(type="kill")

    assert {e["account"] for e in heard[:-1]} == {"mstock-main"}
    assert (heard[-1]["scope"], heard[-1]["reason"]) == ("global", "all of it")


async def test_a_login_and_a_logout_are_events(one: Rig) -> None:
    async with listening(one, "/v1/events?type=session") as events:
        await one.call("DELETE", "/v1/sessions/fyers-main")
        heard = await events.event()

    assert (heard["type"], heard["account"]) == ("session", "fyers-main")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=orders", "type"),
        ("account=nobody", "account"),
        ("after=now", "after"),
        ("after=-1", "after"),
    ],
)
async def test_bad_filter_is_refused_with_its_name(one: Rig, query: str, field: str) -> None:
    reply = await one.call("GET", f"/v1/events?{query}")

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, field)


async def test_bad_last_event_id_is_refused(one: Rig) -> None:
    async with listening(one, "/v1/events?after=3", after=-3) as events:
        pass

    assert events.status == 422


async def test_an_account_that_the_key_may_not_see_is_not_listened_to(rig: Rig) -> None:
    key = await rig.new_key("desk", ["read"], accounts=["mstock-main"])

    reply = await rig.call("GET", "/v1/events?account=fyers-main", key=key)

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "account")


async def test_stopping_the_gateway_ends_every_stream(one: Rig) -> None:
    async with listening(one, "/v1/events") as events:
        await one.stop_gateway()
        await events.finish()
    await one.start_gateway()


async def test_a_listener_that_left_makes_room(one: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.events.feed._MOST", 1)
    one.gateway.feed._heartbeat_s = 0.05
    async with listening(one, "/v1/events"):
        refused = await one.call("GET", "/v1/events")
        assert (refused.status, refused.json["code"]) == (503, "too_many_streams")
        assert refused.headers["retry-after"] == "5"

    for _ in range(200):
        async with listening(one, "/v1/events") as events:
            if events.status == 200:
                return
        await asyncio.sleep(0.05)
    raise AssertionError("a listener that hung up still has its place")
