"""Legs that nobody knows the fate of when their day ends, with a clock that is moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any

import msgspec
import pytest

from gateway.calendar import Calendar
from gateway.calendar.days import built_in
from gateway.orchestrator import reconciler
from gateway.orchestrator.trading_day import trade_date
from gateway.orders.times import IST, now_us, to_us
from tests.books.conftest import fail
from tests.gateway.rig import Rig

CALENDAR = Calendar(built_in())
FYERS = {"accounts": ["fyers-main"]}


class Moved:
    """The reconcilers' clock: the real one, set forward."""

    def __init__(self) -> None:
        self.by_us = 0

    def __call__(self) -> int:
        return now_us() + self.by_us

    def to(self, leg: dict[str, Any], days: int, text: str) -> None:
        """Set it to a time of the day of the leg's session, or so many days after it."""
        created = to_us(datetime.fromisoformat(leg["updated_at"]))
        day = trade_date(created, "NSE:SBIN", CALENDAR, amo=False) + timedelta(days=days)
        at = datetime.combine(day, time.fromisoformat(text), IST)
        self.by_us = to_us(at) - now_us()


@pytest.fixture
def clock(monkeypatch):
    moved = Moved()
    monkeypatch.setattr(reconciler, "now_us", moved)
    return moved


async def leg_of(rig: Rig, order_id: str) -> dict[str, Any]:
    leg: dict[str, Any] = (await rig.call("GET", f"/v1/orders/{order_id}")).json["legs"][0]
    return leg


async def until(rig: Rig, order_id: str, *states: str) -> dict[str, Any]:
    for _ in range(300):
        leg = await leg_of(rig, order_id)
        if leg["state"] in states:
            return leg
        await asyncio.sleep(0.02)
    raise AssertionError(f"still {leg['state']}, not {states}")


async def eventually(true: Callable[[], bool]) -> None:
    for _ in range(300):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


async def lose(rig: Rig, action: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Place an order whose answer is lost; return its id and its leg."""
    rig.sims["fyers"].faults.add([{"call": "place", "action": action}])
    reply = await rig.place("lost", **FYERS, **changes)
    assert reply.json["legs"][0]["state"] == "UNKNOWN"
    return reply.json["order_id"], reply.json["legs"][0]


async def alarms(rig: Rig) -> list[str]:
    def read(connection: Any) -> list[str]:
        rows = connection.execute("SELECT body FROM audit WHERE kind='alarm' ORDER BY seq")
        return [msgspec.json.decode(body)["event"] for (body,) in rows]

    return await rig.gateway.store.read(read)


async def test_a_leg_still_unknown_when_its_day_rolled_over_is_the_operators(one, clock):
    fail(one, "fyers", "book")
    order_id, leg = await lose(one, "reset_before_accept")
    clock.to(leg, 1, "00:10")
    one.sims["fyers"].faults.clear()

    leg = await until(one, order_id, "NEEDS_OPERATOR")

    assert ("unknown", "book_gone") == (leg["outcome"], leg["reason"]["code"])
    assert 0 == len(one.ledger("fyers"))


async def test_not_found_becomes_absent_by_a_good_read_after_the_close(one, clock):
    order_id, leg = await lose(one, "reset_before_accept")
    await until(one, order_id, "NOT_FOUND")
    fail(one, "fyers", "book")
    clock.to(leg, 0, "15:46")
    await asyncio.sleep(0.2)
    before = await leg_of(one, order_id)
    one.sims["fyers"].faults.clear()

    after = await until(one, order_id, "ABSENT")

    assert ("NOT_FOUND", "absent") == (before["state"], after["outcome"])


async def test_not_found_stays_watched_until_the_close(one, clock):
    order_id, leg = await lose(one, "reset_before_accept")
    await until(one, order_id, "NOT_FOUND")
    account = one.gateway.accounts["fyers-main"]
    (live,) = account.moving.values()
    clock.to(leg, 0, "15:44")
    reads = account.evidence_of(live).good_reads
    await eventually(lambda: account.evidence_of(live).good_reads >= reads + 2)

    assert "NOT_FOUND" == (await leg_of(one, order_id))["state"]


async def test_an_order_that_the_next_days_book_still_shows_is_found(one, clock):
    fail(one, "fyers", "book")
    order_id, leg = await lose(one, "accept_then_reset")
    clock.to(leg, 1, "00:10")
    one.sims["fyers"].faults.clear()

    leg = await until(one, order_id, "FILLED", "NEEDS_OPERATOR")

    assert ("FILLED", 1) == (leg["state"], len(one.ledger("fyers")))


async def test_an_order_that_shows_up_after_its_book_was_gone_is_found_with_an_alarm(one, clock):
    late = {"action": "book_lag", "count": None, "params": {"ms": 60_000}}
    one.sims["fyers"].faults.add([{"call": "book", **late}, {"call": "trades", **late}])
    order_id, leg = await lose(one, "accept_then_reset")
    clock.to(leg, 1, "00:10")
    await until(one, order_id, "NEEDS_OPERATOR")
    one.sims["fyers"].faults.clear()

    leg = await until(one, order_id, "FILLED")

    assert leg["broker_order_id"] == one.ledger("fyers")[0].broker_order_id
    assert "late_found" in await alarms(one)


async def test_a_leg_that_waits_for_the_operator_has_its_book_read_at_leisure(one, clock):
    fail(one, "fyers", "book")
    order_id, leg = await lose(one, "reset_before_accept")
    clock.to(leg, 1, "00:10")
    one.sims["fyers"].faults.clear()
    await until(one, order_id, "NEEDS_OPERATOR")
    account = one.gateway.accounts["fyers-main"]
    looking = one.gateway.orders._reconcilers["fyers-main"]
    (live,) = account.moving.values()
    await eventually(lambda: account.evidence_of(live).looks > 1)

    assert looking._until_next() > 5 * account.pace().book_min_gap_s


async def test_a_day_that_ends_without_a_login_ends_all_the_same(one, clock):
    fail(one, "fyers", "book")
    order_id, leg = await lose(one, "reset_before_accept")
    await one.call("DELETE", "/v1/sessions/fyers-main")
    clock.to(leg, 1, "08:59")
    await asyncio.sleep(1)
    early = await leg_of(one, order_id)
    clock.to(leg, 1, "09:00")

    leg = await until(one, order_id, "NEEDS_OPERATOR")

    assert ("UNKNOWN", "book_gone") == (early["state"], leg["reason"]["code"])


async def test_a_day_that_ends_with_a_broker_that_fails_ends_all_the_same(one, clock):
    fail(one, "fyers", "book")
    order_id, leg = await lose(one, "reset_before_accept")
    clock.to(leg, 1, "09:00")

    leg = await until(one, order_id, "NEEDS_OPERATOR")

    assert "book_gone" == leg["reason"]["code"]


async def test_an_open_order_nobody_could_follow_is_the_operators_until_it_is_seen(one, clock):
    placed = await one.place("rests", **FYERS, price="700.00", wait_for="book")
    order_id, (leg,) = placed.json["order_id"], placed.json["legs"]
    assert "OPEN" == leg["state"]
    await one.call("DELETE", "/v1/sessions/fyers-main")
    clock.to(leg, 1, "09:00")

    gone = await until(one, order_id, "NEEDS_OPERATOR")
    await one.log_in("fyers-main")
    back = await until(one, order_id, "OPEN")

    assert gone["broker_order_id"] == back["broker_order_id"] == leg["broker_order_id"]
    assert (("unknown", "book_gone"), ("accepted", None)) == (
        (gone["outcome"], gone["reason"]["code"]),
        (back["outcome"], back["reason"]),
    )


async def test_an_after_market_order_waits_for_the_book_of_its_own_session(one, clock):
    order_id, leg = await lose(one, "reset_before_accept", amo=True)
    account = one.gateway.accounts["fyers-main"]
    (live,) = account.moving.values()
    record = live.record
    session = trade_date(record.created_us, record.instrument, CALENDAR, amo=True)
    await until(one, order_id, "NOT_FOUND")

    clock.by_us = to_us(datetime.combine(session, time(15, 44), IST)) - now_us()
    reads = account.evidence_of(live).good_reads
    await eventually(lambda: account.evidence_of(live).good_reads >= reads + 2)
    before = await leg_of(one, order_id)
    clock.by_us += 120_000_000

    await until(one, order_id, "ABSENT")
    assert "NOT_FOUND" == before["state"]
    assert leg["leg_id"] == record.leg_id
