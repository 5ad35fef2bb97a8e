"""HDFC's errors as rows, from the tables that `refusals` and `reasons` decide by."""

from __future__ import annotations

from adapters.hdfc.reasons import (
    DOUBTFUL_CODES,
    DOUBTFUL_TEXT,
    OMS_CODES,
    TEXTS,
    THROTTLED,
)
from adapters.hdfc.refusals import DEAD_SESSION_CODE, DEAD_SESSION_TEXT, INVALID_STATUSES
from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import ReasonCode


def rows() -> list[ErrorRow]:
    """List HTTP statuses, codes and texts, in that order."""
    return [
        _row("HTTP 2xx", ReasonCode.BROKER_REJECTED, OnWrite.REFUSED, "4.1, 4.2"),
        *(
            _row(f"HTTP {status}", ReasonCode.INVALID_ORDER, OnWrite.REFUSED, "4.2")
            for status in sorted(INVALID_STATUSES)
        ),
        _row("HTTP 401", ReasonCode.SESSION_EXPIRED, OnWrite.UNKNOWN, "4.2"),
        _row("HTTP 403", ReasonCode.BROKER_REJECTED, OnWrite.REFUSED, "4.2, 12.13"),
        _row("HTTP 429", ReasonCode.RATE_LIMITED, OnWrite.UNKNOWN, "4.2"),
        _row("HTTP 5xx", ReasonCode.BROKER_UNAVAILABLE, OnWrite.UNKNOWN, "4.2"),
        _row(DEAD_SESSION_CODE, ReasonCode.SESSION_EXPIRED, OnWrite.UNKNOWN, "4.3"),
        *(
            _row(code, ReasonCode.BROKER_UNAVAILABLE, OnWrite.UNKNOWN, "4.3")
            for code in sorted(DOUBTFUL_CODES)
            if not any(low <= int(code) <= high for low, high, _ in OMS_CODES)
        ),
        *(_oms(low, high, reason) for low, high, reason in OMS_CODES),
        _row("", ReasonCode.SESSION_EXPIRED, OnWrite.UNKNOWN, "4.2", DEAD_SESSION_TEXT.pattern),
        _row("", ReasonCode.RATE_LIMITED, OnWrite.UNKNOWN, "4.2", THROTTLED.pattern),
        _row(
            "",
            ReasonCode.BROKER_UNAVAILABLE,
            OnWrite.UNKNOWN,
            "4.2, 4.3, 4.4",
            DOUBTFUL_TEXT.pattern,
        ),
        *(
            _row("", reason, OnWrite.SAYS_WHY, "4.2, 4.3, 4.4", pattern.pattern)
            for pattern, reason in TEXTS
        ),
    ]


def _oms(low: int, high: int, reason: ReasonCode) -> ErrorRow:
    doubtful = any(str(code) in DOUBTFUL_CODES for code in range(low, high + 1))
    return _row(
        str(low) if low == high else f"{low}-{high}",
        reason,
        OnWrite.UNKNOWN if doubtful else OnWrite.SAYS_WHY,
        "4.4",
    )


def _row(
    code: str, reason: ReasonCode, on_write: OnWrite, source: str, words: str = ""
) -> ErrorRow:
    return ErrorRow(broker_code=code, words=words, reason=reason, on_write=on_write, source=source)
