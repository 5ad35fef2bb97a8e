"""A master is swapped in whole or not at all, and what changed is on record."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import apsw
import msgspec
import pytest

from gateway.instruments import InstrumentService
from gateway.store.instruments import InstrumentStore, MasterTooShort, Wanted, contract_of
from tests.instruments.support import (
    KEYS,
    TODAY,
    broken_after,
    contracts,
    future,
    ids,
    in_days,
    share,
)

ROWS = 50_000


async def test_half_a_file_leaves_every_look_up_as_it_was(store):
    await store.replace("b", [share("SBIN"), share("INFY")], KEYS)

    with pytest.raises(ValueError, match="cut short"):
        await store.replace(
            "b", broken_after(contracts(ROWS), 30_000, ValueError("cut short")), KEYS
        )

    assert ["NSE:INFY", "NSE:SBIN"] == sorted(await ids(store))
    assert await store.find("b", "NSE:SYN00001") is None
    name = contract_of({"exchange": "NSE", "token": "SBIN"}, KEYS)
    assert [name] == list(await store.find_contracts("b", [name]))
    assert [2] == [info.rows for info in await store.info()]


async def test_readers_see_the_old_master_or_the_new_and_never_a_mixture(store):
    await store.replace("b", contracts(ROWS), KEYS)
    service = InstrumentService(store, {}, store._path.parent)
    stop = asyncio.Event()
    seen = set()

    async def read():
        while not stop.is_set():
            found = await store.search(Wanted(query="syn0001"), 50, TODAY)
            lots = {item.lot_size for listing in found for item in listing.values()}
            assert 50 == len(found)
            assert len(lots & {7, 1}) == 1, lots
            seen.update(lots & {7, 1})
            one = await service.find("b", "NSE:SYN00010")
            assert one is not None

    reading = asyncio.create_task(read())
    other = (
        msgspec.structs.replace(row, lot_size=7 if row.lot_size == 1 else 8)
        for row in contracts(ROWS)
    )
    await store.replace("b", other, KEYS)
    await store.search(Wanted(query="syn0001"), 1, TODAY)
    await asyncio.sleep(0.05)
    stop.set()
    await reading

    assert {1, 7} == seen
    assert 7 == (await store.find("b", "NSE:SYN00010")).lot_size
    leftover = apsw.Connection(str(store._path))
    tables = [name for (name,) in leftover.execute("SELECT name FROM sqlite_schema")]
    leftover.close()
    assert 1 == sum(name.startswith("ranked_") for name in tables)
    assert 1 == sum(name.endswith("_config") for name in tables)


async def test_a_master_that_lost_too_many_rows_is_refused_unless_it_is_accepted(store):
    await store.replace("b", (share(f"A{n}") for n in range(1000)), KEYS)
    shorter = [share(f"A{n}") for n in range(600)]

    with pytest.raises(MasterTooShort, match="600 rows"):
        await store.replace("b", shorter, KEYS)
    assert await store.find("b", "NSE:A999") is not None

    assert 600 == await store.replace("b", shorter, KEYS, most_lost_percent=40)
    assert 90 == await store.replace("b", shorter[:90], KEYS, accept_fewer=True)
    with pytest.raises(MasterTooShort, match="no rows"):
        await store.replace("b", [], KEYS, accept_fewer=True)
    assert 90 == (await store.info())[0].rows


async def test_one_exchange_that_is_gone_is_refused_however_small_its_share(store):
    futures = [future(f"R{n}", in_days(9)) for n in range(2000)]
    await store.replace("b", [*futures, *(share(f"A{n}") for n in range(100))], KEYS)

    with pytest.raises(MasterTooShort, match="for NSE"):
        await store.replace("b", futures, KEYS)


async def test_contracts_that_expired_are_not_missed(store):
    over = [future(f"R{n}", in_days(-1)) for n in range(1000)]
    stays = [future(f"R{n}", in_days(20)) for n in range(1000)]
    await store.replace("b", [*over, *stays], KEYS)

    assert 1000 == await store.replace("b", stays, KEYS)

    (info,) = await store.info()
    assert (2000, 1000, 0) == (
        info.changes.previous_rows,
        info.changes.expired,
        info.changes.gone,
    )


async def test_what_changed_is_counted_and_named(store):
    same = [share(f"A{n}") for n in range(200)]
    await store.replace("b", [*same, share("OLD"), share("SBIN", freeze_quantity=100)], KEYS)
    assert (await store.info())[0].changes is None

    changed = share("SBIN", lot_size=5, tick_size=Decimal("0.10"))
    # The day's price band is another every day and is no news.
    moved = msgspec.structs.replace(same[0], band_low=Decimal(1), codes={"token": "other"})
    await store.replace("b", [moved, *same[1:], share("NEW"), changed], KEYS)

    changes = (await store.info())[0].changes
    assert (202, 1, 1, 0, 1) == (
        changes.previous_rows,
        changes.added,
        changes.gone,
        changes.expired,
        changes.changed,
    )
    assert (["NSE:NEW"], ["NSE:OLD"]) == (changes.added_instruments, changes.gone_instruments)
    assert [
        ("NSE:SBIN", "lot_size", "1", "5"),
        ("NSE:SBIN", "tick_size", "0.05", "0.10"),
        ("NSE:SBIN", "freeze_quantity", "100", None),
    ] == [(c.instrument, c.field, c.was, c.now) for c in changes.changed_terms]


async def test_of_many_changes_only_the_first_are_named(store):
    await store.replace("b", (share(f"A{n}") for n in range(500)), KEYS)
    await store.replace("b", (share(f"A{n}", lot_size=2) for n in range(900)), KEYS)

    changes = (await store.info())[0].changes
    assert (400, 500) == (changes.added, changes.changed)
    assert (50, 50) == (len(changes.added_instruments), len(changes.changed_terms))


async def test_one_brokers_master_leaves_the_others_alone(store):
    await store.replace("a", [share("SBIN")], KEYS)
    await store.replace("b", [share("INFY")], KEYS)
    await store.replace("a", [share("TCS")], KEYS)

    assert ["NSE:INFY", "NSE:TCS"] == sorted(await ids(store))


async def test_a_copy_outlives_the_process(tmp_path):
    path = tmp_path / "instruments.db"
    first = InstrumentStore(path)
    await first.replace("b", [share("SBIN"), share("INFY")], KEYS)
    first.close()

    again = InstrumentStore(path)
    try:
        assert ["NSE:SBIN"] == await ids(again, "sbin")
        await again.replace("b", [share("SBIN"), share("INFY")], KEYS)
        assert 0 == (await again.info())[0].changes.changed
    finally:
        again.close()


async def test_what_was_read_before_a_swap_is_not_kept_after_it(store, tmp_path):
    """A look-up that began before the swap and ends after it must not fill the cache."""
    await store.replace("b", [share("SBIN", lot_size=1)], KEYS)
    service = InstrumentService(store, {}, tmp_path)
    old = await store.find("b", "NSE:SBIN")
    await store.replace("b", [share("SBIN", lot_size=5)], KEYS)

    async def slow_find(broker, instrument):
        service._forget("b")
        return old

    real, store.find = store.find, slow_find
    await service.find("b", "NSE:SBIN")
    store.find = real

    assert 5 == (await service.find("b", "NSE:SBIN")).lot_size
