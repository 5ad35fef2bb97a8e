"""JSON values of InvestRight's rows to ours. Pure, no I/O.

Numbers may arrive as strings with thousands separators or as "" (dossier hdfc 12.7), ids as
numbers. A number is taken by its digits and never passes through a float.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, TypeVar

from adapters.hdfc.constants import IST

_log = logging.getLogger(__name__)

# Whatever JSON can say; readers decide what they take it for.
Value = Any
T = TypeVar("T")

_MOST_DIGITS: Final = 18
_LONGEST_SHOWN: Final = 60


class Unreadable(ValueError):
    """A member is not the kind of value that the dossier describes."""


@lru_cache(1024)  # A day's rows name few prices, and most of them often: they share them.
def exact(digits: str) -> Decimal | str:
    """Take a JSON number with a point or an exponent; one that no `Decimal` holds stays text."""
    try:
        return Decimal(digits)
    except ArithmeticError:
        return digits


def text(value: Value) -> str | None:
    """Return text stripped, or a number's digits; None for anything else and for nothing."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return None


def number(value: Value, name: str) -> Decimal | None:
    """Return a number by its digits, from a number or from text; None when it is empty.

    Raises:
        Unreadable: no number, or one beyond anything money or shares can be.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    written = text(value)
    try:
        found = Decimal((written or "x").replace(",", ""))
    except InvalidOperation:
        raise Unreadable(f"{name} is not a number") from None
    if not found.is_finite() or (found and abs(found.adjusted()) > _MOST_DIGITS):
        raise Unreadable(f"{name} is not a usable number")
    return found


def signed(value: Value, name: str) -> int | None:
    """Return a whole number, accepting `10.0`; None when it is empty. Raises `Unreadable`."""
    if type(value) is int and -_LARGEST < value < _LARGEST:
        return value
    found = number(value, name)
    if found is None:
        return None
    if found != found.to_integral_value():
        raise Unreadable(f"{name} is not a whole number")
    return int(found)


def whole(value: Value, name: str) -> int | None:
    """As `signed`, but refuse what is below zero."""
    found = signed(value, name)
    if found is not None and found < 0:
        raise Unreadable(f"{name} is negative")
    return found


def price(value: Value, name: str) -> Decimal | None:
    """Return a price, or None for zero, which stands for "none" on this wire (dossier 5.2)."""
    if value == 0 and type(value) in (int, Decimal):
        return None
    return number(value, name) or None


def per_unit(amount: Decimal, quantity: int) -> Decimal:
    """Divide to four decimals, two where the rest are zeros."""
    exact_price = (amount / quantity).quantize(_CENT_OF_A_PAISA)
    plain = exact_price.quantize(_PAISA)
    return plain if plain == exact_price else exact_price


def time(value: Value) -> datetime | None:
    """Return `DD/MM/YYYY HH:MM:SS`, naive IST, as an aware time; None when it is not that."""
    written = text(value) or ""
    try:
        if len(written) == 19 and written[2] == written[5] == "/":
            iso = f"{written[6:10]}-{written[3:5]}-{written[:2]}{written[10:]}"
            return datetime.fromisoformat(iso).replace(tzinfo=IST)
        return datetime.strptime(written, "%d/%m/%Y %H:%M:%S").replace(tzinfo=IST)
    except ValueError:
        return None


def word(what: str, words: Mapping[str, T], value: Value) -> T | None:
    """Look a word of the broker's up without regard to case; one that is not known is logged."""
    written = text(value)
    if written is None:
        return None
    upper = written.upper()
    if upper not in words:
        unrecognised(what, written)
        return None
    return words[upper]


@lru_cache(256)
def unrecognised(what: str, written: str) -> None:
    """Log a word that is not known, once while it is remembered."""
    _log.warning("HDFC: unrecognised %s %r", what, written[:_LONGEST_SHOWN])


_PAISA: Final = Decimal("0.01")
_CENT_OF_A_PAISA: Final = Decimal("0.0001")
_LARGEST: Final = 10 ** (_MOST_DIGITS + 1)
