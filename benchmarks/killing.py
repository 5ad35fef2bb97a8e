"""How fast the kill switch stops orders that are under way."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from benchmarks.bed import Bed
from benchmarks.fleet import direct_account
from benchmarks.load import GatewayLoad
from benchmarks.machine import percentile
from benchmarks.plan import BROKERS, Plan
from benchmarks.rounds import Rounds
from gateway.cli.client import HttpApi, ask

_LONGEST_S = 30.0


class Kills(msgspec.Struct, kw_only=True):
    """Milliseconds. `engaged`: until the call was answered, eight orders being placed meanwhile.

    `last_send`: from that answer to the last order that a broker took; below zero, the last one
    was taken before. `on_the_wire`: writes that the answers listed as already sent.
    """

    times: int
    engaged_p50: float
    engaged_max: float
    last_send_p50: float
    last_send_max: float
    on_the_wire: int


async def time_kills(plan: Plan, bed: Bed, rounds: Rounds, say: Callable[[str], None]) -> Kills:
    """Engage HALT_NEW for everything under load, and release it, as often as the plan says."""
    say(f"the kill switch, {plan.kills} times")
    engaged, last_sends, listed = [], [], 0
    for _ in range(plan.kills):
        await rounds.clear()
        took_ms, answered_at, on_the_wire = await _once(plan, bed, rounds.gateway)
        engaged.append(took_ms)
        last_sends.append(1000 * (await asyncio.to_thread(_last_taken, bed) - answered_at))
        listed += on_the_wire
        body = {"scope": "global", "reason": "benchmark", "confirm": "RELEASE"}
        await asyncio.to_thread(ask, bed.api, "POST", "/v1/kill-switch/release", body)
    await rounds.clear()
    return Kills(
        times=plan.kills,
        engaged_p50=statistics.median(engaged),
        engaged_max=max(engaged),
        last_send_p50=percentile(last_sends, 0.5),
        last_send_max=max(last_sends),
        on_the_wire=listed,
    )


async def _once(plan: Plan, bed: Bed, load: GatewayLoad) -> tuple[float, float, int]:
    """Return how long the call took, when it was answered (Unix time), and what it listed."""
    scenario = next(s for s in plan.scenarios if s.legs == 1 and s.concurrency == 8)
    under_way = asyncio.Event()
    async with asyncio.timeout(_LONGEST_S):
        firing = asyncio.ensure_future(load.until_refused(scenario, under_way))
        await asyncio.wait(
            {firing, waiting := asyncio.ensure_future(under_way.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        if waiting.cancel():
            raise RuntimeError("orders are refused before the kill switch is engaged")
        took_ms, answered_at, answer = await asyncio.to_thread(_engage, bed)
        await firing
    return took_ms, answered_at, len(answer["on_the_wire"])


def _engage(bed: Bed) -> tuple[float, float, dict[str, list[object]]]:
    body = {"scope": "global", "level": "HALT_NEW", "reason": "benchmark"}
    began = time.perf_counter()
    answer = ask(bed.api, "POST", "/v1/kill-switch/engage", body)
    return 1000 * (time.perf_counter() - began), time.time(), answer


def _last_taken(bed: Bed) -> float:
    """Return when the last order was taken by any broker, as Unix time."""
    bed.settle()
    direct = {direct_account(broker) for broker in BROKERS}
    return max(
        datetime.fromisoformat(row["accepted_at"]).timestamp()
        for seat in bed.fleet.seats.values()
        if seat.account not in direct
        for row in ask(HttpApi(seat.control_url), "GET", "/_sim/ledger")["orders"]
    )
