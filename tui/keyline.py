"""Keys one after the other: each has had its whole effect before the next is looked at.

Over a slow line keys come in bunches, and a busy machine is behind the person's fingers. Textual
hands each key to what is in focus at once and lets that act on it later, so a bunch would land
where its first key went. Here a key waits until the fields, focus and dialogs that the key before
it has brought about are in place. Where a screen names a moment, `seen_from`, keys from before it
were typed for something else and are dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual import events
from textual.message_pump import MessagePump
from textual.screen import Screen

if TYPE_CHECKING:
    from tui.app import Console

Typed = events.Key | events.Paste

# A key's message may make another, and that one more: Enter, Submitted, what a dialog does then.
_ROUNDS = 3
# A handler that takes longer than this no longer holds up the keys, the kill switch's above all.
_MOST_S = 4.0


class KeyLine:
    """`deliver` gives one event to the app as it came."""

    def __init__(self, app: Console, deliver: Callable[[Typed], Awaitable[None]]) -> None:
        self._app = app
        self._deliver = deliver
        self._waiting: asyncio.Queue[Typed] = asyncio.Queue()

    def put(self, event: Typed) -> None:
        self._waiting.put_nowait(event)

    async def idle(self) -> None:
        """Wait until every key has had its effect."""
        await self._waiting.join()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            event = await self._waiting.get()
            try:
                if self._is_for_now(event):
                    await self._one(event)
            finally:
                self._waiting.task_done()

    def _is_for_now(self, event: Typed) -> bool:
        if isinstance(event, events.Key) and event.key in self._app.kill_keys:
            return True
        return event.time >= float(getattr(self._app.screen, "seen_from", 0.0))

    async def _one(self, event: Typed) -> None:
        app = self._app
        target, before = app.focused or app.screen, app.screen
        await self._deliver(event)
        give_up = time.monotonic() + _MOST_S
        for _ in range(_ROUNDS):
            for node in target.ancestors_with_self:
                await _passed(node, give_up)
        if app.screen is not before:
            await self._in_place(app.screen, give_up)

    async def _in_place(self, screen: Screen[object], give_up: float) -> None:
        """Wait until a screen that came to the front has its widgets and its focus."""
        # Nothing tells that a screen has begun to run.
        while not screen.is_running and screen.is_attached and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        for node in (screen, self._app, screen, self._app):
            await _passed(node, give_up)


async def _passed(node: MessagePump, give_up: float) -> None:
    """Wait until `node` has taken every message that it has now."""
    passed = asyncio.Event()
    if not node.call_later(passed.set):
        return
    while node.is_running and time.monotonic() < give_up:
        try:
            async with asyncio.timeout(0.05):
                await passed.wait()
            return
        except TimeoutError:
            continue
