"""Tolerant readers of single values: m.Stock sends most numbers as strings, in several moods.

Pure, no I/O. A value that is absent or has no meaning is None; nothing here guesses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from adapters.mstock.constants import IST, MONTHS

Row = Mapping[str, object]

# Mocks of the broker's own SDK print nulls as "None" (dossier 5.5).
_NULLS = frozenset({"", "none", "null"})
_LONGEST_NULL = max(map(len, _NULLS))
_LARGEST_EXPONENT = 12
_TAG = re.compile(r"[1-9][0-9]{14}")

_BOOK_TIME = re.compile(r"(\d{4})-([A-Za-z]{3})-(\d{1,2}) +(\d{1,2}): *(\d{1,2}): *(\d{1,2})")
_DAY_FIRST = re.compile(
    r"(\d{1,2})-(\d{1,2})-(\d{4}) +(\d{1,2}): *(\d{1,2}): *(\d{1,2})(?: *([AP]M))?", re.IGNORECASE
)


def text(row: Row, key: str) -> str:
    """Read a value as trimmed text; "" for null, "None" and whatever is not a scalar.

    Ids come with stray spaces in the broker's samples (dossier 5.1).
    """
    return clean(row.get(key))


def clean(value: object) -> str:
    """Read one value as `text` does."""
    if type(value) is str:
        trimmed = value.strip()
        return "" if len(trimmed) <= _LONGEST_NULL and trimmed.lower() in _NULLS else trimmed
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return ""
    if isinstance(value, int) and value.bit_length() > 64:
        return ""
    return str(value)


def number(row: Row, key: str) -> Decimal | None:
    """Read a number by its digits, whether it came as a JSON number or as text."""
    return decimal(text(row, key))


@lru_cache(1024)  # A day's rows name few prices, and most of them often: they share them.
def decimal(found: str) -> Decimal | None:
    """Read cleaned text as a number."""
    if not found:
        return None
    try:
        value = Decimal(found)
    except InvalidOperation:
        return None
    return bounded(value)


def bounded(value: Decimal | None) -> Decimal | None:
    """Return a number that is finite and of a sane size, else None.

    The bound keeps an absurd exponent from growing into gigabytes of digits later on.
    """
    if value is None or not value.is_finite() or abs(value.adjusted()) > _LARGEST_EXPONENT:
        return None
    return value


def rupees(row: Row, key: str) -> Decimal | None:
    """Read a price; None for the "0" by which the broker says "no price"."""
    value = number(row, key)
    return value if value else None


def quantity(row: Row, key: str) -> int | None:
    """Read a whole number of units that is not negative."""
    value = signed_quantity(row, key)
    return None if value is None or value < 0 else value


def signed_quantity(row: Row, key: str) -> int | None:
    """Read a whole number of units."""
    return units(text(row, key))


def units(found: str) -> int | None:
    """Read cleaned text as a whole number."""
    if len(found) <= _LARGEST_EXPONENT and found.isascii() and found.isdigit():
        return int(found)
    value = decimal(found)
    return None if value is None or value != value.to_integral_value() else int(value)


def tag(found: str) -> int | None:
    """Read cleaned text as our tag: exactly 15 decimal digits, or it is not ours."""
    return int(found) if found and _TAG.fullmatch(found) else None


@lru_cache(2048)  # A book is read again and again, and most of its rows have not changed.
def moment(value: str, *, in_market_hours: bool) -> datetime | None:
    """Read cleaned text as a time in IST, in one of the broker's formats (dossier 12, quirk 10).

    The order book's form may be a 12-hour clock without AM or PM. While the market is open the
    hours 9 to 11 can only be morning, 12 noon, and 1 to 3 afternoon; where that does not settle
    it the answer is None, because a time hours off could hide an order that is being looked for.
    """
    if found := _BOOK_TIME.fullmatch(value):
        year, month, day, hour, minute, second = found.groups()
        hour24 = _unmarked_hour(int(hour), in_market_hours=in_market_hours)
        number = _month(month)
        if hour24 is None or not number:
            return None
        return _at(int(year), number, int(day), hour24, minute, second)
    if found := _DAY_FIRST.fullmatch(value):
        day, month, year, hour, minute, second, half = found.groups()
        hour24 = int(hour)
        if half:
            if not 1 <= hour24 <= 12:
                # "15:10:00 PM" would be a 24-hour clock with a decoration.
                return _at(int(year), int(month), int(day), hour24, minute, second)
            hour24 = hour24 % 12 + (12 if half.upper() == "PM" else 0)
        return _at(int(year), int(month), int(day), hour24, minute, second)
    return None


@lru_cache(64)
def _month(name: str) -> int:
    """Return the month's number, 0 for no month."""
    return MONTHS.index(name.upper()) + 1 if name.upper() in MONTHS else 0


def _unmarked_hour(hour: int, *, in_market_hours: bool) -> int | None:
    if hour == 0 or hour > 12:
        return hour
    if not in_market_hours:
        return None
    if hour >= 9:
        return hour
    return hour + 12 if hour <= 3 else None


def _at(year: int, month: int, day: int, hour: int, minute: str, second: str) -> datetime | None:
    try:
        return datetime(year, month, day, hour, int(minute), int(second), tzinfo=IST)
    except ValueError:
        return None
