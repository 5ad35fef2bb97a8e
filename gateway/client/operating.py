"""Accounts, sessions and the kill switch, as the gateway answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Session(msgspec.Struct, kw_only=True):
    """`covers_close`: whether it lasts until 15:30 IST."""

    account: str
    broker: str
    state: str
    logged_in_at: datetime | None = None
    expires_at: datetime | None = None
    covers_close: bool | None = None
    proven_at: datetime | None = None
    last_error: str | None = None
    refused_logins: int = 0
    attempts_left: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether orders can go out: the session works, though it may end soon."""
        return self.state in ("active", "expiring")


class SessionList(msgspec.Struct, kw_only=True):
    sessions: list[Session]


class LoginStep(msgspec.Struct, kw_only=True):
    """Where a login stands: `active`, `otp_required`, `redirect_required` or `parked`."""

    state: str
    account: str | None = None
    challenge_id: str | None = None
    prompt: str | None = None
    login_url: str | None = None
    expires_at: datetime | None = None


class Account(msgspec.Struct, kw_only=True):
    account: str
    broker: str
    title: str
    ready: bool
    session: Session
    unresolved: int = 0
    open_legs: int = 0
    filled_today: dict[str, Any] | None = None
    last_error: dict[str, Any] | None = None
    breakers: dict[str, str] = {}
    limits: dict[str, Any] = {}
    master: dict[str, Any] | None = None


class AccountList(msgspec.Struct, kw_only=True):
    accounts: list[Account]


class Switch(msgspec.Struct, kw_only=True):
    """One engagement of the kill switch."""

    id: str
    scope: str
    level: str
    reason: str
    source: str
    target: str | None = None
    engaged_at: datetime | None = None
    engaged_by: str | None = None
    progress: str = "none"
    cancels: dict[str, Any] | None = None
    square_off: dict[str, Any] | None = None
    unresolved: list[dict[str, Any]] = []


class Engaged(Switch, kw_only=True):
    """`on_the_wire`: writes that had gone before the switch stood."""

    blocked_at: datetime | None = None
    blocked_in_ms: float = 0.0
    persisted: bool = False
    on_the_wire: list[dict[str, Any]] = []


class KillSwitch(msgspec.Struct, kw_only=True):
    """`level` is the global one; `switches` are all that are engaged."""

    engaged: bool
    switches: list[Switch]
    level: str | None = None
    kill_file: bool = False
    journal_broken: bool = False
