"""The file of holidays and hours: its shape, and everything that may be wrong with one."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from importlib import resources
from typing import Any

import msgspec

from adapters.sdk.models import Exchange

# Segments that share their holidays. Commodities and currencies have lists of their own, of
# which a file says nothing unless it names them.
EQUITY = frozenset({Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO})


class BadDays(ValueError):
    """A file of holidays that cannot be used; the text names the place and the fix."""


class Hours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """IST. Orders are taken from `orders_from` (the opening auction) to `orders_until`, which is
    some minutes past the last trade so that nothing is refused that an exchange may still take.
    """

    orders_from: time
    open: time
    close: time
    orders_until: time


class Holiday(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: date
    name: str
    exchanges: frozenset[Exchange] = EQUITY


class SpecialSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trading at other hours than usual, also on a holiday or at a weekend (Muhurat, a budget)."""

    date: date
    name: str
    open: time
    close: time
    exchanges: frozenset[Exchange] = EQUITY


class Days(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holidays `from_` to `until`; of other days only the weekend is known."""

    source: str
    from_: date = msgspec.field(name="from")
    until: date
    hours: dict[Exchange, Hours]
    holidays: list[Holiday]
    special_sessions: list[SpecialSession] = []


def read_days(text: bytes) -> Days:
    """Read a file of this project's shape, or NSE's own list of trading holidays.

    Raises: `BadDays`.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise BadDays(f"is not JSON: {error}") from error
    if isinstance(raw, dict) and "holidays" not in raw and isinstance(raw.get("FO"), list):
        return _from_nse(raw)
    try:
        days = msgspec.json.decode(text, type=Days)
    except msgspec.ValidationError as error:
        raise BadDays(str(error)) from error
    _assert_consistent(days)
    return days


def built_in() -> Days:
    """The days that this version of the program knows."""
    return read_days(resources.files("gateway.calendar").joinpath("holidays.json").read_bytes())


def _from_nse(raw: dict[str, Any]) -> Days:
    """NSE's `holiday-master?type=trading`: lists by segment, of which FO is what we need."""
    known = built_in()
    holidays = []
    for index, row in enumerate(raw["FO"]):
        try:
            day = datetime.strptime(row["tradingDate"], "%d-%b-%Y").date()  # noqa: DTZ007
            name = str(row["description"]).strip()
        except (KeyError, TypeError, ValueError) as error:
            raise BadDays(f"FO[{index}] has no tradingDate like 26-Jan-2026: {error}") from error
        holidays.append(Holiday(date=day, name=name))
    if not holidays:
        raise BadDays("FO lists no holidays")
    years = {holiday.date.year for holiday in holidays}
    return Days(
        source="NSE's list of trading holidays",
        from_=date(min(years), 1, 1),
        until=date(max(years), 12, 31),
        hours=known.hours,
        holidays=holidays,
    )


def _assert_consistent(days: Days) -> None:
    if days.from_ > days.until:
        raise BadDays(f"from {days.from_} is after until {days.until}")
    missing = [exchange for exchange in Exchange if exchange not in days.hours]
    if missing:
        raise BadDays(f"hours are missing for {', '.join(missing)}")
    for exchange, hours in days.hours.items():
        if not hours.orders_from <= hours.open < hours.close <= hours.orders_until:
            raise BadDays(
                f"hours.{exchange} must be in the order orders_from, open, close, orders_until"
            )
    seen: set[tuple[date, Exchange]] = set()
    for index, holiday in enumerate(days.holidays):
        if not days.from_ <= holiday.date <= days.until:
            raise BadDays(f"holidays[{index}] {holiday.date} is outside from and until")
        for exchange in holiday.exchanges:
            if (holiday.date, exchange) in seen:
                raise BadDays(f"holidays[{index}] {holiday.date} is listed twice for {exchange}")
            seen.add((holiday.date, exchange))
    for index, session in enumerate(days.special_sessions):
        if session.open >= session.close:
            raise BadDays(f"special_sessions[{index}] must open before it closes")
