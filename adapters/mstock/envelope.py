"""m.Stock's envelope in all its shapes, and what its errors let the caller do (dossier 3.4, 4).

Pure, no I/O. Two questions are answered here: is this answer good, and if not, which of our
errors is it? The `errorcode` decides first, then the HTTP status, then the words.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.mstock.values import text
from adapters.sdk.errors import BadAnswer, GatewayError, LoginExpired, ReasonCode, Refused

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)

# The statuses that the dossier shows with a coded answer of this broker. A code under any other
# status (5xx, 429, a proxy's 408) proves nothing.
ANSWER_STATUSES: Final = frozenset({200, 400, 401, 403, 404})
_TOO_MANY: Final = 429
_MAX_WORDS: Final = 300
_SHORTEST_SECRET: Final = 4

# Families of codes with one meaning each (dossier 4.2).
AUTH_CODE: Final = "IA401"
FORBIDDEN_CODE: Final = "IA403"
OMS_PREFIX: Final = "RS-"

_RMS_ORDER_ID: Final = re.compile(r"^RMS:\s*([0-9]{6,20}):")
IP_MISMATCH: Final = re.compile(r"\bip\b", re.IGNORECASE)
KEY_IS_DEAD: Final = re.compile(r"\bapi\b.{0,20}\b(suspended|expired)\b", re.IGNORECASE)

# First match wins. RMS and exchange words, then the gateway's own.
REASONS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"insufficient|insuficient|margin short|fund limit", ReasonCode.MARGIN_SHORT),
        (r"freeze.{0,20}q(uanti)?ty|q(uanti)?ty.{0,20}freeze", ReasonCode.FREEZE_QUANTITY),
        (r"price freeze|price range|price band|circuit|out of the day", ReasonCode.PRICE_BAND),
        (r"tick size|multiple of tick", ReasonCode.TICK_SIZE),
        (r"lot size|multiple of.{0,12}lot", ReasonCode.LOT_SIZE),
        (r"market.{0,12}clos|not in trading hours", ReasonCode.MARKET_CLOSED),
        (r"invalid product|product type", ReasonCode.PRODUCT_NOT_ALLOWED),
        (r"order ?type", ReasonCode.ORDER_TYPE_NOT_ALLOWED),
        (r"invalid (token|symbol|scrip|symboltoken)\b", ReasonCode.INSTRUMENT_UNKNOWN),
        (r"\b(edis|tpin)\b", ReasonCode.EDIS_REQUIRED),
    )
)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, normalised. `good` is what the envelope says; `code` is "" without an error.

    `data` keeps numbers as `int` or `Decimal`. `has_data` tells null from a missing field.
    """

    http: int
    good: bool
    code: str
    message: str
    data: Any
    has_data: bool
    retry_after_s: float | None = None

    @property
    def proves_success(self) -> bool:
        return self.good and not self.code and 200 <= self.http < 300

    @property
    def refuses_request(self) -> bool:
        """Whether the request itself was found wrong: fields, values or version (dossier 4.2)."""
        if self.good or self.http not in ANSWER_STATUSES:
            return False
        code = self.code.upper()
        return code in REQUEST_CODES or (code == VALIDATION.upper() and self.http == 400)


def decode_envelope(
    http: int, body: bytes, hide: Iterable[str] = (), retry_after_s: float | None = None
) -> Envelope:
    """Turn any of the envelope shapes into one.

    `hide`: our own secrets, taken out of the broker's words should it echo them.
    `retry_after_s`: how long the answer asks to stay away.

    Raises:
        BadAnswer: empty body, not JSON, or JSON that is none of the shapes of dossier 4.1.
    """
    try:
        return _normalised(http, body, hide, retry_after_s)
    except BadAnswer as error:
        if http == _TOO_MANY:
            error.reason = ReasonCode.RATE_LIMITED
        error.retry_after_s = retry_after_s
        raise


def decode_json(http: int, body: bytes) -> Any:
    """Decode JSON past a byte order mark, decimals kept by their digits. Raises `BadAnswer`."""
    body = body.removeprefix(BOM_UTF8)
    if not body.strip():
        raise BadAnswer(f"HTTP {http} with an empty body", status=http)
    try:
        return _DECODER.decode(body)
    # ArithmeticError: a number whose exponent no Decimal can hold.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise BadAnswer(f"HTTP {http} with a body that is not JSON", status=http) from error


def order_id(data: object) -> str:
    """Return the order id that an answer carries, or "" (`orderid` or `order_id`, trimmed)."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, Mapping):
        return ""
    found = text(data, "orderid") or text(data, "order_id")
    return found if re.fullmatch(r"[0-9A-Za-z_-]{1,40}", found) and found.strip("0") else ""


def reason_of(words: str, otherwise: ReasonCode) -> ReasonCode:
    """Find our reason in the words of risk management, the exchange or the gateway."""
    return next((reason for pattern, reason in REASONS if pattern.search(words)), otherwise)


def write_error(envelope: Envelope) -> GatewayError:
    """Say what an answer to a write that is not a success proves (dossier 4.2).

    `Refused` and `LoginExpired(created_nothing=True)` only for what the dossier lists as "not
    placed" or final; everything else is a `BadAnswer`: the order may exist.
    """
    code, http = envelope.code.upper(), envelope.http
    if http == 405:
        return _refused(envelope, ReasonCode.INVALID_ORDER)
    if envelope.good or order_id(envelope.data) or http not in ANSWER_STATUSES:
        # A false status with an order id has been seen with the order alive (dossier 4.2).
        return unproven(envelope)
    if code == AUTH_CODE:
        return _login_expired(envelope, created_nothing=True)
    if code == FORBIDDEN_CODE:
        return _forbidden(envelope)
    if not code and http in (400, 403) and KEY_IS_DEAD.search(envelope.message):
        return _forbidden(envelope)
    if envelope.refuses_request:
        return _refused(envelope, reason_of(envelope.message, ReasonCode.INVALID_ORDER))
    if code.startswith(OMS_PREFIX):
        return _refused(envelope, reason_of(envelope.message, ReasonCode.EXCHANGE_REJECTED))
    if not code and http == 401:
        # Only IA401 is proven to be refused at the gateway.
        return _login_expired(envelope, created_nothing=False)
    return unproven(envelope)


def question_error(envelope: Envelope) -> GatewayError:
    """Say why a calculator or a data route gave no answer.

    These take arguments that may be wrong, so a listed refusal of the request is a `Refused`:
    asking again, or holding it against the broker's health, would make no sense.
    """
    if envelope.refuses_request:
        return _refused(envelope, reason_of(envelope.message, ReasonCode.INVALID_ORDER))
    return read_error(envelope)


def read_error(envelope: Envelope) -> GatewayError:
    """Say why an answer to a read is not the data asked for: session gone, or not read."""
    if envelope.code.upper() == AUTH_CODE and envelope.http in ANSWER_STATUSES:
        return _login_expired(envelope, created_nothing=True)
    if not envelope.good and not envelope.code and envelope.http == 401:
        return _login_expired(envelope, created_nothing=False)
    return unproven(envelope)


def unproven(envelope: Envelope) -> BadAnswer:
    """Build the error for a whole answer that proves nothing, keeping the broker's words."""
    reason, hint = ReasonCode.BROKER_UNAVAILABLE, ""
    if envelope.http == _TOO_MANY:
        reason = ReasonCode.RATE_LIMITED
    elif envelope.code.upper() == FORBIDDEN_CODE and IP_MISMATCH.search(envelope.message):
        reason, hint = ReasonCode.IP_NOT_WHITELISTED, f": {_UNKNOWN_ADDRESS}"
    elif envelope.code.upper() == FORBIDDEN_CODE and KEY_IS_DEAD.search(envelope.message):
        hint = f": {_DEAD_KEY}"
    said = f" {envelope.code}" if envelope.code else ""
    known = order_id(envelope.data)
    named = f" (it names order {known})" if known else ""
    return BadAnswer(
        f"m.Stock answered HTTP {envelope.http}{said}, which proves nothing{named}{hint}",
        status=envelope.http,
        reason=reason,
        broker_code=envelope.code or None,
        broker_message=envelope.message or None,
        retry_after_s=envelope.retry_after_s,
    )


def _normalised(
    http: int, body: bytes, hide: Iterable[str], retry_after_s: float | None
) -> Envelope:
    if http == 405:
        # Documented as "wrong verb, not placed"; the body may be a web server's page.
        return Envelope(
            http=http, good=False, code="", message="HTTP 405", data=None, has_data=False
        )
    value = decode_json(http, body)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise BadAnswer(f"HTTP {http}: the answer is not an m.Stock envelope", status=http)
    status = value.get("status")
    if isinstance(status, int) and not isinstance(status, bool):
        return _validation_problem(http, status, value, hide)
    word = str(status).strip().lower()
    if word not in ("true", "success", "false", "error"):
        raise BadAnswer(f"HTTP {http}: the answer has no status that is known", status=http)
    return Envelope(
        http=http,
        good=word in ("true", "success"),
        code=text(value, "errorcode") or text(value, "error_type"),
        message=_words(text(value, "message"), hide),
        data=value.get("data"),
        has_data="data" in value,
        retry_after_s=retry_after_s,
    )


VALIDATION: Final = "ValidationProblem"
REQUEST_CODES: Final = frozenset({"IA400", "400", "IA404", "VERSIONEXCEPTION"})
_UNKNOWN_ADDRESS: Final = (
    "m.Stock does not know this address: save it as the key's Primary or Secondary IP "
    "(the key itself is fine)"
)
_DEAD_KEY: Final = (
    "the m.Stock API key is suspended or expired: renew it in the portal "
    "(logging in again does not help)"
)


def _validation_problem(
    http: int, status: int, value: Mapping[str, Any], hide: Iterable[str]
) -> Envelope:
    """Read ASP.NET's problem shape: an integer status and `errors` by field (shape 5)."""
    errors = value.get("errors")
    if status < 400 or not isinstance(errors, Mapping):
        raise BadAnswer(f"HTTP {http}: the answer has an integer status", status=http)
    words = [text(value, "title")]
    for lines in errors.values():
        if isinstance(lines, list):
            words += [line for line in lines if isinstance(line, str)]
    return Envelope(
        http=http,
        good=False,
        code=VALIDATION if status == 400 else str(status),
        message=_words(" ".join(word for word in words if word), hide),
        data=None,
        has_data=False,
    )


def _words(said: str, hide: Iterable[str]) -> str:
    for secret in hide:
        if len(secret) >= _SHORTEST_SECRET:
            said = said.replace(secret, "[hidden]")
    return said[:_MAX_WORDS]


def _forbidden(envelope: Envelope) -> GatewayError:
    """Tell IA403's two meanings apart; neither is cured by a new login (dossier 3.4)."""
    if IP_MISMATCH.search(envelope.message):
        return _refused(
            envelope,
            ReasonCode.IP_NOT_WHITELISTED,
            _UNKNOWN_ADDRESS,
        )
    if KEY_IS_DEAD.search(envelope.message):
        return _refused(
            envelope,
            ReasonCode.SESSION_EXPIRED,
            _DEAD_KEY,
        )
    return unproven(envelope)


def _refused(envelope: Envelope, reason: ReasonCode, message: str = "") -> Refused:
    kept = _RMS_ORDER_ID.match(envelope.message)
    return Refused(
        message or f"m.Stock refused: {envelope.message or envelope.code}",
        reason=reason,
        broker_code=envelope.code or None,
        broker_message=envelope.message or None,
        broker_order_id=kept.group(1) if kept else None,
    )


def _login_expired(envelope: Envelope, *, created_nothing: bool) -> LoginExpired:
    return LoginExpired(
        "m.Stock no longer takes this session: log in again",
        created_nothing=created_nothing,
        broker_code=envelope.code or None,
        broker_message=envelope.message or None,
    )
