"""A long day on one gateway: many orders without a pause, and what memory they leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from benchmarks.bed import Bed
from benchmarks.machine import cpu_s, percentile, pss_mb
from benchmarks.plan import Plan
from benchmarks.rounds import P50, P99, Rounds
from gateway.cli.client import ask

# After the last order: let caches and connections of the burst settle before memory is read.
_REST_S = 3.0


class Day(msgspec.Struct, kw_only=True):
    """Memory in MB (PSS). `first_*` and `last_*` are the first and last tenth of the orders."""

    orders: int
    master_rows: dict[str, int]
    memory_masters_loaded: float
    memory_after_orders: float
    orders_per_second: float
    cpu_ms_per_order: float
    first_p50: float
    first_p99: float
    last_p50: float
    last_p99: float
    waited_s: float


async def run_day(plan: Plan, bed: Bed, rounds: Rounds, say: Callable[[str], None]) -> Day:
    """Place the day's orders, one leg each over every broker, eight at a time."""
    say(f"a day of {plan.day_orders} orders")
    await rounds.clear()
    rows = await asyncio.to_thread(_master_rows, bed)
    scenario = next(s for s in plan.scenarios if s.legs == 1 and s.concurrency > 1)
    server = bed.server.pid
    before, cpu = pss_mb(server), cpu_s([server])
    piece = await rounds.gateway.run(scenario, plan.day_orders, 0)
    spent = cpu_s([server]) - cpu
    await rounds.check(piece)
    await asyncio.sleep(_REST_S)
    tenth = max(plan.day_orders // 10, 1)
    first, last = piece.latencies_ms[:tenth], piece.latencies_ms[-tenth:]
    return Day(
        orders=plan.day_orders,
        master_rows=rows,
        memory_masters_loaded=before,
        memory_after_orders=pss_mb(server),
        orders_per_second=piece.orders_per_second,
        cpu_ms_per_order=1000 * spent / plan.day_orders,
        first_p50=percentile(first, P50),
        first_p99=percentile(first, P99),
        last_p50=percentile(last, P50),
        last_p99=percentile(last, P99),
        waited_s=piece.waited_s,
    )


def _master_rows(bed: Bed) -> dict[str, int]:
    """Load every master once more: as at the start of a day, and to be told how long they are."""
    answer = ask(bed.api, "POST", "/v1/instruments/refresh", {}, timeout_s=600.0)
    return {broker: int(result["rows"]) for broker, result in answer["masters"].items()}
