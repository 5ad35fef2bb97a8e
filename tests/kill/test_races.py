"""Nothing slips through between the order of work and the switch."""

from __future__ import annotations

import asyncio

from gateway.kill import Scope
from gateway.orchestrator.runner import LegRunner
from tests.kill.help import RESTING, engage, legs, until


def kill(rig):
    rig.gateway.kill.engage_soon(Scope.GLOBAL, None, "in between", {"client": "test"}, "api")


async def events_of(rig, placed):
    path = f"/v1/orders/{placed.json['order_id']}/history"
    return [row["event"] for row in (await rig.call("GET", path)).json["events"]]


async def test_kill_between_send_begin_and_first_byte_sends_nothing(one, monkeypatch):
    ready = LegRunner.ready

    async def ready_then_killed(self):
        await ready(self)
        kill(one)

    monkeypatch.setattr(LegRunner, "ready", ready_then_killed)

    placed = await one.place(accounts=["fyers-main"], **RESTING)

    assert {"fyers-main": ("DENIED", "kill_switch")} == legs(placed)
    assert ["accepted", "send_begin", "not_sent", "denied"] == await events_of(one, placed)
    assert [] == one.ledger("fyers")


async def test_kill_between_acceptance_and_send_begin_sends_nothing(one, monkeypatch):
    ready = LegRunner.ready

    async def killed_then_ready(self):
        kill(one)
        await ready(self)

    monkeypatch.setattr(LegRunner, "ready", killed_then_ready)

    placed = await one.place(accounts=["fyers-main"], **RESTING)

    assert {"fyers-main": ("DENIED", "kill_switch")} == legs(placed)
    assert [] == one.ledger("fyers")


async def test_write_on_the_wire_is_listed_and_followed(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "slow", "params": {"ms": 400}}])
    placing = asyncio.create_task(one.place(accounts=["fyers-main"], **RESTING))
    moving = one.gateway.accounts["fyers-main"].moving
    await until(lambda: any(leg.on_wire for leg in moving.values()), "nothing went out")

    answer = await engage(one)

    placed = await placing
    leg = placed.leg("fyers-main")
    assert [(leg["leg_id"], "place", "SENDING")] == [
        (row["leg_id"], row["write"], row["state"]) for row in answer.json["on_the_wire"]
    ]
    assert "accepted" == leg["outcome"]
    assert 1 == len(one.ledger("fyers"))


async def test_after_the_answer_only_what_was_on_the_wire_reaches_any_broker(rig):
    accounts = ["fyers-main", "mstock-main", "hdfc-main"]
    stop = asyncio.Event()

    async def client(name):
        n = 0
        while not stop.is_set():
            n += 1
            await rig.place(f"{name}-{n}", accounts=accounts, ttl_ms=30_000, **RESTING)

    clients = [asyncio.create_task(client(f"c{n}")) for n in range(8)]
    await until(lambda: sum(len(rig.ledger(name)) for name in rig.sims) >= 12, "no load")
    answer = await engage(rig)
    known = {name: {order.tag for order in rig.ledger(name)} for name in rig.sims}
    wire = {row["leg_id"] for row in answer.json["on_the_wire"]}
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*clients)
    await rig.restart_gateway()
    for n in range(5):
        placed = await rig.place(f"after-{n}", accounts=accounts, **RESTING)
        assert {("DENIED", "kill_switch")} == set(legs(placed).values())

    fresh = {
        order.tag for name in rig.sims for order in rig.ledger(name) if order.tag not in known[name]
    }
    tags = {
        leg["broker_tag"]
        for order in (await rig.call("GET", "/v1/orders?limit=500")).json["orders"]
        for leg in order["legs"]
        if leg["leg_id"] in wire
    }
    assert fresh <= tags
