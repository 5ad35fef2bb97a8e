"""Screens kept as text under `snapshots/`. UPDATE_SNAPSHOTS=1 writes them anew: read the diff."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.tui.conftest import Desk

FOLDER = Path(__file__).with_name("snapshots")
_WAIT_S = 60.0
_STILL_S = 1.5


async def matches(desk: Desk, name: str) -> None:
    """Wait, bounded, until the screen is the one that is kept under `name` and the size."""
    size = desk.app.size
    path = FOLDER / f"{size.width}x{size.height}" / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(await _still(desk))
        return
    assert path.exists(), f"there is no {path}: make it with UPDATE_SNAPSHOTS=1"
    kept = path.read_text()
    give_up = time.monotonic() + _WAIT_S
    while (shown := _text(desk)) != kept and time.monotonic() < give_up:
        await desk.rest()
    assert shown == kept, f"{path} holds another screen; shown is:\n{shown}"


async def _still(desk: Desk) -> str:
    """The screen once it has not changed for a while."""
    shown, since = "", time.monotonic()
    while time.monotonic() - since < _STILL_S:
        await desk.rest()
        if (now := _text(desk)) != shown:
            shown, since = now, time.monotonic()
    return shown


def _text(desk: Desk) -> str:
    lines = [line.rstrip() for line in desk.screen.splitlines()]
    return "\n".join(lines).rstrip("\n") + "\n"
