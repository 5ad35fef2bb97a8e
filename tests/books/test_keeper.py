"""When books are kept, by a clock that the tests move, against a real simulator and journal."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.sdk.models import BrokerPosition
from gateway.books.keeper import SnapshotKeeper
from gateway.books.known import KnownPosition, packed
from gateway.orders.times import IST, to_us
from gateway.runtime import Gateway
from gateway.store.owners import legs_between
from gateway.store.snapshots import SnapshotKind, put_snapshot
from tests.books.conftest import elsewhere, fail, put_leg
from tests.gateway.rig import Rig

FRIDAY = date(2026, 11, 20)
SATURDAY, MONDAY = FRIDAY + timedelta(days=1), FRIDAY + timedelta(days=3)


class Clock:
    def __init__(self) -> None:
        self.at(FRIDAY, "10:00")

    def __call__(self) -> int:
        return self.us

    def at(self, day: date, text: str) -> None:
        hour, minute = text.split(":")
        self.now = datetime(day.year, day.month, day.day, int(hour), int(minute), tzinfo=IST)
        self.us = to_us(self.now)


class Kept:
    """A gateway at one simulator whose keeper, and whose new orders, go by a clock of ours."""

    def __init__(self, rig: Rig, clock: Clock) -> None:
        self.rig, self.clock = rig, clock
        gateway = rig.gateway
        self.keeper = SnapshotKeeper(
            gateway.store, gateway.accounts, gateway.reader, gateway.days.calendar, clock=clock
        )
        gateway.reader._clock = clock
        gateway.snapshots._clock = clock
        gateway.desk._clock = clock
        self.account = gateway.accounts["fyers-main"]
        self.expires(datetime(2026, 11, 24, 6, 0, tzinfo=IST))

    def expires(self, at: datetime) -> None:
        session = self.account.session
        assert session is not None
        self.account.session = msgspec.structs.replace(session, expires_at=at)

    async def look(self, day: date, text: str) -> None:
        self.clock.at(day, text)
        await self.keeper.tick()

    async def log(self) -> list[tuple[str, str, str | None]]:
        """Every audit row of a snapshot: what, of which day, why."""

        def read(connection: Any) -> list[Any]:
            rows = connection.execute("SELECT body FROM audit WHERE kind='snapshot' ORDER BY seq")
            return [msgspec.json.decode(body) for (body,) in rows]

        rows = await self.rig.gateway.store.read(read)
        return [(row["event"], row["day"], row["why"]) for row in rows]

    async def rows(self, day: date, kind: SnapshotKind = SnapshotKind.ORDERBOOK) -> int | None:
        book = await self.keeper.load("fyers-main", day, kind)
        return len(book.rows) if book else None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def kept(one, clock):
    return Kept(one, clock)


async def order(kept: Kept, **fields: Any) -> None:
    """Put a leg into the journal that was sent at the clock's time."""
    store = kept.rig.gateway.store
    await put_leg(store, kept.clock.us, account="fyers-main", attempts=1, **fields)


async def test_books_are_kept_once_after_the_close(kept):
    elsewhere(kept.rig, "fyers", price=Decimal("900.00"))

    for text in ("09:20", "15:44", "15:45", "15:46", "23:59"):
        await kept.look(FRIDAY, text)

    assert [("taken", "2026-11-20", "close")] == await kept.log()
    assert [1, 1, 1] == [await kept.rows(FRIDAY, kind) for kind in SnapshotKind]
    book = await kept.keeper.load("fyers-main", FRIDAY, SnapshotKind.TRADES)
    assert ("NSE:SBIN", 3) == (book.rows[0].instrument, book.rows[0].row.quantity)
    assert datetime(2026, 11, 20, 15, 45, tzinfo=IST) == datetime.fromtimestamp(
        book.begun_us / 1e6, IST
    )


async def test_a_gateway_that_starts_after_the_close_keeps_them_then(kept):
    await kept.look(FRIDAY, "18:30")

    assert [("taken", "2026-11-20", "close")] == await kept.log()


async def test_an_evening_reads_the_days_orders_no_more_than_each_close_asks_for(kept, monkeypatch):
    read = []

    def between(*args):
        read.append(args)
        return legs_between(*args)

    monkeypatch.setattr("gateway.books.keeper.legs_between", between)
    await kept.look(FRIDAY, "15:45")
    reads = len(read)
    for text in ("15:46", "16:30", "17:14"):
        await kept.look(FRIDAY, text)
    assert reads > 0
    assert len(read) == reads
    await kept.look(FRIDAY, "17:20")
    assert len(read) == reads + 1


async def test_another_start_of_the_gateway_does_not_keep_them_again(kept):
    await kept.look(FRIDAY, "15:50")
    gateway = kept.rig.gateway
    kept.keeper = SnapshotKeeper(
        gateway.store, gateway.accounts, gateway.reader, gateway.days.calendar, clock=kept.clock
    )
    await kept.look(FRIDAY, "16:30")

    assert 1 == len(await kept.log())


async def test_a_broker_that_fails_is_asked_again_and_nothing_is_missed(kept):
    fail(kept.rig, "fyers", "book")
    await kept.look(FRIDAY, "15:45")
    await kept.look(FRIDAY, "15:45")
    kept.rig.sims["fyers"].faults.clear()
    await kept.look(FRIDAY, "15:47")
    await kept.look(MONDAY, "09:30")

    events = [event for event, _, _ in await kept.log()]
    # The trades and positions of the first try are worth having too.
    assert ["taken", "taken"] == events
    assert 0 == await kept.rows(FRIDAY)


async def test_books_that_could_not_be_read_all_evening_are_missed_out_loud(kept, caplog):
    fail(kept.rig, "fyers", "book")
    fail(kept.rig, "fyers", "trades")
    fail(kept.rig, "fyers", "read")
    await kept.look(FRIDAY, "15:45")
    await kept.look(FRIDAY, "16:00")
    await kept.look(SATURDAY, "00:01")
    await kept.look(MONDAY, "10:00")

    ((event, day, why),) = await kept.log()
    assert ("missed", "2026-11-20") == (event, day)
    assert "500" in why
    assert f"the books of 2026-11-20 were not kept: {why}" in caplog.text
    reply = await kept.rig.call("GET", "/v1/orderbook?date=2026-11-20")
    assert why in reply.json["results"][0]["reason"]["message"]


async def test_orders_of_ours_without_any_snapshot_of_their_day_are_missed(kept):
    await order(kept)

    await kept.look(MONDAY, "09:00")
    await kept.look(MONDAY, "09:01")

    assert [("missed", "2026-11-20")] == [row[:2] for row in await kept.log()]


async def test_a_snapshot_from_before_the_close_is_told_apart_from_one_after_it(kept):
    await order(kept)
    kept.clock.at(FRIDAY, "12:30")
    assert await kept.keeper.take(kept.account, "stop")

    await kept.look(MONDAY, "09:00")

    assert ("missed", "2026-11-20", "the last ones are of 12:30, before the close") == (
        await kept.log()
    )[-1]


async def test_an_idle_account_without_a_login_misses_nothing(kept):
    kept.account.session = None

    await kept.look(FRIDAY, "15:50")
    await kept.look(MONDAY, "09:30")

    assert [] == await kept.log()


async def test_a_weekend_has_no_close_unless_orders_of_ours_were_made(kept):
    await kept.look(SATURDAY, "16:00")
    assert [] == await kept.log()

    kept.clock.at(SATURDAY, "16:10")
    await order(kept)
    await kept.look(SATURDAY, "16:11")

    assert [("taken", "2026-11-21", "close")] == await kept.log()


async def test_a_later_segment_has_its_own_close_where_it_was_used(kept):
    await kept.look(FRIDAY, "15:50")
    await kept.look(FRIDAY, "17:20")
    await kept.look(FRIDAY, "23:58")
    assert 1 == len(await kept.log())

    kept.clock.at(MONDAY, "12:00")
    await order(kept, instrument="MCX:CRUDEOIL18DEC26FUT")
    for text in ("15:45", "17:20", "23:56", "23:57", "23:58"):
        await kept.look(MONDAY, text)

    assert ["2026-11-20", "2026-11-23", "2026-11-23"] == [day for _, day, _ in await kept.log()]


async def test_what_a_kept_book_shows_of_a_later_segment_counts_too(kept):
    await kept.look(FRIDAY, "15:50")
    elsewhere(kept.rig, "fyers")
    currency = KnownPosition(BrokerPosition(codes={}, product=None, quantity=1), "CDS:USDINR")
    parts = {SnapshotKind.POSITIONS: packed([currency])}
    await kept.rig.gateway.store.write(
        lambda c: put_snapshot(c, "fyers-main", FRIDAY, kept.clock.us, parts)
    )

    await kept.look(FRIDAY, "17:14")
    assert 0 == await kept.rows(FRIDAY)
    await kept.look(FRIDAY, "17:15")

    assert 1 == await kept.rows(FRIDAY)


async def test_books_are_kept_before_the_session_ends(kept):
    kept.expires(datetime(2026, 11, 20, 14, 0, tzinfo=IST))

    for text in ("13:45", "13:50", "13:51", "13:59"):
        await kept.look(FRIDAY, text)

    assert [("taken", "2026-11-20", "session_ends")] == await kept.log()


async def test_a_session_that_has_ended_is_asked_for_nothing(kept, caplog):
    kept.expires(datetime(2026, 11, 20, 14, 0, tzinfo=IST))

    await kept.look(FRIDAY, "14:00")
    await kept.look(FRIDAY, "15:50")

    assert [] == await kept.log()
    assert "" == caplog.text


async def test_a_session_that_ends_in_the_morning_has_nothing_worth_keeping(kept):
    kept.expires(datetime(2026, 11, 23, 6, 0, tzinfo=IST))

    await kept.look(MONDAY, "05:55")

    assert [] == await kept.log()


async def test_the_last_good_books_of_a_day_stay(kept):
    elsewhere(kept.rig, "fyers")
    kept.clock.at(FRIDAY, "12:00")
    await kept.keeper.take(kept.account, "stop")
    elsewhere(kept.rig, "fyers")
    await kept.look(FRIDAY, "15:45")

    assert 2 == await kept.rows(FRIDAY)


async def test_a_book_that_is_being_cleared_replaces_nothing(kept, monkeypatch, caplog):
    elsewhere(kept.rig, "fyers")
    real_today = datetime.now(IST).date()
    kept.clock.at(real_today, "15:50")
    await kept.keeper.take(kept.account, "close")
    kept.rig.sims["fyers"].engine.reset()
    kept.clock.at(real_today, "23:50")
    await kept.keeper.take(kept.account, "logout")

    assert 1 == await kept.rows(real_today)
    assert ["taken", "kept_older"] == [event for event, _, _ in await kept.log()]
    assert "lost 1 rows; kept the older" in caplog.text


async def test_logging_out_keeps_the_books_of_a_day_with_orders_of_ours(kept):
    await kept.rig.gateway.sessions.logout(kept.account)
    assert [] == await kept.log()
    await kept.rig.log_in("fyers-main")
    await order(kept)
    elsewhere(kept.rig, "fyers")

    reply = await kept.rig.call("DELETE", "/v1/sessions/fyers-main")

    assert 200 == reply.status
    assert [("taken", "2026-11-20", "logout")] == await kept.log()
    assert 1 == await kept.rows(FRIDAY)


async def test_a_broker_that_hangs_does_not_keep_anyone_from_logging_out(kept, monkeypatch):
    monkeypatch.setattr("gateway.books.keeper._LEAVING_S", 0.2)
    await order(kept)
    kept.rig.sims["fyers"].faults.add([{"call": "book", "action": "accept_then_hang"}])

    await kept.rig.gateway.sessions.logout(kept.account)

    assert kept.account.session is None
    assert [] == await kept.log()


async def test_an_orderly_stop_keeps_the_books_of_a_day_with_orders_of_ours(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        placed = await rig.place("k", accounts=["fyers-main"], wait_for="final")
        today = datetime.fromisoformat(placed.json["created_at"]).date()
        await rig.restart_gateway()

        book = await rig.gateway.snapshots.load("fyers-main", today, SnapshotKind.ORDERBOOK)

        broker_order_id = placed.json["legs"][0]["broker_order_id"]
        assert [broker_order_id] == [known.row.broker_order_id for known in book.rows]


async def test_a_stop_without_orders_reads_nothing(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        gateway: Gateway = rig.gateway
        asked = []
        gateway.accounts["fyers-main"].calls.order_book = asked.append
        await rig.restart_gateway()

        assert [] == asked


async def test_the_keeper_looks_by_itself(kept, monkeypatch):
    monkeypatch.setattr("gateway.books.keeper.LOOK_EVERY_S", 0.01)
    kept.clock.at(FRIDAY, "15:50")
    running = asyncio.create_task(kept.keeper.run())
    for _ in range(500):
        if await kept.rows(FRIDAY) is not None:
            break
        await asyncio.sleep(0.01)
    running.cancel()

    assert [("taken", "2026-11-20", "close")] == await kept.log()
