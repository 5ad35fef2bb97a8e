"""The simulated Fyers login: its page, authorisation codes and tokens (dossier 3.1)."""

from __future__ import annotations

import base64
import html
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from adapters.fyers.constants import SESSION_EDGE_HOUR

AUTH_CODE_LIFETIME: Final = timedelta(seconds=30_000)

_PAGE: Final = """<!doctype html>
<html><head><title>Simulated Fyers login</title></head><body>
<h1>Simulated Fyers login</h1>
<p>App {app_id} wants to trade for {client_id}.</p>
<p>{notice}</p>
<form method="post" action="generate-authcode">
<input type="hidden" name="request_key" value="{request_key}">
<label>One-time password <input name="otp" autocomplete="one-time-code" autofocus></label>
<button>Log in</button>
</form></body></html>
"""


class PendingLogin(msgspec.Struct, frozen=True):
    """A login page that was opened and not yet answered."""

    redirect_uri: str
    state: str | None


class AuthCode(msgspec.Struct, frozen=True):
    """A code that may be exchanged once."""

    expires_at: datetime


def login_page(app_id: str, client_id: str, request_key: str, notice: str = "") -> str:
    """Write the page that asks for the one-time password."""
    fields = {
        "app_id": app_id,
        "client_id": client_id,
        "request_key": request_key,
        "notice": notice,
    }
    return _PAGE.format(**{name: html.escape(value) for name, value in fields.items()})


def mint_jwt(rng: Random, claims: dict[str, Any]) -> str:
    """Make a token of a JWT's shape; its signature is noise, as clients never check it."""
    parts = (
        msgspec.json.encode({"alg": "HS256", "typ": "JWT"}),
        msgspec.json.encode(claims),
        rng.randbytes(32),
    )
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def token_end(now: datetime) -> datetime:
    """Return the next 06:00 IST, when access tokens die (dossier 3.3)."""
    end = now.replace(hour=SESSION_EDGE_HOUR, minute=0, second=0, microsecond=0)
    return end if end > now else end + timedelta(days=1)
