"""Acme's instrument master, read row by row. No network.

One CSV whose last line is `END,<rows>`, so that a file cut short shows itself.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType

COLUMNS = (
    "key",
    "exchange",
    "symbol",
    "name",
    "type",
    "lot",
    "tick",
    "underlying",
    "expiry",
    "strike",
    "option",
    "freeze",
    "isin",
)


def read_master(files: Iterable[Path]) -> Iterator[Instrument]:
    """Yield the instruments of the downloaded files.

    Raises:
        ValueError: a header, row or end that is not as documented; names file and row.
    """
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            yield from _rows(path, csv.reader(file))


def _rows(path: Path, lines: Iterator[list[str]]) -> Iterator[Instrument]:
    if tuple(next(lines, ())) != COLUMNS:
        raise ValueError(f"{path.name}: other columns than {', '.join(COLUMNS)}")
    count = 0
    for line in lines:
        if line[:1] == ["END"]:
            if line[1:] != [str(count)]:
                raise ValueError(f"{path.name}: {count} rows, but its end says {line[1:]}")
            return
        count += 1
        try:
            yield _instrument(dict(zip(COLUMNS, line, strict=True)))
        except (ValueError, InvalidOperation) as error:
            raise ValueError(f"{path.name} row {count}: {error}") from error
    raise ValueError(f"{path.name}: cut short after {count} rows")


def _instrument(row: dict[str, str]) -> Instrument:
    exchange = Exchange(row["exchange"])
    return Instrument(
        instrument=f"{exchange.value}:{row['symbol']}",
        exchange=exchange,
        symbol=row["symbol"],
        name=row["name"],
        type=InstrumentType(row["type"]),
        lot_size=int(row["lot"]),
        tick_size=Decimal(row["tick"]),
        codes={"key": row["key"]},
        underlying=row["underlying"] or None,
        expiry=date.fromisoformat(row["expiry"]) if row["expiry"] else None,
        strike=Decimal(row["strike"]) if row["strike"] else None,
        option_type=OptionType(row["option"]) if row["option"] else None,
        freeze_quantity=int(row["freeze"]) if row["freeze"] else None,
        isin=row["isin"] or None,
    )
