"""The simulated Fyers login: its page, authorisation codes and tokens (dossier 3.1)."""

from __future__ import annotations

import base64
import html
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from adapters.fyers.constants import SESSION_EDGE_HOUR
from adapters.sdk.transport import HttpRequest, WebTransport

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


async def complete_login(login_url: str, control_url: str, *, ca_file: str | None = None) -> str:
    """Open the login page, type the one-time password in, and return where it redirects to.

    That URL is what `submit_redirect` and the gateway's callback want. The password comes from
    the simulator's control plane. Raises `RuntimeError` where the page does not take the login.
    """
    parts = urlsplit(login_url)
    page_host = WebTransport(f"{parts.scheme}://{parts.netloc}", ca_file=ca_file)
    control = WebTransport(control_url, ca_file=ca_file)
    try:
        page = await page_host.send(HttpRequest("GET", f"{parts.path}?{parts.query}"))
        _, found, rest = page.body.decode().partition('name="request_key" value="')
        if not found:
            raise RuntimeError(f"the login page answered HTTP {page.status}")
        otp = (await control.send(HttpRequest("GET", "/_sim/otp"))).json()["otp"]
        form = urlencode({"request_key": rest.partition('"')[0], "otp": otp})
        answered = await page_host.send(
            HttpRequest(
                "POST",
                parts.path,
                headers=(("Content-Type", "application/x-www-form-urlencoded"),),
                body=form.encode(),
            )
        )
    finally:
        await page_host.close()
        await control.close()
    if "location" not in answered.headers:
        raise RuntimeError(f"the login page answered HTTP {answered.status} to the OTP")
    return answered.headers["location"]


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
