"""What a login step answers, and what is remembered of a login until its owner goes on."""

from __future__ import annotations

from datetime import datetime

import msgspec

from adapters.sdk.models import OtpRequired, RedirectRequired
from gateway.sessions.states import SessionState


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
