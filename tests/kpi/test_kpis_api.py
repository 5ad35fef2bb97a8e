"""`GET /v1/kpis` of a whole gateway, against what was done to it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.orders.states import UNPROVEN
from tests.gateway.rig import Rig

TWO = ["fyers-main", "mstock-main"]


async def kpis(rig: Rig, query: str = "", **call: Any) -> dict[str, Any]:
    reply = await rig.call("GET", f"/v1/kpis{query}", **call)
    assert 200 == reply.status, reply.content
    return reply.json


async def test_accepted_orders_are_counted_and_their_overhead_measured(rig):
    await rig.place(accounts=TWO)
    await rig.place("k2", accounts=["fyers-main"])

    seen = await kpis(rig)
    assert (2, 3) == (seen["orders"], seen["legs"])
    assert (1.0, 3) == (seen["success"]["share"], seen["success"]["accepted"])
    overhead = seen["overhead_ms"]
    assert 3 == overhead["legs"]
    assert 0 < overhead["p50"] <= overhead["p95"] <= overhead["p99"] == overhead["max"]


async def test_nothing_is_made_up_where_nothing_happened(rig):
    seen = await kpis(rig)

    assert (0, 0, None) == (seen["orders"], seen["legs"], seen["overhead_ms"])
    assert None is seen["success"]["share"]
    assert {"share": None, "legs": 0, "recovered": 0} == seen["transient_faults"]
    assert {"made": 0, "repeats": 0, "found": 0} == seen["duplicates"]


async def test_refusals_and_denials_are_no_failures_of_the_gateway(rig):
    await rig.place(accounts=["fyers-main"])
    rig.sims["fyers"].faults.add([{"call": "place", "action": "reject"}])
    await rig.place("refused", accounts=["fyers-main"])
    await rig.gateway.sessions.logout(rig.gateway.accounts["mstock-main"])
    await rig.place("denied", accounts=["mstock-main"])

    success = (await kpis(rig))["success"]
    assert 1.0 == success["share"]
    rejected = success["rejected"] + success["rejected_later"]
    assert (1, 1) == (rejected, success["denied"])


async def test_an_order_that_is_found_again_was_recovered_and_not_doubled(rig):
    rig.sims["fyers"].faults.add([{"call": "place", "action": "accept_then_reset"}])
    await rig.place(accounts=["fyers-main"])
    account = rig.gateway.accounts["fyers-main"]
    async with asyncio.timeout(60):
        while any(leg.state in UNPROVEN for leg in account.moving.values()):
            await asyncio.sleep(0.02)

    seen = await kpis(rig)
    assert {"share": 1.0, "legs": 1, "recovered": 1} == seen["transient_faults"]
    assert {"made": 0, "repeats": 0, "found": 1} == seen["duplicates"]
    assert (1.0, 0) == (seen["success"]["share"], seen["success"]["unproven"])


async def test_an_order_whose_fate_is_open_is_no_success(rig):
    rig.sims["mstock"].faults.add([{"call": "place", "action": "accept_then_reset"}])
    rig.sims["mstock"].faults.add([{"call": "book", "action": "book_fail", "count": None}])
    await rig.place(accounts=["mstock-main"], wait_ms=500)

    seen = await kpis(rig)
    assert (0.0, 1) == (seen["success"]["share"], seen["success"]["unproven"])
    assert {"share": 0.0, "legs": 1, "recovered": 0} == seen["transient_faults"]


async def test_a_repeated_request_is_a_duplicate_prevented_also_after_a_restart(rig):
    for _ in range(3):
        await rig.place("same", accounts=["fyers-main"])
    await rig.restart_gateway()
    await rig.place("same", accounts=["fyers-main"])

    assert 3 == (await kpis(rig))["duplicates"]["repeats"]


async def test_kill_switch_activations_are_counted_by_level(rig):
    for level in ("REDUCE_ONLY", "HALT_NEW"):
        body = {"scope": "account", "target": "fyers-main", "level": level, "reason": "a test"}
        assert 200 == (await rig.call("POST", "/v1/kill-switch/engage", body)).status

    seen = await kpis(rig)
    assert {"activations": 2, "by_level": {"HALT_NEW": 1, "REDUCE_ONLY": 1}} == seen["kill_switch"]


async def test_uptime_is_told_by_account_and_by_adapter(rig):
    await rig.gateway.sessions.logout(rig.gateway.accounts["mstock-main"])
    async with asyncio.timeout(60):
        while not (seen := await kpis(rig))["accounts"][1]["logged_out_s"]:
            await asyncio.sleep(0.1)

    accounts = {row["account"]: row for row in seen["accounts"]}
    assert 0 < accounts["fyers-main"]["up_s"]
    assert 0 == accounts["fyers-main"]["logged_out_s"] == accounts["mstock-main"]["held_s"]
    assert {"fyers", "mstock"} == {row["broker"] for row in seen["adapters"]}
    assert seen["memory"]["now"] > 1_000_000
    assert seen["memory"]["most"] > 1_000_000
    assert None is not seen["watched_from"]


async def test_a_key_sees_its_own_accounts_only(rig):
    await rig.place(accounts=TWO)
    key = await rig.new_key("watcher", ["read"], ["mstock-main"])

    seen = await kpis(rig, key=key)
    assert ["mstock-main"] == [row["account"] for row in seen["accounts"]]
    assert (1, 1) == (seen["orders"], seen["legs"])


async def test_a_window_holds_what_happened_in_it(rig):
    await rig.place(accounts=["fyers-main"])
    whole = await kpis(rig, "?window=1h")
    begin = datetime.fromisoformat(whole["from"])

    past = "?" + "&".join(
        f"{name}={at.isoformat().replace('+', '%2B')}"
        for name, at in (("from", begin - timedelta(days=2)), ("to", begin))
    )
    assert 1 == whole["legs"]
    seen = await kpis(rig, past)
    assert (0, None) == (seen["legs"], seen["watched_from"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("window=0h", "window"),
        ("window=day", "window"),
        ("window=24h&from=2026-01-01T00:00:00Z", "window"),
        ("to=2026-01-01T00:00:00Z", "to"),
        ("from=2026-01-01", "from"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
    ],
)
async def test_windows_that_cannot_be_are_refused_by_name(rig, query, field):
    reply = await rig.call("GET", f"/v1/kpis?{query}")

    assert 422 == reply.status
    assert field in [error["field"] for error in reply.json["errors"]]
