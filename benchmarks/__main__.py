"""Run the benchmarks: `just bench`, or `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
import uvloop

from benchmarks.bed import Bed
from benchmarks.compare import compare, newest
from benchmarks.day import run_day
from benchmarks.killing import time_kills
from benchmarks.machine import Cores, describe_machine, is_on_disk
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.report import METHOD, Report, as_markdown, budgets_of, result_of
from benchmarks.rounds import Rounds
from benchmarks.starting import time_starts

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def main() -> int:
    options = _options()
    plan = QUICK if options.quick else FULL
    changes = {"rounds": options.rounds, "sets": options.accounts, "day_orders": options.day_orders}
    plan = msgspec.structs.replace(plan, **{k: v for k, v in changes.items() if v is not None})
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.dir) as scratch:
        if not is_on_disk(Path(scratch)) and not options.quick:
            print(f"{scratch} is in memory: name a folder on a disk with --dir", file=sys.stderr)
            return 2
        report = uvloop.run(run(plan, Path(scratch), _say))
    report.quick = options.quick
    before = newest(RESULTS)
    if before is not None and not report.quick:
        report.compared_with = f"{before['taken_at']}, commit {before['commit']}"
        report.changes = compare(before, msgspec.to_builtins(report))
    text = as_markdown(report)
    print(f"\n{text}")
    folder = options.out or (None if options.quick else RESULTS)
    if folder is not None:
        _write(report, text, folder)
    return 0 if report.proof.is_clean else 1


async def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> Report:
    """Measure everything in a plan."""
    cores = Cores()
    machine = describe_machine(folder)
    os.sched_setaffinity(0, cores.load)
    try:
        async with Bed(plan, folder, cores, say) as bed:
            rounds = Rounds(plan, bed, cores, folder)
            # First, so that the memory it leaves is that of its own orders.
            day = await run_day(plan, bed, rounds, say)
            samples = await rounds.run(say)
            kills = await time_kills(plan, bed, rounds, say)
            starts = await asyncio.to_thread(
                time_starts, bed.server, folder, cores, plan.starts, say
            )
    finally:
        os.sched_setaffinity(0, cores.all)
    results = [result_of(scenario, taken) for scenario, taken in samples.items()]
    return Report(
        taken_at=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %z}",
        commit=_commit(),
        quick=False,
        machine=machine,
        pinning=cores.describe(),
        method=METHOD,
        plan=plan,
        proof=rounds.proof,
        results=results,
        kills=kills,
        day=day,
        starts=starts,
        budgets=budgets_of(results, kills, day, starts),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds: everything, once")
    parser.add_argument("--rounds", type=int, help="how often every scenario is run")
    parser.add_argument("--accounts", type=int, help="per broker")
    parser.add_argument("--day-orders", type=int, help="orders before memory is read")
    parser.add_argument("--dir", type=Path, help="where the data directory goes; must be a disk")
    parser.add_argument(
        "--out", type=Path, help="where results go [benchmarks/results; a quick run writes none]"
    )
    return parser.parse_args()


def _write(report: Report, text: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.taken_at[:10]}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"written: {path} and {path.with_suffix('.md').name}")


def _commit() -> str:
    told = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip() or "unknown"


def _say(words: str) -> None:
    print(f"{datetime.now().astimezone():%H:%M:%S}  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
