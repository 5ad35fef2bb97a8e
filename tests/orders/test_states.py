"""The state table is the design's, and nothing else."""

from __future__ import annotations

import pytest

from gateway.orders.states import (
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    LegState,
    Outcome,
    Summary,
    outcome_of,
    require,
    summarise,
)

S = LegState


def test_every_state_has_a_row_and_an_outcome():
    assert set(TRANSITIONS) == set(LegState)
    assert {outcome_of(state) for state in LegState} == set(Outcome)


@pytest.mark.parametrize("state", [S.DENIED, S.LAPSED, S.REFUSED, S.ABSENT])
def test_our_own_terminal_states_lead_nowhere(state):
    assert not TRANSITIONS[state]
    assert state in TERMINAL


def test_sending_is_entered_only_from_states_in_which_nothing_was_sent():
    into_sending = {old for old, new in TRANSITIONS.items() if S.SENDING in new}

    assert into_sending == {S.READY, S.RETRY_WAIT}


def test_retry_wait_is_entered_only_from_sending():
    assert {old for old, new in TRANSITIONS.items() if S.RETRY_WAIT in new} == {S.SENDING}


def test_an_unknown_leg_never_becomes_unsent_again():
    unsent = {S.READY, S.RETRY_WAIT, S.DENIED, S.LAPSED, S.SENDING}

    for state in (S.UNKNOWN, S.NOT_FOUND, S.DUPLICATE_DETECTED, S.NEEDS_OPERATOR):
        assert not TRANSITIONS[state] & unsent


def test_a_change_outside_the_table_raises():
    with pytest.raises(IllegalTransition, match="UNKNOWN to SENDING"):
        require(S.UNKNOWN, S.SENDING)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([S.ACKED, S.FILLED], Summary.ACCEPTED),
        ([S.CANCELLED, S.EXPIRED], Summary.ACCEPTED),
        ([S.ACKED, S.DENIED], Summary.PARTIAL),
        ([S.FILLED, S.REFUSED], Summary.PARTIAL),
        ([S.REFUSED, S.DENIED], Summary.REJECTED),
        ([S.REJECTED], Summary.REJECTED),
        ([S.DENIED, S.LAPSED], Summary.NOT_SENT),
        ([S.DENIED, S.ABSENT], Summary.NOT_SENT),
        ([S.ACKED, S.UNKNOWN], Summary.PENDING),
        ([S.SENDING, S.REFUSED], Summary.PENDING),
        ([S.NEEDS_OPERATOR], Summary.PENDING),
    ],
)
def test_summary_is_the_designs(states, expected):
    assert summarise(states) is expected
