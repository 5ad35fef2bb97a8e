"""Beside the last committed report: what became faster, what slower."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

Row = tuple[str, float, float, str]


def newest(folder: Path) -> dict[str, Any] | None:
    """Read the newest report in a folder, of whatever version; None without one."""
    paths = sorted(folder.glob("????-??-??.json"))
    return msgspec.json.decode(paths[-1].read_bytes()) if paths else None


def compare(before: dict[str, Any], now: dict[str, Any]) -> list[Row]:
    """Return what both reports measured: name, before, now, unit."""
    found = _figures(now)
    return [
        (name, value, found[name][0], unit)
        for name, (value, unit) in _figures(before).items()
        if name in found
    ]


def _figures(report: dict[str, Any]) -> dict[str, tuple[float, str]]:
    return dict(_each_figure(report))


def _each_figure(report: dict[str, Any]) -> Iterator[tuple[str, tuple[float, str]]]:
    medians = [result["median"] for result in report["results"]]
    if yardsticks := [each["yardstick_ms"] for each in medians if "yardstick_ms" in each]:
        name = "the machine itself: a fixed piece of Python"
        yield name, (statistics.median(yardsticks), "ms")
    for result in report["results"]:
        scenario, median = result["scenario"], result["median"]
        name = f"{scenario['name']}, {scenario['concurrency']} at once"
        yield f"{name}: overhead p50", (result["overhead_p50"], "ms")
        yield f"{name}: overhead p99", (result["overhead_p99"], "ms")
        yield f"{name}: CPU per order", (median["cpu_ms_per_order"], "ms")
        if scenario["concurrency"] > 1:
            yield f"{name}: orders", (median["orders_per_second"], "per s")
    if kills := report.get("kills"):
        yield "kill switch answered, median", (kills["engaged_p50"], "ms")
    yield "memory, masters loaded", (report["day"]["memory_masters_loaded"], "MB")
    yield "memory after the day", (report["day"]["memory_after_orders"], "MB")
    yield "start, empty", (report["starts"]["empty"], "s")
    yield "start, a day's journal", (report["starts"]["full"], "s")
