"""The other benchmarks' quick runs: everything is measured once, and no time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cage import Cage, NoCage
from benchmarks.stages import WORK

ROOT = Path(__file__).parents[2]


def run(folder: Path, module: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", "--quick", "--out", folder, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == done.returncode, done.stderr
    (path,) = folder.glob("*.json")
    assert path.with_suffix(".md").read_text() in done.stdout
    assert "</svg>" in path.with_suffix(".svg").read_text()
    return json.loads(path.read_text())


def test_growth_is_measured_for_every_variant_beside_the_first(tmp_path):
    growth = run(tmp_path, "growth", "--rounds", "1")
    few, more = growth["variants"]
    assert few["variant"]["audit"] < more["variant"]["audit"]
    assert (1, 1) == (few["p50_ratio"], few["cpu_ratio"])
    assert 0 < more["overhead_p50"]
    assert 0 < more["cpu_ms_per_order"]


def test_every_stage_of_an_order_is_timed_at_every_broker(tmp_path):
    stages = run(tmp_path, "stages")
    assert {"fyers", "mstock", "hdfc"} == stages["work"].keys()
    for broker, parts in stages["work"].items():
        assert len(WORK) + 1 == len(parts)
        assert all(0 < part for part in parts[:-1]), parts
        assert sum(parts[:-1]) < 3 * stages["whole"][broker]


def test_a_soak_reads_the_process_while_orders_go_through_it(tmp_path):
    soak = run(tmp_path, "soak", "--per-second", "5")
    assert soak["orders"] == soak["proof"]["orders"]
    for count in ("not_accepted", "lost", "doubled", "unasked"):
        assert 0 == soak["proof"][count], count
    assert 2 < len(soak["readings"])
    for reading in soak["readings"]:
        assert 0 < reading["pss_mb"]
        assert 0 < reading["files"]
        assert 0 < reading["threads"]
    assert 10 == len(soak["tenths"])


def test_a_process_in_the_cage_cannot_have_more_memory_than_it_allows():
    hungry = "input(); x = bytearray(200 * 2**20); print(len(x))"
    try:
        with Cage(64, "brokergate-test") as cage:
            process = subprocess.Popen(
                [sys.executable, "-c", hungry], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            cage.hold(process.pid)
            out, _ = process.communicate(b"\n", timeout=60)
            assert (b"", 0) != (out, process.returncode)
            assert 1 == cage.kills
            assert cage.peak_mb <= 64
    except NoCage as error:
        pytest.skip(str(error))
