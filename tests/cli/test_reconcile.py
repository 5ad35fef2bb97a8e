"""`brokergate reconcile` on a gateway that was stopped: what was kept is compared."""

from __future__ import annotations

from gateway.cli.client import ask
from tests.cli.conftest import Program
from tests.cli.test_practice import ORDER, Practice


def test_a_stopped_gateways_day_is_compared_with_what_it_kept(program: Program) -> None:
    practice = Practice(program, "mstock")
    practice.log_in()
    key = {"Idempotency-Key": "k"}
    order = {**ORDER, "accounts": [practice.account]}
    placed = ask(practice.api(), "POST", "/v1/orders", order, headers=key)
    assert "accepted" == placed["summary"]
    live = program.json("reconcile")
    practice.stop()

    kept = program.json("reconcile")
    told = program.run("reconcile")
    before = program.run("reconcile", "--date", "2026-01-05")
    wrong = program.run("reconcile", "--date", "yesterday")
    future = program.run("reconcile", "--date", "2999-01-01")

    (was,), (result,) = live["results"], kept["results"]
    assert ("match", "live", 1) == (live["summary"], was["source"], was["legs"])
    assert ("match", "snapshot", 1) == (kept["summary"], result["source"], result["legs"])
    assert (0, "Everything matches.") == (told.returncode, told.stdout.splitlines()[-1])
    assert 0 == before.returncode
    assert "not compared: nothing of ours, no book" in before.stdout
    assert (2, 1) == (wrong.returncode, future.returncode)
    assert "date is in the future" in future.stderr


def test_positions_need_a_gateway_that_runs(home: Program) -> None:
    done = home.run("positions")

    assert 1 == done.returncode
    assert "the gateway is not running" in done.stderr
