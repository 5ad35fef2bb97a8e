"""How many calls may run at once: the bulkhead of one transport."""

from __future__ import annotations

import asyncio
from collections import deque

from adapters.sdk.errors import NotSent, Phase


class Slots:
    """Counts the calls that run. Some slots are kept for writes, so that reads cannot starve
    an order or a cancel; waiting writes go before waiting reads.
    """

    def __init__(self, total: int, reserved: int) -> None:
        if total < 1 or not 0 <= reserved < total:
            raise ValueError("there must be room for one call beside the reserved ones")
        self._total = total
        self._total_reads = total - reserved
        self._used = 0
        self._used_reads = 0
        self._is_closed = False
        self._waiting_writes: deque[asyncio.Future[None]] = deque()
        self._waiting_reads: deque[asyncio.Future[None]] = deque()

    async def take(self, *, is_write: bool, timeout_s: float) -> float:
        """Take a slot and return the seconds waited for it.

        Raises `NotSent(phase=POOL)` when none gets free in time.
        """
        if self._is_closed:
            raise _closed()
        if self._has_room(is_write):
            self._count(is_write, 1)
            return 0.0
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiter: asyncio.Future[None] = loop.create_future()
        (self._waiting_writes if is_write else self._waiting_reads).append(waiter)
        timer = loop.call_later(timeout_s, _expire, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(is_write=is_write)
            raise
        finally:
            timer.cancel()
        return loop.time() - began

    def give_back(self, *, is_write: bool) -> None:
        """Return a slot and hand it to whoever waits."""
        self._count(is_write, -1)
        for queue, writes in ((self._waiting_writes, True), (self._waiting_reads, False)):
            while queue and self._has_room(writes):
                waiter = queue.popleft()
                if not waiter.done():
                    self._count(writes, 1)
                    waiter.set_result(None)

    def close(self) -> None:
        """Refuse everyone who waits and everyone who comes."""
        self._is_closed = True
        for waiter in (*self._waiting_writes, *self._waiting_reads):
            if not waiter.done():
                waiter.set_exception(_closed())

    def _has_room(self, is_write: bool) -> bool:
        return self._used < self._total and (is_write or self._used_reads < self._total_reads)

    def _count(self, is_write: bool, change: int) -> None:
        self._used += change
        if not is_write:
            self._used_reads += change


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(NotSent("no connection got free in time", phase=Phase.POOL))


def _closed() -> NotSent:
    return NotSent("the transport is closed", phase=Phase.POOL)
