"""What a login step answers, and what is remembered of a login until its owner goes on."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from adapters.sdk.errors import LoginRefused
from adapters.sdk.models import OtpRequired, RedirectRequired
from gateway.orchestrator.account import Account
from gateway.orders.times import IST
from gateway.sessions.states import SessionState

_CALLBACK_LIFE = timedelta(minutes=5)


class LoginAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The answer to a login step: `active`, or what the owner has to do next."""

    state: SessionState
    challenge_id: str | None = None
    prompt: str | None = None
    login_url: str | None = None
    expires_at: datetime | None = None
    account: str | None = None


class Pending(msgspec.Struct, kw_only=True):
    """A login that waits for its owner. One per account; a new login replaces it."""

    challenge_id: str
    step: OtpRequired | RedirectRequired
    expires_at: datetime
    parked_url: str | None = None


def asked(
    account_id: str, step: OtpRequired | RedirectRequired, now: datetime
) -> tuple[Pending, LoginAnswer]:
    """Turn what the broker wants into what is remembered and what the owner is told."""
    is_otp = isinstance(step, OtpRequired)
    expires_at = step.expires_at if is_otp else min(step.expires_at, now + _CALLBACK_LIFE)
    pending = Pending(challenge_id="chl_" + secrets.token_hex(8), step=step, expires_at=expires_at)
    answer = LoginAnswer(
        state=SessionState.OTP_REQUIRED if is_otp else SessionState.REDIRECT_REQUIRED,
        account=account_id,
        challenge_id=pending.challenge_id,
        prompt=step.prompt if isinstance(step, OtpRequired) else None,
        login_url=step.login_url if isinstance(step, RedirectRequired) else None,
        expires_at=expires_at.astimezone(IST),
    )
    return pending, answer


def check_owner(
    account: Account, proven: str, wanted: str | None, accounts: Iterable[Account]
) -> None:
    """Refuse a login that is another client's than configured, or another account's.

    Raises: `LoginRefused`.
    """
    if wanted and wanted.casefold() != proven.casefold():
        raise LoginRefused(
            f"the login belongs to another client code than the client_id set for {account.id}",
            restart=True,
        )
    for other in accounts:
        same_broker = other.id != account.id and other.broker == account.broker
        if same_broker and other.session and other.session.client_id == proven:
            raise LoginRefused(
                f"{account.id} and {other.id} are the same client code; remove one of them",
                restart=True,
            )
