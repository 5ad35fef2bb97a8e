"""The answers of Fyers' login, as the owner's browser and the token bring them. Pure: no I/O."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec

from adapters.fyers.constants import IST, SESSION_EDGE_HOUR
from adapters.sdk.errors import LoginRefused


def auth_code(url: str, state: str) -> str:
    """Take the authorisation code out of the redirected URL, if it answers this very login.

    Raises `LoginRefused`: with `restart` unset where the URL belongs to another login.
    """
    try:
        query = parse_qs(urlsplit(url.strip()).query, keep_blank_values=True)
    except ValueError as error:
        raise LoginRefused("that is not a URL", restart=False) from error
    states = query.get("state", [])
    if not state or len(states) != 1 or not _same(states[0], state):
        raise LoginRefused(
            "the redirected URL does not belong to this login (its state differs)", restart=False
        )
    codes = query.get("auth_code", [])
    said_ok = [word.casefold() for word in query.get("s", ["ok"])] == ["ok"]
    if not said_ok or len(codes) != 1 or not codes[0]:
        message = " ".join(query.get("message", []))[:200]
        raise LoginRefused(
            f"Fyers' login page gave no authorisation code: {message or 'no reason given'}",
            restart=True,
            broker_code=" ".join(query.get("code", []))[:20] or None,
            broker_message=message or None,
        )
    return codes[0]


def session_end(token: str, now: datetime) -> datetime:
    """Say when a token dies: its own `exp`, and 06:00 IST next at the latest (dossier 3.3).

    The token is a JWT whose signature is Fyers' matter. One that cannot be read, or that calls
    itself dead although Fyers just took it, is held to the hard edge alone.
    """
    edge = now.astimezone(IST).replace(hour=SESSION_EDGE_HOUR, minute=0, second=0, microsecond=0)
    if edge <= now:
        edge += timedelta(days=1)
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims
        )
        end = datetime.fromtimestamp(claims.exp, UTC).astimezone(IST)
    except (IndexError, ValueError, OverflowError, OSError, RecursionError):
        return edge
    return min(end, edge) if end > now else edge


class _Claims(msgspec.Struct):
    exp: int


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(errors="replace"), right.encode(errors="replace"))
