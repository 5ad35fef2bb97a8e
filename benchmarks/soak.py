"""Hours of a day: `python -m benchmarks.soak --minutes 30`.

Orders by the clock for as long as asked, while memory, open files and threads of the gateway are
read; with `--memory-mb` in a control group of so much memory and one CPU's time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import uvloop

from benchmarks.bed import Bed
from benchmarks.cage import Cage, NoCage
from benchmarks.command import is_fit, keep, now, parser, say
from benchmarks.load import Piece
from benchmarks.machine import Cores, describe_machine, percentile, pss_mb
from benchmarks.plan import BROKERS, Plan, Scenario
from benchmarks.plots import curves
from benchmarks.proof import Proof
from benchmarks.report import table
from benchmarks.rounds import P50, P99, Rounds

_SETTLE_S = 20.0
_PIECES = 10


class Reading(msgspec.Struct, frozen=True):
    """The gateway's process at one moment, seconds from the first order."""

    at_s: float
    pss_mb: float
    files: int
    threads: int


class Soak(msgspec.Struct, kw_only=True):
    """A whole run. `tenths`: latency p50 and p99 in milliseconds, by tenths of the orders."""

    taken_at: str
    machine: dict[str, str]
    minutes: float
    orders: int
    per_second: float
    accounts: int
    master_rows: int
    memory_limit_mb: int | None
    charged_peak_mb: float | None
    kernel_kills: int | None
    proof: Proof
    tenths: list[tuple[float, float]]
    readings: list[Reading]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=options.dir) as scratch:
        if not is_fit(Path(scratch), options):
            return 2
        try:
            soak = uvloop.run(run(Path(scratch), options))
        except NoCage as error:
            print(error, file=sys.stderr)
            return 2
    limit = f"-{soak.memory_limit_mb}mb" if soak.memory_limit_mb else ""
    plot = keep(soak, as_markdown(soak), f"soak-{soak.taken_at[:10]}{limit}", options)
    if plot is not None:
        _draw(soak, plot)
    return 0 if soak.proof.is_clean and not soak.kernel_kills else 1


async def run(folder: Path, options: argparse.Namespace) -> Soak:
    cores = Cores()
    machine = describe_machine(folder)
    os.sched_setaffinity(0, cores.load)
    orders = max(int(options.minutes * 60 * options.per_second), _PIECES)
    scenario = Scenario(
        name="1 leg, by the clock",
        legs=1,
        concurrency=32,
        brokers=BROKERS,
        orders=orders,
        warm_up=0,
        per_second=options.per_second,
    )
    plan = Plan(
        sets=options.accounts,
        rounds=0,
        master_rows=0 if options.quick else options.master_rows,
        day_orders=0,
        starts=0,
        commits=0,
        kills=0,
        scenarios=(scenario,),
    )
    try:
        with ExitStack() as stack:
            cage = stack.enter_context(Cage(options.memory_mb)) if options.memory_mb else None
            async with Bed(plan, folder, cores, say, cage) as bed:
                rounds = Rounds(plan, bed, cores, folder)
                await rounds.clear()
                say(f"{orders:,} orders in {options.minutes:g} minutes")
                readings: list[Reading] = []
                watching = asyncio.create_task(_watch(bed.server.pid, options, readings))
                piece = await rounds.gateway.run(scenario, orders, 0)
                await asyncio.sleep(0 if options.quick else _SETTLE_S)
                watching.cancel()
                await rounds.check(piece)
                peak = cage.peak_mb if cage else None
                kills = cage.kills if cage else None
    finally:
        os.sched_setaffinity(0, cores.all)
    return Soak(
        taken_at=now(),
        machine=machine,
        minutes=options.minutes,
        orders=orders,
        per_second=options.per_second,
        accounts=3 * options.accounts,
        master_rows=plan.master_rows,
        memory_limit_mb=options.memory_mb,
        charged_peak_mb=peak,
        kernel_kills=kills,
        proof=rounds.proof,
        tenths=_tenths(piece),
        readings=readings,
    )


async def _watch(pid: int, options: argparse.Namespace, readings: list[Reading]) -> None:
    """Read now and every so often, about 180 times in a run."""
    began = time.monotonic()
    pause_s = max(options.minutes * 60 / 180, 0.2)
    while True:
        readings.append(_read(pid, time.monotonic() - began))
        await asyncio.sleep(pause_s)


def _read(pid: int, at_s: float) -> Reading:
    process = Path(f"/proc/{pid}")
    return Reading(
        at_s=round(at_s, 2),
        pss_mb=round(pss_mb(pid), 2),
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
    )


def _tenths(piece: Piece) -> list[tuple[float, float]]:
    size = max(len(piece.latencies_ms) // _PIECES, 1)
    parts = [piece.latencies_ms[at : at + size] for at in range(0, size * _PIECES, size)]
    return [(percentile(part, P50), percentile(part, P99)) for part in parts if part]


def as_markdown(soak: Soak) -> str:
    first, last = soak.readings[0], soak.readings[-1]
    peak = max(reading.pss_mb for reading in soak.readings)
    machine = ", ".join(f"{name} {value}" for name, value in soak.machine.items())
    rows = [["", "begin", "end", "most"]]
    rows.append(["memory (PSS), MB", f"{first.pss_mb:.1f}", f"{last.pss_mb:.1f}", f"{peak:.1f}"])
    for name, field in (("open files", "files"), ("threads", "threads")):
        values = [getattr(reading, field) for reading in soak.readings]
        rows.append([name, str(values[0]), str(values[-1]), str(max(values))])
    caged = "without limits"
    if soak.memory_limit_mb is not None:
        caged = (
            f"in a control group of {soak.memory_limit_mb} MB and one CPU's time: most charged"
            f" {soak.charged_peak_mb:.0f} MB, page cache included, {soak.kernel_kills} kills by the"
            " kernel"
        )
    tenths = [["tenth", "p50 ms", "p99 ms"]]
    tenths += [[str(n), f"{p50:.2f}", f"{p99:.2f}"] for n, (p50, p99) in enumerate(soak.tenths, 1)]
    proof = soak.proof
    return (
        "\n\n".join(
            [
                f"# Soak of {soak.minutes:g} minutes, {soak.taken_at}",
                machine,
                f"{soak.orders:,} orders by the clock, {soak.per_second:g} a second on average,"
                f" over {soak.accounts} accounts, masters of {soak.master_rows:,} rows each,"
                f" {caged}. {proof.not_accepted} not accepted, {proof.lost} lost, {proof.doubled}"
                f" doubled, {proof.unasked} that nobody asked for.",
                table(rows),
                "Latency from when an order was due to its whole answer, by tenths of the orders:",
                table(tenths),
            ]
        )
        + "\n"
    )


def _draw(soak: Soak, path: Path) -> None:
    minutes = [reading.at_s / 60 for reading in soak.readings]
    curves(
        path,
        f"Soak: {soak.orders:,} orders in {soak.minutes:g} minutes",
        "minutes",
        {
            "memory (PSS), MB": list(zip(minutes, [r.pss_mb for r in soak.readings], strict=True)),
            "open files": list(zip(minutes, [float(r.files) for r in soak.readings], strict=True)),
        },
    )


def _options() -> argparse.Namespace:
    made = parser("soak", __doc__)
    made.add_argument("--minutes", type=float, default=30, help="how long [30]")
    made.add_argument("--per-second", type=float, default=10, help="orders, on average [10]")
    made.add_argument("--accounts", type=int, default=1, help="per broker [1]")
    made.add_argument("--master-rows", type=int, default=200_000, help="per broker [200000]")
    made.add_argument("--memory-mb", type=int, help="run in a control group of so much memory")
    options = made.parse_args()
    if options.quick:
        options.minutes = 0.1
    return options


if __name__ == "__main__":
    sys.exit(main())
