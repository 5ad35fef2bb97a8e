"""The audit log in the console."""

from __future__ import annotations

import json

from tests.gateway.rig import Rig
from tests.tui.conftest import console
from tui.link import Gateway, Where
from tui.log_view import LogView
from tui.views.audit import newest_seq


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


async def test_verify_and_export(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("4")
        await desk.sees("key_created")
        await desk.keys("v")
        await desk.sees("✓ Every row holds")
        await desk.keys("e")
        await desk.sees("rows are in")
        lines = (tmp_path / "audit-1.jsonl").read_text().splitlines()
        assert list(range(1, len(lines) + 1)) == [json.loads(line)["seq"] for line in lines]


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
        assert 20_000 == len(log.rows)


async def test_the_newest_row_is_found_without_reading_the_log(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig:
        gateway = Gateway(Where(socket=str(rig.data_dir / "control.sock")))

        async def last() -> int:
            rows = (await rig.call("GET", "/v1/audit?limit=1000")).json["rows"]
            return int(rows[-1]["seq"])

        before = await last()
        found = await newest_seq(gateway)
        assert before <= found <= await last()
