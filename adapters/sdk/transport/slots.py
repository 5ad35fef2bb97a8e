"""How many calls may run at once: the bulkhead of one transport."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import IntEnum

from adapters.sdk.errors import NotSent, Phase


class Lane(IntEnum):
    """What a call is for; of calls that wait, the smaller goes first."""

    CANCEL = 0
    ORDER = 1
    READ = 2


class Slots:
    """Counts the calls that run, each kind up to its own most and all up to `total`.

    What the kinds may have together is less than `total`, so that orders which hang keep
    neither cancels nor reads from running.
    """

    def __init__(self, total: int, most: Mapping[Lane, int]) -> None:
        if total < 1 or any(not 1 <= most[lane] <= total for lane in Lane):
            raise ValueError("there must be room for one call of each kind")
        self._total = total
        self._most = [most[lane] for lane in Lane]
        self._used = 0
        self._used_by = [0] * len(Lane)
        self._is_closed = False
        self._waiting: list[deque[asyncio.Future[None]]] = [deque() for _ in Lane]

    async def take(self, lane: Lane, timeout_s: float) -> float:
        """Take a slot and return the seconds waited for it.

        Raises `NotSent(phase=POOL)` when none gets free in time.
        """
        if self._is_closed:
            raise _closed()
        if self._has_room(lane):
            self._count(lane, 1)
            return 0.0
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[lane].append(waiter)
        timer = loop.call_later(timeout_s, _expire, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(lane)
            raise
        finally:
            timer.cancel()
        return loop.time() - began

    def give_back(self, lane: Lane) -> None:
        """Return a slot and hand it to whoever waits."""
        self._count(lane, -1)
        for waiting_lane in Lane:
            queue = self._waiting[waiting_lane]
            while queue and self._has_room(waiting_lane):
                waiter = queue.popleft()
                if not waiter.done():
                    self._count(waiting_lane, 1)
                    waiter.set_result(None)

    def close(self) -> None:
        """Refuse everyone who waits and everyone who comes."""
        self._is_closed = True
        for queue in self._waiting:
            for waiter in queue:
                if not waiter.done():
                    waiter.set_exception(_closed())

    def _has_room(self, lane: Lane) -> bool:
        return self._used < self._total and self._used_by[lane] < self._most[lane]

    def _count(self, lane: Lane, change: int) -> None:
        self._used += change
        self._used_by[lane] += change


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(NotSent("no connection got free in time", phase=Phase.POOL))


def _closed() -> NotSent:
    return NotSent("the transport is closed", phase=Phase.POOL)
