"""How an account stands with its broker: what is shown of it, and what a restart must know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import msgspec

from adapters.sdk.interface import LoginKind
from adapters.sdk.models import Session
from gateway.orders.times import IST
from gateway.sessions.states import SessionState, require

MARKET_CLOSE = time(15, 30)


class SessionView(msgspec.Struct, kw_only=True):
    """What may be shown of an account's session. Times are aware, in IST.

    `refused_logins`: how often the broker refused since the last good login. `attempts_left`:
    how often it will still listen, where it says so.
    """

    account: str
    broker: str
    state: SessionState
    logged_in_at: datetime | None = None
    expires_at: datetime | None = None
    covers_close: bool | None = None
    proven_at: datetime | None = None
    last_error: str | None = None
    refused_logins: int = 0
    attempts_left: int | None = None


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """`warn_ahead`: how long before its end a session is warned of, each once.

    `most_refused`: after so many refusals in a row no login is tried without the owner's word.
    """

    warn_ahead: tuple[timedelta, ...] = (timedelta(minutes=30), timedelta(minutes=5))
    most_refused: int = 3


class LoginPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How an account logs in, and at what time of an Indian trading day."""

    kind: str = ""
    login_at: time | None = None

    def needs_nobody(self, credentials: dict[str, str]) -> bool:
        """Whether a login goes through without a person: the owner stored what it takes."""
        if self.kind == LoginKind.NONE:
            return True
        return self.kind == LoginKind.TOTP and bool(credentials.get("totp_secret"))


class Standing(msgspec.Struct, kw_only=True):
    """What is stored beside the token. `warned_s`: the shortest warning told of this session."""

    state: SessionState = SessionState.MISSING
    last_error: str | None = None
    proven_at: datetime | None = None
    refused_logins: int = 0
    attempts_left: int | None = None
    is_blocked: bool = False
    warned_s: int | None = None
    login_day: date | None = None

    def move(self, new: SessionState, error: str | None = None) -> None:
        """Change the state, by the table. Raises `IllegalSessionChange`."""
        if new is not self.state or new is SessionState.ACTIVE:
            require(self.state, new)
        self.state, self.last_error = new, error

    def view(self, account: str, broker: str, session: Session | None) -> SessionView:
        """Show it, with what there is of a session."""
        view = SessionView(
            account=account,
            broker=broker,
            state=self.state,
            last_error=self.last_error,
            refused_logins=self.refused_logins,
            attempts_left=self.attempts_left,
        )
        if session is not None:
            view.logged_in_at = session.logged_in_at.astimezone(IST)
            view.expires_at = session.expires_at.astimezone(IST)
            view.covers_close = view.expires_at >= close_of(datetime.now(IST).date())
            view.proven_at = self.proven_at
        return view

    def due_warning(self, left: timedelta, ahead: Sequence[timedelta]) -> timedelta | None:
        """Return the warning to tell now, and remember it; None where it was told already.

        Of several that are due at once, after a pause, only the most pressing is told.
        """
        due = [each for each in ahead if left <= each]
        if not due:
            return None
        most_pressing = min(due)
        seconds = int(most_pressing.total_seconds())
        if self.warned_s is not None and seconds >= self.warned_s:
            return None
        self.warned_s = seconds
        return most_pressing


def close_of(day: date) -> datetime:
    """When the equity market closes on a day."""
    return datetime.combine(day, MARKET_CLOSE, IST)
