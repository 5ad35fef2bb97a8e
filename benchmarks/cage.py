"""A control group around a process: one CPU's time and so much memory, as a small VPS has."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000


class NoCage(Exception):
    """Control groups cannot be made here; the text says why."""


class Cage:
    """Limits for processes that are put in. Use with `with`; needs root or a delegated group.

    Memory counts as the kernel counts it: the page cache that it charges to the group included.
    """

    def __init__(self, memory_mb: int, name: str = "brokergate-benchmark") -> None:
        self._memory = memory_mb * 2**20
        self._is_v2 = (_ROOT / "cgroup.controllers").exists()
        folders = [_ROOT] if self._is_v2 else [_ROOT / "memory", _ROOT / "cpu"]
        self._groups = [folder / f"{name}-{os.getpid()}" for folder in folders]

    def __enter__(self) -> Cage:
        try:
            for group in self._groups:
                group.mkdir()
            if self._is_v2:
                (self._groups[0] / "memory.max").write_text(str(self._memory))
                (self._groups[0] / "memory.swap.max").write_text("0")
                (self._groups[0] / "cpu.max").write_text(f"{_PERIOD_US} {_PERIOD_US}")
            else:
                (self._groups[0] / "memory.limit_in_bytes").write_text(str(self._memory))
                (self._groups[1] / "cpu.cfs_quota_us").write_text(str(_PERIOD_US))
                (self._groups[1] / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        except OSError as error:
            self.__exit__()
            raise NoCage(f"control groups cannot be made here: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        for group in self._groups:
            with contextlib.suppress(OSError):
                group.rmdir()

    def hold(self, pid: int) -> None:
        for group in self._groups:
            (group / "cgroup.procs").write_text(str(pid))

    @property
    def peak_mb(self) -> float:
        """The most memory that was charged at any time."""
        name = "memory.peak" if self._is_v2 else "memory.max_usage_in_bytes"
        return int((self._groups[0] / name).read_text()) / 2**20

    @property
    def kills(self) -> int:
        """How often the kernel killed for want of memory."""
        if self._is_v2:
            name, key = "memory.events", "oom_kill "
        else:
            name, key = "memory.oom_control", "oom_kill "
        for line in (self._groups[0] / name).read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1])
        return 0
