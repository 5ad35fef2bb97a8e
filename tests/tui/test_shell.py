"""The header, the overview, and a gateway that goes and comes back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.rig import Rig
from tests.tui.conftest import console


async def test_overview_shows_every_account_at_80x24(tmp_path):
    async with Rig(tmp_path / "data") as rig, console(rig) as desk:
        await desk.sees("● connected", "Kill switch: not engaged", "fyers-main", "hdfc-main")
        await desk.sees("● active", "closed", "instruments")
        assert "mstock-main" in desk.screen


async def test_a_gateway_that_goes_is_said_and_one_that_comes_back_is_shown(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected", "● active")
        await rig.stop_gateway()
        await desk.sees("GATEWAY GONE", "! As it was")
        assert "● active" in desk.screen
        await rig.start_gateway()
        await desk.sees("● connected")
        await desk.until(lambda: "As it was" not in desk.screen, "fresh again")


async def test_a_console_that_starts_first_waits_for_the_gateway(tmp_path):
    rig = Rig(tmp_path / "data", brokers=("hdfc",), log_in=False)
    async with console(rig) as desk:
        await desk.sees("GATEWAY GONE", "✗ Cannot be read")
        async with rig:
            await desk.sees("● connected", "✗ missing")


async def test_a_read_key_is_told_to_be_read_only_and_stops_nothing(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig:
        key = await rig.new_key("watcher", ["read"])
        async with console(rig, key=key) as desk:
            await desk.sees("READ-ONLY", "● active")
            await desk.keys("exclamation_mark", "enter")
            await desk.sees("Not done", "scope trade")
        assert not (await rig.call("GET", "/v1/kill-switch")).json["engaged"]


async def test_the_read_only_option_holds_back_a_key_that_may(tmp_path):
    async with (
        Rig(tmp_path / "data", brokers=("hdfc",)) as rig,
        console(rig, read_only=True) as desk,
    ):
        await desk.sees("READ-ONLY")
        await desk.keys("exclamation_mark", "enter")
        await desk.sees("Not done", "--read-only")
        assert not (await rig.call("GET", "/v1/kill-switch")).json["engaged"]


async def test_help_is_made_from_the_bindings_also_where_keys_were_changed(tmp_path):
    rig = Rig(tmp_path / "data", brokers=("hdfc",), log_in=False)
    async with console(rig, size=(100, 50), keys={"theme": "f9"}) as desk:
        dark = desk.app.theme
        await desk.keys("question_mark")
        await desk.sees("Open the kill switch, from anywhere", "sessions.all")
        assert any("f9" in line and "theme" in line for line in desk.screen.splitlines())
        await desk.keys("escape", "f9")
        assert dark != desk.app.theme


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_both_themes_draw(theme: str, tmp_path: Any) -> None:
    rig = Rig(tmp_path / "data", brokers=("hdfc",), log_in=False)
    async with console(rig, theme=theme) as desk:
        await desk.sees("Overview")
        assert theme in desk.app.theme
