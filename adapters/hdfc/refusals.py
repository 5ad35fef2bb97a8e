"""What an answer that is no success means (dossier hdfc 4.2): the list of refusals.

On a write exactly these prove that there is no live order, all else leaves the outcome open:

- HTTP 400, 404, 405, 422 and 403;
- HTTP 2xx with `status` `error` or `failed`, or without `status` but with an `error` text,
  when it says why, carries no order id, and is not one of the doubtful texts below.

The broker has published no error bodies, so reasons are read from texts and the raw words are
always kept beside them.
"""

from __future__ import annotations

import re

from adapters.hdfc.envelope import Answer, members, text
from adapters.sdk.errors import (
    BadAnswer,
    GatewayError,
    LoginExpired,
    LoginRefused,
    ReasonCode,
    Refused,
)

_INVALID = frozenset({400, 404, 405, 422})
_REFUSING_WORDS = frozenset({"error", "failed"})
_SUCCESS = "success"

# Error words that do not prove that nothing was created: SKY's catch-all 45010, the OMS's
# "already present", "adapter down" and BSE's service-unavailable and result-unknown (4.3, 4.4).
_DOUBTFUL_CODES = frozenset({"45010", "50001", "50002", "50003", "20102", "20103", "20104"})
_DOUBTFUL_TEXT = re.compile(
    r"something went wrong|time[d\- ]*out|already present|already exists|duplicate"
    r"|result of transaction|unknown error|internal (server )?error|try (again|after)"
    r"|service (is )?(temporarily )?unavailable|adapter (is )?down|bad gateway"
)
_THROTTLED_TEXT = re.compile(r"too many requests|rate ?limit")
_DEAD_SESSION_TEXT = re.compile(
    r"invalid credentials|unauthori[sz]ed|(token|session)( is| has)? expired"
    r"|(expired|invalid) (session|access ?token)|full authentication is required"
)
_DEAD_LOGIN_TEXT = re.compile(r"expired|locked|blocked|disabled|exceeded|invalid token")
_OMS_CODE = re.compile(r"^\W*(\d{4,5})\b|\((\d{4,5})\)")

# First match wins; texts from dossier hdfc 4.2 to 4.4 and their plain synonyms.
_REASONS_BY_TEXT = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"\bip\b|whitelist|white-list", ReasonCode.IP_NOT_WHITELISTED),
        (r"of limit type|market order|order.?type|sl-?m\b", ReasonCode.ORDER_TYPE_NOT_ALLOWED),
        (r"margin|shortfall|balance|insufficient (fund|cash|limit)", ReasonCode.MARGIN_SHORT),
        (r"\btick\b", ReasonCode.TICK_SIZE),
        (r"freeze", ReasonCode.FREEZE_QUANTITY),
        (r"\blot\b", ReasonCode.LOT_SIZE),
        (r"circuit|daily range|day range|price range|price band", ReasonCode.PRICE_BAND),
        (r"market (is )?closed|amo .*not allowed", ReasonCode.MARKET_CLOSED),
        (r"edis|e-dis|tpin|ddpi", ReasonCode.EDIS_REQUIRED),
        (r"banned|ban period|suspended", ReasonCode.INSTRUMENT_BLOCKED),
        (r"segment", ReasonCode.SEGMENT_NOT_ENABLED),
        (r"product|mis not allowed", ReasonCode.PRODUCT_NOT_ALLOWED),
        (
            r"(security_?id|instrument|symbol|token).*(invalid|not found)",
            ReasonCode.INSTRUMENT_UNKNOWN,
        ),
        (r"(is|order) invalid|invalid order|can't be blank|is required", ReasonCode.INVALID_ORDER),
    )
)

# Inclusive ranges of the OMS and RMS codes (dossier hdfc 4.4).
_REASONS_BY_CODE = (
    (1001, 1010, ReasonCode.INVALID_ORDER),
    (1011, 1012, ReasonCode.BROKER_REJECTED),
    (1014, 1015, ReasonCode.MARKET_CLOSED),
    (1016, 1017, ReasonCode.INSTRUMENT_BLOCKED),
    (5001, 5015, ReasonCode.BROKER_REJECTED),
    (5050, 5050, ReasonCode.PRICE_BAND),
    (7001, 7001, ReasonCode.PRICE_BAND),
    (7003, 7003, ReasonCode.INSTRUMENT_BLOCKED),
    (11001, 11001, ReasonCode.MARGIN_SHORT),
    (12001, 12006, ReasonCode.MARGIN_SHORT),
    (15000, 15015, ReasonCode.SEGMENT_NOT_ENABLED),
    (16000, 16000, ReasonCode.MARKET_CLOSED),
    (16278, 16278, ReasonCode.MARKET_CLOSED),
    (16049, 16049, ReasonCode.INSTRUMENT_BLOCKED),
    (16330, 16330, ReasonCode.INSTRUMENT_BLOCKED),
    (16283, 16283, ReasonCode.TICK_SIZE),
    (16284, 16284, ReasonCode.PRICE_BAND),
    (16316, 16316, ReasonCode.PRICE_BAND),
    (16307, 16307, ReasonCode.FREEZE_QUANTITY),
    (16308, 16308, ReasonCode.PRICE_BAND),
    (16328, 16328, ReasonCode.LOT_SIZE),
    (16000, 17999, ReasonCode.EXCHANGE_REJECTED),
)


def write_error(answer: Answer, action: str) -> GatewayError:
    """Judge an unsuccessful answer to a place, modify or cancel; the caller raises it."""
    words, code, status = _lower(answer), answer.code(), answer.status
    if status == 401 or _is_dead_session(answer, words, code):
        # That authentication is checked before the order system is likely, but unproven (4.2).
        return LoginExpired(
            _sentence(answer, f"the session was not accepted for the {action}"),
            created_nothing=False,
            broker_code=code,
            broker_message=answer.message(),
        )
    if status == 429 or (answer.is_2xx and _THROTTLED_TEXT.search(words)):
        return _bad(answer, f"the {action} was throttled", ReasonCode.RATE_LIMITED)
    if _names_an_order(answer) or _is_doubtful(words, code):
        return _bad(answer, f"the answer to the {action} settles nothing")
    if status in _INVALID:
        return _refused(answer, action, ReasonCode.INVALID_ORDER)
    if status == 403:
        return _refused(answer, action, ReasonCode.BROKER_REJECTED)
    if answer.is_2xx and answer.has_words() and _says_error(answer):
        return _refused(answer, action, ReasonCode.BROKER_REJECTED)
    return _bad(answer, f"the answer to the {action} settles nothing")


def read_error(answer: Answer, what: str) -> GatewayError:
    """Judge an unsuccessful answer to a read: the session is dead, or nothing was read."""
    words, code = _lower(answer), answer.code()
    if answer.status == 401 or _is_dead_session(answer, words, code):
        return LoginExpired(
            _sentence(answer, f"the session was not accepted for {what}"),
            created_nothing=True,
            broker_code=code,
            broker_message=answer.message(),
        )
    if answer.status == 429 or _THROTTLED_TEXT.search(words):
        return _bad(answer, f"{what}: throttled", ReasonCode.RATE_LIMITED)
    if answer.status == 403:
        return _bad(answer, f"{what}: refused", reason_of(words, code, ReasonCode.BROKER_REJECTED))
    if answer.status in _INVALID:
        return _bad(answer, f"{what}: refused", ReasonCode.INVALID_ORDER)
    return _bad(answer, f"{what}: not an answer that can be relied on")


def login_error(answer: Answer, step: str, *, restart: bool) -> GatewayError:
    """Judge an unsuccessful answer to a login step, whatever its shape (none is published).

    `restart` false: a person may answer the same step again, unless the broker's words say
    that this login is over.
    """
    words = _lower(answer)
    if (
        answer.status >= 500
        or answer.status in range(300, 400)
        or (answer.is_2xx and answer.members is None)
    ):
        return _bad(answer, f"{step}: no usable answer")
    throttled = answer.status == 429 or bool(_THROTTLED_TEXT.search(words))
    return LoginRefused(
        _sentence(answer, f"{step} was refused"),
        restart=restart or bool(_DEAD_LOGIN_TEXT.search(words)),
        reason=ReasonCode.RATE_LIMITED if throttled else _login_reason(words),
        broker_code=answer.code(),
        broker_message=answer.message(),
    )


def is_success(answer: Answer) -> bool:
    """Tell whether the envelope claims success; the payload must be looked at as well (4.1)."""
    return answer.is_2xx and (answer.word("status") or "").lower() == _SUCCESS


def is_not_found(answer: Answer) -> bool:
    """Tell whether the broker itself says that an order id is unknown.

    A 404 alone is also what a wrong path gets, with an empty body, so the words decide (4.2).
    """
    return (
        (answer.status == 404 or answer.is_2xx)
        and not is_success(answer)
        and answer.has_words()
        and bool(
            re.search(r"order.*(not found|not exist|unknown)|no (such )?order", _lower(answer))
        )
    )


def reason_of(words: str, code: str | None, default: ReasonCode) -> ReasonCode:
    """Read a reason from an OMS code at the front or in brackets of a text, else from its words."""
    found = _OMS_CODE.search(words)
    written = (found.group(1) or found.group(2)) if found else code
    if written and written.isascii() and written.isdigit():
        number = int(written)
        for low, high, reason in _REASONS_BY_CODE:
            if low <= number <= high:
                return reason
    lowered = words.lower()
    return next((r for pattern, r in _REASONS_BY_TEXT if pattern.search(lowered)), default)


def _login_reason(words: str) -> ReasonCode:
    if re.search(r"\bip\b|whitelist", words):
        return ReasonCode.IP_NOT_WHITELISTED
    return ReasonCode.BROKER_REJECTED


def _is_dead_session(answer: Answer, words: str, code: str | None) -> bool:
    # Beside a 401 only an error inside a 2xx is read so: 403 never ends a session (12.13).
    return answer.is_2xx and (code == "40000" or bool(_DEAD_SESSION_TEXT.search(words)))


def _is_doubtful(words: str, code: str | None) -> bool:
    found = _OMS_CODE.search(words)
    written = (found.group(1) or found.group(2)) if found else None
    return bool({code, written} & _DOUBTFUL_CODES) or bool(_DOUBTFUL_TEXT.search(words))


def _names_an_order(answer: Answer) -> bool:
    top = answer.members or {}
    inner = members(top.get("data")) or {}
    return any(text(part.get(key)) for part in (top, inner) for key in ("order_id", "orderId"))


def _says_error(answer: Answer) -> bool:
    status = answer.word("status")
    if status is None:
        return "error" in (answer.members or {})
    return status.lower() in _REFUSING_WORDS


def _lower(answer: Answer) -> str:
    return (answer.message() or "").lower()


def _sentence(answer: Answer, what: str) -> str:
    words = answer.message()
    return f"HDFC: {what} (HTTP {answer.status}{f': {words}' if words else ''})"


def _refused(answer: Answer, action: str, default: ReasonCode) -> Refused:
    words, code = answer.message() or "", answer.code()
    return Refused(
        _sentence(answer, f"the {action} was refused"),
        reason=reason_of(words, code, default),
        broker_code=code,
        broker_message=answer.message(),
    )


def _bad(
    answer: Answer, what: str, reason: ReasonCode = ReasonCode.BROKER_UNAVAILABLE
) -> BadAnswer:
    return BadAnswer(
        _sentence(answer, what),
        status=answer.status,
        reason=reason,
        broker_code=answer.code(),
        broker_message=answer.message(),
    )
