"""What every Fyers answer carries, and what an unsuccessful one lets the caller do. Pure: no I/O.

Decision rule (dossier 4.1): read the JSON first and decide on `s` and `code`; the HTTP status
counts where there is no JSON, and for 401, 403, 429 and 5xx.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from adapters.fyers.constants import (
    AMBIGUOUS_CODES,
    CLIENT_CODE_IN_MESSAGE,
    CODE_REJECTED,
    CODES_AUTH,
    CODES_RATE_LIMITED,
    CODES_SUCCESS,
    MESSAGE_REASONS,
    REFUSALS,
)
from adapters.fyers.values import integer, text
from adapters.sdk.errors import (
    BadAnswer,
    GatewayError,
    LoginExpired,
    LoginRefused,
    ReasonCode,
    Refused,
)

_VERDICTS: Final = {"ok": True, "error": False}
_HTTP_RATE_LIMITED: Final = 429
# Something in between gave up on a request that the broker may have taken all the same.
_GAVE_UP_WAITING: Final = (408, 425)
_T = TypeVar("_T")


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An answer's envelope, read leniently (dossier 4.1).

    `ok` is None where `s` is neither `ok` nor `error`; `code` is None where it is no integer.
    `order_id` may stand on an error too: that order was created and rejected.
    `body` is the whole answer, for the parser that knows its payload.
    """

    status: int
    ok: bool | None
    code: int | None
    message: str
    order_id: str | None
    retry_after_s: float | None
    body: bytes

    def __repr__(self) -> str:
        # The body may hold an access token.
        return f"Envelope(status={self.status}, ok={self.ok}, code={self.code})"

    @property
    def is_success(self) -> bool:
        """Whether the answer says `ok` with a code that means it. 201 does not (dossier 4.2)."""
        return self.ok is True and self.code in CODES_SUCCESS

    @property
    def is_rate_limited(self) -> bool:
        return self.status == _HTTP_RATE_LIMITED or self.code in CODES_RATE_LIMITED

    @property
    def code_text(self) -> str | None:
        return None if self.code is None else str(self.code)


def decode_envelope(status: int, headers: Mapping[str, str], body: bytes) -> Envelope:
    """Read the envelope of any answer. Header names are lower case.

    Raises:
        LoginExpired: HTTP 401, or a code that says the token is dead (dossier 3.5). Whether a
            write answered this way created nothing is only inferred there, so it is not claimed.
        BadAnswer: the body is not a JSON object (an edge error page, a cut answer).
    """
    retry_after_s = _retry_after(headers)
    try:
        wire = _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        if status == 401:
            raise LoginExpired("Fyers answered HTTP 401", created_nothing=False) from error
        is_rate_limited = status == _HTTP_RATE_LIMITED
        raise BadAnswer(
            f"Fyers answered HTTP {status} without a JSON object",
            status=status,
            reason=(ReasonCode.RATE_LIMITED if is_rate_limited else ReasonCode.BROKER_UNAVAILABLE),
            retry_after_s=retry_after_s,
        ) from error
    envelope = Envelope(
        status=status,
        ok=_VERDICTS.get(wire.s.casefold()) if isinstance(wire.s, str) else None,
        code=integer(wire.code),
        message=mask(wire.message) if isinstance(wire.message, str) else "",
        order_id=text(wire.id),
        retry_after_s=retry_after_s,
        body=body,
    )
    if envelope.status == 401 or (
        envelope.code in CODES_AUTH and "refresh token api" not in envelope.message.casefold()
    ):
        raise LoginExpired(
            f"Fyers does not take this session: {envelope.message or 'HTTP 401'}",
            created_nothing=False,
            broker_code=envelope.code_text,
            broker_message=envelope.message or None,
        )
    return envelope


def require_read(envelope: Envelope) -> None:
    """Raise `BadAnswer` unless a read succeeded; a failed read proves nothing."""
    if not (envelope.is_success and 200 <= envelope.status < 300):
        raise bad_answer(envelope, "did not answer the read")


def require_answer(envelope: Envelope) -> None:
    """Raise unless a read about named contracts succeeded.

    Unlike `require_read`, a listed no is `Refused`: a wrong symbol says nothing of how Fyers is.
    """
    if not (envelope.is_success and 200 <= envelope.status < 300):
        raise refusal(envelope)


def refusal(envelope: Envelope) -> GatewayError:
    """Sort an unsuccessful answer to a write: `Refused` on the dossier's evidence, or `BadAnswer`.

    A 5xx is never a refusal, whatever its body says: which HTTP status comes with a rejection is
    not documented, so the order is looked for instead (dossier 4.1, 4.2). Nor is 408 or 425, nor
    a rate-limit answer: that Fyers did not take the request is only inferred (dossier 4.2, 10).
    """
    if (
        envelope.ok
        or envelope.status >= 500
        or envelope.status in _GAVE_UP_WAITING
        or envelope.code in AMBIGUOUS_CODES
        or envelope.is_rate_limited
    ):
        return bad_answer(envelope, "did not say what became of the request")
    if envelope.ok is None:
        return bad_answer(envelope, "gave an answer without a verdict")
    reason = _reason(envelope)
    if (
        envelope.code in REFUSALS
        or envelope.status == 403
        or reason is ReasonCode.IP_NOT_WHITELISTED
    ):
        return Refused(
            f"Fyers refused: {envelope.message or envelope.code}",
            reason=reason,
            broker_code=envelope.code_text,
            broker_message=envelope.message or None,
            broker_order_id=envelope.order_id if envelope.code == CODE_REJECTED else None,
        )
    return bad_answer(envelope, "gave an answer that is on no list")


def login_refusal(envelope: Envelope) -> GatewayError:
    """Sort the refusal of a login step."""
    if envelope.ok is not False or envelope.status >= 500:
        return bad_answer(envelope, "gave no usable answer to the login")
    is_rate_limited = envelope.is_rate_limited
    error = LoginRefused(
        f"Fyers refused the login: {envelope.message or envelope.code}",
        restart=not is_rate_limited,
        reason=ReasonCode.RATE_LIMITED if is_rate_limited else ReasonCode.BROKER_REJECTED,
        broker_code=envelope.code_text,
        broker_message=envelope.message or None,
    )
    error.retry_after_s = envelope.retry_after_s
    return error


def bad_answer(envelope: Envelope, what: str) -> BadAnswer:
    """Make the error of an answer that proves nothing; `what` completes "Fyers ..."."""
    return BadAnswer(
        f"Fyers {what} (HTTP {envelope.status}, code {envelope.code}): {envelope.message}",
        status=envelope.status,
        reason=(
            ReasonCode.RATE_LIMITED if envelope.is_rate_limited else ReasonCode.BROKER_UNAVAILABLE
        ),
        broker_code=envelope.code_text,
        broker_message=envelope.message or None,
        retry_after_s=envelope.retry_after_s,
    )


def payload(envelope: Envelope, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Read the answer as the shape that its endpoint documents. Raises `BadAnswer`."""
    try:
        return decoder.decode(envelope.body)
    except (msgspec.MsgspecError, RecursionError) as error:
        # The cause would quote nothing but a path, yet the body may hold a token: leave it out.
        raise bad_answer(envelope, "gave an answer that is not of its documented shape") from error


def lenient(type: type[_T]) -> msgspec.json.Decoder[_T]:
    """Make a decoder to which a number may come as a string."""
    return msgspec.json.Decoder(type, strict=False)


def decode(body: bytes | msgspec.Raw, type: type[_T]) -> _T:
    """Decode a part leniently; every failure is a `ValueError`."""
    try:
        return msgspec.json.decode(body, type=type, strict=False)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not the expected JSON") from error


@lru_cache(maxsize=1024)
def message_reason(message: str) -> ReasonCode | None:
    """Say what a refusal's words mean, or None where they are not known (dossier 4.3)."""
    for pattern, reason in MESSAGE_REASONS:
        if pattern.search(message):
            return reason
    return None


@lru_cache(maxsize=1024)
def mask(message: str) -> str:
    """Hide the client code that Fyers puts into rejection texts (dossier 4.3)."""
    return CLIENT_CODE_IN_MESSAGE.sub("for C-***", message)


class _WireEnvelope(msgspec.Struct):
    s: Any = None
    code: Any = None
    message: Any = None
    id: Any = None


def _reason(envelope: Envelope) -> ReasonCode:
    return message_reason(envelope.message) or REFUSALS.get(
        envelope.code or 0, ReasonCode.BROKER_REJECTED
    )


_ENVELOPE: Final = lenient(_WireEnvelope)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("x-retry-after-ms", 0.001), ("retry-after", 1.0)):
        digits = headers.get(name, "").strip()
        if digits.isascii() and digits.isdigit() and len(digits) <= 9:
            return int(digits) * unit
    return None
