"""InvestRight's login bodies to tokens, questions and errors. No I/O.

Error bodies of the login are unpublished (dossier hdfc 4.1), so whatever is no success is a
refusal in the broker's words, or a `BadAnswer` where it is not even JSON.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime

import msgspec

from adapters.hdfc.constants import DEFAULT_OTP_PROMPT, IST, TOKEN_LIFE
from adapters.hdfc.envelope import Answer, Members, items, members, plain, raw_text, scrub
from adapters.hdfc.refusals import is_success, login_error, read_error
from adapters.hdfc.values import Unreadable, signed
from adapters.sdk.errors import BadAnswer

_WORD = re.compile(r"[!-~]{1,64}")
_HEADER_SAFE = re.compile(r"[!-~]{1,8192}")


class LoginQuestion(msgspec.Struct, frozen=True):
    """What the broker wants after the password; `hosted`: only its own page can go on."""

    prompt: str
    login_id: str | None
    hosted: bool


class SecondFactor(msgspec.Struct, frozen=True):
    """The one-time answer was right; `authorised` when the consent was given before."""

    request_token: str
    authorised: bool

    def __repr__(self) -> str:
        return "SecondFactor(...)"


class TokenClaims(msgspec.Struct, frozen=True):
    """What the access token says of itself; nobody checked its signature."""

    client_id: str | None
    expires_at: datetime


def parse_login_token(answer: Answer) -> str:
    """Read login step 1 (`tokenId`). Raises `LoginRefused`, `BadAnswer`."""
    return _login_word(answer, "tokenId", "the login's start", restart=True)


def parse_login_question(answer: Answer) -> LoginQuestion:
    """Read login step 2: the question to show, in the broker's words.

    Raises:
        LoginRefused: a wrong user name or password.
        BadAnswer

    Source: dossier hdfc 3.3. `recaptcha` true, or no second factor to answer, can only go on
    at the hosted page (inferred).
    """
    top = answer.members or {}
    factor = members(top.get("twofa"))
    hosted = _is_true(top.get("recaptcha")) or _is_false(top.get("twoFAEnabled"))
    if not answer.is_2xx or _says_error(answer) or (factor is None and not hosted):
        raise login_error(answer, "the password step", restart=True)
    asked = [
        raw_text((members(q) or {}).get("question"))
        for q in items((factor or {}).get("questions")) or []
    ]
    prompt = scrub(" / ".join(filter(None, asked)), answer.secrets)[:200]
    return LoginQuestion(prompt or DEFAULT_OTP_PROMPT, answer.word("loginId"), hosted)


def parse_second_factor(answer: Answer) -> SecondFactor:
    """Read login step 3. Raises `LoginRefused` (a wrong OTP may be answered again), `BadAnswer`."""
    token = _login_word(answer, "requestToken", "the one-time password", restart=False)
    return SecondFactor(token, _is_true((answer.members or {}).get("authorised")))


def check_resend(answer: Answer) -> None:
    """Accept any 2xx, since the answer is undocumented. Raises `LoginRefused`, `BadAnswer`."""
    if not answer.is_2xx or _says_error(answer):
        raise login_error(answer, "the resend", restart=False)


def parse_authorised(answer: Answer) -> str:
    """Read login step 4: the token to use from now on. Raises `LoginRefused`, `BadAnswer`."""
    return _login_word(answer, "requestToken", "the consent", restart=True)


def parse_access_token(answer: Answer) -> str:
    """Read login step 5. Raises `LoginRefused`, `BadAnswer`.

    Source: dossier hdfc 3.3 (flat `accessToken`; `data.accessToken` and `access_token` tolerated).
    """
    top = answer.members or {}
    if answer.is_2xx:
        for part in (top, members(top.get("data")) or {}):
            token = raw_text(part.get("accessToken")) or raw_text(part.get("access_token"))
            if token and _HEADER_SAFE.fullmatch(token):
                return token
    raise login_error(answer, "the access token", restart=True)


def parse_profile(answer: Answer) -> str:
    """Read the client code from the profile, a list of one. Raises `LoginExpired`, `BadAnswer`."""
    if not is_success(answer):
        raise read_error(answer, "the profile")
    data = (answer.members or {}).get("data")
    rows = items(data)
    first = members(rows[0]) if rows else members(data)
    code = raw_text((first or {}).get("user_id"))
    if code is None:
        raise BadAnswer("HDFC: the profile names no user", status=answer.status)
    return code


def read_token_claims(token: str, now: datetime) -> TokenClaims:
    """Read client code and expiry out of the access token; eight hours where it does not say.

    Source: dossier hdfc 3.4.
    """
    claims = _jwt_claims(token)
    expires_at = now + TOKEN_LIFE
    try:
        seconds = signed(plain(claims["exp"]), "exp") if "exp" in claims else None
        if seconds is not None:
            expires_at = datetime.fromtimestamp(seconds, UTC)
    except (Unreadable, ValueError, OverflowError, OSError):
        expires_at = now + TOKEN_LIFE
    return TokenClaims(raw_text(claims.get("sub")), expires_at.astimezone(IST))


def _login_word(answer: Answer, name: str, step: str, *, restart: bool) -> str:
    word = answer.word(name)
    if answer.is_2xx and word and _WORD.fullmatch(word) and not _says_error(answer):
        return word
    raise login_error(answer, step, restart=restart)


def _says_error(answer: Answer) -> bool:
    return (answer.word("status") or "").lower() in ("error", "failed")


def _is_true(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw).strip() == b"true"


def _is_false(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw).strip() == b"false"


def _jwt_claims(token: str) -> Members:
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return members(msgspec.Raw(payload)) or {}
    except ValueError:
        return {}
