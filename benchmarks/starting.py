"""How long until the first good answer, beside what the bare interpreter takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.machine import Cores, cpu_s
from benchmarks.server import Server


class Starts(msgspec.Struct, kw_only=True):
    """Seconds, medians. `empty`: new data directory, no account. `full`: all that a run left.

    `bare` is the same interpreter doing nothing, started in turn with the others. `*_cpu`: the
    process's own CPU time until then, which other programs hardly move.
    """

    empty: float
    empty_cpu: float
    full: float
    full_cpu: float
    bare: float


def time_starts(
    server: Server, folder: Path, cores: Cores, count: int, say: Callable[[str], None]
) -> Starts:
    """Start and stop gateways. `server` is stopped afterwards."""
    say("starting again")
    server.stop()
    bare: list[float] = []
    empty: list[tuple[float, float]] = []
    full: list[tuple[float, float]] = []
    for number in range(count):
        bare.append(_bare(cores))
        fresh = folder / f"start-{number}"
        fresh.mkdir()
        empty.append(_once(Server(fresh, [], cores)))
        full.append(_once(server))
    empty_s, empty_cpu = map(statistics.median, zip(*empty, strict=True))
    full_s, full_cpu = map(statistics.median, zip(*full, strict=True))
    return Starts(
        empty=empty_s,
        empty_cpu=empty_cpu,
        full=full_s,
        full_cpu=full_cpu,
        bare=statistics.median(bare),
    )


def _once(server: Server) -> tuple[float, float]:
    """Return seconds to the first answer: on the clock, and of CPU."""
    try:
        return server.start(), cpu_s([server.pid])
    finally:
        server.stop()


def _bare(cores: Cores) -> float:
    with cores.on(cores.server):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return time.perf_counter() - began
