"""Which account takes the next order, so that none is asked for more than its limit allows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

# The gateway counts a second from when an order went to the broker, not from when it was written
# here: a margin for the way there.
_WINDOW_S = 1.2


class Window:
    """The last send times of one account at one exchange."""

    def __init__(self, per_second: int) -> None:
        self._taken: deque[float] = deque(maxlen=per_second)

    def free_at(self) -> float:
        full = len(self._taken) == self._taken.maxlen
        return self._taken[0] + _WINDOW_S if full else 0.0

    def take(self, now: float) -> None:
        self._taken.append(now)


class Rota(Generic[T]):
    """Hands out choices in turn, each only when all of its windows have room.

    `waited_s`: how long nobody had room, added up: above zero, the load was the limit.
    """

    def __init__(self, choices: Sequence[tuple[T, Sequence[Window]]]) -> None:
        self._choices = deque(choices)
        self.waited_s = 0.0

    async def next(self) -> T:
        while True:
            now = time.monotonic()
            earliest = now + _WINDOW_S
            for _ in range(len(self._choices)):
                choice, windows = self._choices[0]
                self._choices.rotate(-1)
                free_at = max((window.free_at() for window in windows), default=0.0)
                if free_at <= now:
                    for window in windows:
                        window.take(now)
                    return choice
                earliest = min(earliest, free_at)
            self.waited_s += earliest - now
            await asyncio.sleep(earliest - now)
