"""The security master (one CSV) to canonical instruments, streamed (dossier hdfc 9).

The file is walked twice: cash names are not unique, so a first pass decides which row owns a
name and which derivative ids would mean two contracts. Rows that cannot be ordered safely are
left out: DUMMY tokens, untradable segments, lot or tick sizes that are placeholders.

MCX and currency rows are listed under their exchange, but their quantity unit is unproven
(9.2), so the adapter refuses orders for them.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

import msgspec

from adapters.hdfc.constants import EXCHANGE_OF_SEGMENT, INDEX_NAMES
from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType

HEADER = (
    "exchange,security_id,instrument_segment,expiry_date,strike_price,option_type,lot_size,"
    "tick_size,close_price,exch_security_id,symbol_name,underline_symbol,open_price"
)

_CASH = frozenset({Exchange.NSE, Exchange.BSE})
_LOT_SENTINEL = 999_999_999
_TICK = re.compile(r"[0-9]*\.?[0-9]+")
_SMALLEST_TICK = Decimal("0.05")
_INDEX_RANK = 9
# Not strftime's %b, which follows the machine's locale.
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Row(msgspec.Struct, frozen=True):
    """One line of the file, still in the broker's terms. Columns keep the file's names."""

    exchange: str
    security_id: str
    instrument_segment: str
    expiry_date: str
    strike_price: str
    option_type: str
    lot_size: str
    tick_size: str
    close_price: str
    exch_security_id: str
    symbol_name: str
    underline_symbol: str
    open_price: str

    @property
    def canonical_exchange(self) -> Exchange | None:
        return EXCHANGE_OF_SEGMENT.get((self.exchange, self.instrument_segment))

    @property
    def is_index(self) -> bool:
        """Indices carry no flag, only a token band; real shares exist right outside it (9.1)."""
        if self.instrument_segment != "EQUITY" or not _is_number(self.exch_security_id):
            return False
        token = int(self.exch_security_id)
        return 26000 <= token <= 26999 if self.exchange == "NSE" else token < 1000


def read_master(files: Iterable[Path]) -> Iterator[Instrument]:
    """Yield the instruments of the security master, row by row.

    Raises:
        ValueError: header or row are not what the dossier describes; names file and row.
    """
    for path in files:
        names = _Names(path)
        for number, row in _rows(path):
            try:
                instrument = _instrument(row, names)
            except (ValueError, InvalidOperation) as error:
                raise ValueError(f"{path.name} row {number}: {error}") from None
            if instrument is not None:
                yield instrument


def check_file(path: Path) -> int:
    """Walk a downloaded file once and return how many rows it has.

    Raises:
        ValueError: wrong header, no rows, or a row cut short.
    """
    count = sum(1 for _ in _rows(path))
    if count == 0:
        raise ValueError(f"{path.name}: no rows")
    return count


def tick_size(written: str) -> Decimal:
    """Return rupees: an integer is paise, a decimal is rupees (deduced, dossier hdfc 9)."""
    value = Decimal(written)
    return value if "." in written else value / 100


class _Names:
    """Which cash row owns which name, and which derivative ids are ambiguous."""

    def __init__(self, path: Path) -> None:
        self._nse_names: dict[str, str] = {}
        # (exchange, name) to (rank, security_id); an empty id: two rows have equal claims.
        self._owners: dict[tuple[str, str], tuple[int, str]] = {}
        self._ambiguous: frozenset[int] = frozenset()
        self._read(path)

    def cash(self, row: Row) -> str | None:
        """Return the symbol of a cash row; None when it can only be named ambiguously.

        A row that lost its name to a better one is listed by its security_id.
        """
        name = self._name(row)
        if self._owners.get((row.exchange, name), (0, row.security_id))[1] == row.security_id:
            return name
        taken = (row.exchange, row.security_id) in self._owners
        return None if taken else row.security_id

    def is_ambiguous(self, instrument: str) -> bool:
        return hash(instrument) in self._ambiguous

    def _read(self, path: Path) -> None:
        blank: list[Row] = []
        derivatives = array("q")
        for number, row in _rows(path):
            exchange = row.canonical_exchange
            if exchange in _CASH:
                _check_numbers(path, number, row)
                if not row.symbol_name and not row.is_index:
                    blank.append(row)
                    continue
                if row.exchange == "NSE":
                    self._nse_names[row.security_id] = row.symbol_name
                self._claim(row)
            elif exchange is not None:
                # 64-bit hashes instead of 100,000 ids: a false match costs one contract.
                derivatives.append(hash(f"{exchange}:{_derivative_symbol_or_row(row)}"))
        for row in blank:
            self._claim(row)
        in_order = sorted(derivatives)
        self._ambiguous = frozenset(a for a, b in pairwise(in_order) if a == b)

    def _claim(self, row: Row) -> None:
        if _is_untradable(row):
            return
        key, claim = (row.exchange, self._name(row)), (_rank(row), row.security_id)
        best = self._owners.setdefault(key, claim)
        if claim[0] < best[0]:
            self._owners[key] = claim
        elif claim[0] == best[0] and claim[1] != best[1]:
            self._owners[key] = (best[0], "")

    def _name(self, row: Row) -> str:
        if row.is_index:
            known = INDEX_NAMES.get(row.security_id) or INDEX_NAMES.get(row.symbol_name)
            return known or row.symbol_name or row.security_id
        # Blank on some 2,000 BSE rows: the NSE row of the same security_id lends its name (9.1).
        return row.symbol_name or self._nse_names.get(row.security_id) or row.security_id


def _rank(row: Row) -> int:
    """Order the rows of one name: the share itself before bonds of the same issuer (9.1)."""
    if row.is_index:
        return _INDEX_RANK
    code = row.security_id
    if code.endswith(("EQNR", "EQTT")):
        return 0 if len(code) == 10 else 1
    return 3 if code.endswith(("NR", "TT")) else 2


def _instrument(row: Row, names: _Names) -> Instrument | None:
    exchange = row.canonical_exchange
    if exchange is None or _is_untradable(row):
        return None
    if not _is_number(row.exch_security_id):
        raise ValueError(f"exch_security_id is no number: {row.exch_security_id[:20]!r}")
    if exchange in _CASH:
        symbol = names.cash(row)
        return None if symbol is None else _cash_instrument(row, exchange, symbol)
    symbol = _derivative_symbol(row)
    if names.is_ambiguous(f"{exchange}:{symbol}"):
        return None
    option_type = OptionType(row.option_type) if row.option_type in ("CE", "PE") else None
    codes = _codes(row)
    if row.underline_symbol:
        codes["underlying_symbol"] = row.underline_symbol
    return Instrument(
        instrument=f"{exchange}:{symbol}",
        exchange=exchange,
        symbol=symbol,
        name=symbol,
        type=InstrumentType.OPT if option_type else InstrumentType.FUT,
        lot_size=int(row.lot_size),
        tick_size=tick_size(row.tick_size),
        codes=codes,
        underlying=row.symbol_name,
        expiry=date.fromisoformat(row.expiry_date),
        strike=Decimal(_plain(row.strike_price)) if option_type else None,
        option_type=option_type,
    )


def _cash_instrument(row: Row, exchange: Exchange, symbol: str) -> Instrument:
    return Instrument(
        instrument=f"{exchange}:{symbol}",
        exchange=exchange,
        symbol=symbol,
        name=row.symbol_name or symbol,
        type=InstrumentType.INDEX if row.is_index else InstrumentType.EQ,
        lot_size=int(row.lot_size),
        tick_size=tick_size(row.tick_size) or _SMALLEST_TICK,
        codes=_codes(row),
    )


def _codes(row: Row) -> dict[str, str]:
    return {
        "exchange": row.exchange,
        "instrument_segment": row.instrument_segment,
        "security_id": row.security_id,
        "token": row.exch_security_id,
    }


def _derivative_symbol(row: Row) -> str:
    if not row.symbol_name:
        raise ValueError("a derivative without symbol_name")
    expiry = date.fromisoformat(row.expiry_date)
    day = f"{expiry.day:02d}{_MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"
    if row.option_type in ("CE", "PE"):
        return f"{row.symbol_name}{day}{_plain(row.strike_price)}{row.option_type}"
    if not row.instrument_segment.startswith("FUT") or row.option_type not in ("XX", ""):
        raise ValueError(f"option_type {row.option_type[:10]!r} on {row.instrument_segment}")
    return f"{row.symbol_name}{day}FUT"


def _derivative_symbol_or_row(row: Row) -> str:
    # The second pass reports what is wrong with the row; the first only counts names.
    try:
        return _derivative_symbol(row)
    except (ValueError, InvalidOperation):
        return "\n".join((row.exchange, row.instrument_segment, row.security_id))


def _plain(written: str) -> str:
    """Write a strike without trailing zeros: `71000.0` as `71000`, `126.25` as it is."""
    digits = f"{Decimal(written):f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _check_numbers(path: Path, number: int, row: Row) -> None:
    try:
        _is_untradable(row)
    except ValueError as error:
        raise ValueError(f"{path.name} row {number}: {error}") from None


def _is_untradable(row: Row) -> bool:
    if row.exch_security_id.startswith("DUMMY"):
        return True
    if not _is_number(row.lot_size) or not _TICK.fullmatch(row.tick_size):
        raise ValueError(f"lot_size {row.lot_size[:20]!r}, tick_size {row.tick_size[:20]!r}")
    lot = int(row.lot_size)
    return lot in (0, _LOT_SENTINEL) or (Decimal(row.tick_size) == 0 and not row.is_index)


def _is_number(written: str) -> bool:
    return written.isascii() and written.isdigit()


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8", newline="") as lines:
        header = lines.readline().rstrip("\r\n")
        if header != HEADER:
            raise ValueError(f"{path.name} row 1: unexpected header {header[:200]!r}")
        width = len(Row.__struct_fields__)
        try:
            for number, columns in enumerate(csv.reader(lines), start=2):
                if not columns:
                    continue
                if len(columns) != width:
                    raise ValueError(
                        f"{path.name} row {number}: {len(columns)} columns, not {width}"
                    )
                yield number, Row(*columns)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name}: {error}") from None
