"""A console without a terminal, against a real gateway: keys in, text of the screen out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from tests.gateway.rig import Rig
from tui.app import Console
from tui.link import Where


class Desk:
    """A person at the console: `keys` and `type`, and what can be read on the screen."""

    def __init__(self, app: Console, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    async def keys(self, *keys: str) -> None:
        await self.until(lambda: time.monotonic() >= self._seen_from(), "time to read it")
        await self._pilot.press(*keys)
        await self._pilot.pause()
        await self.app.keyline.idle()
        await self._pilot.pause()

    async def type(self, text: str) -> None:
        await self.until(lambda: time.monotonic() >= self._seen_from(), "time to read it")
        self.bunch(*text)
        await self._pilot.pause()
        await self.app.keyline.idle()
        await self._pilot.pause()

    def bunch(self, *keys: str) -> None:
        """Keys that arrive all at once, as over a slow line."""
        for key in keys:
            one = len(key) == 1
            name = _character_to_key(key) if one else key
            self.app.post_message(events.Key(name, key if one else None))

    async def rest(self) -> None:
        """Let the console do what it has to do."""
        await self._pilot.pause()
        await asyncio.sleep(0.02)

    def _seen_from(self) -> float:
        return getattr(self.app.screen, "seen_from", 0.0)

    @property
    def screen(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(part.text for part in strip) for strip in strips)

    async def until(self, holds: Callable[[], Any], what: str = "") -> None:
        """Wait, bounded, until something is so."""
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            await self._pilot.pause()
            if holds():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"never came: {what}\n{self.screen}")

    async def sees(self, *words: str) -> None:
        for text in words:
            await self.until(lambda text=text: text in self.screen, text)


@asynccontextmanager
async def console(
    rig: Rig, *, key: str | None = None, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[Desk]:
    """Without `key` over the control socket, else over TCP with that key."""
    where = Where(socket=str(rig.data_dir / "control.sock"))
    if key is not None:
        where = Where(host="127.0.0.1", port=rig.port, key=key)
    app = Console(where, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Desk(app, pilot)
