"""Members of a row, as InvestRight's books spell them, to our values.

All raise `Unreadable` naming the member that is not what the dossier describes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.hdfc.constants import CODE_KEYS, IST
from adapters.hdfc.envelope import Answer, Members, Unreadable, integer, members, number, text
from adapters.sdk.errors import BadAnswer

T = TypeVar("T")


def read_row(raw: msgspec.Raw, read: Callable[[Members], T], answer: Answer, what: str) -> T:
    """Read one row of a list. Raises `BadAnswer`, since a list with holes is no list."""
    row = members(raw)
    if row is None:
        raise BadAnswer(f"HDFC: {what} hold a row that is no object", status=answer.status)
    try:
        return read(row)
    except Unreadable as error:
        raise BadAnswer(f"HDFC: {what}: unreadable row: {error}", status=answer.status) from None


def codes(row: Members) -> dict[str, str]:
    """Return what names the contract in orders and in the master alike."""
    return {name: value for name in CODE_KEYS if (value := text(row.get(name))) is not None}


def signed(row: Members, name: str) -> int | None:
    try:
        return integer(row.get(name))
    except Unreadable as error:
        raise Unreadable(f"{name} is {error}") from None


def whole(row: Members, name: str) -> int | None:
    value = signed(row, name)
    if value is not None and value < 0:
        raise Unreadable(f"{name} is negative")
    return value


def decimal(row: Members, name: str) -> Decimal | None:
    try:
        return number(row.get(name))
    except Unreadable as error:
        raise Unreadable(f"{name} is {error}") from None


def price(row: Members, name: str) -> Decimal | None:
    """Return a price, or None for zero, which stands for "none" on this wire (dossier 5.2)."""
    return decimal(row, name) or None


def time(row: Members, name: str) -> datetime | None:
    """Return a naive IST time as an aware one, or None when there is none to be read."""
    try:
        written = text(row.get(name)) or ""
        return datetime.strptime(written, "%d/%m/%Y %H:%M:%S").replace(tzinfo=IST)
    except ValueError:
        return None


def upper(row: Members, name: str) -> str:
    return (text(row.get(name)) or "").upper()
