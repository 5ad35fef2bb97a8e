"""Whose order a broker's row is, from a real journal; and a journal of the first format."""

from __future__ import annotations

from datetime import date

import apsw
import pytest

from gateway.orders.times import now_us
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring
from gateway.store import Store
from gateway.store.owners import find_owners, legs_between
from gateway.store.snapshots import SnapshotKind, load_snapshot, pack, put_snapshot, taken_us
from tests.books.conftest import put_leg

DAY_US = 86_400 * 1_000_000


@pytest.fixture
def keyring():
    return Keyring(generate_master_key())


@pytest.fixture
def store(tmp_path, keyring):
    store = Store(tmp_path / "journal.db", keyring)
    yield store
    store.close()


async def test_a_row_is_ours_by_its_tag_or_by_the_brokers_number(store):
    now = now_us()
    by_tag = await put_leg(store, now, None)
    by_number = await put_leg(store, now, "2611")

    tags = {by_tag.broker_tag, 1}
    owners = await store.read(lambda c: find_owners(c, "a", tags, {"2611", "9"}, now))

    assert owners.of("9", by_tag.broker_tag).leg.leg_id == by_tag.leg_id
    assert owners.of("2611", None).leg.leg_id == by_number.leg_id
    assert owners.of("2611", None).strategy == "momentum-1"
    assert owners.of("9", 1) is None


async def test_a_tag_goes_before_a_number_that_the_broker_used_before(store):
    now = now_us()
    await put_leg(store, now - DAY_US, "2611")
    ours = await put_leg(store, now, None)

    owners = await store.read(lambda c: find_owners(c, "a", {ours.broker_tag}, {"2611"}, now))

    assert owners.of("2611", ours.broker_tag).leg.leg_id == ours.leg_id


async def test_a_number_that_was_used_again_is_the_newest_legs_and_never_a_month_olds(store):
    now = now_us()
    await put_leg(store, now - 30 * DAY_US, "2610")
    await put_leg(store, now - DAY_US, "2611")
    newest = await put_leg(store, now, "2611")

    owners = await store.read(lambda c: find_owners(c, "a", (), {"2610", "2611"}, now))

    assert owners.of("2611", None).leg.leg_id == newest.leg_id
    assert owners.of("2610", None) is None


async def test_another_accounts_number_and_tag_are_not_ours(store):
    now = now_us()
    leg = await put_leg(store, now, "2611", account="b")

    owners = await store.read(lambda c: find_owners(c, "a", {leg.broker_tag}, {"2611"}, now))

    assert owners.of("2611", leg.broker_tag) is None


async def test_the_legs_of_a_time_are_found_by_their_orders_ids(store):
    now = now_us()
    await put_leg(store, now - DAY_US, None)
    wanted = await put_leg(store, now, None)
    await put_leg(store, now, None, account="b")
    await put_leg(store, now + DAY_US, None)

    hour = 3600 * 1_000_000
    found = await store.read(lambda c: legs_between(c, "a", now - hour, now + hour))

    assert [wanted.leg_id] == [owned.leg.leg_id for owned in found]


async def test_neither_look_up_walks_the_journal(store):
    def plans(connection):
        asked = []
        for look in (
            lambda: find_owners(connection, "a", {1}, {"2"}, now_us()),
            lambda: legs_between(connection, "a", 1, now_us()),
        ):
            connection.exec_trace = lambda _, sql, values: asked.append((sql, values)) or True
            look()
            connection.exec_trace = None
        return [
            row[3]
            for sql, values in asked
            for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        ]

    steps = await store.read(plans)

    assert steps
    assert [] == [step for step in steps if step.startswith("SCAN")]


async def test_a_journal_of_the_first_format_is_brought_up_to_date(tmp_path, keyring):
    path = tmp_path / "journal.db"
    first = Store(path, keyring)
    leg = await put_leg(first, now_us(), "2611")
    first.close()
    raw = apsw.Connection(str(path))
    raw.execute(
        "DROP INDEX legs_at_broker; DROP TABLE snapshots; DROP TABLE snapshots_missed;"
        "DROP TABLE closes; DROP INDEX audit_checkpoints;"
        "PRAGMA user_version=1"
    )
    raw.close()

    store = Store(path, keyring)
    try:
        day = date(2026, 11, 20)
        parts = {SnapshotKind.TRADES: pack(0, b"[]")}
        await store.write_audited(lambda c: put_snapshot(c, "a", day, 7, parts), "snapshot", {})
        kept = await store.read(lambda c: load_snapshot(c, "a", day, SnapshotKind.TRADES))
        owners = await store.read(lambda c: find_owners(c, "a", (), {"2611"}, now_us()))

        assert (7, b"[]") == (kept.taken_us, kept.json)
        assert 0 == await store.read(lambda c: taken_us(c, "a", day))
        assert owners.of("2611", None).leg.leg_id == leg.leg_id
        assert (await store.verify_audit()).ok
    finally:
        store.close()
