"""The file of holidays: the one that comes along, the owner's, NSE's, and broken ones."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.sdk.models import Exchange
from gateway.calendar.days import EQUITY, BadDays, built_in, read_days
from gateway.calendar.owner import FILE, CalendarFile


def a_file(**changes: Any) -> bytes:
    hours = {
        "orders_from": "09:00:00",
        "open": "09:15:00",
        "close": "15:30:00",
        "orders_until": "15:45:00",
    }
    whole = {
        "source": "mine",
        "from": "2027-01-01",
        "until": "2027-12-31",
        "hours": dict.fromkeys(Exchange, hours),
        "holidays": [{"date": "2027-01-26", "name": "Republic Day"}],
    }
    return json.dumps({**whole, **changes}).encode()


def test_built_in_days_name_every_exchange_and_only_weekdays() -> None:
    days = built_in()

    assert set(days.hours) == set(Exchange)
    assert date(2026, 11, 24) in {holiday.date for holiday in days.holidays}
    assert not [holiday for holiday in days.holidays if holiday.date.weekday() >= 5]
    assert {holiday.date.year for holiday in days.holidays} == {2025, 2026}


def test_nses_own_list_is_read_as_it_is_downloaded() -> None:
    row = {"tradingDate": "26-Jan-2027", "weekDay": "Tuesday", "description": "Republic Day\r"}

    days = read_days(json.dumps({"CM": [row], "FO": [{**row, "Sr_no": 1}], "CBM": []}).encode())

    assert (days.from_, days.until) == (date(2027, 1, 1), date(2027, 12, 31))
    assert [(h.date, h.name, h.exchanges) for h in days.holidays] == [
        (date(2027, 1, 26), "Republic Day", EQUITY)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[]", "Expected `object`"),
        (a_file(holidays=[{"date": "26-01-2027", "name": "x"}]), "$.holidays[0].date"),
        (a_file(holidays=[{"date": "2027-01-26"}]), "name"),
        (a_file(holidays=[{"date": "2026-01-26", "name": "x"}]), "holidays[0] 2026-01-26"),
        (
            a_file(holidays=[{"date": "2027-01-26", "name": "x"}] * 2),
            "holidays[1] 2027-01-26 is listed twice",
        ),
        (
            a_file(holidays=[{"date": "2027-01-26", "name": "x", "exchanges": ["NYSE"]}]),
            "exchanges",
        ),
        (a_file(until="2026-01-01", holidays=[]), "from 2027-01-01 is after until"),
        (a_file(hours={}), "hours are missing for NSE"),
        (a_file(extra=1), "extra"),
        (
            a_file(
                special_sessions=[
                    {
                        "date": "2027-10-29",
                        "name": "Muhurat",
                        "open": "14:45:00",
                        "close": "13:45:00",
                    }
                ]
            ),
            "special_sessions[0]",
        ),
        (json.dumps({"FO": [{"tradingDate": "2027-01-26"}]}).encode(), "FO[0]"),
        (json.dumps({"FO": []}).encode(), "FO lists no holidays"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(text: bytes, said: str) -> None:
    with pytest.raises(BadDays) as error:
        read_days(text)

    assert said in str(error.value)


def test_hours_out_of_order_are_refused() -> None:
    whole = json.loads(a_file())
    whole["hours"]["NFO"]["close"] = "09:00:00"

    with pytest.raises(BadDays, match=r"hours\.NFO"):
        read_days(json.dumps(whole).encode())


def test_the_owners_file_is_used_and_kept_over_a_restart(tmp_path: Path) -> None:
    CalendarFile(tmp_path).replace(a_file())

    again = CalendarFile(tmp_path)

    assert again.problem is None
    assert again.calendar.days.source == "mine"


def test_a_file_that_went_bad_leaves_the_built_in_days_and_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{")

    kept = CalendarFile(tmp_path)

    assert kept.calendar.days == built_in()
    assert kept.problem is not None and FILE in kept.problem


def test_a_broken_file_replaces_nothing(tmp_path: Path) -> None:
    kept = CalendarFile(tmp_path)
    kept.replace(a_file())

    with pytest.raises(BadDays):
        kept.replace(b"{}")

    assert CalendarFile(tmp_path).calendar.days.source == "mine"
