"""Turn Fyers' depth and candles into models or errors. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time
from decimal import Decimal
from typing import Final

import msgspec

from adapters.fyers.constants import IST, NO_DATA
from adapters.fyers.envelope import Envelope, bad_answer, lenient, payload, require_answer
from adapters.fyers.parse_quotes import is_bad_symbol
from adapters.fyers.values import price
from adapters.sdk.models import BrokerDepth, Candle, DepthLevel


def parse_depth(
    envelope: Envelope, symbol: str, instrument: str, read_at: datetime
) -> BrokerDepth | None:
    """Read one contract's best prices (dossier 8); None where Fyers has none for the symbol.

    `as_of` is `read_at`: the answer's `ltt` is the time of the last trade.

    Raises:
        Refused: Fyers does not take the request.
        BadAnswer: the answer proves nothing, or one level cannot be read.
    """
    if is_bad_symbol(envelope):
        return None
    require_answer(envelope)
    row = (payload(envelope, _DEPTHS).d or {}).get(symbol)
    if row is None:
        return None
    asks = row.asks if row.ask is None else row.ask
    return BrokerDepth(
        instrument=instrument,
        bids=sorted(_levels(row.bids or ()), key=_by_price, reverse=True),
        asks=sorted(_levels(asks or ()), key=_by_price),
        as_of=read_at,
    )


def parse_candles(
    envelope: Envelope, start: datetime, end: datetime, *, daily: bool, derivative: bool
) -> list[Candle]:
    """Read the candles that begin in `start` to `end`, both included, oldest first (dossier 8).

    Times are epoch seconds: of intraday candles their beginning, of daily ones 00:00 UTC of the
    trading day, which is its date in India at any rate. A row without prices is passed over.
    Open interest is the seventh value, and only a derivative has it.

    Raises:
        Refused: Fyers does not take the symbol or the range.
        BadAnswer: the answer proves nothing, or one row cannot be read: a gap would be kept.
    """
    if _says_no_data(envelope):
        return []
    require_answer(envelope)
    found: dict[datetime, Candle] = {}
    for row in payload(envelope, _HISTORY).candles or ():
        candle = _candle(row, envelope, daily=daily, derivative=derivative)
        if candle is not None and start <= candle.at <= end:
            found[candle.at] = candle
    return [found[at] for at in sorted(found)]


class _WireLevel(msgspec.Struct):
    price: Decimal
    volume: int
    ord: int | None = None


class _WireDepth(msgspec.Struct):
    bids: list[_WireLevel] | None = None
    ask: list[_WireLevel] | None = None
    asks: list[_WireLevel] | None = None


class _WireDepths(msgspec.Struct):
    d: dict[str, _WireDepth | None] | None = None


class _WireHistory(msgspec.Struct):
    candles: list[list[Decimal | None]] | None = None


class _WireVerdict(msgspec.Struct):
    s: str | None = None


_DEPTHS: Final = lenient(_WireDepths)
_HISTORY: Final = lenient(_WireHistory)
_VERDICT: Final = lenient(_WireVerdict)
_LEAST_VALUES: Final = 5
_LAST_STAMP: Final = Decimal(10) ** 11
_MOST: Final = Decimal(10) ** 18


def _levels(rows: Iterable[_WireLevel]) -> list[DepthLevel]:
    return [
        DepthLevel(price=row.price, quantity=row.volume, orders=row.ord)
        for row in rows
        if price(row.price) is not None and row.volume > 0
    ]


def _by_price(level: DepthLevel) -> Decimal:
    return level.price


def _says_no_data(envelope: Envelope) -> bool:
    if envelope.ok is not None or not 200 <= envelope.status < 300:
        return False
    return (payload(envelope, _VERDICT).s or "").casefold() == NO_DATA


def _candle(
    row: list[Decimal | None], envelope: Envelope, *, daily: bool, derivative: bool
) -> Candle | None:
    if len(row) < _LEAST_VALUES or None in row[1:_LEAST_VALUES]:
        raise bad_answer(envelope, "gave a candle that cannot be read")
    stamp = row[0]
    if stamp is None or not stamp.is_finite() or not 0 < stamp < _LAST_STAMP:
        raise bad_answer(envelope, "gave a candle of no time")
    at = datetime.fromtimestamp(int(stamp), IST)
    opened, high, low, close = (price(value) for value in row[1:_LEAST_VALUES])
    if opened is None or high is None or low is None or close is None:
        return None
    return Candle(
        at=datetime.combine(at.date(), time(), IST) if daily else at,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=_whole(row, 5),
        open_interest=_whole(row, 6) if derivative else None,
    )


def _whole(row: list[Decimal | None], place: int) -> int | None:
    value = row[place] if place < len(row) else None
    if value is None or not value.is_finite() or not 0 <= value < _MOST:
        return None
    return int(value)
