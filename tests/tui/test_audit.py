"""The audit log in the console."""

from __future__ import annotations

import json

import apsw

from tests.gateway.rig import Rig
from tests.tui.conftest import console
from tui.log_view import LogView


async def test_the_log_follows_pauses_and_reaches_its_first_row(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("4")
        await desk.sees("logged_in")
        log = desk.app.query_one(LogView)
        await rig.place(accounts=["hdfc-main"], price="760.00")
        await desk.until(lambda: any(row["kind"] == "order" for row in log.rows), "the order")

        await desk.keys("space")
        await desk.sees("PAUSED")
        held = len(log.rows)
        await rig.place("k2", accounts=["hdfc-main"], price="760.00", wait_for="book")
        await desk.keys("g")
        await desk.sees("key_created")
        assert 1 == log.rows[0]["seq"]
        await desk.keys("G")
        await desk.until(lambda: len(log.rows) > held and log.following, "what was missed")
        seqs = [row["seq"] for row in log.rows]
        assert sorted(set(seqs)) == seqs


async def test_a_filter_narrows_and_enter_shows_the_whole_row(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("4")
        await desk.sees("key_created")
        await desk.keys("slash")
        await desk.type("kind=session")
        await desk.keys("enter")
        log = desk.app.query_one(LogView)
        await desk.until(lambda: {"session"} == {row["kind"] for row in log.rows}, "the filter")
        await desk.keys("enter")
        await desk.sees('"account": "hdfc-main"')


async def test_every_row_is_checked_and_a_changed_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tui.views.audit._PART", 3)
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("4")
        await desk.sees("key_created")
        await desk.keys("v")
        await desk.sees("✓ Every row holds")
        intruder = apsw.Connection(str(tmp_path / "data" / "journal.db"))
        intruder.execute("DROP TRIGGER audit_no_update")
        intruder.execute("UPDATE audit SET kind = 'kill' WHERE seq = 2")
        intruder.close()
        await desk.keys("v")
        await desk.sees("✗ THE LOG DOES NOT HOLD: row 2 was changed")


async def test_the_rows_are_written_to_a_file_that_did_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("4")
        await desk.sees("key_created")
        await desk.keys("e")
        await desk.sees("audit-1.jsonl")
        await desk.keys("enter")
        await desk.sees("rows are in audit-1.jsonl")
        path = tmp_path / "audit-1.jsonl"
        seqs = [json.loads(line)["seq"] for line in path.read_text().splitlines()]
        assert list(range(1, len(seqs) + 1)) == seqs
        assert 0o600 == path.stat().st_mode & 0o777

        await desk.keys("e", *["backspace"] * 20)
        await desk.type("audit-1.jsonl")
        await desk.keys("enter")
        await desk.sees("Nothing was written: audit-1.jsonl exists")


async def test_a_thousand_rows_at_once_are_kept_up_with(tmp_path):
    async with (
        Rig(tmp_path / "data", brokers=("hdfc",), log_in=False) as rig,
        console(rig) as desk,
    ):
        await desk.sees("● connected")
        await desk.keys("4")
        await desk.sees("key_created")
        log = desk.app.query_one(LogView)
        rows = [{**log.rows[0], "seq": number} for number in range(30_000)]
        log.replace(rows)
        log.append(rows[:1000])
        await desk.sees("    999 ")
        assert 6_000 == len(log.rows)


async def test_a_long_log_is_scrolled_from_end_to_end_and_gone_into_by_number(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tui.log_view._KEPT", 900)
    monkeypatch.setattr("tui.views.audit._PAGE", 400)
    async with (
        Rig(tmp_path / "data", brokers=("hdfc",), log_in=False) as rig,
        console(rig) as desk,
    ):
        for number in range(2_300):
            written = rig.gateway.store.audit("note", {"number": number})
        head = await written
        await desk.sees("● connected")
        await desk.keys("4")
        log = desk.app.query_one(LogView)
        await desk.sees(f"{head:>7} ")
        log.focus()

        async def walk(key: str, to: int) -> None:
            while log.selected["seq"] != to:
                at = log.selected["seq"]
                desk.bunch(*[key] * 8)
                await desk.until(lambda at=at: log.selected["seq"] != at, f"rows beyond {at}")
                seqs = [row["seq"] for row in log.rows]
                assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
                assert len(seqs) <= 900

        await walk("pageup", 1)
        await desk.sees("      1 ", "PAUSED")
        await walk("pagedown", head)
        await desk.sees(f"{head:>7} ")

        await desk.keys("slash")
        await desk.type("row=1000")
        await desk.keys("enter")
        await desk.sees("   1000 ", "row 1,000 of")


async def test_what_came_while_another_view_was_in_front_is_not_left_out(tmp_path):
    async with (
        Rig(tmp_path / "data", brokers=("hdfc",), log_in=False) as rig,
        console(rig) as desk,
    ):
        await desk.sees("● connected")
        await desk.keys("4")
        await desk.sees("key_created")
        await desk.keys("1")
        for number in range(2_500):
            written = rig.gateway.store.audit("note", {"number": number})
        head = await written
        await desk.until(lambda: desk.app.query_one("#audit")._missed, "more than is kept")
        await desk.keys("4")
        await desk.sees(f"{head:>7} ")
        seqs = [row["seq"] for row in desk.app.query_one(LogView).rows]
        assert seqs == list(range(seqs[0], head + 1))
