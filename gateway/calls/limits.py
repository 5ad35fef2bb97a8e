"""Rate limits of one account: several windows at once, counted at the wire.

A message counts from the moment it is let through ("pending", which is always now) until its
window has passed since the moment it was really sent. So however long a message lingers between
the two, no window at the wire ever holds more than its count: when the last of them was let
through, all others of that window were either pending or sent inside it.

Times are monotonic seconds. A window of a day is a calendar day in IST, as brokers count it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from adapters.sdk.interface import RateScope, RateWindow
from gateway.calls.bulkhead import Priority

DAY_S = 86_400
_IST_S = 19_800

# Without a registered algorithm an exchange takes 10 order messages a second. What is sent here
# a second apart may arrive closer together, so the window is longer than that second.
_EXCHANGE_COUNT = 10
_EXCHANGE_S = 1.1

_PAUSE_FIRST_S = 1.0
_PAUSE_MOST_S = 60.0
_URGENT_GAP_S = 1.0


class Window:
    """A sliding window: at most `count` messages in any `per_s` seconds."""

    __slots__ = ("_times", "_usable", "count", "exchange", "pending", "per_s", "scope")

    def __init__(
        self,
        scope: RateScope,
        per_s: float,
        count: int,
        reserve: int = 0,
        *,
        exchange: str | None = None,
    ) -> None:
        self.scope = scope
        self.per_s = per_s
        self.count = count
        self.exchange = exchange
        self.pending = 0
        self._usable = _usable(count, reserve)
        self._times: deque[float] = deque()

    def resize(self, count: int) -> None:
        """Allow another number from now on; what was sent keeps counting."""
        self.count = count
        self._usable = _usable(count, 0)

    def has_room(self, now: float, priority: Priority, cost: int) -> bool:
        self._forget(now)
        return len(self._times) + self.pending + cost <= self._usable[priority]

    def used(self, now: float) -> int:
        self._forget(now)
        return len(self._times) + self.pending

    def sent(self, now: float, cost: int) -> None:
        """Turn `cost` pending messages into sent ones."""
        self.pending -= cost
        self.put(now, cost)

    def put(self, at: float, n: int = 1) -> None:
        """Count messages that were sent at `at`, which is not before any counted so far."""
        for _ in range(n):
            self._times.append(at)

    def times(self, now: float) -> list[float]:
        self._forget(now)
        return list(self._times)

    def free_at(self, now: float, priority: Priority, cost: int) -> float | None:
        """When there is room at the earliest; None where only a pending message can make it."""
        self._forget(now)
        if cost > self._usable[priority]:
            return float("inf")
        over = len(self._times) + cost - self._usable[priority]
        if over > 0:
            return self._times[over - 1] + self.per_s
        return None if self.pending else now

    def _forget(self, now: float) -> None:
        times, edge = self._times, now - self.per_s
        while times and times[0] <= edge:
            times.popleft()


class DayWindow(Window):
    """At most `count` messages between two midnights in IST."""

    __slots__ = ("_day", "_n", "_wall")

    def __init__(
        self, scope: RateScope, count: int, reserve: int, wall: Callable[[], float]
    ) -> None:
        super().__init__(scope, DAY_S, count, reserve)
        self._wall = wall
        self._day = self._today()
        self._n = 0

    def has_room(self, now: float, priority: Priority, cost: int) -> bool:
        return self.used(now) + cost <= self._usable[priority]

    def used(self, now: float) -> int:
        self._forget(now)
        return self._n + self.pending

    def put(self, at: float, n: int = 1) -> None:
        self._forget(at)
        self._n += n

    def free_at(self, now: float, priority: Priority, cost: int) -> float | None:
        self._forget(now)
        if self._n + cost > self._usable[priority]:
            return now + DAY_S - (self._wall() + _IST_S) % DAY_S
        return None if self.pending else now

    def _forget(self, now: float) -> None:
        if (today := self._today()) != self._day:
            self._day, self._n = today, 0

    def _today(self) -> int:
        return int(self._wall() + _IST_S) // DAY_S


class WindowView(msgspec.Struct, frozen=True, kw_only=True):
    """How full a window is. `exchange` is set on those that each exchange has for itself."""

    scope: RateScope
    exchange: str | None
    per_s: float
    count: int
    used: int
    left: int


class Limits:
    """Every window of one account, and the pause that a broker's rate-limit answer asks for."""

    def __init__(
        self,
        orders_per_second: int,
        declared: Iterable[RateWindow] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.pause = Pause()
        self._orders_per_second = orders_per_second
        self._declared = [
            DayWindow(w.scope, w.count, w.reserve, wall)
            if w.per_s == DAY_S
            else Window(w.scope, w.per_s, w.count, w.reserve)
            for w in declared
        ]
        self._by_exchange: dict[str, tuple[Window, ...]] = {}
        self._for_reads = tuple(w for w in self._declared if w.scope is not RateScope.ORDERS)
        self._for_orders = tuple(w for w in self._declared if w.scope is not RateScope.READS)
        self._recent_orders: list[float] = []

    def set_orders_per_second(self, count: int) -> None:
        """Change the account's own pace; whoever waits already is served by the new one."""
        was, self._orders_per_second = self._orders_per_second, count
        for exchange, windows in self._by_exchange.items():
            windows[0].resize(count)
            if was <= _EXCHANGE_COUNT < count:
                self._by_exchange[exchange] = (windows[0], *windows[2:])
            elif count <= _EXCHANGE_COUNT < was:
                window = Window(RateScope.ORDERS, _EXCHANGE_S, _EXCHANGE_COUNT, exchange=exchange)
                _fill(window, windows[0].times(self.clock()))
                self._by_exchange[exchange] = (windows[0], window, *windows[1:])

    def for_reads(self) -> tuple[Window, ...]:
        return self._for_reads

    def for_orders(self, exchange: str) -> tuple[Window, ...]:
        """The windows of an order message to one exchange."""
        found = self._by_exchange.get(exchange)
        if found is None:
            own = [Window(RateScope.ORDERS, 1.0, self._orders_per_second, exchange=exchange)]
            if self._orders_per_second <= _EXCHANGE_COUNT:
                own.append(
                    Window(RateScope.ORDERS, _EXCHANGE_S, _EXCHANGE_COUNT, exchange=exchange)
                )
            for window in own:
                _fill(window, self._recent_orders)
            found = self._by_exchange[exchange] = (*own, *self._for_orders)
        return found

    def has_room(
        self, windows: Sequence[Window], now: float, priority: Priority, cost: int
    ) -> bool:
        if not self.pause.lets_through(now, priority):
            return False
        # A plain loop: this runs for every order, and a generator would cost more than the work.
        for window in windows:  # noqa: SIM110
            if not window.has_room(now, priority, cost):
                return False
        return True

    def free_at(
        self, windows: Sequence[Window], now: float, priority: Priority, cost: int
    ) -> float | None:
        """When there is room in all of them at the earliest; None where nobody can say."""
        earliest = self.pause.free_at(now, priority)
        for window in windows:
            at = window.free_at(now, priority, cost)
            if at is None:
                continue
            earliest = max(earliest, at)
        return earliest if earliest > now else None

    def take(self, windows: Sequence[Window], now: float, priority: Priority, cost: int) -> None:
        for window in windows:
            window.pending += cost
        self.pause.note(now, priority)

    def sent(self, windows: Sequence[Window], cost: int) -> None:
        now = self.clock()
        for window in windows:
            window.sent(now, cost)

    def drop(self, windows: Sequence[Window], cost: int) -> None:
        """Free what was taken for a message that was not sent."""
        for window in windows:
            window.pending -= cost

    def seed_orders(self, times: Sequence[float]) -> None:
        """Count order messages of the run before this one; `times` are sorted."""
        recent = self.clock() - 2 * _EXCHANGE_S
        self._recent_orders = [at for at in times if at > recent]
        for window in self._for_orders:
            if window.scope is RateScope.ORDERS:
                _fill(window, times)

    def seed_calls(self, times: Sequence[float]) -> None:
        """Count calls of any kind of the run before this one; `times` are sorted."""
        for window in self._for_reads:
            _fill(window, times)

    def recent_calls(self) -> list[float]:
        """The times of the calls that the longest window over reads still holds."""
        now = self.clock()
        held = [w.times(now) for w in self._for_reads if w.per_s < DAY_S]
        return max(held, key=len, default=[])

    def busiest_second(self) -> int:
        """How many calls a second the windows over reads allow at most; 0 without such a one."""
        return max((w.count for w in self._for_reads if w.per_s <= 1), default=0)

    def views(self) -> list[WindowView]:
        now = self.clock()
        own = [w for windows in self._by_exchange.values() for w in windows if w.exchange]
        return [
            WindowView(
                scope=window.scope,
                exchange=window.exchange,
                per_s=window.per_s,
                count=window.count,
                used=window.used(now),
                left=max(window.count - window.used(now), 0),
            )
            for window in (*own, *self._declared)
        ]


class Pause:
    """What a broker's own rate-limit answer asks for: placements and reads stop for a while.

    Cancels and reconciliation go on, one a second. Without a time from the broker: 1 s, and
    twice that for each further such answer, until something was answered well again.
    """

    def __init__(self) -> None:
        self._until = float("-inf")
        self._step_s = _PAUSE_FIRST_S
        self._last_urgent = float("-inf")

    def begin(self, now: float, asked_s: float | None) -> float:
        """Begin or lengthen the pause; returns its seconds from now."""
        if asked_s is None:
            asked_s = self._step_s
        if now >= self._until:
            # Answers to calls that were under way together ask for one pause, not for many.
            self._step_s = min(self._step_s * 2, _PAUSE_MOST_S)
        self._until = max(self._until, now + min(asked_s, DAY_S))
        return self._until - now

    def answered_well(self, now: float) -> None:
        if now >= self._until:
            self._step_s = _PAUSE_FIRST_S

    def left_s(self, now: float) -> float:
        return max(self._until - now, 0.0)

    def lets_through(self, now: float, priority: Priority) -> bool:
        return now >= self._until or self.free_at(now, priority) <= now

    def free_at(self, now: float, priority: Priority) -> float:
        if now >= self._until:
            return now
        if priority <= Priority.RECONCILE:
            return min(max(self._last_urgent + _URGENT_GAP_S, now), self._until)
        return self._until

    def note(self, now: float, priority: Priority) -> None:
        """Remember that a message was let through."""
        if priority <= Priority.RECONCILE:
            self._last_urgent = now


def _usable(count: int, reserve: int) -> tuple[int, int, int, int]:
    """How much of a window each class of call may fill: reads leave twice the reserve."""
    return (
        count,
        max(count - reserve // 2, 1),
        max(count - reserve, 1),
        max(count - 2 * reserve, 1),
    )


def _fill(window: Window, times: Sequence[float]) -> None:
    for at in times:
        window.put(at)
