"""The arithmetic of protection: on the tick, inside both bands, never zero."""

from __future__ import annotations

from decimal import Decimal as D
from types import SimpleNamespace

import pytest

from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.models import BrokerQuote, Exchange, Instrument, InstrumentType, Side
from gateway.orchestrator.pricing import limit_for, reference_of
from gateway.orders.times import ist

ACCOUNT = SimpleNamespace(
    policy=SimpleNamespace(protect_band={"EQ": D("1.0"), "OPT": D("10"), "FUT": D("0.5")})
)


def contract(kind: str = "EQ", tick: str = "0.05", **more) -> Instrument:
    return Instrument(
        instrument="NSE:X",
        exchange=Exchange.NSE,
        symbol="X",
        name="X",
        type=InstrumentType(kind),
        lot_size=1,
        tick_size=D(tick),
        codes={},
        **more,
    )


@pytest.mark.parametrize(
    ("kind", "side", "reference", "wanted"),
    [
        ("EQ", Side.BUY, "100", "101.00"),
        ("EQ", Side.BUY, "100.02", "101.00"),
        ("EQ", Side.SELL, "100", "99.00"),
        ("EQ", Side.SELL, "100.02", "99.05"),
        ("FUT", Side.BUY, "24000", "24120.00"),
        ("OPT", Side.BUY, "0.05", "0.05"),
        ("OPT", Side.SELL, "0.05", "0.05"),
        ("OPT", Side.BUY, "1.20", "1.30"),
        ("OPT", Side.SELL, "1.20", "1.10"),
    ],
)
def test_the_limit_is_the_furthest_tick_inside_the_band(kind, side, reference, wanted):
    assert limit_for(ACCOUNT, contract(kind), side, D(reference)) == D(wanted)


def test_the_days_price_band_of_the_exchange_comes_first():
    banded = contract(band_low=D("99.50"), band_high=D("100.40"))

    assert limit_for(ACCOUNT, banded, Side.BUY, D("100")) == D("100.40")
    assert limit_for(ACCOUNT, banded, Side.SELL, D("100")) == D("99.50")


@pytest.mark.parametrize(
    ("side", "reference"),
    [(Side.BUY, "101"), (Side.SELL, "99"), (Side.BUY, "97"), (Side.SELL, "103")],
)
def test_a_price_outside_the_days_band_gets_no_limit(side, reference):
    banded = contract(band_low=D("99.50"), band_high=D("100.40"))

    with pytest.raises(Denied) as caught:
        limit_for(ACCOUNT, banded, side, D(reference))
    assert caught.value.reason is ReasonCode.PRICE_BAND


def quote(last: str, bid: str | None = None, ask: str | None = None) -> BrokerQuote:
    return BrokerQuote(
        instrument="NSE:X",
        last_price=D(last),
        as_of=ist(0),
        bid_price=D(bid) if bid else None,
        ask_price=D(ask) if ask else None,
    )


@pytest.mark.parametrize(
    ("found", "buy", "sell"),
    [
        (quote("100"), "100", "100"),
        (quote("100", "99.9", "100.1"), "100.1", "99.9"),
        (quote("90", "99.9", "100.1"), "100.1", "99.9"),
        (quote("100", "50", "500"), "100", "100"),
        (quote("100", "0", "100"), "100", "100"),
        (quote("100", "101", "100"), "100", "100"),
    ],
)
def test_the_reference_is_the_other_side_where_both_are_close(found, buy, sell):
    assert reference_of(found, Side.BUY, D("1")) == D(buy)
    assert reference_of(found, Side.SELL, D("1")) == D(sell)
