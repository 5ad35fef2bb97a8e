"""What is counted while the gateway works: plain numbers, so that counting costs next to nothing.

Each figure is added to by one thread only and read by another without a lock. A reader may see
a sum that is one value ahead of its count, which no rate over time shows.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.orders.records import Leg
from gateway.orders.states import LegState, Outcome, outcome_of

K = TypeVar("K", bound=Hashable)

# Seconds. A broker answers in tens of milliseconds, the gateway itself in single ones.
FAST = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_EVERY_S = 1.0


class Histogram:
    """Counts seconds by the first bound that they do not exceed; the last count is beyond all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Histograms(Generic[K]):
    """One histogram per key, made when its first value comes."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._by_key: dict[K, Histogram] = {}

    def add(self, key: K, seconds: float) -> None:
        histogram = self._by_key.get(key)
        if histogram is None:
            histogram = self._by_key[key] = Histogram(self._bounds)
        histogram.add(seconds)

    def items(self) -> list[tuple[K, Histogram]]:
        return list(self._by_key.items())


class Tally:
    """The counts since the process began. One per gateway.

    `legs` is by account and outcome, `states` by account and state entered. `calls` and
    `call_seconds` are by account and class of call; `requests` by method, route and status.
    """

    def __init__(self) -> None:
        self.legs: dict[tuple[str, Outcome], int] = defaultdict(int)
        self.states: dict[tuple[str, LegState], int] = defaultdict(int)
        self.overhead: Histograms[str] = Histograms(FAST)
        self.commits = Histogram(FAST)
        self.writes = 0
        self.repeats = 0
        self.calls: dict[tuple[str, str, str], int] = defaultdict(int)
        self.call_seconds: Histograms[tuple[str, str]] = Histograms(SLOW)
        self.requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self.request_seconds: Histograms[tuple[str, str]] = Histograms(FAST)
        self.lag = Histogram(FAST)

    def leg(self, leg: Leg, old: LegState | None, new: LegState) -> None:
        """Take a change of a leg, on the journal's thread, when it is written."""
        if old is new:
            return
        self.states[leg.account, new] += 1
        outcome = outcome_of(new)
        if outcome is Outcome.PENDING or (
            old is not None and outcome_of(old) is not Outcome.PENDING
        ):
            return
        self.legs[leg.account, outcome] += 1
        if old is LegState.SENDING and leg.timing.broker_ms is not None:
            whole_s = (leg.updated_us - leg.created_us) / 1_000_000
            self.overhead.add(leg.account, max(whole_s - leg.timing.broker_ms / 1000, 0.0))

    def commit(self, seconds: float, writes: int) -> None:
        """Take a transaction of the journal, on its thread: its time and what it wrote."""
        self.commits.add(seconds)
        self.writes += writes

    def call(self, account: str, call_class: str, verdict: str, seconds: float | None) -> None:
        """Take a call to a broker. `seconds`: from its first byte to its end; None: never sent."""
        self.calls[account, call_class, verdict] += 1
        if seconds is not None:
            self.call_seconds.add((account, call_class), seconds)

    def repeat(self) -> None:
        """Take a request that was answered with what its key had already made."""
        self.repeats += 1

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take an answer of the API. `route` is the path's pattern, so that there are few."""
        self.requests[method, route, status] += 1
        self.request_seconds.add((method, route), seconds)

    async def watch_loop(self) -> None:
        """Measure how late the event loop comes to what is due, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self.lag.add(max(loop.time() - due, 0.0))
