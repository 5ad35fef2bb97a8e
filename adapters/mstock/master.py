"""m.Stock's instrument master (`OpenAPIScripMaster`), read row by row (dossier 9).

A bare JSON array of about 150,000 flat objects; `{"data": [...]}` and CSV with the same column
names are read too. Columns are believed, never the text of a trading symbol.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

import ijson

from adapters.mstock import values
from adapters.mstock.constants import EQUITY_TYPES, FUTURE_TYPES, INDICES, MONTHS, OPTION_TYPES
from adapters.mstock.values import Row
from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType

_log = logging.getLogger(__name__)

_CASH: Final = {"NSE": Exchange.NSE, "BSE": Exchange.BSE}
_DERIVATIVES: Final = {"NFO": Exchange.NFO, "BFO": Exchange.BFO}
_INDEX_KEYS: Final = frozenset((exchange.value, token) for exchange, _, token in INDICES)
_INDEX_TICK: Final = Decimal("0.05")
# More bad rows than this share, and the file is not what the dossier describes.
_TOLERATED_SHARE: Final = 100
_TOLERATED_ROWS: Final = 20


def read_master(files: Iterable[Path]) -> Iterator[Instrument]:
    """Yield the contracts that we can name and trade, then the indices, which can be quoted.

    Left out: currency and commodity rows (their units are unproven) and rows whose columns make
    no sense, which are counted and logged. `NSE:SBIN` is the `-EQ` row; another series keeps
    its suffix (`NSE:XYZ-BE`), so it is neither mixed up nor guessed.

    Raises:
        ValueError: a file that is cut short or not what the dossier describes.
    """
    for path in files:
        yield from _read_file(path)
    for exchange, symbol, token in INDICES:
        yield Instrument(
            instrument=f"{exchange.value}:{symbol}",
            exchange=exchange,
            symbol=symbol,
            name=symbol,
            type=InstrumentType.INDEX,
            lot_size=1,
            tick_size=_INDEX_TICK,
            codes={"exchange": exchange.value, "token": token, "tradingsymbol": symbol},
        )


def instrument(row: Row) -> Instrument | None:
    """Turn one row into a contract, or None for a kind that is not traded here.

    Raises:
        ValueError: a kind that is traded here, with columns that make no sense.
    """
    segment = values.text(row, "exch_seg").upper()
    kind = values.text(row, "instrumenttype").upper()
    if (segment, values.text(row, "token")) in _INDEX_KEYS:
        return None
    # The books say EQUITY where the master says EQ (dossier 5.5).
    if segment in _CASH and kind in EQUITY_TYPES:
        return _cash(row, _CASH[segment])
    if segment in _DERIVATIVES and kind in FUTURE_TYPES:
        return _derivative(row, _DERIVATIVES[segment], None)
    if segment in _DERIVATIVES and kind in OPTION_TYPES:
        suffix = values.text(row, "name")[-2:].upper()
        if suffix not in ("CE", "PE"):
            raise ValueError(f"option named {values.text(row, 'name')!r}")
        return _derivative(row, _DERIVATIVES[segment], OptionType(suffix))
    return None


def _read_file(path: Path) -> Iterator[Instrument]:
    read = found = bad = 0
    first_bad = ""
    for read, row in enumerate(_rows(path), 1):
        try:
            contract = instrument(row)
        except ValueError as error:
            bad += 1
            first_bad = first_bad or f"row {read}: {error}"
            continue
        if contract is not None:
            found += 1
            yield contract
    if not found or bad > max(_TOLERATED_ROWS, read // _TOLERATED_SHARE):
        raise ValueError(
            f"{path.name}: {found} usable and {bad} bad of {read} rows ({first_bad or 'none'})"
        )
    if bad:
        _log.warning("%s: left out %d bad of %d rows (%s)", path.name, bad, read, first_bad)


def _rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        file.seek(0)
        if start == b"[":
            yield from _json_rows(path, file, "item")
        elif start == b"{":
            yield from _json_rows(path, file, "data.item")
        else:
            yield from _csv_rows(path)


def _json_rows(path: Path, file: BinaryIO, prefix: str) -> Iterator[Row]:
    number = 0
    try:
        for number, row in enumerate(ijson.items(file, prefix), 1):
            if not isinstance(row, Mapping):
                raise ValueError(f"{path.name} row {number}: not an object")
            yield row
    except (ijson.JSONError, UnicodeDecodeError, ArithmeticError) as error:
        raise ValueError(f"{path.name} after row {number}: {error}") from error


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            if "exch_seg" not in (reader.fieldnames or ()):
                raise ValueError(f"{path.name} row 1: neither JSON nor the columns of the master")
            yield from reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} line {reader.line_num}: {error}") from error


def _cash(row: Row, exchange: Exchange) -> Instrument:
    ticker, name = values.text(row, "symbol"), values.text(row, "name")
    if not ticker:
        raise ValueError("no symbol")
    if exchange is Exchange.BSE:
        # The form of BSE symbols is not proven, with or without a group; the ticker names the
        # share, and two rows of one ticker make it ambiguous rather than guessed.
        symbol = ticker
    else:
        series = name.removeprefix(f"{ticker}-")
        if series == name or not series:
            raise ValueError(f"cash name {name!r} is not {ticker!r} with a series")
        symbol = ticker if series == "EQ" else name
    return _contract(row, exchange, symbol, InstrumentType.EQ, name=ticker)


def _derivative(row: Row, exchange: Exchange, option_type: OptionType | None) -> Instrument:
    underlying = values.text(row, "symbol")
    expiry = _expiry(values.text(row, "expiry"))
    if not underlying:
        raise ValueError("no symbol")
    day = f"{expiry.day:02d}{MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"
    if option_type is None:
        return _contract(
            row,
            exchange,
            f"{underlying}{day}FUT",
            InstrumentType.FUT,
            underlying=underlying,
            expiry=expiry,
        )
    strike = values.number(row, "strike")
    if strike is None or strike <= 0:
        raise ValueError(f"strike {values.text(row, 'strike')!r}")
    return _contract(
        row,
        exchange,
        f"{underlying}{day}{_plain(strike)}{option_type.value}",
        InstrumentType.OPT,
        underlying=underlying,
        expiry=expiry,
        strike=strike,
        option_type=option_type,
    )


def _contract(
    row: Row,
    exchange: Exchange,
    symbol: str,
    type: InstrumentType,
    *,
    name: str = "",
    underlying: str | None = None,
    expiry: date | None = None,
    strike: Decimal | None = None,
    option_type: OptionType | None = None,
) -> Instrument:
    token, wire_name = values.text(row, "token"), values.text(row, "name")
    lot_size, tick_size = values.quantity(row, "lotsize"), values.number(row, "tick_size")
    if not (token.isascii() and token.isdigit()) or not wire_name:
        raise ValueError(f"token {token!r}, name {wire_name!r}")
    if not lot_size or tick_size is None or tick_size <= 0:
        raise ValueError(f"{wire_name}: lot size or tick size is not positive")
    return Instrument(
        instrument=f"{exchange.value}:{symbol}",
        exchange=exchange,
        symbol=symbol,
        name=name or symbol,
        type=type,
        lot_size=lot_size,
        tick_size=tick_size,
        codes={"exchange": exchange.value, "token": token, "tradingsymbol": wire_name},
        underlying=underlying,
        expiry=expiry,
        strike=strike,
        option_type=option_type,
    )


def _expiry(written: str) -> date:
    """Read `23Oct2025`. Raises `ValueError`."""
    try:
        return date(int(written[5:]), MONTHS.index(written[2:5].upper()) + 1, int(written[:2]))
    except ValueError:
        raise ValueError(f"expiry {written!r}") from None


def _plain(strike: Decimal) -> str:
    digits = f"{strike:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
