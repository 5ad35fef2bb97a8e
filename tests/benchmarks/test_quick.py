"""The benchmark's quick run: everything is measured once, and no time is judged."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NGINX = shutil.which("nginx") or Path("/usr/sbin/nginx").exists()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--out", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, folder


@pytest.fixture(scope="module")
def report(run):
    (path,) = run[1].glob("*.json")
    return json.loads(path.read_text())


def test_no_order_is_lost_doubled_or_made_up(report):
    proof = report["proof"]
    placed = sum(s["orders"] + s["warm_up"] for s in report["plan"]["scenarios"])
    assert placed * report["plan"]["rounds"] + report["plan"]["day_orders"] == proof["orders"]
    assert proof["legs"] > proof["orders"]
    for count in ("not_accepted", "lost", "doubled", "unasked"):
        assert 0 == proof[count], count


def test_every_scenario_is_measured_directly_and_through_the_gateway(report):
    scenarios = {
        (result["scenario"]["legs"], result["scenario"]["concurrency"])
        for result in report["results"]
    }
    assert {(1, 1), (1, 4), (1, 8), (3, 1), (3, 8)} == scenarios
    for result in report["results"]:
        assert report["plan"]["rounds"] == len(result["rounds"])
        for sample in result["rounds"]:
            for way in ("direct", "gateway", *(["floor"] if NGINX else [])):
                ranked = [sample[f"{way}_{name}"] for name in ("p50", "p95", "p99")]
                assert 0 < ranked[0] <= ranked[1] <= ranked[2]
            assert 0 < sample["commit_p50"] <= sample["commit_p99"]


def test_the_kill_switch_is_timed_and_nothing_is_sent_long_after_it(report):
    kills = report["kills"]
    assert report["plan"]["kills"] == kills["times"]
    assert 0 < kills["engaged_p50"] <= kills["engaged_max"]
    assert kills["last_send_p50"] <= kills["last_send_max"]


def test_the_report_says_what_it_was_measured_on_and_how(report):
    assert {"processor", "cores", "kernel", "python", "file_system"} <= report["machine"].keys()
    assert report["method"]
    assert report["quick"] is True


def test_memory_and_start_are_measured(report):
    assert 0 < report["day"]["memory_masters_loaded"]
    assert 0 < report["day"]["memory_after_orders"]
    assert {"fyers", "mstock", "hdfc"} == report["day"]["master_rows"].keys()
    assert 0 < report["starts"]["bare"]
    assert 0 < report["starts"]["full"]


def test_every_measured_budget_stands_in_the_table(run, report):
    printed, folder = run
    (markdown,) = folder.glob("*.md")
    assert markdown.read_text() in printed
    for budget in report["budgets"]:
        assert f"| {budget['what']} " in printed
