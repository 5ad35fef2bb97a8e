"""The machine: its cores, memory and CPU of processes, the price of a synced commit."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import apsw

T = TypeVar("T")

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LIBRARIES = ("granian", "blacksheep", "msgspec", "niquests", "httptools", "uvloop", "cryptography")
_NO_DISK = frozenset({"tmpfs", "ramfs"})
# About what the journal writes with one leg: order, leg, key and three audit rows.
_COMMIT_BYTES = 3000


class Cores:
    """One core for the server and one for everything else; all for both where there is one."""

    def __init__(self) -> None:
        usable = sorted(os.sched_getaffinity(0))
        self.all = frozenset(usable)
        self.are_apart = len(usable) > 1
        self.server = frozenset(usable[:1])
        self.load = frozenset(usable[1:2]) or self.server

    @contextmanager
    def on(self, cores: frozenset[int]) -> Iterator[None]:
        """Run this thread on these cores; a process started meanwhile stays on them."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    def describe(self) -> str:
        if not self.are_apart:
            return "one core for server, simulators and load alike"
        server, load = min(self.server), min(self.load)
        return f"server on core {server}; simulators and load on core {load}"


def describe_machine(folder: Path) -> dict[str, str]:
    """Say what figures were taken on."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
        "file_system": file_system(folder),
        **{name: version(name) for name in _LIBRARIES},
    }


def file_system(folder: Path) -> str:
    """Name the type of file system that a folder is on."""
    best, kind = "", "unknown"
    where = str(folder.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def is_on_disk(folder: Path) -> bool:
    """Whether a synced commit costs anything there."""
    return file_system(folder) not in _NO_DISK


def cpu_s(pids: Iterable[int]) -> float:
    """Sum the CPU time of processes, all threads, to the nanosecond."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            # A thread that ended meanwhile no longer tells; the pools here keep theirs.
            text = _read(thread / "schedstat")
            total += int(text.split()[0]) if text else 0
    return total / 1e9


def busy_s() -> float:
    """Sum the time that all cores were busy since boot."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, io_wait = fields[3], fields[4]
    return (sum(fields) - idle - io_wait) / _TICKS_PER_S


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size (shared pages counted by share) in MB (2**20)."""
    text = _read(Path(f"/proc/{pid}/smaps_rollup")) or ""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"process {pid} does not tell its memory")


def commit_times_ms(folder: Path, count: int) -> list[float]:
    """Time bare synced commits as the journal makes them: WAL, `synchronous=FULL`, one row."""
    path = folder / "probe.db"
    connection = apsw.Connection(str(path))
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS row (data BLOB)")
        row = os.urandom(_COMMIT_BYTES)
        return [
            _timed_ms(lambda: connection.execute("INSERT INTO row VALUES (?)", (row,)))
            for _ in range(count)
        ]
    finally:
        connection.close()
        for file in folder.glob("probe.db*"):
            file.unlink()


def yardstick_ms() -> float:
    """Time a fixed piece of Python, the best of five: how fast this core is just now."""
    return min(_timed_ms(_work) for _ in range(5))


def _work() -> None:
    found: dict[int, str] = {}
    for number in range(20_000):
        found[number % 1000] = str(number)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that `share` of the others do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(int(len(ranked) * share), len(ranked) - 1)]


def _timed_ms(work: Callable[[], T]) -> float:
    began = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began) / 1e6


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
