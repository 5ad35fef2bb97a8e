"""How long until the first good answer, beside what the bare interpreter takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.machine import Cores
from benchmarks.server import Server


class Starts(msgspec.Struct, kw_only=True):
    """Seconds, medians. `empty`: new data directory, no account. `full`: all that a run left.

    `bare` is the same interpreter doing nothing, started in turn with the others.
    """

    empty: float
    full: float
    bare: float


def time_starts(
    server: Server, folder: Path, cores: Cores, count: int, say: Callable[[str], None]
) -> Starts:
    """Start and stop gateways. `server` is stopped afterwards."""
    say("starting again")
    server.stop()
    bare, empty, full = [], [], []
    for number in range(count):
        bare.append(_bare(cores))
        fresh = folder / f"start-{number}"
        fresh.mkdir()
        empty.append(_once(Server(fresh, [], cores)))
        full.append(_once(server))
    median = statistics.median
    return Starts(empty=median(empty), full=median(full), bare=median(bare))


def _once(server: Server) -> float:
    try:
        return server.start()
    finally:
        server.stop()


def _bare(cores: Cores) -> float:
    with cores.on(cores.server):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return time.perf_counter() - began
