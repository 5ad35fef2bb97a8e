"""Logins: one at a time per account, by the broker's real steps, proven before they count."""

from gateway.sessions.manager import SessionManager, SessionView
from gateway.sessions.states import SessionState

__all__ = ["SessionManager", "SessionState", "SessionView"]
