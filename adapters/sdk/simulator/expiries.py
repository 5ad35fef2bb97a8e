"""Contract expiries counted from a date, holidays ignored."""

from __future__ import annotations

from datetime import date, timedelta

TUESDAY = 1
THURSDAY = 3

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def weekly(today: date, count: int, weekday: int) -> list[date]:
    """Return the next `count` such weekdays, today included."""
    first = today + timedelta(days=(weekday - today.weekday()) % 7)
    return [first + timedelta(weeks=week) for week in range(count)]


def monthly(today: date, count: int, weekday: int) -> list[date]:
    """Return the next `count` monthly expiries, each its month's last such weekday."""
    found: list[date] = []
    year, month = today.year, today.month
    while len(found) < count:
        last = _last(year, month, weekday)
        if last >= today:
            found.append(last)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found


def is_monthly(expiry: date, weekday: int) -> bool:
    """Whether this is its month's last such weekday."""
    return expiry == _last(expiry.year, expiry.month, weekday)


def compact(expiry: date) -> str:
    """Write a date as canonical symbols do: `29DEC26`."""
    return f"{expiry.day:02d}{_MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"


def _last(year: int, month: int, weekday: int) -> date:
    first_of_next = date(year + 1, 1, 1) if month == 12 else date(year, month + 1, 1)
    last_day = first_of_next - timedelta(days=1)
    return last_day - timedelta(days=(last_day.weekday() - weekday) % 7)
