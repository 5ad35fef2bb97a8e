"""A world in which time stands still unless told: one thread, one loop, a clock that jumps.

The store keeps its real SQLite file; only its threads are taken away, so that what happens in
which order depends on nothing but the test.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any
from unittest.mock import patch

from gateway.store import writer

# A Monday, 10:00 IST: the market is open and stays open for as long as any test here runs.
START_NS = 1_795_408_200 * 1_000_000_000
# Far above the machine's own monotonic clock, which some defaults were bound to at import.
_LOOP_START = 100_000_000.0
_MACHINE = time.monotonic
_MOST_ROUNDS = 20_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only in `advance`. Executors run their work at once."""

    def __init__(self) -> None:
        self.now = _LOOP_START
        super().__init__()
        # A timer at this very time is due, as far as a float of this size can tell.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def step(self, rounds: int = 1) -> None:
        """Run what is ready, `rounds` times; the clock stands."""
        for _ in range(rounds):
            self.call_soon(self.stop)
            self.run_forever()

    def drain(self) -> None:
        """Run until nothing is ready any more; the clock stands."""
        for _ in range(_MOST_ROUNDS):
            self.step()
            if not self._ready:  # type: ignore[attr-defined]
                return
        raise AssertionError("the loop never comes to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        target = self.now + seconds
        while True:
            self.drain()
            timers = [t.when() for t in self._scheduled if not t.cancelled()]  # type: ignore[attr-defined]
            if not timers or min(timers) > target:
                break
            self.now = max(self.now, min(timers))
        self.now = target
        self.drain()

    def finish(self, work: Any, most_s: float = 100.0) -> Any:
        """Run one piece of work to its end, letting time pass as it needs."""
        task = self.create_task(work)
        for _ in range(int(most_s * 20)):
            self.drain()
            if task.done():
                return task.result()
            self.advance(0.05)
        raise AssertionError(f"did not end within {most_s} s: {task}")


class VirtualWorld:
    """Patches clocks and the journal's thread between `enter` and `leave`."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self._undo: list[Callable[[], None]] = []
        self._looks = 0
        self._patches = [
            patch.object(time, "monotonic", lambda: self.loop.now),
            patch.object(time, "time", lambda: self.now_us() / 1e6),
            patch.object(time, "time_ns", lambda: self.now_us() * 1000),
            patch.object(writer.Writer, "submit", _submit),
        ]

    def now_us(self) -> int:
        """Tell the time: every look a microsecond later, so that whatever happens has an order."""
        self._looks += 1
        return START_NS // 1000 + int((self.loop.now - _LOOP_START) * 1e6) + self._looks

    def enter(self) -> None:
        asyncio.set_event_loop(self.loop)
        for each in self._patches:
            each.start()
        self._undo = list(_replace_clocks(lambda: self.loop.now))

    def leave(self) -> None:
        for undo in self._undo:
            undo()
        for each in reversed(self._patches):
            each.stop()
        asyncio.set_event_loop(None)
        self.loop.close()


def _replace_clocks(clock: Callable[[], float]) -> Iterator[Callable[[], None]]:
    """Put `clock` in for every default that was bound to the machine's; yields how to undo it."""
    for name, module in list(sys.modules.items()):
        if not name.startswith("gateway."):
            continue
        for kind in [each for each in vars(module).values() if isinstance(each, type)]:
            make = vars(kind).get("__init__")
            if not isinstance(make, FunctionType) or kind.__module__ != name:
                continue
            plain, named = make.__defaults__, make.__kwdefaults__
            if _MACHINE not in (plain or ()) and _MACHINE not in (named or {}).values():
                continue
            make.__defaults__ = plain and tuple(clock if d is _MACHINE else d for d in plain)
            make.__kwdefaults__ = named and {
                key: clock if value is _MACHINE else value for key, value in named.items()
            }

            def undo(make: Any = make, plain: Any = plain, named: Any = named) -> None:
                make.__defaults__, make.__kwdefaults__ = plain, named

            yield undo


def _submit(self: Any, work: Any, points: tuple[str, ...] = ()) -> Any:
    """Commit at once, on this thread."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    self._commit([writer._Job(work, loop, future, points)])
    return future
