"""The leg state machine: one table that every change of state goes through.

`TRANSITIONS` is the whole of it (design section 3). `require` is called by the store in the
transaction that writes the change, so no other change can reach the journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class LegState(StrEnum):
    READY = "READY"
    SENDING = "SENDING"
    RETRY_WAIT = "RETRY_WAIT"
    DENIED = "DENIED"
    LAPSED = "LAPSED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    NOT_FOUND = "NOT_FOUND"
    DUPLICATE_DETECTED = "DUPLICATE_DETECTED"
    NEEDS_OPERATOR = "NEEDS_OPERATOR"
    ACKED = "ACKED"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER_PENDING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    ABSENT = "ABSENT"


class Outcome(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Summary(StrEnum):
    ACCEPTED = "accepted"
    PARTIAL = "partial"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    PENDING = "pending"


class IllegalTransition(RuntimeError):
    """A change of state that the table does not hold: a bug here, never the caller's mistake."""


S = LegState

LIVE = frozenset({S.OPEN, S.TRIGGER_PENDING, S.PARTIALLY_FILLED})
BROKER_FINAL = frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED})
TERMINAL = BROKER_FINAL | {S.DENIED, S.LAPSED, S.REFUSED, S.ABSENT}
UNPROVEN = frozenset({S.UNKNOWN, S.NOT_FOUND, S.DUPLICATE_DETECTED, S.NEEDS_OPERATOR})
UNSENT = frozenset({S.READY, S.RETRY_WAIT})
AT_BROKER = LIVE | {S.ACKED}

_BOOK = LIVE | BROKER_FINAL

TRANSITIONS: dict[LegState, frozenset[LegState]] = {
    S.READY: frozenset({S.SENDING, S.DENIED, S.LAPSED}),
    S.SENDING: frozenset({S.ACKED, S.REFUSED, S.RETRY_WAIT, S.UNKNOWN}),
    S.RETRY_WAIT: frozenset({S.SENDING, S.DENIED, S.LAPSED}),
    S.DENIED: frozenset(),
    S.LAPSED: frozenset(),
    S.REFUSED: frozenset(),
    S.UNKNOWN: frozenset({S.ACKED, S.REFUSED, S.NOT_FOUND, S.DUPLICATE_DETECTED, S.NEEDS_OPERATOR}),
    S.NOT_FOUND: frozenset({S.ACKED, S.DUPLICATE_DETECTED, S.ABSENT, S.NEEDS_OPERATOR}),
    S.DUPLICATE_DETECTED: frozenset({S.ACKED}),
    S.NEEDS_OPERATOR: frozenset({S.ACKED, S.ABSENT}),
    S.ACKED: _BOOK | {S.NEEDS_OPERATOR},
    S.OPEN: (_BOOK - {S.OPEN}) | {S.NEEDS_OPERATOR},
    S.TRIGGER_PENDING: (_BOOK - {S.TRIGGER_PENDING}) | {S.NEEDS_OPERATOR},
    S.PARTIALLY_FILLED: (_BOOK - {S.PARTIALLY_FILLED}) | {S.NEEDS_OPERATOR},
    # The broker's final word, corrected (with an alarm) only by the broker itself.
    S.FILLED: _BOOK - {S.FILLED},
    S.CANCELLED: _BOOK - {S.CANCELLED},
    S.REJECTED: _BOOK - {S.REJECTED},
    S.EXPIRED: _BOOK - {S.EXPIRED},
    S.ABSENT: frozenset(),
}

_OUTCOMES: dict[LegState, Outcome] = {
    S.READY: Outcome.PENDING,
    S.SENDING: Outcome.PENDING,
    S.RETRY_WAIT: Outcome.PENDING,
    S.ACKED: Outcome.ACCEPTED,
    S.OPEN: Outcome.ACCEPTED,
    S.TRIGGER_PENDING: Outcome.ACCEPTED,
    S.PARTIALLY_FILLED: Outcome.ACCEPTED,
    S.FILLED: Outcome.ACCEPTED,
    S.CANCELLED: Outcome.ACCEPTED,
    S.EXPIRED: Outcome.ACCEPTED,
    S.REFUSED: Outcome.REJECTED,
    S.REJECTED: Outcome.REJECTED,
    S.DENIED: Outcome.NOT_SENT,
    S.LAPSED: Outcome.NOT_SENT,
    S.ABSENT: Outcome.ABSENT,
    S.UNKNOWN: Outcome.UNKNOWN,
    S.NOT_FOUND: Outcome.UNKNOWN,
    S.DUPLICATE_DETECTED: Outcome.UNKNOWN,
    S.NEEDS_OPERATOR: Outcome.UNKNOWN,
}


def require(old: LegState, new: LegState) -> None:
    """Raise `IllegalTransition` unless the table allows `old` to become `new`."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"a leg cannot go from {old} to {new}")


def outcome_of(state: LegState) -> Outcome:
    return _OUTCOMES[state]


def summarise(states: Iterable[LegState]) -> Summary:
    """One word for a whole order, from its legs' current states (design section 4)."""
    outcomes = {_OUTCOMES[state] for state in states}
    if outcomes & {Outcome.PENDING, Outcome.UNKNOWN}:
        return Summary.PENDING
    if outcomes == {Outcome.ACCEPTED}:
        return Summary.ACCEPTED
    if Outcome.ACCEPTED in outcomes:
        return Summary.PARTIAL
    if Outcome.REJECTED in outcomes:
        return Summary.REJECTED
    return Summary.NOT_SENT
