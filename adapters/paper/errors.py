"""What the practice broker refuses. It is in this process: each refusal took nothing."""

from __future__ import annotations

from typing import Final

from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import ReasonCode

REFUSALS: Final = (
    ReasonCode.INVALID_ORDER,
    ReasonCode.MARGIN_SHORT,
    ReasonCode.PRICE_BAND,
    ReasonCode.PRICE_UNAVAILABLE,
    ReasonCode.TICK_SIZE,
    ReasonCode.LOT_SIZE,
    ReasonCode.FREEZE_QUANTITY,
    ReasonCode.INSTRUMENT_BLOCKED,
    ReasonCode.MARKET_CLOSED,
    ReasonCode.BROKER_REJECTED,
)
"""The reasons that its book and the matching engine give; each is its own code."""


def rows() -> list[ErrorRow]:
    """List the refusals."""
    return [
        ErrorRow(
            broker_code=reason.value, reason=reason, on_write=OnWrite.REFUSED, source="its README"
        )
        for reason in REFUSALS
    ]
