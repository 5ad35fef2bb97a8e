"""The fault plan's bookkeeping: which call is struck by what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk.simulator import Action, CallKind, FaultError, FaultPlan

PLACE, BOOK = CallKind.PLACE, CallKind.BOOK


def plan(*faults: dict[str, Any]) -> FaultPlan:
    made = FaultPlan()
    made.add(faults)
    return made


def struck(faults: FaultPlan, kind: CallKind = PLACE) -> str | None:
    effects = faults.pick(kind)
    return effects.action.value if effects and effects.action else None


def test_no_fault_no_effect() -> None:
    assert FaultPlan().pick(PLACE) is None


def test_skip_and_count_choose_the_calls() -> None:
    faults = plan({"call": "place", "action": "reject", "skip": 2, "count": 2})
    assert [None, None, "reject", "reject", None] == [struck(faults) for _ in range(5)]


def test_null_count_is_for_ever() -> None:
    faults = plan({"action": "reject", "count": None})
    assert {"reject"} == {struck(faults) for _ in range(200)}


def test_rule_for_one_kind_leaves_and_does_not_count_the_others() -> None:
    faults = plan({"call": "place", "action": "reject", "skip": 1})
    assert [None, None] == [struck(faults, BOOK), struck(faults, BOOK)]
    assert [None, "reject"] == [struck(faults), struck(faults)]


def test_first_rule_that_strikes_wins_and_the_next_waits() -> None:
    faults = plan({"action": "reject"}, {"action": "hang"})
    assert ["reject", "hang", None] == [struck(faults) for _ in range(3)]


def test_delays_and_book_faults_come_on_top() -> None:
    faults = plan(
        {"action": "slow", "params": {"ms": 5}},
        {"action": "slow", "params": {"ms": 7}},
        {"action": "slow_answer", "params": {"ms": 3}},
        {"action": "book_lag", "params": {"ms": 9}},
        {"action": "book_omit", "params": {"newest": 2}},
        {"action": "accept_then_reset"},
    )
    effects = faults.pick(BOOK)
    assert effects is not None
    assert (12, 3, 9) == (effects.slow_ms, effects.slow_answer_ms, effects.lag_ms)
    assert effects.omit is not None
    assert 2 == effects.omit["newest"]
    assert Action.ACCEPT_THEN_RESET is effects.action


def test_book_faults_strike_reads_of_the_book_only() -> None:
    faults = plan({"action": "book_fail", "count": None})
    assert {CallKind.BOOK, CallKind.ORDER, CallKind.TRADES} == {
        kind for kind in CallKind if struck(faults, kind)
    }


def test_on_connect_strikes_connections_and_no_request() -> None:
    faults = plan({"action": "reset_before_read", "params": {"on": "connect"}})
    assert struck(faults) is None
    assert [True, False] == [faults.strikes_connect(), faults.strikes_connect()]


def test_spent_rules_are_still_shown() -> None:
    faults = plan({"action": "reject"})
    struck(faults)
    (shown,) = faults.describe()["faults"]
    assert (0, 1) == (shown["left"], shown["fired"])


@given(st.integers(0, 1000), st.floats(0, 1))
def test_same_seed_meets_the_same_faults(seed: int, rate: float) -> None:
    rule = {"seed": seed, "rate": rate, "actions": ["reject", "slow", "hang", "accept_then_reset"]}
    first, second = plan(rule), plan(rule)
    assert [first.pick(PLACE) for _ in range(50)] == [second.pick(PLACE) for _ in range(50)]


def test_rate_is_about_kept() -> None:
    faults = plan({"seed": 1, "rate": 0.2, "actions": ["reject", "hang"], "call": "place"})
    hits = [struck(faults) for _ in range(2000)]
    assert 300 < 2000 - hits.count(None) < 500
    assert {"reject", "hang", None} == set(hits)
    assert 2000 - hits.count(None) == faults.describe()["random"]["fired"]


def test_random_faults_keep_to_their_calls_and_fitting_actions() -> None:
    faults = plan({"seed": 1, "rate": 1, "actions": ["book_fail"]})
    assert struck(faults, PLACE) is None
    assert "book_fail" == struck(faults, BOOK)
    faults = plan({"seed": 1, "rate": 1, "actions": ["reject"], "call": "place"})
    assert struck(faults, BOOK) is None


def test_random_params_are_given_per_action() -> None:
    faults = plan({"seed": 1, "rate": 1, "actions": ["slow"], "params": {"slow": {"ms": 4}}})
    effects = faults.pick(PLACE)
    assert effects is not None
    assert 4 == effects.slow_ms


def test_script_goes_before_chance() -> None:
    faults = plan({"seed": 1, "rate": 1, "actions": ["hang"]}, {"action": "reject"})
    assert ["reject", "hang"] == [struck(faults), struck(faults)]


def test_clear_lifts_all() -> None:
    faults = plan({"seed": 1, "rate": 1, "actions": ["hang"]}, {"action": "reject"})
    faults.clear()
    assert struck(faults) is None
    assert {"faults": [], "random": None} == faults.describe()


def test_connection_faults_need_a_server() -> None:
    with pytest.raises(FaultError, match="serving"):
        plan({"action": "refuse"})


@pytest.mark.parametrize("action", [action.value for action in Action])
def test_every_action_is_documented(action: str) -> None:
    import adapters.sdk.simulator.actions as documented

    assert documented.__doc__ is not None
    assert f"    {action} " in documented.__doc__
