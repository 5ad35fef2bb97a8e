"""What an order costs when much is there already: `python -m benchmarks.growth`.

One gateway per variant, all running, measured in turn round by round: journals of 1,000, 100,000
and 1,000,000 audit rows, and instrument masters of 1,000 and 250,000 rows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop

from benchmarks.bed import Bed
from benchmarks.command import is_fit, keep, now, parser, say
from benchmarks.machine import Cores, describe_machine
from benchmarks.plan import BROKERS, Plan, Scenario
from benchmarks.plots import bars
from benchmarks.report import table
from benchmarks.rounds import Rounds, Sample
from gateway.store import Store

_BUDGET = 1.10
_BATCH = 5_000
_BASE_ROWS = 1_000


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway has before the first order. `masters`: rows of each broker's, at least."""

    name: str
    audit: int = _BASE_ROWS
    masters: int = 0


class Grown(msgspec.Struct, kw_only=True):
    """A variant's medians over the rounds, in milliseconds; ratios are to the first variant's."""

    variant: Variant
    overhead_p50: float
    overhead_p99: float
    cpu_ms_per_order: float
    p50_ratio: float
    cpu_ratio: float
    rounds: list[Sample]


class Growth(msgspec.Struct, kw_only=True):
    taken_at: str
    machine: dict[str, str]
    scenario: Scenario
    variants: list[Grown]

    @property
    def is_within_budget(self) -> bool:
        """Whether a million audit rows cost at most a tenth more CPU than a thousand."""
        return all(
            each.cpu_ratio <= _BUDGET for each in self.variants if each.variant.audit > _BASE_ROWS
        )


VARIANTS = (
    Variant(name="1,000 audit rows"),
    Variant(name="100,000 audit rows", audit=100_000),
    Variant(name="1,000,000 audit rows", audit=1_000_000),
    Variant(name="masters of 250,000 rows", masters=250_000),
)
QUICK_VARIANTS = (
    Variant(name="few audit rows", audit=100),
    Variant(name="more audit rows", audit=1_000),
)


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="growth-", dir=options.dir) as scratch:
        if not is_fit(Path(scratch), options):
            return 2
        growth = uvloop.run(run(Path(scratch), options.rounds, quick=options.quick))
    plot = keep(growth, as_markdown(growth), f"growth-{growth.taken_at[:10]}", options)
    if plot is not None:
        _draw(growth, plot)
    return 0


async def run(folder: Path, rounds: int, *, quick: bool) -> Growth:
    cores = Cores()
    machine = describe_machine(folder)
    os.sched_setaffinity(0, cores.load)
    orders, warm_up, sets = (12, 2, 1) if quick else (200, 30, 6)
    scenario = Scenario(
        name="1 leg", legs=1, concurrency=1, brokers=BROKERS, orders=orders, warm_up=warm_up
    )
    found: dict[Variant, list[Sample]] = {}
    try:
        async with AsyncExitStack() as stack:
            measured: dict[Variant, Rounds] = {}
            for number, variant in enumerate(QUICK_VARIANTS if quick else VARIANTS):
                plan = _plan(sets, variant, scenario)
                say(f"{variant.name}")
                place = folder / str(number)
                place.mkdir()
                bed = await stack.enter_async_context(Bed(plan, place, cores, say))
                await asyncio.to_thread(bed.server.stop)
                await _fill(bed, variant.audit)
                await asyncio.to_thread(bed.server.start)
                measured[variant] = Rounds(plan, bed, cores, place)
                await measured[variant].clear()
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                for variant, each in measured.items():
                    found.setdefault(variant, []).append(await each.sample(scenario))
            say("stopping")
    finally:
        os.sched_setaffinity(0, cores.all)
    return Growth(
        taken_at=now(),
        machine=machine,
        scenario=scenario,
        variants=_grown(found),
    )


async def _fill(bed: Bed, rows: int) -> None:
    """Write audit rows of the size that a leg's have, sealed like all others."""
    store = Store(bed.server.journal, bed.server.keyring)
    try:
        missing = rows - await store.last_audit_seq()
        body = {"note": "one of many rows", "filler": "x" * 400}
        while missing > 0:
            batch = min(missing, _BATCH)
            await asyncio.gather(*[store.audit("benchmark", body) for _ in range(batch)])
            missing -= batch
    finally:
        store.close()


def _plan(sets: int, variant: Variant, scenario: Scenario) -> Plan:
    return Plan(
        sets=sets,
        rounds=0,
        master_rows=variant.masters,
        day_orders=0,
        starts=0,
        commits=20,
        kills=0,
        scenarios=(scenario,),
    )


def _grown(found: dict[Variant, list[Sample]]) -> list[Grown]:
    def overhead(sample: Sample) -> float:
        return sample.gateway_p50 - sample.direct_p50

    base = next(iter(found.values()))
    return [
        Grown(
            variant=variant,
            overhead_p50=statistics.median(map(overhead, samples)),
            overhead_p99=statistics.median(s.gateway_p99 - s.direct_p99 for s in samples),
            cpu_ms_per_order=statistics.median(s.cpu_ms_per_order for s in samples),
            p50_ratio=_median_ratio([overhead(s) for s in samples], [overhead(s) for s in base]),
            cpu_ratio=_median_ratio(
                [s.cpu_ms_per_order for s in samples], [s.cpu_ms_per_order for s in base]
            ),
            rounds=samples,
        )
        for variant, samples in found.items()
    ]


def _median_ratio(ours: list[float], base: list[float]) -> float:
    """Divide round by round: what made a whole round slow is in both."""
    return statistics.median(a / b for a, b in zip(ours, base, strict=True))


def as_markdown(growth: Growth) -> str:
    rows = [["before the first order", "overhead p50 / p99", "x", "CPU ms/order", "x"]]
    rows += [
        [
            each.variant.name,
            f"{each.overhead_p50:.2f} / {each.overhead_p99:.2f}",
            f"{each.p50_ratio:.2f}",
            f"{each.cpu_ms_per_order:.2f}",
            f"{each.cpu_ratio:.2f}",
        ]
        for each in growth.variants
    ]
    machine = ", ".join(f"{name} {value}" for name, value in growth.machine.items())
    verdict = "met" if growth.is_within_budget else "missed"
    return (
        "\n\n".join(
            [
                f"# Growth, {growth.taken_at}",
                machine,
                table(rows),
                "Milliseconds; medians over the rounds. `x`: divided by the first line's, round by"
                " round. Budget: at most 1.10 times the CPU with 1,000,000 audit rows of what it is"
                f" with 1,000: {verdict}.",
            ]
        )
        + "\n"
    )


def _draw(growth: Growth, path: Path) -> None:
    bars(
        path,
        "One order, one leg: what is there before it",
        "ms",
        [each.variant.name for each in growth.variants],
        {
            "overhead p50": [each.overhead_p50 for each in growth.variants],
            "CPU per order": [each.cpu_ms_per_order for each in growth.variants],
        },
    )


def _options() -> argparse.Namespace:
    made = parser("growth", __doc__)
    made.add_argument("--rounds", type=int, default=5, help="how often each is measured [5]")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
