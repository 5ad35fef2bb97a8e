"""Why the broker refused: codes and words of its order and risk systems to our reasons.

The codes are those of the feed's schema (dossier hdfc 4.4), which stand at the front of a text or,
as SKY writes them, in brackets with a dash (4.3). Texts are those of 4.2 to 4.4 and their plain
synonyms. The raw words are always kept beside the reason.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.sdk.errors import ReasonCode

# Inclusive ranges; the first match wins.
OMS_CODES: Final = (
    (1001, 1010, ReasonCode.INVALID_ORDER),
    (1011, 1013, ReasonCode.BROKER_REJECTED),
    (1014, 1015, ReasonCode.MARKET_CLOSED),
    (1016, 1017, ReasonCode.INSTRUMENT_BLOCKED),
    (5001, 5015, ReasonCode.BROKER_REJECTED),
    (5050, 5050, ReasonCode.PRICE_BAND),
    (5051, 5051, ReasonCode.BROKER_REJECTED),
    (5098, 5098, ReasonCode.BROKER_REJECTED),
    (6101, 6107, ReasonCode.BROKER_REJECTED),
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
    (17070, 17070, ReasonCode.PRICE_BAND),
    (16000, 17999, ReasonCode.EXCHANGE_REJECTED),
    (20100, 20100, ReasonCode.RATE_LIMITED),
    (20102, 20104, ReasonCode.BROKER_UNAVAILABLE),
    (50001, 50001, ReasonCode.BROKER_UNAVAILABLE),
    (50002, 50002, ReasonCode.BROKER_REJECTED),
    (50003, 50003, ReasonCode.BROKER_UNAVAILABLE),
)

# These stand for several things, of which the text beside the code may say which.
_LOOSE: Final = frozenset(
    {
        ReasonCode.BROKER_REJECTED,
        ReasonCode.EXCHANGE_REJECTED,
        ReasonCode.SEGMENT_NOT_ENABLED,
    }
)

# First match wins.
TEXTS: Final = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"\bip\b|whitelist|white-list", ReasonCode.IP_NOT_WHITELISTED),
        (r"of limit type|market order|order.?type|sl-?m\b", ReasonCode.ORDER_TYPE_NOT_ALLOWED),
        (r"margin|shortfall|balance|insufficient (fund|cash|limit)", ReasonCode.MARGIN_SHORT),
        (r"\btick\b", ReasonCode.TICK_SIZE),
        (r"freeze", ReasonCode.FREEZE_QUANTITY),
        (r"\blot\b", ReasonCode.LOT_SIZE),
        (
            r"circuit|(daily|day|price|execution) range|price (band|percentage)",
            ReasonCode.PRICE_BAND,
        ),
        (r"market (is )?closed|(amo|pre-?open) .*not allowed", ReasonCode.MARKET_CLOSED),
        (r"edis|e-dis|tpin|ddpi", ReasonCode.EDIS_REQUIRED),
        (r"banned|ban period|suspended", ReasonCode.INSTRUMENT_BLOCKED),
        (r"product|(mis|short sell\w*) (is )?not allowed", ReasonCode.PRODUCT_NOT_ALLOWED),
        (r"segment", ReasonCode.SEGMENT_NOT_ENABLED),
        (
            r"(security_?id|instrument|symbol|token).*(invalid|not found)",
            ReasonCode.INSTRUMENT_UNKNOWN,
        ),
        (r"(is|order) invalid|invalid order|can't be blank|is required", ReasonCode.INVALID_ORDER),
        (r"\brms\b", ReasonCode.BROKER_REJECTED),
    )
)

# Error words that do not prove that nothing was created: SKY's catch-all 45010, the OMS's
# "already present", "adapter down" and BSE's service-unavailable and result-unknown (4.3, 4.4).
DOUBTFUL_CODES: Final = frozenset(
    {"45010", "50001", "50002", "50003", "20100", "20102", "20103", "20104"}
)
DOUBTFUL_TEXT: Final = re.compile(
    r"something went wrong|time[d\- ]*out|already present|already exists|duplicate"
    r"|result of transaction|unknown error|internal (server )?error|try (again|after)"
    r"|service (is )?(temporarily )?unavailable|adapter (is )?down|bad gateway"
)
_UNKNOWN_RESULT: Final = re.compile(r"result of transaction")
THROTTLED: Final = re.compile(r"too many requests|rate ?limit")
THROTTLED_CODE: Final = "20100"
_UNKNOWN_RESULT_CODE: Final = "20104"

# In brackets only before a dash: amounts stand in brackets too.
_OMS_CODE: Final = re.compile(r"^\W*(\d{4,5})\b|\((\d{4,5})\)\s*-")
_MAYBE_OMS_CODE: Final = re.compile(r"^\W*(\d{4,5})\b|\((\d{4,5})\)")


def reason_of(words: str, code: str | None = None) -> ReasonCode | None:
    """Read a reason from a text and the error code beside it, None where neither says one."""
    by_code = _by_code(_first(_OMS_CODE, words) or code)
    if by_code is not None and by_code not in _LOOSE:
        return by_code
    lowered = words.lower()
    by_text = next((reason for pattern, reason in TEXTS if pattern.search(lowered)), None)
    return by_text or by_code


def is_doubtful(words: str, code: str | None = None) -> bool:
    """Tell whether an error leaves open if the order was created."""
    named = {code, _first(_MAYBE_OMS_CODE, words)}
    return bool(named & DOUBTFUL_CODES) or bool(DOUBTFUL_TEXT.search(words.lower()))


def is_unknown_result(words: str) -> bool:
    """Tell whether a rejection says of itself that nobody knows the result (20104 of BSE)."""
    code = _first(_MAYBE_OMS_CODE, words)
    return code == _UNKNOWN_RESULT_CODE or bool(_UNKNOWN_RESULT.search(words.lower()))


def is_throttled(words: str, code: str | None = None) -> bool:
    """Tell whether an error is about how many requests there were."""
    named = {code, _first(_OMS_CODE, words)}
    return THROTTLED_CODE in named or bool(THROTTLED.search(words.lower()))


def _by_code(written: str | None) -> ReasonCode | None:
    if not written or not written.isascii() or not written.isdigit() or len(written) > 5:
        return None
    number = int(written)
    return next((reason for low, high, reason in OMS_CODES if low <= number <= high), None)


def _first(pattern: re.Pattern[str], words: str) -> str | None:
    found = pattern.search(words)
    return (found.group(1) or found.group(2)) if found else None
