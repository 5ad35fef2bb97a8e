"""The order messages of one account, paced per exchange: place, modify and cancel together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 1.0


class OrderLimiter:
    """Hands out send times so that no window of one second holds more than `per_second`.

    Times are monotonic seconds. A slot is taken in the order asked for, and only when it comes
    before the caller's deadline.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._slots: dict[str, deque[float]] = {}

    def try_take(self, exchange: str) -> bool:
        """Take a slot that is free now, or none."""
        now = self._clock()
        if self._next_slot(exchange, now) > now:
            return False
        self._taken(exchange).append(now)
        return True

    async def take(self, exchange: str, deadline: float) -> bool:
        """Wait for a slot; False at once when none comes before `deadline`."""
        now = self._clock()
        slot = self._next_slot(exchange, now)
        if slot > deadline:
            return False
        self._taken(exchange).append(slot)
        if slot > now:
            await asyncio.sleep(slot - now)
        return True

    def headroom(self, exchange: str) -> int:
        """How many messages could go out now."""
        now = self._clock()
        recent = sum(1 for slot in self._taken(exchange) if slot > now - WINDOW_S)
        return max(self._per_second - recent, 0)

    def _next_slot(self, exchange: str, now: float) -> float:
        taken = self._taken(exchange)
        if len(taken) < self._per_second:
            return max(now, taken[-1]) if taken else now
        return max(now, taken[-1], taken[0] + WINDOW_S)

    def _taken(self, exchange: str) -> deque[float]:
        slots = self._slots.get(exchange)
        if slots is None:
            slots = self._slots[exchange] = deque(maxlen=self._per_second)
        return slots
