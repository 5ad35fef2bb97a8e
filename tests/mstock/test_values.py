from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.mstock import values
from adapters.mstock.constants import IST


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-Nov-06 12:42:18", (2024, 11, 6, 12, 42, 18)),
        ("2025-Feb-11 10: 20: 34", (2025, 2, 11, 10, 20, 34)),
        ("2026-Nov-22 09:15:00", (2026, 11, 22, 9, 15, 0)),
        ("2026-Nov-22 01:05:09", (2026, 11, 22, 13, 5, 9)),
        ("2026-Nov-22 03:29:59", (2026, 11, 22, 15, 29, 59)),
        ("2026-Nov-22 15:29:59", (2026, 11, 22, 15, 29, 59)),
        ("2026-Nov-22 00:01:00", (2026, 11, 22, 0, 1, 0)),
        ("23-01-2025 03:14:25 PM", (2025, 1, 23, 15, 14, 25)),
        ("23-01-2025 12:00:01 AM", (2025, 1, 23, 0, 0, 1)),
        ("23-01-2025 12:00:01 pm", (2025, 1, 23, 12, 0, 1)),
        ("10-06-2025 13:08:42", (2025, 6, 10, 13, 8, 42)),
    ],
)
def test_the_brokers_formats_are_read_as_ist(written: str, expected: tuple[int, ...]) -> None:
    assert datetime(*expected, tzinfo=IST) == values.moment(written, in_market_hours=True)


@pytest.mark.parametrize(
    "written",
    ["", "2026-Nov-22 04:27:00", "2026-Nov-31 10:00:00", "2026-Xyz-01 10:00:00", "yesterday", "0"],
)
def test_a_time_that_is_not_clear_is_none(written: str) -> None:
    assert values.moment(written, in_market_hours=True) is None


def test_outside_market_hours_an_unmarked_hour_is_not_guessed() -> None:
    assert values.moment("2026-Nov-22 09:30:00", in_market_hours=False) is None
    assert values.moment("2026-Nov-22 21:30:00", in_market_hours=False) is not None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("6.10", Decimal("6.10")),
        (Decimal("6.1"), Decimal("6.1")),
        (6, Decimal(6)),
        (" 7 ", Decimal(7)),
        ("-0.01", Decimal("-0.01")),
        ("None", None),
        ("", None),
        (None, None),
        (True, None),
        ("NaN", None),
        ("Infinity", None),
        ("1E+999999", None),
        (10**400, None),
        ([], None),
    ],
)
def test_numbers_keep_their_digits_or_are_none(value: Any, expected: Decimal | None) -> None:
    assert expected == values.number({"n": value}, "n")


@pytest.mark.parametrize(
    ("value", "expected"), [("10", 10), ("10.0", 10), ("1.5", None), ("-1", None), ("0", 0)]
)
def test_quantities_are_whole_and_not_negative(value: str, expected: int | None) -> None:
    assert expected == values.quantity({"n": value}, "n")
