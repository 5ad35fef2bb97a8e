"""What was sent to a broker and answered is in the audit log; what is secret never is."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.store.audit import RowFilter
from tests.alerts.receivers import closed_port
from tests.cli.conftest import ROOT
from tests.gateway.rig import ORDER, Rig
from tests.gateway.test_reconciler import until
from tests.gateway.test_sessions_api import follow
from tests.sessions.test_callback import browse, redirect
from tests.sessions.test_lifecycle import seal

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


# Calls that change nothing, though they have a body.
_NO_CHANGE = {
    "POST /v1/margins": "asks what an order would cost",
    "POST /v1/orders/validate": "checks an order and forgets it",
    "POST /v1/audit/checkpoint": "signs the log; the signature is a row of its own form",
}


async def test_every_call_that_changes_something_leaves_a_row_that_names_who_asked(tmp_path):
    """By the table of routes: a new one has to be called here, or to be named above."""
    told: dict[str, bool] = {}
    hooks = {"webhooks": [{"name": "hook", "url": f"http://127.0.0.1:{closed_port()}/"}]}
    async with Rig(
        tmp_path / "data",
        options={"fill_delay_ms": 600_000},
        settings={"alerts": hooks},
    ) as rig:
        ask = asker(rig, told)
        routes = rig.gateway.routes()
        fyers = {"account": "fyers-main"}
        order = {**ORDER, **FYERS}
        placed = await ask("POST /v1/orders", {**order, "wait_for": "book"}, "k")
        at = {"order_id": placed.json["order_id"]}
        there = fyers | {"broker_order_id": placed.leg("fyers-main")["broker_order_id"]}
        await ask("PATCH /v1/orders/{order_id}", {"price": "810.00"}, **at)
        book = "/v1/orderbook/{account}/{broker_order_id}"
        await ask(f"PATCH {book}", {"price": "809.00"}, **there)
        await ask(f"DELETE {book}", **there)
        await ask("POST /v1/baskets", {"orders": [order]}, "b")
        again = await rig.place("again", **FYERS, wait_for="book")
        await ask("DELETE /v1/orders/{order_id}", order_id=again.json["order_id"])
        await ask("POST /v1/orders/cancel-all", FYERS)
        await ask("POST /v1/positions/close", FYERS, "c")
        rig.sims["hdfc"].options["external_reference"] = "generated"
        rig.sims["hdfc"].faults.add([{"call": "place", "action": "accept_then_reset"}])
        lost = await rig.place("lost", accounts=["hdfc-main"])
        leg = await until(rig, lost.json["order_id"], "NEEDS_OPERATOR")
        await ask(
            "POST /v1/unresolved/{leg_id}/resolve",
            {
                "action": "adopt",
                "broker_order_id": rig.ledger("hdfc")[-1].broker_order_id,
                "reason": "seen in the app",
            },
            leg_id=leg["leg_id"],
        )

        kill = {"scope": "account", "target": "fyers-main", "reason": "test"}
        await ask("POST /v1/kill-switch/engage", {**kill, "level": "HALT_NEW"})
        await ask("POST /v1/kill-switch/release", {**kill, "confirm": "RELEASE"})
        await ask("PUT /v1/limits", {**kill, "limits": {"max_open_orders": 5}})
        await ask("POST /v1/breakers/reset", {**fyers, "class": "data", "hold": True})
        await ask("POST /v1/breakers/reset", fyers)
        days = json.loads((ROOT / "gateway" / "calendar" / "holidays.json").read_text())
        await ask("PUT /v1/market/holidays", days)
        await ask("POST /v1/instruments/refresh", {})
        rig.file = rig.file.model_copy(update={"groups": {"all": {"fyers-main": 1}}})
        await ask("POST /v1/config/reload")
        await ask("PUT /v1/alerts/{receiver}/secret", {}, receiver="hook")
        await ask("POST /v1/alerts/test", {})
        made = await ask("POST /v1/keys", {"name": "bot", "scopes": ["read"]})
        rotated = await ask("POST /v1/keys/{id}/rotate", {"grace_seconds": 0}, id=made.json["id"])
        await ask("DELETE /v1/keys/{id}", id=rotated.json["id"])

        credentials = {"fields": dict(rig.sims["fyers"].credentials)}
        await ask("PUT /v1/accounts/{account}/credentials", credentials, **fyers)
        sessions = "/v1/sessions/{account}"
        asked = await ask(f"POST {sessions}/login", {"renew": True}, **fyers)
        await ask(
            f"POST {sessions}/callback",
            {"url": await follow(rig, asked.json["login_url"])},
            **fyers,
        )
        await ask(f"DELETE {sessions}", **fyers)
        mstock = {"account": "mstock-main"}
        asked = await rig.call("POST", "/v1/sessions/mstock-main/login", {"renew": True})
        asked = await ask(f"POST {sessions}/otp/resend", {}, **mstock)
        answer = {
            "challenge_id": asked.json["challenge_id"],
            "otp": await rig.sims["mstock"].read_otp(),
        }
        await ask(f"POST {sessions}/otp", answer, **mstock)
    hosted = {"login": "hosted"}
    async with Rig(
        tmp_path / "hosted", brokers=("hdfc",), account_settings=hosted, log_in=False
    ) as rig:
        await seal(rig, "hdfc")
        page = await browse(rig, await redirect(rig))
        assert b"Almost done" in page.content
        await asker(rig, told)("POST /v1/sessions/{account}/confirm", account="hdfc-main")
    changing = {f"{each.method} {each.path}" for each in routes if each.method != "GET"}
    assert [] == [name for name, said in told.items() if not said]
    assert changing - _NO_CHANGE.keys() == told.keys()
    assert _NO_CHANGE.keys() <= changing


def asker(rig: Rig, told: dict[str, bool]):
    """Call a route by its pattern, and note whether the rows since then name who asked."""

    async def ask(route: str, body: object = None, key: str | None = None, **path: str):
        method, _, pattern = route.partition(" ")
        before = await rig.gateway.store.last_audit_seq()
        reply = await rig.call(method, pattern.format(**path), body, idempotency_key=key)
        assert reply.status < 300, (route, reply.content)
        rows, _ = await rig.gateway.store.audit_rows(RowFilter(after=before, limit=1000))
        told[route] = any(names_somebody(msgspec.json.decode(row.body)) for row in rows)
        return reply

    return ask


def names_somebody(body: dict[str, Any]) -> bool:
    actors = [body.get("actor"), (body.get("details") or {}).get("actor")]
    return any(actor and (actor.get("key_id") or actor.get("request_id")) for actor in actors)
