"""Reports side by side, those of older versions included."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.beside import as_table, pairs_of
from benchmarks.compare import compare, newest

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def report(overhead: float, **more: object) -> dict:
    return {
        "results": [
            {
                "scenario": {"name": "1 leg", "concurrency": 8},
                "median": {"cpu_ms_per_order": 1.5, "orders_per_second": 700.0},
                "overhead_p50": overhead,
                "overhead_p99": 9.0,
            }
        ],
        "day": {"memory_masters_loaded": 60.0, "memory_after_orders": 90.0},
        "starts": {"empty": 0.5, "full": 1.0},
        **more,
    }


def test_only_what_both_measured_is_compared():
    rows = compare(report(2.0), report(3.0, kills={"engaged_p50": 5.0}))
    assert ("1 leg, 8 at once: overhead p50", 2.0, 3.0, "ms") in rows
    assert not [row for row in rows if "kill" in row[0]]
    rows = compare(report(2.0, kills={"engaged_p50": 4.0}), report(3.0, kills={"engaged_p50": 5.0}))
    assert ("kill switch answered, median", 4.0, 5.0, "ms") in rows


def test_the_newest_report_is_taken_and_the_committed_ones_can_be_compared(tmp_path):
    assert newest(tmp_path) is None
    for day in ("2026-01-31", "2026-02-01"):
        (tmp_path / f"{day}.json").write_text(json.dumps({"taken_at": day}))
    assert {"taken_at": "2026-02-01"} == newest(tmp_path)
    committed = newest(RESULTS)
    assert committed is not None
    assert all(before == now for _, before, now, _ in compare(committed, committed))


def test_two_commits_are_compared_pair_by_pair():
    # The machine slowed down threefold between the pairs: only the ratios within them tell.
    pairs = pairs_of([(report(1.0), report(2.0)), (report(3.0), report(6.0))])

    assert [(1.0, 2.0), (3.0, 6.0)] == pairs["1 leg, 8 at once: overhead p50", "ms"]
    [row] = [line for line in as_table("v1", pairs).splitlines() if "overhead p50" in line]
    assert "| 2.00 ms | 4.00 ms | 2.00 | 2.00 to 2.00 |" in row


def test_a_figure_that_was_nothing_has_no_ratio():
    nothing = pairs_of([(report(0.0), report(2.0))])
    assert "overhead p50" not in as_table("v1", nothing)
