"""Where an order's time goes in the gateway: `python -m benchmarks.stages`.

One order at a time, one leg, at each broker's simulator in turn; the moments between which it
waits or works are read inside the gateway (`benchmarks.staged`), the whole at the client.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import msgspec
import uvloop

from benchmarks.bed import Bed
from benchmarks.command import is_fit, keep, now, parser, say
from benchmarks.machine import Cores, describe_machine
from benchmarks.plan import BROKERS, Plan, Scenario
from benchmarks.plots import bars
from benchmarks.report import table
from benchmarks.rounds import P50, Rounds
from benchmarks.staged import MOMENTS, VARIABLE

# What happens between each moment and the next.
WORK = (
    "routing, key, quota, body read",
    "decoding the order",
    "checks, plan, sizes",
    "making the legs",
    "T1 on disk",
    "to the first byte: task, gate, permit",
    "the broker, the transport and its answer",
    "T3 on disk",
    "waking the request, showing the order",
    "encoding and writing the answer",
)
_OUTSIDE = "server, sockets, client: before and after"


class Stages(msgspec.Struct, kw_only=True):
    """Medians in milliseconds. `work[broker]` has the parts of `WORK`, then what is outside."""

    taken_at: str
    machine: dict[str, str]
    orders: int
    work: dict[str, list[float]]
    whole: dict[str, float]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="stages-", dir=options.dir) as scratch:
        if not is_fit(Path(scratch), options):
            return 2
        stages = uvloop.run(run(Path(scratch), 15 if options.quick else options.orders))
    plot = keep(stages, as_markdown(stages), f"stages-{stages.taken_at[:10]}", options)
    if plot is not None:
        _draw(stages, plot)
    return 0


async def run(folder: Path, orders: int) -> Stages:
    cores = Cores()
    machine = describe_machine(folder)
    moments = folder / "moments.json"
    os.environ[VARIABLE] = str(moments)
    os.sched_setaffinity(0, cores.load)
    scenarios = {
        broker: Scenario(name=broker, legs=1, concurrency=1, brokers=(broker,), orders=orders)
        for broker in BROKERS
    }
    plan = Plan(
        sets=4,
        rounds=0,
        master_rows=0,
        day_orders=0,
        starts=0,
        commits=0,
        kills=0,
        scenarios=tuple(scenarios.values()),
    )
    whole: dict[str, float] = {}
    try:
        async with Bed(plan, folder, cores, say, program="benchmarks.staged") as bed:
            rounds = Rounds(plan, bed, cores, folder)
            for broker, scenario in scenarios.items():
                await rounds.clear()
                say(broker)
                piece = await rounds.gateway.run(scenario, orders, 0)
                await rounds.check(piece)
                whole[broker] = piece.at(P50)
            await asyncio.to_thread(bed.server.stop)
    finally:
        os.sched_setaffinity(0, cores.all)
    found = msgspec.json.decode(moments.read_bytes(), type=list[list[int]])
    # The first ones were placed to record the direct calls.
    found = found[len(BROKERS) :]
    work = {}
    for number, broker in enumerate(BROKERS):
        mine = found[number * orders : (number + 1) * orders]
        if len(mine) != orders:
            raise RuntimeError(f"{len(found)} orders were seen whole, not {orders * len(BROKERS)}")
        parts = [
            statistics.median((b - a) / 1e6 for a, b in zip(one, other, strict=True))
            for one, other in pairwise(zip(*mine, strict=True))
        ]
        inside = statistics.median((moment[-1] - moment[0]) / 1e6 for moment in mine)
        work[broker] = [*parts, whole[broker] - inside]
    return Stages(
        taken_at=now(),
        machine=machine,
        orders=orders,
        work=work,
        whole=whole,
    )


def as_markdown(stages: Stages) -> str:
    names = [*WORK, _OUTSIDE]
    assert len(WORK) == len(MOMENTS) - 1
    rows = [["stage", *stages.work]]
    for number, name in enumerate(names):
        parts = [parts[number] for parts in stages.work.values()]
        rows.append([name, *(f"{part:.3f}" for part in parts)])
    rows.append(["**whole, at the client**", *(f"**{ms:.3f}**" for ms in stages.whole.values())])
    machine = ", ".join(f"{name} {value}" for name, value in stages.machine.items())
    return (
        "\n\n".join(
            [
                f"# Where an order's time goes, {stages.taken_at}",
                machine,
                table(rows),
                f"Milliseconds, medians of {stages.orders} orders of one leg, one at a time;"
                " medians of parts do not add up to the median of the whole. The clock is read in"
                " the gateway, which costs about 0.02 ms an order.",
            ]
        )
        + "\n"
    )


def _draw(stages: Stages, path: Path) -> None:
    parts = {
        name: [parts[number] for parts in stages.work.values()]
        for number, name in enumerate([*WORK, _OUTSIDE])
    }
    bars(path, "Where an order's time goes", "ms", list(stages.work), parts)


def _options() -> argparse.Namespace:
    made = parser("stages", __doc__)
    made.add_argument("--orders", type=int, default=500, help="at each broker [500]")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
