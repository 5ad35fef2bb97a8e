"""The states of an account's login: one table that every change of state goes through.

A session that works is not put out of use by a renewal: while it lasts, the account stays ACTIVE
or EXPIRING, and the steps of the new login are not shown.
"""

from __future__ import annotations

from enum import StrEnum


class SessionState(StrEnum):
    """`PARKED`: a redirect came back that nothing binds to the pending login; confirm it.

    `EXPIRING`: works, and ends within the longest of `session.warn_ahead`. `BLOCKED`: so many
    logins were refused that another could lock the account at the broker; the owner's word only.
    """

    MISSING = "missing"
    LOGGING_IN = "logging_in"
    OTP_REQUIRED = "otp_required"
    REDIRECT_REQUIRED = "redirect_required"
    PARKED = "parked"
    ACTIVE = "active"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    REFUSED = "refused"
    BLOCKED = "blocked"


class IllegalSessionChange(RuntimeError):
    """A change of state that the table does not hold: a bug here, never the caller's mistake."""


S = SessionState

USABLE = frozenset({S.ACTIVE, S.EXPIRING})
"""A session is there: orders go out."""
WAITING = frozenset({S.OTP_REQUIRED, S.REDIRECT_REQUIRED, S.PARKED})
"""A login waits for its owner."""
KEPT = frozenset({S.EXPIRED, S.REFUSED, S.BLOCKED})
"""What is still so after a restart; a login that was under way is not."""

TRANSITIONS: dict[SessionState, frozenset[SessionState]] = {
    S.MISSING: frozenset({S.LOGGING_IN, S.BLOCKED}),
    # A step that was not sent (breaker open) leaves everything as it was.
    S.LOGGING_IN: frozenset(S) - {S.LOGGING_IN},
    S.OTP_REQUIRED: frozenset({S.LOGGING_IN, S.MISSING}),
    S.REDIRECT_REQUIRED: frozenset({S.LOGGING_IN, S.PARKED, S.MISSING}),
    S.PARKED: frozenset({S.LOGGING_IN, S.MISSING}),
    # To ACTIVE again: a renewal.
    S.ACTIVE: frozenset({S.ACTIVE, S.EXPIRING, S.EXPIRED, S.MISSING}),
    S.EXPIRING: frozenset({S.ACTIVE, S.EXPIRED, S.MISSING}),
    S.EXPIRED: frozenset({S.LOGGING_IN, S.MISSING, S.BLOCKED}),
    S.REFUSED: frozenset({S.LOGGING_IN, S.MISSING, S.BLOCKED}),
    # No login begins from here: the owner lifts the block first.
    S.BLOCKED: frozenset({S.MISSING}),
}


def require(old: SessionState, new: SessionState) -> None:
    """Raise `IllegalSessionChange` unless the table has this change."""
    if new not in TRANSITIONS[old]:
        raise IllegalSessionChange(f"a session cannot go from {old} to {new}")
