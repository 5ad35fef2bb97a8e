"""What an answer that is no success means (dossier hdfc 4.2): the list of refusals.

On a write exactly these prove that there is no live order, all else leaves the outcome open:

- HTTP 400, 404, 405, 422 and 403 with a JSON object, or 403 and 404 without a body: a page of
  HTML may come from any proxy on the way, after the broker took the order;
- HTTP 2xx with `status` `error` or `failed`, or without `status` but with an `error` text,
  when it says why, carries no order id, and is not one of the doubtful texts below.

The broker has published no error bodies, so reasons are read from texts and the raw words are
always kept beside them.
"""

from __future__ import annotations

import re

from adapters.hdfc.envelope import Answer, is_null, items, members, raw_text
from adapters.hdfc.reasons import is_doubtful, is_throttled, reason_of
from adapters.sdk.errors import (
    BadAnswer,
    GatewayError,
    LoginExpired,
    LoginRefused,
    ReasonCode,
    Refused,
)

INVALID_STATUSES = frozenset({400, 404, 405, 422})
_REFUSING_WORDS = frozenset({"error", "failed"})
_SUCCESS = "success"

_NO_DATA = frozenset(
    {
        "no data",
        "no data found",
        "no data available",
        "data not found",
        "no record found",
        "no records found",
        "no order found",
        "no orders found",
        "no orders",
        "no trades found",
        "no trades",
    }
)
DEAD_SESSION_CODE = "40000"
DEAD_SESSION_TEXT = re.compile(
    r"invalid credentials|unauthori[sz]ed|(token|session)( is| has)? expired"
    r"|(expired|invalid) (session|access ?token)|full authentication is required"
)
_LOCKED_TEXT = re.compile(r"\b(locked|blocked)\b")
_DEAD_LOGIN_TEXT = re.compile(r"expired|locked|blocked|disabled|exceeded|invalid token")


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
    if status == 429 or (answer.is_2xx and is_throttled(words, code)):
        return _bad(answer, f"the {action} was throttled", ReasonCode.RATE_LIMITED)
    if _names_an_order(answer) or is_doubtful(words, code):
        return _bad(answer, f"the answer to the {action} settles nothing")
    if status in INVALID_STATUSES and _is_the_brokers(answer):
        return _refused(answer, action, ReasonCode.INVALID_ORDER)
    if status == 403 and _is_the_brokers(answer):
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
    if answer.status == 429 or is_throttled(words, code):
        return _bad(answer, f"{what}: throttled", ReasonCode.RATE_LIMITED)
    if answer.status == 403:
        reason = reason_of(words, code) or ReasonCode.BROKER_REJECTED
        return _bad(answer, f"{what}: refused", reason)
    if answer.status in INVALID_STATUSES:
        return _bad(answer, f"{what}: refused", ReasonCode.BROKER_REJECTED)
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
    throttled = answer.status == 429 or is_throttled(words)
    return LoginRefused(
        _sentence(answer, f"{step} was refused"),
        restart=restart or bool(_DEAD_LOGIN_TEXT.search(words)),
        reason=ReasonCode.RATE_LIMITED if throttled else _login_reason(words),
        broker_code=answer.code(),
        broker_message=answer.message(),
        attempts_left=0 if _LOCKED_TEXT.search(words) else None,
    )


def is_success(answer: Answer) -> bool:
    """Tell whether the envelope claims success; the payload must be looked at as well (4.1)."""
    return answer.is_2xx and (answer.word("status") or "").lower() == _SUCCESS


def is_no_data(answer: Answer) -> bool:
    """Tell whether an error inside a 2xx only says that a list has no rows (dossier hdfc 12.5).

    The words are guesses, so they have to be all that is said. Whether the list really has none
    is for the caller to doubt.
    """
    data = (answer.members or {}).get("data")
    return (
        answer.is_2xx
        and (answer.word("status") or "").lower() in _REFUSING_WORDS
        and (is_null(data) or items(data) == [] or members(data) == {})
        and " ".join(re.findall(r"[a-z]+", _lower(answer))) in _NO_DATA
    )


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


def _login_reason(words: str) -> ReasonCode:
    if re.search(r"\bip\b|whitelist", words):
        return ReasonCode.IP_NOT_WHITELISTED
    return ReasonCode.BROKER_REJECTED


def _is_dead_session(answer: Answer, words: str, code: str | None) -> bool:
    # Beside a 401 only an error inside a 2xx is read so: 403 never ends a session (12.13).
    return answer.is_2xx and (code == DEAD_SESSION_CODE or bool(DEAD_SESSION_TEXT.search(words)))


def _is_the_brokers(answer: Answer) -> bool:
    # Its gateway's 403 and 404 were seen without a body (4.2).
    return answer.members is not None or (answer.status in (403, 404) and not answer.body.strip())


def _names_an_order(answer: Answer) -> bool:
    top = answer.members or {}
    inner = members(top.get("data")) or {}
    return any(raw_text(part.get(key)) for part in (top, inner) for key in ("order_id", "orderId"))


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
        reason=reason_of(words, code) or default,
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
