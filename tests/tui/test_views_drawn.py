"""Every view in every state, at the size of an old terminal and at a larger one."""

from __future__ import annotations

import pytest

from tests.tui.snapshot import matches
from tests.tui.stage import staged

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 40), id="120x40")]
VIEWS = {
    "overview": "1",
    "unresolved": "2",
    "orders": "3",
    "audit": "4",
    "portfolio": "5",
    "guards": "6",
    "contracts": "7",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_that_is_read_grows_old_and_whose_gateway_goes(view, size, monkeypatch):
    async with staged(monkeypatch, size, "loading") as (desk, stage, clock):
        await desk.sees("● connected")
        await desk.keys(VIEWS[view])
        await matches(desk, f"{view}-loading")
        stage.state = "full"
    async with staged(monkeypatch, size) as (desk, stage, clock):
        await desk.sees("● connected")
        await desk.keys(VIEWS[view])
        if view == "contracts":
            await desk.type("SBIN")
            await desk.keys("enter")
        await matches(desk, f"{view}-full")
        stage.state = "failed"
        clock.later(95)
        if view == "contracts":
            await desk.keys("slash", "enter")
        else:
            await desk.keys("r")
        await matches(desk, f"{view}-stale")
        stage.leave()
        await desk.sees("GATEWAY GONE")
        clock.later(30)
        await matches(desk, f"{view}-gone")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["empty", "failed"])
@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_with_nothing_to_show_says_why_and_what_to_press(
    view, state, size, monkeypatch
):
    async with staged(monkeypatch, size, state) as (desk, _, _):
        await desk.sees("● connected")
        await desk.keys(VIEWS[view])
        if view == "contracts":
            await desk.type("SBIN")
            await desk.keys("enter")
        await matches(desk, f"{view}-{state}")
