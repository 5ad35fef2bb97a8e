"""With the journal broken nothing new goes out, cancels still do, and nothing of it is lost."""

from __future__ import annotations

import msgspec
import pytest

from gateway.store import StoreBroken
from gateway.store.emergency import EmergencyLog
from tests.kill.help import RESTING, elsewhere, engage, legs, release, state, until


async def break_journal(rig):
    """Let the journal's file grow no more, as on a full disk, and use up what room it has."""
    store = rig.gateway.store

    def stop_growing(connection):
        pages = connection.execute("PRAGMA page_count").get
        connection.execute(f"PRAGMA max_page_count={pages}")

    await store.write(stop_growing)
    with pytest.raises(StoreBroken):
        while True:
            await store.audit("filler", {"text": "x" * 10})


async def mend_journal(rig):
    await rig.gateway.store.write(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchall())


async def audit_rows(rig, kind):
    sql = "SELECT body FROM audit WHERE kind=? ORDER BY seq"
    rows = await rig.gateway.store.read(lambda c: [row[0] for row in c.execute(sql, (kind,))])
    return [msgspec.json.decode(row) for row in rows]


async def test_broken_journal_stops_orders_but_not_cancels_and_is_made_up_for(one):
    placed = await one.place("a", accounts=["fyers-main"], wait_for="book", **RESTING)
    await break_journal(one)

    refused = await one.place("b", accounts=["fyers-main"], **RESTING)
    assert (503, "journal_broken", False) == (
        refused.status,
        refused.json["code"],
        refused.json["sent"],
    )
    seen = await state(one)
    assert (True, ["journal"]) == (seen["journal_broken"], [s["source"] for s in seen["switches"]])
    await one.call("DELETE", f"/v1/orders/{placed.json['order_id']}")
    assert [True] == [order.is_final for order in one.ledger("fyers")]
    kept = [line["event"] for line in EmergencyLog(one.data_dir).lines()]
    assert ["cancel_requested", "cancel_begin", "cancel_sent"] == kept

    await one.restart_gateway()

    assert kept == [row["event"] for row in await audit_rows(one, "emergency")]
    assert not (one.data_dir / "emergency.jsonl").exists()
    assert (await one.gateway.store.verify_audit()).ok
    path = f"/v1/orders/{placed.json['order_id']}"

    async def cancelled():
        return {"fyers-main": ("CANCELLED", None)} == legs(await one.call("GET", path))

    await until(cancelled, "the leg was not followed to its end")
    assert not (await state(one))["engaged"]


async def test_engaging_with_a_broken_journal_holds_in_memory_and_cancels_the_book(one):
    await one.place("a", accounts=["fyers-main"], wait_for="book", **RESTING)
    elsewhere(one, "fyers")
    await break_journal(one)

    answer = await engage(one, level="CANCEL_ALL")

    assert answer.json["persisted"] is False
    await until(lambda: all(o.is_final for o in one.ledger("fyers")), "the book is not clear")
    events = [line["event"] for line in EmergencyLog(one.data_dir).lines()]
    assert "kill_engaged" == events[0]
    assert 2 == events.count("cancel_begin")
    await one.restart_gateway()
    assert [answer.json["id"]] == [s["id"] for s in (await state(one))["switches"]]
    await one.restart_gateway()
    assert [answer.json["id"]] == [s["id"] for s in (await state(one))["switches"]]


async def test_engagement_that_only_memory_held_is_kept_by_the_release_of_the_journal(one):
    await break_journal(one)
    await engage(one, scope="strategy", target="mine")
    await mend_journal(one)
    await release(one)
    await one.restart_gateway()

    assert ["strategy"] == [s["scope"] for s in (await state(one))["switches"]]
    await release(one, scope="strategy", target="mine")
    await one.restart_gateway()
    assert not (await state(one))["engaged"]


async def test_release_waits_until_the_journal_can_be_written(one):
    await break_journal(one)

    refused = await release(one)
    assert (503, "journal_broken") == (refused.status, refused.json["code"])
    assert (await state(one))["engaged"]
    await mend_journal(one)
    assert not (await release(one)).json["engaged"]
    placed = await one.place(accounts=["fyers-main"], **RESTING)
    assert "accepted" == placed.json["summary"]


async def test_outcome_that_could_not_be_written_is_written_once_it_can_be(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "slow", "params": {"ms": 500}}])
    reply = await one.place(accounts=["fyers-main"], wait_ms=0, **RESTING)
    moving = one.gateway.accounts["fyers-main"].moving
    await until(lambda: any(leg.on_wire for leg in moving.values()), "nothing went out")
    await break_journal(one)
    path = f"/v1/orders/{reply.json['order_id']}"

    async def leg():
        return (await one.call("GET", path)).json["legs"][0]

    async def unknown():
        return "unknown" == (await leg())["outcome"]

    await until(unknown, "the leg whose outcome was lost was not called unknown")
    await mend_journal(one)

    async def found():
        return "OPEN" == (await leg())["state"]

    await until(found, "the leg was not found again")
    assert 1 == len(one.ledger("fyers"))
    events = [e["event"] for e in (await one.call("GET", path + "/history")).json["events"]]
    assert "journal_was_broken" in events


def test_line_that_was_cut_short_is_kept_as_it_is(tmp_path):
    log = EmergencyLog(tmp_path)
    log.append("cancel_begin", {"leg_id": "leg_1"})
    with (tmp_path / "emergency.jsonl").open("ab") as file:
        file.write(b'{"id": "x", "ev')

    first, second = log.lines()

    assert ("cancel_begin", "leg_1") == (first["event"], first["leg_id"])
    assert {"event": "unreadable", "text": '{"id": "x", "ev'} == second


async def test_lines_are_merged_once_though_the_file_could_not_be_removed(one, monkeypatch):
    one.gateway.store.emergency.append("cancel_begin", {"leg_id": "leg_1"})
    monkeypatch.setattr(EmergencyLog, "clear", lambda self: None)
    await one.gateway.store.merge_emergency()
    one.gateway.store.emergency.append("cancel_sent", {"leg_id": "leg_1"})
    await one.gateway.store.merge_emergency()
    await one.gateway.store.merge_emergency()

    rows = await audit_rows(one, "emergency")
    assert ["cancel_begin", "cancel_sent"] == [row["event"] for row in rows]


def test_full_disk_gives_up_the_reserve_for_the_line(tmp_path, monkeypatch):
    log = EmergencyLog(tmp_path)
    log.reserve()
    assert (tmp_path / "emergency.reserve").stat().st_size >= 100_000
    write = EmergencyLog._write

    def full_while_reserved(self, data):
        if (tmp_path / "emergency.reserve").exists():
            raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(EmergencyLog, "_write", full_while_reserved)

    assert log.append("cancel_begin", {})
    assert ["cancel_begin"] == [line["event"] for line in log.lines()]
