"""Logins: one at a time per account, by the broker's real steps, proven before they count."""

from gateway.sessions.keeper import SessionKeeper
from gateway.sessions.manager import SessionManager
from gateway.sessions.standing import LoginPlan, SessionRules, SessionView
from gateway.sessions.states import SessionState

__all__ = [
    "LoginPlan",
    "SessionKeeper",
    "SessionManager",
    "SessionRules",
    "SessionState",
    "SessionView",
]
