"""Fyers' errors as rows, from the tables that `envelope` decides by."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.fyers.constants import (
    AMBIGUOUS_CODES,
    CODES_AUTH,
    CODES_RATE_LIMITED,
    MESSAGE_REASONS,
    REFUSALS,
)
from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import ReasonCode

_STATUSES = (
    ("HTTP 401", ReasonCode.SESSION_EXPIRED, OnWrite.UNKNOWN, "3.5"),
    ("HTTP 403", ReasonCode.BROKER_REJECTED, OnWrite.REFUSED, "3.6, 4.2"),
    ("HTTP 429", ReasonCode.RATE_LIMITED, OnWrite.UNKNOWN, "4.2, 10"),
    ("HTTP 5xx", ReasonCode.BROKER_UNAVAILABLE, OnWrite.UNKNOWN, "4.1, 4.2"),
)
"""403 counts with a JSON object that says `s: error`; the rest whatever the body is."""


def rows() -> list[ErrorRow]:
    """List codes, HTTP statuses and texts, in that order."""
    return [
        *(_code(code, reason, OnWrite.REFUSED) for code, reason in _by_code(REFUSALS.items())),
        *_unknown(AMBIGUOUS_CODES, ReasonCode.BROKER_UNAVAILABLE),
        *_unknown(CODES_RATE_LIMITED, ReasonCode.RATE_LIMITED),
        *_unknown(CODES_AUTH, ReasonCode.SESSION_EXPIRED),
        *(
            ErrorRow(broker_code=status, reason=reason, on_write=proves, source=source)
            for status, reason, proves, source in _STATUSES
        ),
        *(_text(pattern.pattern, reason) for pattern, reason in MESSAGE_REASONS),
    ]


def _by_code(items: Iterable[tuple[int, ReasonCode]]) -> list[tuple[int, ReasonCode]]:
    return sorted(items, key=lambda item: abs(item[0]))


def _unknown(codes: Iterable[int], reason: ReasonCode) -> list[ErrorRow]:
    return [
        _code(code, reason, OnWrite.UNKNOWN) for code in sorted(codes, key=lambda c: (abs(c), c))
    ]


def _code(code: int, reason: ReasonCode, on_write: OnWrite) -> ErrorRow:
    return ErrorRow(broker_code=str(code), reason=reason, on_write=on_write, source="4.2")


def _text(pattern: str, reason: ReasonCode) -> ErrorRow:
    # Before an order is looked at, the address is: these words refuse under any code (3.6).
    by_address = reason is ReasonCode.IP_NOT_WHITELISTED
    return ErrorRow(
        words=pattern,
        reason=reason,
        on_write=OnWrite.REFUSED if by_address else OnWrite.SAYS_WHY,
        source="3.6" if by_address else "4.3",
    )
