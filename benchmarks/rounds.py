"""The rounds: direct, gateway, direct, gateway, with the price of a commit taken in between."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.bed import Bed
from benchmarks.load import DirectLoad, GatewayLoad, Piece
from benchmarks.machine import (
    Cores,
    busy_s,
    commit_times_ms,
    cpu_s,
    percentile,
    yardstick_ms,
)
from benchmarks.plan import Plan, Scenario
from benchmarks.proof import Proof, journalled, order_in, prove

P50, P95, P99 = 0.50, 0.95, 0.99
_FIRST_DIRECT_TAG = 9 * 10**14
_FIRST_FLOOR_TAG = 8 * 10**14


class Sample(msgspec.Struct, kw_only=True):
    """One scenario in one round. Milliseconds. `direct_*`, `floor_*` (by way of nginx, None without
    it) and `gateway_*` are of the same minute.

    `yardstick_ms`: a fixed piece of Python on the gateway's core, just before.
    `over_legs_*`: latency less the slowest leg's time at its broker, order by order.
    `foreign`: share of all cores' time that other programs took meanwhile.
    """

    direct_p50: float
    direct_p95: float
    direct_p99: float
    floor_p50: float | None
    floor_p95: float | None
    floor_p99: float | None
    gateway_p50: float
    gateway_p95: float
    gateway_p99: float
    over_legs_p50: float
    over_legs_p99: float
    orders_per_second: float
    cpu_ms_per_order: float
    commit_p50: float
    commit_p99: float
    yardstick_ms: float
    foreign: float
    waited_s: float


class Rounds:
    """Runs every scenario of a plan, round by round."""

    def __init__(self, plan: Plan, bed: Bed, cores: Cores, folder: Path) -> None:
        self._plan = plan
        self._bed = bed
        self._cores = cores
        self._folder = folder
        self.gateway = GatewayLoad(bed, plan.sets)
        self._direct = DirectLoad(bed.direct, _FIRST_DIRECT_TAG)
        self._floor = DirectLoad(bed.floor, _FIRST_FLOOR_TAG) if bed.floor else None
        self.proof = Proof()
        self._known: set[str] = set()

    async def run(self, say: Callable[[str], None]) -> dict[Scenario, list[Sample]]:
        samples: dict[Scenario, list[Sample]] = {each: [] for each in self._plan.scenarios}
        await self.clear()
        for number in range(1, self._plan.rounds + 1):
            say(f"round {number} of {self._plan.rounds}")
            for scenario in self._plan.scenarios:
                samples[scenario].append(await self.sample(scenario))
        return samples

    async def clear(self) -> None:
        """Start from empty books; what the journal holds already is not counted again."""
        await asyncio.to_thread(self._bed.settle)
        self._known |= await asyncio.to_thread(journalled, self._bed, set())
        await asyncio.to_thread(self._bed.reset_brokers)

    async def check(self, piece: Piece) -> None:
        """Prove that nothing of a piece was lost or doubled, then empty the books."""
        await asyncio.to_thread(self._bed.settle)
        self.proof.add(await asyncio.to_thread(prove, self._bed, piece.answers, self._known))
        await asyncio.to_thread(self._bed.reset_brokers)

    async def sample(self, scenario: Scenario) -> Sample:
        """Measure one scenario once: commits, direct, by way of nginx, through the gateway."""
        with self._cores.on(self._cores.server):
            commits = commit_times_ms(self._folder, self._plan.commits)
            yardstick = yardstick_ms()
        direct = await self._direct.run(scenario, scenario.orders, scenario.warm_up)
        floor = None
        if self._floor is not None:
            floor = await self._floor.run(scenario, scenario.orders, scenario.warm_up)
        server, ours = self._bed.server.pid, (self._bed.fleet.pid, os.getpid())
        began, busy, cpu, load = time.monotonic(), busy_s(), cpu_s([server]), cpu_s(ours)
        piece = await self.gateway.run(scenario, scenario.orders, scenario.warm_up)
        spent = cpu_s([server]) - cpu
        foreign_s = busy_s() - busy - spent - (cpu_s(ours) - load)
        elapsed_s = time.monotonic() - began
        await self.check(piece)
        over = over_slowest_leg(piece, scenario.warm_up)
        cores = os.cpu_count() or 1
        return Sample(
            direct_p50=direct.at(P50),
            direct_p95=direct.at(P95),
            direct_p99=direct.at(P99),
            floor_p50=floor.at(P50) if floor else None,
            floor_p95=floor.at(P95) if floor else None,
            floor_p99=floor.at(P99) if floor else None,
            gateway_p50=piece.at(P50),
            gateway_p95=piece.at(P95),
            gateway_p99=piece.at(P99),
            over_legs_p50=percentile(over, P50),
            over_legs_p99=percentile(over, P99),
            orders_per_second=piece.orders_per_second,
            cpu_ms_per_order=1000 * spent / (scenario.orders + scenario.warm_up),
            commit_p50=percentile(commits, P50),
            commit_p99=percentile(commits, P99),
            yardstick_ms=yardstick,
            foreign=max(foreign_s, 0.0) / (cores * elapsed_s),
            waited_s=piece.waited_s,
        )


def over_slowest_leg(piece: Piece, warm_up: int) -> list[float]:
    """What each order took beyond its slowest leg's time at the broker, as the answer says it."""
    over = []
    for latency, answer in zip(piece.latencies_ms, piece.answers[warm_up:], strict=True):
        order = order_in(answer)
        if order is not None:
            over.append(latency - max(leg.timing.broker_ms or 0.0 for leg in order.legs))
    return over
