"""m.Stock's login: the password, then an OTP or a TOTP code (dossier 3).

No step is ever repeated by itself: wrong passwords count down to a locked account.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from adapters.mstock import parse
from adapters.mstock.client import MstockClient
from adapters.mstock.config import CHALLENGE_LIFETIME_S
from adapters.mstock.constants import IST
from adapters.sdk.errors import Denied, LoginRefused, NotSupported, ReasonCode
from adapters.sdk.interface import LoginKind
from adapters.sdk.models import LoginStep, OtpRequired, Session

_STEP_S: Final = 30
# A code sent at the very end of its half minute may arrive in the next one.
_MARGIN_S: Final = 2.0
_PRINTABLE: Final = re.compile(r"[!-~]+")


class Login:
    """The login of one account. Which second step it has is a setting: no answer tells."""

    def __init__(self, client: MstockClient, kind: str) -> None:
        self._client = client
        self._mode = "totp" if kind == LoginKind.TOTP else "otp"

    async def begin(self, credentials: Mapping[str, str]) -> LoginStep:
        """Send the password. With a stored TOTP secret this goes through to the session."""
        secret = credentials.get("totp_secret", "").strip()
        code = _Code(secret) if self._mode == "totp" and secret else None
        asked = await self._password(credentials)
        if code is None:
            return asked
        return await self.answer(credentials, asked.pending, await code.now())

    async def again(self, credentials: Mapping[str, str]) -> OtpRequired:
        """Send the password once more, which sends another OTP; only on the owner's request.

        There is no route for another OTP: an expired one says "regenerate", and that is step 1.
        """
        if self._mode == "totp":
            raise NotSupported("with TOTP no code is sent: read the next one from the app")
        return await self._password(credentials)

    async def answer(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], code: str
    ) -> LoginStep:
        """Send the second step and return the session.

        Raises:
            LoginRefused: the code is wrong (an OTP may then be typed once more), or the login
                must begin again.
        """
        digits = code.strip()
        if not re.fullmatch(r"[0-9]{4,8}", digits):
            raise LoginRefused(
                "that is not a one-time code (digits only); nothing was sent", restart=False
            )
        refresh_token = pending.get("request_token", "")
        if not refresh_token:
            raise LoginRefused("this login is not pending: begin again", restart=True)
        api_key = _credential(credentials, "api_key")
        issued_at = datetime.now(IST)
        if self._mode == "totp":
            envelope = await self._client.post_session_verifytotp(
                api_key=api_key, refresh_token=refresh_token, totp=digits
            )
        else:
            envelope = await self._client.post_session_token(
                api_key=api_key, refresh_token=refresh_token, otp=digits
            )
        tokens = parse.login_tokens(envelope, mode=self._mode)
        return Session(
            token=tokens.jwt,
            # Step 2 with an OTP names nobody: the code that logged in is the code proven.
            client_id=tokens.client_id or pending.get("client_code", ""),
            logged_in_at=issued_at,
            expires_at=parse.session_end(issued_at),
            extra={"api_key": api_key},
        )

    async def _password(self, credentials: Mapping[str, str]) -> OtpRequired:
        _credential(credentials, "api_key")
        username = _credential(credentials, "username")
        password = credentials.get("password", "")
        if not password:
            raise _missing("password")
        envelope = await self._client.post_connect_login(clientcode=username, password=password)
        request_token = parse.request_token(envelope)
        return OtpRequired(
            prompt=self._prompt(envelope.message),
            expires_at=datetime.now(IST) + timedelta(seconds=CHALLENGE_LIFETIME_S),
            pending={"request_token": request_token, "client_code": username.upper()},
        )

    def _prompt(self, message: str) -> str:
        if self._mode == "totp":
            return "Enter the 6-digit TOTP code of your authenticator app"
        return message if "otp" in message.lower() else "Enter the OTP that m.Stock sent you"


class _Code:
    """Time-based codes of a Base32 secret (RFC 6238, SHA-1, 6 digits, 30 s)."""

    def __init__(self, secret: str) -> None:
        plain = re.sub(r"[\s=-]", "", secret).upper()
        try:
            key = base64.b32decode(plain + "=" * (-len(plain) % 8))
        except ValueError:
            raise Denied(
                "credential totp_secret is not Base32", reason=ReasonCode.SESSION_MISSING
            ) from None
        self._totp = TOTP(key, 6, SHA1(), _STEP_S, enforce_key_length=False)  # noqa: S303

    async def now(self) -> str:
        """Return the current code, waiting for the next one when this one is about to end."""
        left_s = _STEP_S - time.time() % _STEP_S
        if left_s < _MARGIN_S:
            await asyncio.sleep(left_s + 0.1)
        return self._totp.generate(int(time.time())).decode()


def _credential(credentials: Mapping[str, str], name: str) -> str:
    """Read one that goes into a header or a name. Raises `Denied` before anything is sent."""
    value = credentials.get(name, "").strip()
    if not value:
        raise _missing(name)
    if not _PRINTABLE.fullmatch(value):
        raise Denied(
            f"credential {name} has spaces or unprintable characters",
            reason=ReasonCode.SESSION_MISSING,
        )
    return value


def _missing(name: str) -> Denied:
    return Denied(
        f"credential {name} is missing: store it with `brokergate vault set`",
        reason=ReasonCode.SESSION_MISSING,
    )
