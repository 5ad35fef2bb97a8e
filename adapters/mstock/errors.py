"""m.Stock's errors as rows, from the tables that `envelope` decides by."""

from __future__ import annotations

from adapters.mstock.envelope import (
    AUTH_CODE,
    FORBIDDEN_CODE,
    IP_MISMATCH,
    KEY_IS_DEAD,
    OMS_PREFIX,
    REASONS,
    REQUEST_CODES,
    VALIDATION,
)
from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import ReasonCode


def rows() -> list[ErrorRow]:
    """List codes, HTTP statuses and texts, in that order."""
    return [
        _row(AUTH_CODE, ReasonCode.SESSION_EXPIRED, OnWrite.REPEATABLE, source="3.4, 4.2"),
        _row(
            FORBIDDEN_CODE,
            ReasonCode.IP_NOT_WHITELISTED,
            OnWrite.REFUSED,
            words=IP_MISMATCH.pattern,
            source="3.4, 4.2",
        ),
        _row(
            FORBIDDEN_CODE,
            ReasonCode.SESSION_EXPIRED,
            OnWrite.REFUSED,
            words=KEY_IS_DEAD.pattern,
            source="3.4, 4.2",
        ),
        *(
            _row(code, ReasonCode.INVALID_ORDER, OnWrite.REFUSED)
            for code in sorted(REQUEST_CODES | {VALIDATION})
        ),
        _row(f"{OMS_PREFIX}*", ReasonCode.EXCHANGE_REJECTED, OnWrite.REFUSED),
        _row("IA500", ReasonCode.BROKER_UNAVAILABLE, OnWrite.UNKNOWN),
        _row("MA*", ReasonCode.BROKER_UNAVAILABLE, OnWrite.UNKNOWN),
        _row("HTTP 401", ReasonCode.SESSION_EXPIRED, OnWrite.UNKNOWN, source="3.4"),
        _row("HTTP 405", ReasonCode.INVALID_ORDER, OnWrite.REFUSED),
        _row("HTTP 429", ReasonCode.RATE_LIMITED, OnWrite.UNKNOWN, source="4.2, 10"),
        _row("HTTP 5xx", ReasonCode.BROKER_UNAVAILABLE, OnWrite.UNKNOWN),
        *(
            _row("", reason, OnWrite.SAYS_WHY, words=pattern.pattern, source="4.2, 5.9")
            for pattern, reason in REASONS
        ),
    ]


def _row(
    code: str, reason: ReasonCode, on_write: OnWrite, *, words: str = "", source: str = "4.2"
) -> ErrorRow:
    return ErrorRow(broker_code=code, words=words, reason=reason, on_write=on_write, source=source)
