"""A short run of the whole machine. The long ones are made by hand: `just chaos`, docs/chaos.md."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.plan import Plan
from tests.chaos.run import run


async def test_faults_and_kills_break_no_invariant(tmp_path: Path) -> None:
    plan = Plan(orders=120, kills=6, seed=3, scale=30)

    outcome = await run(plan, tmp_path)

    assert [] == outcome.violations
    assert plan.kills == outcome.score.kills
    assert outcome.score.orders >= plan.orders
    # A storm that did not blow would prove nothing.
    assert outcome.score.faults > 50
    assert outcome.score.recovered["echo"].of > 5
