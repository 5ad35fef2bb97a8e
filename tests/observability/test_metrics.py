"""`/metrics` of a whole gateway, read by Prometheus' own parser."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.rig import Rig

FYERS = {"account": "fyers-main", "broker": "fyers"}
MSTOCK = {"account": "mstock-main", "broker": "mstock"}
TWO = ["fyers-main", "mstock-main"]


class Scrape:
    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample that has these labels, or None."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, found
        return found[0] if found else None

    def labels(self, name: str) -> set[str]:
        return {value for s in self.samples for label, value in s.labels.items() if label == name}


async def scrape(rig: Rig, **call: Any) -> Scrape:
    reply = await rig.call("GET", "/metrics", **call)
    assert 200 == reply.status, reply.content
    return Scrape(reply.content.decode())


async def test_an_accepted_order_is_counted_at_each_of_its_accounts(rig):
    await rig.place(accounts=TWO)

    seen = await scrape(rig)
    for place in (FYERS, MSTOCK):
        assert 1 == seen.value("brokergate_legs_total", outcome="accepted", **place)
        assert 1 == seen.value("brokergate_leg_states_total", state="ACKED", **place)
        assert 1 == seen.value("brokergate_leg_overhead_seconds_count", **place)
        assert 1 == seen.value(
            "brokergate_broker_calls_total", **{"class": "place"}, verdict="good", **place
        )
        assert 1 == seen.value(
            "brokergate_broker_call_seconds_count", **{"class": "place"}, **place
        )


async def test_a_replayed_order_is_counted_once(rig):
    for _ in range(2):
        await rig.place("same", accounts=["fyers-main"])

    seen = await scrape(rig)
    assert 1 == seen.value("brokergate_legs_total", outcome="accepted", **FYERS)


async def test_a_leg_denied_when_it_was_accepted_is_counted_as_not_sent(rig):
    await rig.gateway.sessions.logout(rig.gateway.accounts["fyers-main"])
    await rig.place(accounts=["fyers-main"])

    seen = await scrape(rig)
    assert 1 == seen.value("brokergate_legs_total", outcome="not_sent", **FYERS)
    assert None is seen.value("brokergate_leg_overhead_seconds_count", **FYERS)
    assert 0 == seen.value("brokergate_session_left_seconds", **FYERS)
    assert 0 == seen.value("brokergate_account_ready", **FYERS)
    assert 1 == seen.value("brokergate_account_ready", **MSTOCK)


async def test_an_unknown_leg_shows_as_unresolved(rig):
    rig.sims["mstock"].faults.add([{"call": "place", "action": "accept_then_reset"}])
    rig.sims["mstock"].faults.add([{"call": "book", "action": "book_fail", "count": None}])
    await rig.place(accounts=["mstock-main"], wait_ms=1000)

    seen = await scrape(rig)
    assert 1 == seen.value("brokergate_legs_total", outcome="unknown", **MSTOCK)
    assert 1 == seen.value("brokergate_unresolved_legs", **MSTOCK)
    assert 0 == seen.value("brokergate_unresolved_legs", **FYERS)


async def test_the_kill_switch_shows_at_its_scope_and_at_the_accounts_it_covers(rig):
    body = {"scope": "account", "target": "fyers-main", "level": "HALT_NEW", "reason": "a test"}
    assert 200 == (await rig.call("POST", "/v1/kill-switch/engage", body)).status

    seen = await scrape(rig)
    assert 2 == seen.value("brokergate_kill_level", scope="account")
    assert 0 == seen.value("brokergate_kill_level", scope="global")
    assert 2 == seen.value("brokergate_account_kill_level", **FYERS)
    assert 0 == seen.value("brokergate_account_kill_level", **MSTOCK)


async def test_a_breaker_held_open_shows(rig):
    body = {"account": "fyers-main", "class": "place", "hold": True, "reason": "a test"}
    assert 200 == (await rig.call("POST", "/v1/breakers/reset", body)).status

    seen = await scrape(rig)
    assert 3 == seen.value("brokergate_breaker_state", **{"class": "place"}, **FYERS)
    assert 0 == seen.value("brokergate_breaker_state", **{"class": "read"}, **FYERS)


async def test_the_audit_head_is_the_journals(rig):
    seen = await scrape(rig)

    assert await rig.gateway.store.last_audit_seq() == seen.value("brokergate_audit_head")


async def test_commits_requests_and_the_process_are_measured(rig):
    await rig.place(accounts=["fyers-main"])

    seen = await scrape(rig)
    assert 0 < seen.value("brokergate_journal_commit_seconds_count")
    assert 0 < seen.value("brokergate_journal_commit_seconds_sum")
    route = {"method": "POST", "route": "/v1/orders"}
    assert 1 == seen.value("brokergate_http_requests_total", status="201", **route)
    assert 1 == seen.value("brokergate_http_request_seconds_bucket", le="+Inf", **route)
    assert 0 < seen.value("process_resident_memory_bytes")
    assert 0 < seen.value("process_open_fds")


async def test_a_key_sees_the_figures_of_its_accounts_only(rig):
    await rig.place(accounts=TWO)
    key = await rig.new_key("watcher", ["read"], ["mstock-main"])

    assert {"mstock-main"} == (await scrape(rig, key=key)).labels("account")


async def test_nothing_of_an_order_becomes_a_label(rig):
    """Otherwise every strategy, path and instrument would be a series for ever."""
    await rig.place(accounts=TWO, strategy="momentum-7")
    await rig.call("GET", "/v1/orders/ord_that_is_not_there")
    await rig.call("GET", "/nowhere")

    reply = await rig.call("GET", "/metrics")
    text = reply.content.decode()
    for word in ("momentum-7", "SBIN", "ord_", "nowhere", "leg_1"):
        assert word not in text


@pytest.mark.parametrize("scope", ["login"])
async def test_a_key_that_may_not_read_gets_no_figures(rig, scope):
    key = await rig.new_key("other", [scope])

    assert 403 == (await rig.call("GET", "/metrics", key=key)).status
    assert 401 == (await rig.call("GET", "/metrics", key="")).status


async def test_a_scraper_that_asks_for_open_metrics_gets_it(rig):
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    reply = await rig.call("GET", "/metrics", headers=accept)

    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert "brokergate_kill_level" in {
        family.name for family in open_metrics_families(reply.content.decode())
    }
