"""Where calls wait: for a place among those under way and for room in every window, at once.

Whoever waits holds neither, so nothing that waits can starve anything else. Among those who
wait for the same, cancels go first, then reconciliation, placements and reads, each in the
order in which they came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from adapters.sdk.errors import Denied
from gateway.calls.bulkhead import Lanes, Priority
from gateway.calls.limits import Limits, Window

_LEAST_TIMER_S = 0.001

_Kind = tuple[Priority, str]


class Admission:
    """Lets calls through. What was taken has to be given back with `done`."""

    def __init__(self, lanes: Lanes, limits: Limits) -> None:
        self._lanes = lanes
        self._limits = limits
        self._queues: dict[_Kind, deque[_Waiter]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def try_take(
        self, priority: Priority, windows: Sequence[Window], exchange: str = "", cost: int = 1
    ) -> bool:
        """Take a place and room in every window now, or nothing."""
        now = self._limits.clock()
        if self._queues:
            self._pump()
            if (priority, exchange) in self._queues:
                return False
        return self._try(priority, windows, cost, now)

    async def take(
        self,
        priority: Priority,
        windows: Sequence[Window],
        deadline: float,
        exchange: str = "",
        cost: int = 1,
    ) -> bool:
        """As `try_take`, waiting until `deadline`; False at once when nothing can come before.

        Raises: what `refuse` was called with while it waited.
        """
        if self.try_take(priority, windows, exchange, cost):
            return True
        now = self._limits.clock()
        if now >= deadline or not self._may_come(priority, windows, cost, now, deadline):
            return False
        loop = asyncio.get_running_loop()
        waiter = _Waiter(priority, windows, cost, loop.create_future())
        self._queues.setdefault((priority, exchange), deque()).append(waiter)
        expiry = loop.call_later(deadline - now, _expire, waiter)
        self._arm()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if _was_let_through(waiter):
                self.done(priority, windows, cost, sent=False)
            raise
        finally:
            expiry.cancel()

    def done(self, priority: Priority, windows: Sequence[Window], cost: int, *, sent: bool) -> None:
        """Give the place back. `sent`: its windows were already told; otherwise they are freed."""
        self._lanes.give_back(priority)
        if not sent:
            self._limits.drop(windows, cost)
        if self._queues:
            self._pump()

    def refuse(self, priority: Priority, error: Denied) -> None:
        """End every wait of one class."""
        for kind, queue in self._queues.items():
            if kind[0] is priority:
                for waiter in queue:
                    if not waiter.future.done():
                        waiter.future.set_exception(error)

    def is_full(self, priority: Priority) -> bool:
        """Whether calls of the class wait for others that are under way."""
        return not self._lanes.has_room(priority)

    def waiting(self, priority: Priority) -> int:
        return sum(len(queue) for kind, queue in self._queues.items() if kind[0] is priority)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _try(self, priority: Priority, windows: Sequence[Window], cost: int, now: float) -> bool:
        if not self._lanes.has_room(priority):
            return False
        if not self._limits.has_room(windows, now, priority, cost):
            return False
        self._lanes.take(priority)
        self._limits.take(windows, now, priority, cost)
        return True

    def _may_come(
        self,
        priority: Priority,
        windows: Sequence[Window],
        cost: int,
        now: float,
        deadline: float,
    ) -> bool:
        at = self._limits.free_at(windows, now, priority, cost)
        return at is None or at < deadline

    def _pump(self) -> None:
        """Let through whoever has room now, the most urgent first."""
        now = self._limits.clock()
        for kind in sorted(self._queues):
            queue = self._queues[kind]
            while queue:
                waiter = queue[0]
                if not waiter.future.done():
                    if not self._try(waiter.priority, waiter.windows, waiter.cost, now):
                        break
                    waiter.future.set_result(True)
                queue.popleft()
            if not queue:
                del self._queues[kind]
        self._arm()

    def _arm(self) -> None:
        """Come back when a window frees the first of those who wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._limits.clock()
        times = []
        for queue in self._queues.values():
            head = queue[0]
            at = self._limits.free_at(head.windows, now, head.priority, head.cost)
            if at is not None and at != float("inf"):
                times.append(at)
        if times:
            delay = max(min(times) - now, _LEAST_TIMER_S)
            self._timer = asyncio.get_running_loop().call_later(delay, self._pump)


class _Waiter:
    __slots__ = ("cost", "future", "priority", "windows")

    def __init__(
        self,
        priority: Priority,
        windows: Sequence[Window],
        cost: int,
        future: asyncio.Future[bool],
    ) -> None:
        self.priority = priority
        self.windows = windows
        self.cost = cost
        self.future = future


def _expire(waiter: _Waiter) -> None:
    if not waiter.future.done():
        waiter.future.set_result(False)


def _was_let_through(waiter: _Waiter) -> bool:
    future = waiter.future
    if not future.done() or future.cancelled() or future.exception() is not None:
        return False
    return future.result()
