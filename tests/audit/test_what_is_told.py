"""What was sent to a broker and answered is in the audit log; what is secret never is."""

from __future__ import annotations

import msgspec
import pytest

from gateway.store.audit import RowFilter
from tests.gateway.rig import Rig

FYERS = {"accounts": ["fyers-main"]}
PRICED = {"instrument": "NSE:SBIN", "side": "BUY", "order_type": "LIMIT", "quantity": 10}


async def rows_of(rig: Rig, *kinds: str):
    rows, _ = await rig.gateway.store.audit_rows(RowFilter(kinds=frozenset(kinds), limit=1000))
    return [msgspec.json.decode(row.body) for row in rows]


async def test_an_orders_rows_say_what_was_sent_and_answered(tmp_path):
    async with Rig(
        tmp_path / "data", brokers=("fyers",), options={"fill_delay_ms": 600_000}
    ) as rig:
        placed = await rig.place(**FYERS, wait_for="book")
        order_id, leg = placed.json["order_id"], placed.json["legs"][0]
        change = await rig.call("PATCH", f"/v1/orders/{order_id}", {"price": "810.00"})
        cancel = await rig.call("DELETE", f"/v1/orders/{order_id}")
        assert {change.status, cancel.status} <= {200, 202}
        told = {row["event"]: row.get("details", {}) for row in await rows_of(rig, "leg")}

    sent = told["send_begin"]["sent"]
    assert PRICED == {name: sent[name] for name in PRICED}
    assert ("812.50", leg["broker_tag"]) == (sent["price"], sent["broker_tag"])
    assert leg["broker_order_id"] == told["acked"]["answer"]["broker_order_id"]


async def test_an_unknown_outcome_says_how_far_the_request_got(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        rig.sims["fyers"].faults.add([{"call": "place", "action": "accept_then_reset"}])
        await rig.place(**FYERS, wait_ms=2000)
        told = {row["event"]: row.get("details", {}) for row in await rows_of(rig, "leg")}

    assert {"progress", "phase"} <= set(told["unknown"]["answer"])


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_each_login_call_is_told_by_names_and_no_value(tmp_path, broker):
    async with Rig(tmp_path / "data", brokers=(broker,)) as rig:
        secrets = set(rig.sims[broker].credentials.values())
        told = await rows_of(rig, "login")
        rows, _ = await rig.gateway.store.audit_rows(RowFilter(limit=1000))

    assert "begin_login" == told[0]["call"]
    assert set(told[0]["sent"]) == set(rig.sims[broker].credentials)
    assert "Session" == told[-1]["answer"]
    everything = b"".join(row.body for row in rows).decode()
    # Short ones (an id, a number) may stand in a row for other reasons.
    assert [] == [
        secret
        for secret in secrets
        if len(secret) > 8 and secret in everything and not secret.startswith("http")
    ]


async def test_calls_that_change_something_leave_a_row_that_names_who_asked(one_rig):
    rig = one_rig
    calls = {
        "POST /v1/keys": {"name": "bot", "scopes": ["read"]},
        "POST /v1/kill-switch/engage": {
            "scope": "account",
            "target": "fyers-main",
            "level": "HALT_NEW",
            "reason": "test",
        },
        "POST /v1/kill-switch/release": {
            "scope": "account",
            "target": "fyers-main",
            "reason": "test",
            "confirm": "RELEASE",
        },
        "PUT /v1/limits": {
            "scope": "account",
            "target": "fyers-main",
            "limits": {"max_open_orders": 5},
            "reason": "test",
        },
        "POST /v1/breakers/reset": {"account": "fyers-main", "class": "data", "hold": True},
        "POST /v1/sessions/fyers-main/login": {"renew": True},
        "POST /v1/instruments/refresh": {},
        "DELETE /v1/sessions/fyers-main": None,
        "PUT /v1/accounts/fyers-main/credentials": {"fields": dict(rig.sims["fyers"].credentials)},
    }
    placed = await rig.place(**FYERS, wait_for="book")
    order = f"/v1/orders/{placed.json['order_id']}"
    calls = {f"PATCH {order}": {"price": "810.00"}, f"DELETE {order}": None, **calls}
    silent = []
    for name, body in calls.items():
        method, path = name.split()
        before = await rig.gateway.store.last_audit_seq()
        reply = await rig.call(method, path, body)
        assert reply.status < 300, (name, reply.content)
        rows, _ = await rig.gateway.store.audit_rows(RowFilter(after=before, limit=1000))
        actors = [msgspec.json.decode(row.body).get("actor") or {} for row in rows]
        actors += [
            (msgspec.json.decode(row.body).get("details") or {}).get("actor") or {} for row in rows
        ]
        if not any(actor.get("key_id") or actor.get("request_id") for actor in actors):
            silent.append((name, [row.kind for row in rows]))
    assert [] == silent


@pytest.fixture
async def one_rig(tmp_path):
    async with Rig(
        tmp_path / "data", brokers=("fyers",), options={"fill_delay_ms": 600_000}
    ) as rig:
        yield rig
