"""Single values as Fyers writes them: ids, codes, prices, tags and times. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from adapters.fyers.constants import IST

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}

Notice = Callable[[str, str], None]
"""Hears of a value that is not recognised: which field, and what it said."""


def overlook(field: str, value: str) -> None:
    """Be a `Notice` that nobody reads."""


def text(value: object) -> str | None:
    """Read an identifier, which some answers give as a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


def integer(value: object) -> int | None:
    """Read a code, which some answers give as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        digits = value.strip()
        if digits.removeprefix("-").isdecimal() and len(digits) <= 12:
            return int(digits)
    return None


def price(value: Decimal | None) -> Decimal | None:
    """Read a price, where 0 stands for none."""
    return value if value is not None and value.is_finite() and value > 0 else None


def amount(value: Decimal | None) -> Decimal | None:
    """Read an amount of money, where 0 is one and a loss is negative."""
    return value if value is not None and value.is_finite() else None


def broker_tag(tag: str | int | None) -> int | None:
    """Read our tag back; `1:` marks a user's tag, `2:` one of the system's (dossier 5.6)."""
    digits = str(tag).removeprefix("1:")
    if len(digits) == 15 and digits.isascii() and digits.isdigit() and digits[0] != "0":
        return int(digits)
    return None


def parse_time(value: object) -> datetime | None:
    """Read `04-Aug-2025 10:05:06`, which is IST; None for anything else (dossier 5.5)."""
    return _time(value) if isinstance(value, str) else None


# A book is read again and again, and its times stay.
@lru_cache(maxsize=8192)
def _time(value: str) -> datetime | None:
    try:
        day, clock = value.strip().split(" ")
        date, month, year = day.split("-")
        hour, minute, second = clock.split(":")
        return datetime(
            int(year),
            _MONTHS[month.casefold()],
            int(date),
            int(hour),
            int(minute),
            int(second),
            tzinfo=IST,
        )
    except (ValueError, KeyError):
        return None
