"""What a start counts of the day: from a real journal, page by page, into real ledgers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from gateway.orders.records import Sent
from gateway.orders.states import LegState
from gateway.orders.times import IST, to_us
from gateway.prechecks.ledger import Ledger
from gateway.prechecks.restore import Now, Restoring, look_of
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring
from gateway.store import Store, day
from gateway.store.owners import id_bound
from tests.books.conftest import put_leg

TODAY = date(2026, 11, 23)
BEGUN = to_us(datetime(2026, 11, 23, tzinfo=IST))
MINUTE = 60 * 1_000_000
NOON = BEGUN + 12 * 60 * MINUTE
CLOCK_S = 50_000.0


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "journal.db", Keyring(generate_master_key()))
    yield store
    store.close()


async def put(store, ago_min, state=LegState.FILLED, filled=10, average="812.00", **fields):
    given = {"state": state, "filled_quantity": filled, **fields}
    if average is not None:
        given["average_price"] = Decimal(average)
    return await put_leg(store, NOON - int(ago_min * MINUTE), **given)


async def restored(store, *accounts, only=None):
    """Return the ledger of all accounts, and that of each."""
    ledgers, everything = {account: Ledger() for account in accounts}, Ledger()
    restoring = Restoring(ledgers, everything, Now(TODAY, BEGUN, NOON, CLOCK_S))
    after = (id_bound(BEGUN), 0)
    while after is not None:
        page = await store.read(
            lambda c, at=after: day.read_page(c, at, id_bound(BEGUN + 1440 * MINUTE), only)
        )
        restoring.take_filled(page.filled)
        restoring.take(page.others)
        after = page.after
    return everything, ledgers


async def test_every_leg_of_the_day_is_counted_once_whatever_the_pages(store, monkeypatch):
    monkeypatch.setattr(day, "PAGE", 3)
    for ago in (300, 200, 90, 61, 59, 20, 2, 0):
        await put(store, ago, account="ab"[ago % 2])
    everything, ledgers = await restored(store, "a", "b")
    assert everything.day_quantity == 80
    assert everything.day_value == 80 * Decimal("812.00")
    assert everything.quantities == {"NSE:SBIN": 80}
    assert {name: ledger.day_quantity for name, ledger in ledgers.items()} == {"a": 60, "b": 20}
    assert everything.open == set()


async def test_only_what_was_placed_today_at_an_account_there_is_counts(store):
    await put(store, 13 * 60)
    await put(store, 10, account="gone")
    await put(store, 10)
    everything, _ = await restored(store, "a")
    assert everything.day_quantity == 10


async def test_a_leg_counts_for_what_its_state_says(store):
    await put(store, 30, LegState.CANCELLED, filled=4, average="800.00")
    await put(store, 30, LegState.DENIED, filled=0, average=None)
    await put(store, 30, LegState.REJECTED, filled=0, average=None)
    working = await put(store, 30, LegState.OPEN, filled=0, average=None)
    doubtful = await put(store, 30, LegState.UNKNOWN, filled=0, average=None)
    everything, ledgers = await restored(store, "a")
    assert everything.day_quantity == 4 + 10 + 10
    assert everything.day_value == 4 * Decimal("800.00") + 20 * Decimal("812.50")
    assert everything.open == {working.broker_tag, doubtful.broker_tag}
    assert ledgers["a"].margin_since(CLOCK_S + 1) == 10 * Decimal("812.50")


async def test_a_filled_leg_counts_for_what_was_filled_at_the_best_price_that_is_known(store):
    await put(store, 30, filled=6)
    await put(store, 90, average=None, price=Decimal(700))
    await put(store, 90, average=None, price=None, sent=Sent(order_type="LIMIT", price="10.5"))
    everything, _ = await restored(store, "a")
    assert everything.day_quantity == 26
    assert everything.day_value == 6 * Decimal(812) + 10 * Decimal(700) + 10 * Decimal("10.5")


async def test_filled_legs_are_look_alikes_for_as_long_as_a_limit_may_ask(store):
    early = await put(store, 61, quantity=7)
    late = await put(store, 59)
    just_now = await put(store, 0, quantity=8)
    everything, ledgers = await restored(store, "a")
    hour_ago = CLOCK_S - 3600
    for ledger in (everything, ledgers["a"]):
        assert ledger.lookalike(look_of(late), hour_ago).order_id == late.order_id
        assert ledger.lookalike(look_of(late), CLOCK_S - 58 * 60) is None
        assert ledger.lookalike(look_of(just_now), CLOCK_S - 10).order_id == just_now.order_id
        assert ledger.lookalike(look_of(early), 0.0) is None


async def test_the_last_minutes_orders_count_as_made(store):
    await put(store, 2)
    await put(store, 0.5)
    await put(store, 0.2, LegState.REJECTED, filled=0, average=None)
    everything, _ = await restored(store, "a")
    assert everything.entered_since(CLOCK_S - 60) == 2


async def test_what_was_counted_counts_no_more_on_the_next_day(store):
    await put(store, 200)
    await put(store, 20)
    everything, _ = await restored(store, "a")
    everything.turn_to(date(2026, 11, 24))
    assert (everything.day_quantity, everything.day_value) == (0, 0)
    assert everything.quantities["NSE:SBIN"] == 0


async def test_a_leg_that_is_settled_after_the_start_leaves_the_sums_right(store):
    leg = await put(store, 20, LegState.OPEN, filled=0, average=None)
    await put(store, 20)
    everything, _ = await restored(store, "a")
    leg.state, leg.filled_quantity = LegState.CANCELLED, 0
    everything.settle(leg, CLOCK_S + 1)
    assert everything.day_quantity == 10


async def test_the_legs_of_one_account_can_be_read_alone(store):
    await put(store, 30, account="a")
    await put(store, 30, account="b")
    everything, _ = await restored(store, "a", "b", only="b")
    assert everything.quantities == {"NSE:SBIN": 10}


@pytest.mark.parametrize("account", [None, "a"])
async def test_a_page_is_found_by_its_orders_ids_and_sorted_already(store, account):
    def plan(connection):
        asked = []
        connection.exec_trace = lambda _, sql, values: asked.append((sql, values)) or True
        day.read_page(connection, ("a", 1), "b", account)
        connection.exec_trace = None
        (sql, values), *others = asked
        assert not others
        return connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()

    steps = [step[3] for step in await store.read(plan)]
    assert steps == ["SEARCH legs USING PRIMARY KEY ((order_id,n)>(?,?) AND order_id<?)"]
