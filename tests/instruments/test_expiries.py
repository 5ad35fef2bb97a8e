"""Nearest, next and monthly: marks on the days that masters list."""

from __future__ import annotations

from datetime import date

from adapters.sdk.models import Exchange, InstrumentType
from gateway.instruments.expiries import chosen, marked
from gateway.store.instruments import Expiry

FUT, OPT = InstrumentType.FUT, InstrumentType.OPT


def listed(*days: str, kind: InstrumentType = OPT, broker: str = "b", exchange=Exchange.NFO):
    return [
        Expiry(
            broker=broker,
            exchange=exchange,
            type=kind,
            underlying="NIFTY",
            expiry=date.fromisoformat(day),
        )
        for day in days
    ]


def marks(rows):
    return {
        row.expiry.isoformat(): [w for w in ("nearest", "next", "monthly") if getattr(row, w)]
        for row in rows
    }


def test_weeklies_and_monthlies_are_told_apart():
    days = ("2026-11-24", "2026-12-01", "2026-12-08", "2026-12-29", "2027-01-26")

    assert {
        "2026-11-24": ["nearest", "monthly"],
        "2026-12-01": ["next"],
        "2026-12-08": [],
        "2026-12-29": ["monthly"],
        "2027-01-26": ["monthly"],
    } == marks(marked(listed(*days), date(2026, 11, 20)))


def test_the_expiry_day_itself_counts_and_the_day_after_it_does_not():
    rows = listed("2026-11-24", "2026-12-01")

    assert ["nearest", "monthly"] == marks(marked(rows, date(2026, 11, 24)))["2026-11-24"]
    assert {"2026-12-01": ["nearest", "monthly"]} == marks(marked(rows, date(2026, 11, 25)))


def test_futures_and_options_and_exchanges_are_marked_apart():
    rows = [
        *listed("2026-12-01", "2026-12-29"),
        *listed("2026-12-29", "2027-01-26", kind=FUT),
        *listed("2026-12-03", kind=FUT, exchange=Exchange.BFO),
    ]

    nearest = chosen(marked(rows, date(2026, 11, 25)), "nearest")

    assert {
        (Exchange.NFO, OPT, "2026-12-01"),
        (Exchange.NFO, FUT, "2026-12-29"),
        (Exchange.BFO, FUT, "2026-12-03"),
    } == {(row.exchange, row.type, row.expiry.isoformat()) for row in nearest}


def test_a_day_that_one_broker_lacks_names_those_that_have_it():
    rows = [*listed("2026-12-01", broker="a"), *listed("2026-12-01", "2026-12-08", broker="b")]

    found = marked(rows, date(2026, 11, 25))

    assert [["a", "b"], ["b"]] == [row.brokers for row in found]


def test_monthly_means_the_nearest_monthly_day():
    rows = marked(listed("2026-12-01", "2026-12-29", "2027-01-26"), date(2026, 11, 25))

    assert ["2026-12-29"] == [row.expiry.isoformat() for row in chosen(rows, "monthly")]
    assert [] == chosen(marked(listed("2026-12-01"), date(2026, 11, 25)), "next")
