"""Breakers, bulkheads and rate limits of a whole gateway, against simulators that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import accounts
from tests.gateway.rig import Reply, Rig
from tests.kill.help import RESTING, until

HANG = [{"call": kind, "action": "hang", "count": None} for kind in ("place", "book")]
FYERS = ["fyers-main"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are waited for a short while, and open breakers too."""
    make = accounts.adapter_context

    def quick(*args: Any, **more: Any) -> Any:
        context = make(*args, **more)
        return msgspec.structs.replace(context, answer_timeout_s=0.4, read_timeout_s=0.4)

    monkeypatch.setattr(accounts, "adapter_context", quick)
    monkeypatch.setenv("BROKERGATE_TEST_TIME_SCALE", "10")


@pytest.fixture
async def quick(impatient: None, tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        yield rig


async def fetch(rig: Rig, placed: Reply) -> Reply:
    return await rig.call("GET", f"/v1/orders/{placed.json['order_id']}")


async def breakers(rig: Rig, account: str = "fyers-main") -> dict[str, str]:
    reply = await rig.call("GET", "/v1/breakers")
    rows = [row for row in reply.json["breakers"] if row["account"] == account]
    return {row["class"]: row["state"] for row in rows}


def place_breaker(rig: Rig) -> str:
    return rig.gateway.accounts["fyers-main"].calls.health.place.state


async def audited(rig: Rig) -> list[tuple[str, str]]:
    """Every change of the place breaker that the audit log holds."""
    rows = await rig.gateway.store.read(
        lambda c: c.execute("SELECT body FROM audit WHERE kind='breaker' ORDER BY seq").fetchall()
    )
    bodies = [msgspec.json.decode(body) for (body,) in rows]
    return [(body["from"], body["to"]) for body in bodies if body["class"] == "place"]


async def open_place_breaker(rig: Rig) -> None:
    rig.sims["fyers"].faults.add([{"call": "place", "action": "hang", "count": 3}])
    for n in range(3):
        reply = await rig.place(f"hang-{n}", accounts=FYERS)
        assert "UNKNOWN" == reply.json["legs"][0]["state"]
    assert "open" == place_breaker(rig)


async def test_a_hung_broker_leaves_the_other_accounts_alone(rig: Rig) -> None:
    rig.sims["fyers"].faults.add(HANG)
    placed = [await rig.place(f"k{n}", wait_ms=0, ttl_ms=30_000) for n in range(4)]

    async def others_are_done() -> bool:
        replies = [await fetch(rig, reply) for reply in placed]
        legs = [reply.leg(f"{b}-main") for reply in replies for b in ("mstock", "hdfc")]
        return all(leg["outcome"] == "accepted" for leg in legs)

    await until(others_are_done, "legs elsewhere were accepted")

    async def its_own_are_sent() -> bool:
        legs = [(await fetch(rig, reply)).leg("fyers-main") for reply in placed]
        return {leg["state"] for leg in legs} == {"SENDING"}

    await until(its_own_are_sent, "legs at the hung broker were sent")


async def test_hung_placements_starve_neither_a_cancel_nor_the_book(one: Rig) -> None:
    resting = await one.place("resting", accounts=FYERS, wait_for="book", **RESTING)
    one.sims["fyers"].faults.add([{"call": "place", "action": "hang", "count": None}])
    hung = [await one.place(f"k{n}", accounts=FYERS, wait_ms=0, ttl_ms=30_000) for n in range(12)]

    async def all_under_way() -> bool:
        legs = [(await fetch(one, reply)).json["legs"][0] for reply in hung]
        return [leg["state"] for leg in legs].count("SENDING") == 8

    await until(all_under_way, "as many placements as may be under way")
    reply = await one.call("DELETE", f"/v1/orders/{resting.json['order_id']}")
    assert "CANCELLED" == reply.json["legs"][0]["state"]
    assert await all_under_way()


async def test_an_open_breaker_denies_half_opens_by_a_read_and_closes(quick: Rig) -> None:
    await open_place_breaker(quick)
    accepted = len(quick.ledger("fyers"))

    reply = await quick.place("denied", accounts=FYERS)
    leg = reply.json["legs"][0]
    assert ("DENIED", "breaker_open") == (leg["state"], leg["reason"]["code"])
    assert leg["reason"]["retryable"] is True
    assert accepted == len(quick.ledger("fyers"))
    assert "open" == (await breakers(quick))["place"]

    await until(lambda: place_breaker(quick) == "half_open", "a read was answered")
    assert accepted == len(quick.ledger("fyers"))
    reply = await quick.place("trial", accounts=FYERS)
    assert "accepted" == reply.json["legs"][0]["outcome"]
    assert "closed" == (await breakers(quick))["place"]
    changes = [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    assert changes == await audited(quick)


async def test_a_breaker_half_opens_where_nobody_else_reads(quick: Rig) -> None:
    quick.sims["fyers"].faults.add([{"action": "refuse", "params": {"ms": None}}])
    reply = await quick.place("refused", accounts=FYERS, ttl_ms=4000, wait_ms=6000)
    leg = reply.json["legs"][0]
    assert ("DENIED", "breaker_open") == (leg["state"], leg["reason"]["code"])
    assert {} == quick.gateway.accounts["fyers-main"].moving

    quick.sims["fyers"].faults.clear()
    await until(lambda: place_breaker(quick) == "half_open", "the probe got through")
    reply = await quick.place("trial", accounts=FYERS)
    assert "accepted" == reply.json["legs"][0]["outcome"]


async def test_cancels_pass_an_open_place_breaker(quick: Rig) -> None:
    resting = await quick.place("resting", accounts=FYERS, wait_for="book", **RESTING)
    await quick.call("POST", "/v1/breakers/reset", {"account": "fyers-main", "class": "place"})
    hold = {"account": "fyers-main", "class": "place", "hold": True, "reason": "maintenance"}
    assert 200 == (await quick.call("POST", "/v1/breakers/reset", hold)).status

    reply = await quick.call("DELETE", f"/v1/orders/{resting.json['order_id']}")
    assert "CANCELLED" == reply.json["legs"][0]["state"]


async def test_business_refusals_open_nothing(quick: Rig) -> None:
    refuse = {"call": "place", "action": "reject", "count": None}
    quick.sims["fyers"].faults.add([{**refuse, "params": {"message": "RMS: Margin Exceeds"}}])
    for n in range(6):
        reply = await quick.place(f"k{n}", accounts=FYERS)
        assert "rejected" == reply.json["legs"][0]["outcome"]
    assert "closed" == (await breakers(quick))["place"]


async def test_what_the_operator_holds_stays_held_over_a_restart(quick: Rig) -> None:
    hold = {"account": "fyers-main", "class": "place", "hold": True, "reason": "maintenance"}
    reply = await quick.call("POST", "/v1/breakers/reset", hold)
    states = {row["class"]: row["state"] for row in reply.json["breakers"]}
    assert "isolated" == states.pop("place")
    assert {"closed"} == set(states.values())
    await quick.restart_gateway()

    assert "isolated" == (await breakers(quick))["place"]
    leg = (await quick.place("held", accounts=FYERS)).json["legs"][0]
    assert "breaker_open" == leg["reason"]["code"]
    assert "maintenance" in leg["reason"]["message"]
    await quick.call("POST", "/v1/breakers/reset", {"account": "fyers-main"})
    leg = (await quick.place("free", accounts=FYERS)).json["legs"][0]
    assert "accepted" == leg["outcome"]
    assert [("closed", "isolated"), ("isolated", "closed")] == await audited(quick)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"account": "nobody"}, 404),
        ({"account": "fyers-main", "class": "cancel", "hold": True}, 422),
        ({"account": "fyers-main", "class": "everything"}, 422),
        ({"account": "fyers-main", "hld": True}, 422),
    ],
    ids=str,
)
async def test_a_reset_that_makes_no_sense_is_refused(one: Rig, body: Any, status: int) -> None:
    assert status == (await one.call("POST", "/v1/breakers/reset", body)).status


async def test_reading_breakers_needs_read_and_resetting_them_operate(one: Rig) -> None:
    trader = await one.new_key("trader", ["trade"])
    assert 200 == (await one.call("GET", "/v1/breakers", key=trader)).status
    body = {"account": "fyers-main"}
    assert 403 == (await one.call("POST", "/v1/breakers/reset", body, key=trader)).status
    stranger = await one.new_key("stranger", ["operate"], ["other"])
    assert [] == (await one.call("GET", "/v1/breakers", key=stranger)).json["breakers"]
    assert 404 == (await one.call("POST", "/v1/breakers/reset", body, key=stranger)).status


async def test_accounts_show_their_breakers_and_headroom(one: Rig) -> None:
    await one.place(accounts=FYERS)
    (account,) = (await one.call("GET", "/v1/accounts")).json["accounts"]

    assert {"place", "read", "data", "cancel", "login"} == set(account["breakers"])
    limits = account["limits"]
    assert (8, 0.0) == (limits["orders_per_second"], limits["paused_s"])
    by_window = {(w["scope"], w["exchange"], w["per_s"]): w for w in limits["windows"]}
    assert (8, 10) == (
        by_window["orders", "NSE", 1.0]["count"],
        by_window["orders", "NSE", 1.1]["count"],
    )
    day = by_window["orders", None, 86_400]
    assert (1, 9_499) == (day["used"], day["left"])
    assert by_window["all", None, 60]["used"] > 1


async def test_a_rate_limit_answer_pauses_orders_and_lets_cancels_through(quick: Rig) -> None:
    resting = await quick.place("resting", accounts=FYERS, wait_for="book", **RESTING)
    quick.sims["fyers"].faults.add([{"call": "place", "action": "rate_limit"}])
    await quick.place("limited", accounts=FYERS)
    (account,) = (await quick.call("GET", "/v1/accounts")).json["accounts"]
    assert account["limits"]["paused_s"] > 0
    assert "closed" == account["breakers"]["place"]

    late = await quick.place("late", accounts=FYERS, ttl_ms=50)
    leg = late.json["legs"][0]
    assert ("DENIED", "rate_limited", True) == (
        leg["state"],
        leg["reason"]["code"],
        leg["reason"]["retryable"],
    )
    reply = await quick.call("DELETE", f"/v1/orders/{resting.json['order_id']}")
    assert "CANCELLED" == reply.json["legs"][0]["state"]
    patient = await quick.place("patient", accounts=FYERS, ttl_ms=30_000, wait_ms=30_000)
    assert "accepted" == patient.json["legs"][0]["outcome"]


def most_in_a_second(rig: Rig) -> int:
    times = sorted(order.accepted_at.timestamp() for order in rig.ledger("fyers"))
    return max(sum(1 for at in times if first <= at < first + 1.0) for first in times)


async def test_a_burst_reaches_the_broker_within_its_second_even_across_a_restart(
    tmp_path: Path,
) -> None:
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:

        async def burst(name: str) -> None:
            await asyncio.gather(
                *(rig.place(f"{name}{n}", accounts=FYERS, ttl_ms=30_000) for n in range(8))
            )

        await burst("a")
        await rig.restart_gateway()
        await burst("b")
        await burst("c")

        assert 24 == len(rig.ledger("fyers"))
        assert most_in_a_second(rig) <= 10


async def test_a_key_that_calls_too_often_gets_429_and_nothing_is_sent(tmp_path: Path) -> None:
    rates = {"requests_per_second": 6, "orders_per_second": 3}
    settings = {"server": {"rate_limits": rates}}
    async with Rig(tmp_path / "data", brokers=("fyers",), settings=settings) as rig:
        placing = (rig.place(f"k{n}", accounts=FYERS) for n in range(12))
        replies = await asyncio.gather(*placing)
        refused = [reply for reply in replies if reply.status == 429]

        assert refused
        for reply in refused:
            assert ("rate_limited", False) == (reply.json["code"], reply.json["sent"])
            assert "1" == reply.headers["retry-after"]
        for reply in replies:
            assert '"requests";q=6;w=1, "orders";q=3;w=1' == reply.headers["ratelimit-policy"]
            assert reply.headers["ratelimit"].startswith('"requests";r=')
        assert len(rig.ledger("fyers")) == len(replies) - len(refused)
        assert "ratelimit" not in (await rig.call("GET", "/livez", key="")).headers


def test_only_calls_reaches_the_network_of_an_adapter() -> None:
    """What an adapter does over the network is asked of it in `gateway.calls` alone.

    Masters come from other hosts, and logins are handed over as they are.
    """
    over_the_network = [
        "place_order",
        "modify_order",
        "cancel_order",
        "order_book",
        "get_order",
        "find_by_tag",
        "trade_book",
        "positions",
        "quotes",
        "prove_session",
        "logout",
    ]
    gateway = Path(accounts.__file__).parent
    found = [
        f"{path.relative_to(gateway)}: {name}"
        for path in gateway.rglob("*.py")
        if path.parent.name != "calls"
        for name in over_the_network
        if f"adapter.{name}(" in path.read_text()
    ]
    assert [] == found


async def test_prices_and_funds_that_fail_hold_no_order_back(quick: Rig) -> None:
    broken = {"action": "status", "count": None, "params": {"status": 500}}
    quick.sims["fyers"].faults.add([{"call": "quote", **broken}])
    for _ in range(6):
        await quick.call("GET", "/v1/quotes?instruments=NSE:SBIN&account=fyers-main")
        await asyncio.sleep(0.6)
    states = await breakers(quick)
    assert "open" == states.pop("data")
    assert {"closed"} == set(states.values())

    leg = (await quick.place("k", accounts=FYERS)).json["legs"][0]

    assert "accepted" == leg["outcome"]
