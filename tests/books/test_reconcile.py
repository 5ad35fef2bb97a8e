"""The comparison over HTTP and on the command line, against real simulators."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner

from adapters.sdk.models import BrokerOrderState
from gateway.cli.main import cli
from gateway.orders.times import IST, to_us
from tests.books.conftest import elsewhere, fail, put_leg
from tests.gateway.rig import Rig


async def reconcile(rig: Rig, query: str = "") -> dict:
    reply = await rig.call("GET", f"/v1/reconcile{query}")
    assert 200 == reply.status, reply.content
    return reply.json


async def run(rig: Rig, *arguments: str) -> tuple[int, str]:
    """Run `brokergate` against the rig's gateway, in a thread: this loop serves it."""
    key_file = rig.data_dir / "key"
    key_file.write_text(rig.key)
    where = ["--url", f"http://127.0.0.1:{rig.port}", "--key-file", str(key_file)]
    result = await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, *where])
    return result.exit_code, result.output


async def test_a_day_in_order_matches_at_every_broker(rig):
    await rig.place(wait_for="final")
    await rig.place("rests", price="700.00", wait_for="book")

    found = await reconcile(rig)

    assert "match" == found["summary"], found
    for result in found["results"]:
        assert (True, True, "live") == (result["ok"], result["matches"], result["source"])
        assert (2, 2, 1) == (result["legs"], result["orders"], result["trades"])
        lists = ("missing", "elsewhere", "differing", "trades_without_order", "tags_doubled")
        assert [[]] * 5 == [result[name] for name in lists]


async def test_what_was_placed_elsewhere_is_listed_and_no_mismatch(rig):
    order = elsewhere(rig, "hdfc")

    found = await reconcile(rig, "?accounts=hdfc-main")

    (result,) = found["results"]
    assert ("match", [order.broker_order_id]) == (
        found["summary"],
        [row["broker_order_id"] for row in result["elsewhere"]],
    )


async def test_an_order_that_never_arrived_is_missing_in_the_book(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "reset_before_accept"}])
    lost = await one.place("lost", accounts=["fyers-main"])

    found = await reconcile(one)

    (result,) = found["results"]
    assert ("mismatch", False) == (found["summary"], result["matches"])
    assert [lost.json["legs"][0]["leg_id"]] == [leg["leg_id"] for leg in result["missing"]]


async def test_what_the_journal_got_wrong_is_told_leg_by_leg(one):
    placed = await one.place("k", accounts=["fyers-main"], wait_for="final")
    (order,) = one.ledger("fyers")
    order.quantity = order.filled_quantity = 7
    order.fills.clear()

    found = await reconcile(one)

    (result,) = found["results"]
    (leg,) = result["differing"]
    assert placed.json["legs"][0]["leg_id"] == leg["leg_id"]
    assert [("quantity", "10", "7", None), ("filled_quantity", "10", "7", "0")] == [
        tuple(difference.values()) for difference in leg["differences"][:2]
    ]


async def test_a_leg_that_moved_between_two_reads_is_no_mismatch(one):
    await one.place("k", accounts=["fyers-main"], price="700.00", wait_for="book")
    (order,) = one.ledger("fyers")
    account = one.gateway.accounts["fyers-main"]
    order_book, reads = account.calls.order_book, []

    async def late(session, *priority):
        rows = await order_book(session, *priority)
        if not priority and not reads:
            # The first read of ours is from just before the fill, the journal from after it.
            reads.append(rows)
            one.sims["fyers"].engine.fill(order)
            while next(iter(account.moving.values()), None) is not None:
                await asyncio.sleep(0.01)
        return rows

    account.calls.order_book = late
    found = await reconcile(one)

    assert reads
    assert "match" == found["summary"]
    assert BrokerOrderState.FILLED == order.state


async def test_a_book_that_cannot_be_read_is_a_mismatch_only_with_orders_of_ours(rig):
    await rig.place(accounts=["fyers-main"], wait_for="final")
    fail(rig, "fyers", "book")
    fail(rig, "hdfc", "book")

    found = await reconcile(rig)

    fyers, mstock, hdfc = found["results"]
    assert "incomplete" == found["summary"]
    assert (None, True, True) == tuple(one["matches"] for one in (fyers, mstock, hdfc))
    assert (False, True, False) == tuple(one["ok"] for one in (fyers, mstock, hdfc))
    assert ("broker_unavailable", 1, 0) == (fyers["reason"]["code"], fyers["legs"], hdfc["legs"])


async def test_an_earlier_day_is_compared_with_what_was_kept_of_it(one):
    placed = await one.place("k", accounts=["fyers-main"], wait_for="final")
    account = one.gateway.accounts["fyers-main"]
    day = datetime.fromisoformat(placed.json["created_at"]).date()
    assert await one.gateway.snapshots.take(account, "test")
    one.sims["fyers"].engine.reset()
    later = to_us(datetime(day.year, day.month, day.day, 10, tzinfo=IST) + timedelta(days=1))
    one.gateway.desk._clock = lambda: later

    found = await reconcile(one, f"?date={day}")
    before = await reconcile(one, f"?date={day - timedelta(days=7)}")

    (result,) = found["results"]
    assert ("match", "snapshot", 1) == (found["summary"], result["source"], result["legs"])
    assert ("match", False) == (before["summary"], before["results"][0]["ok"])


async def test_a_leg_for_the_next_session_is_looked_for_in_the_book_of_its_own(one):
    store, desk = one.gateway.store, one.gateway.desk
    account = one.gateway.accounts["fyers-main"]
    friday, monday = date(2026, 11, 20), date(2026, 11, 23)

    def at(day: date, hour: int) -> int:
        return to_us(datetime(day.year, day.month, day.day, hour, tzinfo=IST))

    account.session = msgspec.structs.replace(
        account.session, expires_at=datetime(2026, 11, 30, tzinfo=IST)
    )
    one.gateway.snapshots._clock = one.gateway.reader._clock = desk._clock = lambda: clock[0]
    clock = [at(friday, 15) + 46 * 60_000_000]
    assert await one.gateway.snapshots.take(account, "close")
    leg = await put_leg(
        store, at(friday, 17), "A1", account="fyers-main", attempts=1, state="OPEN", amo=True
    )

    clock[0] = at(friday, 18)
    this_evening = await desk.check(account, friday)
    clock[0] = at(monday, 16)
    assert await one.gateway.snapshots.take(account, "close")
    clock[0] = at(monday, 17) + 86_400_000_000
    kept = [await desk.check(account, day) for day in (friday, monday)]

    assert [leg.leg_id] == [found.leg_id for found in this_evening.comparison.missing]
    assert [[], [leg.leg_id]] == [
        [found.leg_id for found in checked.comparison.missing] for checked in kept
    ]
    assert [True, True] == [checked.covers_close for checked in kept]


async def test_the_command_prints_what_differs_and_its_exit_status_says_whether(rig):
    await rig.place(wait_for="final")
    elsewhere(rig, "hdfc")
    matching = await run(rig, "reconcile")
    rig.sims["mstock"].faults.add([{"call": "place", "action": "reset_before_accept"}])
    lost = await rig.place("lost", accounts=["mstock-main"])
    leg = lost.json["legs"][0]
    differing = await run(rig, "reconcile")
    as_json = await run(rig, "reconcile", "--json", "--accounts", "fyers-main")

    assert 0 == matching[0], matching[1]
    assert "ok fyers-main (fyers) 1 leg, 1 order, 1 trade; live book of" in matching[1]
    assert "placed elsewhere (no mismatch)" in matching[1]
    assert "BUY 3 NSE:SBIN LIMIT 700.00" in matching[1]
    assert "Everything matches." in matching[1]
    assert 1 == differing[0]
    assert "!! mstock-main (mstock) 2 legs, 1 order, 1 trade" in differing[1]
    assert "NOT IN THE BOOK" in differing[1]
    assert f"{leg['leg_id']}  -" in differing[1]
    assert (0, '"summary": "match"') == (as_json[0], as_json[1].splitlines()[2].strip(" ,"))


async def test_an_account_that_was_not_compared_is_said_and_fails(one):
    await one.place(accounts=["fyers-main"], wait_for="final")
    fail(one, "fyers", "book")

    status, output = await run(one, "reconcile")

    assert 1 == status
    assert "? fyers-main (fyers) not compared: 1 leg of ours, and no book" in output
    assert "Not everything could be compared" in output


@pytest.mark.parametrize("arguments", [["--date"], ["--day", "x"], ["fyers-main"]])
async def test_wrong_usage_is_exit_status_two(one, arguments):
    result = CliRunner().invoke(cli, ["reconcile", *arguments])

    assert 2 == result.exit_code


async def test_positions_are_printed_for_every_account(rig):
    await rig.place(wait_for="final")
    good = await run(rig, "positions")
    fail(rig, "hdfc", "read")
    partial = await run(rig, "positions")

    lines = [line.split() for line in good[1].splitlines()]
    assert (0, "ACCOUNT") == (good[0], lines[0][0])
    assert ["fyers-main", "NSE:SBIN", "CNC", "10", "812.00", "812.00", "0.00", "0.00"] == lines[1]
    assert ["mstock-main", "NSE:SBIN", "CNC", "10", "812.00", "-", "-", "-"] == lines[2]
    assert 1 == partial[0]
    assert "hdfc-main: not read: " in partial[1]
