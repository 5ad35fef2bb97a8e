"""Read Fyers' symbol master: one JSON object per file, keyed by ticker (dossier 9.3).

The largest file is 84 MB, so rows are cut out of the stream one by one and only the fields
needed are decoded; a row is never looked at twice and no file is ever whole in memory.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from adapters.fyers.constants import (
    CURRENCY_UNDERLYINGS,
    EXCHANGE_FROM_WIRE,
    INDEX_SYMBOLS,
    INDEX_TYPE,
    IST,
    OPTION_TYPES,
)
from adapters.fyers.values import price
from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 256 * 1024
_MAX_ROW_BYTES: Final = 64 * 1024
_KEY: Final = re.compile(rb'\s*(?P<separator>[{,])\s*"(?:[^"\\]|\\.)*"\s*:\s*(?=\{)')
_END: Final = re.compile(rb"\s*(?:\{\s*)?\}\s*\Z")
_MONTHS: Final = (
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
)  # fmt: skip
_DERIVATIVES: Final = frozenset(
    {Exchange.NFO, Exchange.BFO, Exchange.CDS, Exchange.BCD, Exchange.MCX}
)
_LOTS_ON_THE_WIRE: Final = frozenset({Exchange.CDS, Exchange.BCD, Exchange.MCX})
"""Where orders are counted in lots and `qtyMultiplier` is units per lot (dossier 5.7)."""


_MOST_UNITS: Final = 10**12
_FEWEST_TO_JUDGE: Final = 10


def read_master(files: Iterable[Path]) -> Iterator[Instrument]:
    """Yield the instruments of downloaded master files.

    Cash: `NSE:SBIN` for series EQ on NSE and for any group on BSE; any other NSE series, and a
    BSE name that several rows claim, keep the series in the symbol (`NSE:MODIRUBBER-BE`), so
    that no name ever stands for two contracts. Rows that are no contract (no expiry, no lot,
    an exchange without a canonical name) are passed over.

    A row that cannot be read is passed over and logged: its instrument is then unknown, which
    is better than going without all the others.

    Raises `ValueError` naming file and row where a file is not what the dossier describes: where
    more than one row in a hundred cannot be read, or most of a file would be passed over, since
    then a field has another name or another meaning than it had.
    """
    for path in files:
        shared = _shared_names(path)
        number = passed_over = unreadable = 0
        first = ""
        for number, row in _rows(path):
            try:
                instrument = _instrument(_DECODER.decode(row), shared)
            except (ValueError, ArithmeticError, OverflowError) as error:
                unreadable += 1
                first = first or f"{path.name}: row {number}: {error}"
                continue
            if instrument is None:
                passed_over += 1
            else:
                yield instrument
        if unreadable > max(number // 100, number >= _FEWEST_TO_JUDGE):
            raise ValueError(first)
        if number >= _FEWEST_TO_JUDGE and passed_over * 2 > number:
            raise ValueError(f"{path.name}: {passed_over} of {number} rows are no contract")
        if unreadable:
            log.warning(
                "%d of %d rows left out, they cannot be read: %s", unreadable, number, first
            )


def check_is_whole(path: Path) -> None:
    """Raise `ValueError` for a file that is visibly no JSON object or is cut short."""
    with path.open("rb") as file:
        head = file.read(64).lstrip()
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 64))
        tail = file.read().rstrip()
    if not head.startswith(b"{") or not tail.endswith(b"}"):
        raise ValueError(f"{path.name}: not a whole JSON object")


class _Row(msgspec.Struct):
    symTicker: str
    exchange: int
    segment: int
    exInstType: int
    minLotSize: int
    tickSize: Decimal
    exSymbol: str = ""
    exSeries: str | None = None
    exSymName: str | None = None
    symDetails: str | None = None
    symbolDetails: str | None = None
    symbolDesc: str | None = None
    optType: str | None = None
    strikePrice: Decimal | None = None
    expiryDate: str | int | None = None
    underSym: str | None = None
    qtyMultiplier: Decimal | None = None
    qtyFreeze: str | int | None = None
    isin: str | None = None
    lowerPrice: Decimal | None = None
    upperPrice: Decimal | None = None


_DECODER: Final = msgspec.json.Decoder(_Row, strict=False)


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from enumerate(_objects(file.read, path.name), 1)


def _objects(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    """Cut `{"key": {...}, "key": {...}}` into its inner objects.

    The first closing brace after which the bytes are valid JSON ends an object, since no
    proper prefix of a JSON object is one itself; so braces in strings or nested objects do
    no harm, and the usual flat row costs one search.
    """
    buffer = b""
    position = 0
    number = 0
    exhausted = False
    while True:
        key = _KEY.match(buffer, position)
        row_end = _object_end(buffer, key.end()) if key else -1
        if key is not None and row_end > 0:
            if (key["separator"] == b"{") != (number == 0):
                raise ValueError(f"{name}: row {number + 1}: rows are not parted by commas")
            number += 1
            yield buffer[key.end() : row_end]
            position = row_end
            continue
        if not exhausted and len(buffer) - position <= _MAX_ROW_BYTES:
            chunk = read(_CHUNK_BYTES)
            exhausted = not chunk
            buffer = buffer[position:] + chunk
            position = 0
            continue
        end = _END.match(buffer, position)
        if exhausted and end is not None and (b"{" in end[0]) == (number == 0):
            return
        raise ValueError(
            f"{name}: row {number + 1}: not a JSON object keyed by ticker, or cut short"
        )


def _object_end(buffer: bytes, start: int) -> int:
    """Return where the object at `start` ends, or -1 while it is not all there."""
    end = buffer.find(b"}", start) + 1
    while 0 < end <= start + _MAX_ROW_BYTES:
        try:
            msgspec.json.decode(memoryview(buffer)[start:end], type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            end = buffer.find(b"}", end) + 1
        else:
            return end
    return -1


def _shared_names(path: Path) -> frozenset[str]:
    """Find the cash names of BSE that more than one row of the file claims."""
    if not path.name.startswith("BSE_CM"):
        return frozenset()
    names: Counter[str] = Counter()
    for _, raw in _rows(path):
        with contextlib.suppress(msgspec.MsgspecError):
            row = _DECODER.decode(raw)
            if row.exInstType != INDEX_TYPE:
                names[row.exSymbol] += 1
    return frozenset(name for name, count in names.items() if count > 1)


def _instrument(row: _Row, shared: frozenset[str]) -> Instrument | None:
    exchange = EXCHANGE_FROM_WIRE.get((row.exchange, row.segment))
    if exchange is None:
        return None
    if exchange in _DERIVATIVES:
        return _derivative(row, exchange)
    return _cash(row, exchange, shared)


def _cash(row: _Row, exchange: Exchange, shared: frozenset[str]) -> Instrument | None:
    if row.exInstType == INDEX_TYPE:
        name = row.symTicker.removeprefix(f"{exchange.value}:").removesuffix("-INDEX")
        return _build(row, exchange, InstrumentType.INDEX, INDEX_SYMBOLS.get(name, name))
    series = _series(row, exchange)
    if not row.exSymbol or not series or row.tickSize <= 0:
        return None
    is_plain = row.exSymbol not in shared if exchange is Exchange.BSE else series == "EQ"
    symbol = row.exSymbol if is_plain else f"{row.exSymbol}-{series}"
    return _build(row, exchange, InstrumentType.EQ, symbol)


def _series(row: _Row, exchange: Exchange) -> str:
    """Return the series, which the ticker ends with where the file does not give it."""
    if row.exSeries and row.exSeries != "XX":
        return row.exSeries.strip()
    start = f"{exchange.value}:{row.exSymbol}-"
    return row.symTicker.removeprefix(start) if row.symTicker.startswith(start) else ""


def _derivative(row: _Row, exchange: Exchange) -> Instrument | None:
    if row.segment == 12 and row.exInstType in CURRENCY_UNDERLYINGS:
        return None
    expiry = _expiry(row.expiryDate)
    if expiry is None or not row.underSym or row.minLotSize <= 0 or row.tickSize <= 0:
        return None
    day = f"{expiry.day:02d}{_MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"
    kind = row.optType or "XX"
    if kind == "XX":
        if (row.segment, row.exInstType) in OPTION_TYPES:
            return None
        return _build(row, exchange, InstrumentType.FUT, f"{row.underSym}{day}FUT", expiry=expiry)
    strike = row.strikePrice
    if kind not in ("CE", "PE") or strike is None or not strike.is_finite() or strike <= 0:
        return None
    return _build(
        row,
        exchange,
        InstrumentType.OPT,
        f"{row.underSym}{day}{_plain(strike):f}{kind}",
        expiry=expiry,
        strike=_plain(strike),
        option_type=OptionType(kind),
    )


def _build(
    row: _Row,
    exchange: Exchange,
    type: InstrumentType,
    symbol: str,
    *,
    expiry: date | None = None,
    strike: Decimal | None = None,
    option_type: OptionType | None = None,
) -> Instrument:
    in_lots = exchange in _LOTS_ON_THE_WIRE
    multiplier = row.qtyMultiplier if in_lots and row.qtyMultiplier is not None else Decimal(1)
    lot_size = multiplier * max(row.minLotSize, 1)
    if not 1 <= lot_size < _MOST_UNITS or lot_size != int(lot_size):
        raise ValueError(f"a lot of {lot_size} units")
    return Instrument(
        instrument=f"{exchange.value}:{symbol}",
        exchange=exchange,
        symbol=symbol,
        name=row.symDetails or row.symbolDetails or row.exSymName or row.symbolDesc or symbol,
        type=type,
        lot_size=int(lot_size),
        tick_size=_plain(row.tickSize),
        codes={"symbol": row.symTicker},
        underlying=row.underSym if expiry is not None else None,
        expiry=expiry,
        strike=strike,
        option_type=option_type,
        # Whether a freeze quantity counts lots or units where orders count lots is not known.
        freeze_quantity=None if in_lots else _freeze_quantity(row.qtyFreeze),
        isin=row.isin or None,
        band_low=price(row.lowerPrice),
        band_high=price(row.upperPrice),
    )


@lru_cache(maxsize=4096)
def _expiry(value: str | int | None) -> date | None:
    """Read the contract's close, epoch seconds; only its date in India counts (dossier 9.3)."""
    seconds = int(value) if value not in (None, "") else 0
    return datetime.fromtimestamp(seconds, IST).date() if seconds > 0 else None


def _freeze_quantity(value: str | int | None) -> int | None:
    quantity = Decimal(value) if value not in (None, "") else Decimal(0)
    return int(quantity) if 0 < quantity < _MOST_UNITS else None


@lru_cache(maxsize=4096)
def _plain(value: Decimal) -> Decimal:
    """Drop trailing zeros without falling into exponent form."""
    value = value.normalize()
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value
