"""The table of session states: what may follow what, and that nothing is left out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.sessions.standing import Standing
from gateway.sessions.states import (
    KEPT,
    TRANSITIONS,
    USABLE,
    WAITING,
    IllegalSessionChange,
    SessionState,
    require,
)

S = SessionState
AHEAD = (timedelta(minutes=30), timedelta(minutes=5))


def test_the_table_has_every_state() -> None:
    assert set(S) == set(TRANSITIONS)
    assert set(S) == {state for ends in TRANSITIONS.values() for state in ends}


@pytest.mark.parametrize("old", S)
@pytest.mark.parametrize("new", S)
def test_only_what_the_table_has_may_happen(old: SessionState, new: SessionState) -> None:
    if new in TRANSITIONS[old]:
        require(old, new)
    else:
        with pytest.raises(IllegalSessionChange, match=f"from {old} to {new}"):
            require(old, new)


def test_a_session_begins_only_with_a_login() -> None:
    before = {old for old, ends in TRANSITIONS.items() if S.ACTIVE in ends}

    assert {S.LOGGING_IN, S.ACTIVE, S.EXPIRING} == before


def test_no_login_begins_from_blocked() -> None:
    assert {S.MISSING} == TRANSITIONS[S.BLOCKED]


def test_from_every_state_the_owner_can_get_a_session() -> None:
    reached = {S.ACTIVE}
    for _ in S:
        reached |= {old for old, ends in TRANSITIONS.items() if ends & reached}
    assert set(S) == reached


def test_what_outlives_a_restart_holds_no_login_under_way() -> None:
    assert not KEPT & (WAITING | USABLE | {S.LOGGING_IN})


def test_each_warning_is_due_once_and_the_most_pressing_alone() -> None:
    standing = Standing()

    def due(minutes: float) -> timedelta | None:
        return standing.due_warning(timedelta(minutes=minutes), AHEAD)

    assert [None, AHEAD[0], None, AHEAD[1], None] == [due(31), due(30), due(12), due(5), due(1)]
    standing = Standing()
    assert [AHEAD[1], None] == [due(3), due(2)]
