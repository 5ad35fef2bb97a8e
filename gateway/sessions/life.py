"""A session's life between logins: in use, warned of, over; blocked and unblocked."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import Session
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason
from gateway.orders.times import IST
from gateway.sessions.record import Actor, SessionRecord
from gateway.sessions.standing import SessionRules
from gateway.sessions.states import TRANSITIONS, SessionState

log = logging.getLogger(__name__)


class SessionLife:
    """Changes how accounts stand, by the table in `states`."""

    def __init__(self, record: SessionRecord, rules: SessionRules) -> None:
        self._record = record
        self._rules = rules

    def look(self, account: Account) -> None:
        """Notice that a session has ended, or will soon."""
        session = account.session
        if session is None:
            return
        left = session.expires_at - _now()
        if left <= timedelta(0):
            self.end(account, "the session ended at its time")
            return
        standing = self._record.of(account)
        ahead = standing.due_warning(left, self._rules.warn_ahead)
        if standing.warned_s is not None and standing.state is SessionState.ACTIVE:
            standing.move(SessionState.EXPIRING, standing.last_error)
        if ahead is not None:
            log.warning(
                "%s: the session ends at %s, in %d minutes",
                account.id,
                session.expires_at.astimezone(IST).isoformat(),
                left // timedelta(minutes=1),
            )
            ahead_s, left_s = int(ahead.total_seconds()), int(left.total_seconds())
            self._record.later(
                self._record.note(account, "expiring", ahead_s=ahead_s, left_s=left_s)
            )

    def end(self, account: Account, why: str) -> None:
        """Drop a session, and erase its token and tell of it as soon as the journal can."""
        self.expire(account, why)
        self._record.later(self._record.save(account, None, "expired", reason=why))

    def expire(self, account: Account, why: str) -> None:
        self.note_end(account, why)
        self._record.of(account).move(SessionState.EXPIRED, why)

    def note_end(self, account: Account, why: str) -> None:
        account.session = None
        account.session_problem = Reason(
            code=ReasonCode.SESSION_EXPIRED,
            message=f"the session of {account.id} has ended ({why});"
            f" log in again: POST /v1/sessions/{account.id}/login",
            retryable=True,
        )

    def activate(self, account: Account, session: Session) -> None:
        standing = self._record.of(account)
        if account.session is None:
            self.move(account, SessionState.ACTIVE)
        else:
            standing.move(SessionState.ACTIVE)
        account.session = session
        account.session_problem = None
        standing.proven_at = _now().astimezone(IST)
        standing.refused_logins = 0
        standing.attempts_left = None
        standing.is_blocked = False
        standing.warned_s = None

    def move(self, account: Account, state: SessionState, error: str | None = None) -> None:
        """Change the state that is shown. A renewal does not take a working session out of use."""
        standing = self._record.of(account)
        if account.session is not None:
            standing.last_error = error or standing.last_error
            return
        is_login = SessionState.LOGGING_IN in TRANSITIONS[standing.state]
        if state is not standing.state and state not in TRANSITIONS[standing.state] and is_login:
            # The session ended in the middle of its renewal, which is a login from here on.
            standing.move(SessionState.LOGGING_IN)
        standing.move(state, error)

    async def unblock(self, account: Account, actor: Actor | None) -> None:
        """One more try: the next refusal blocks again."""
        standing = self._record.of(account)
        standing.is_blocked = False
        standing.refused_logins = min(standing.refused_logins, self._rules.most_refused - 1)
        if standing.state is SessionState.BLOCKED:
            standing.move(SessionState.MISSING, standing.last_error)
        await self._record.note(account, "unblocked", actor=actor)


def _now() -> datetime:
    return datetime.now(UTC)
