"""The synthetic market's rows."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sdk.models import Exchange, InstrumentType
from adapters.sdk.simulator import Contract, Universe

UNIVERSE = Universe(date(2026, 11, 22))


def find(instrument: str) -> Contract:
    found = UNIVERSE.by_instrument(instrument)
    assert found is not None, instrument
    return found


def test_known_shares_carry_the_exchanges_own_tokens_and_isins() -> None:
    assert {
        "NSE:SBIN": 3045,
        "NSE:RELIANCE": 2885,
        "NSE:INFY": 1594,
        "NSE:TCS": 11536,
        "NSE:HDFCBANK": 1333,
        "NSE:IDEA": 14366,
        "NSE:M&M": 2031,
        "NSE:ACC": 22,
        "NSE:WIPRO": 3787,
        "BSE:SBIN": 500112,
        "NSE:NIFTY 50": 26000,
        "NSE:NIFTY BANK": 26009,
    } == {
        name: find(name).token
        for name in (
            "NSE:SBIN",
            "NSE:RELIANCE",
            "NSE:INFY",
            "NSE:TCS",
            "NSE:HDFCBANK",
            "NSE:IDEA",
            "NSE:M&M",
            "NSE:ACC",
            "NSE:WIPRO",
            "BSE:SBIN",
            "NSE:NIFTY 50",
            "NSE:NIFTY BANK",
        )
    }
    assert find("NSE:SBIN").isin == find("BSE:SBIN").isin == "INE062A01020"
    assert Decimal("812.00") == find("NSE:SBIN").price
    assert not find("BSE:SENSEX").is_tradable


def test_expiries_follow_from_today() -> None:
    nifty = [c for c in UNIVERSE.core if c.underlying == "NIFTY" and c.is_derivative]
    futures = [c.expiry for c in nifty if c.type is InstrumentType.FUT]
    assert [date(2026, 11, 24), date(2026, 12, 29), date(2027, 1, 26)] == futures
    weekly = sorted({c.expiry for c in nifty if c.weekly and c.expiry})
    assert [date(2026, 12, day) for day in (1, 8, 15, 22)] == weekly
    sensex = {c.expiry for c in UNIVERSE.core if c.exchange is Exchange.BFO}
    assert {3} == {expiry.weekday() for expiry in sensex if expiry}


def test_derivatives_are_named_as_the_gateway_names_them() -> None:
    option = find("NFO:NIFTY29DEC2626000CE")
    assert (65, 1800, Decimal(26000), False) == (
        option.lot_size,
        option.freeze_quantity,
        option.strike,
        option.weekly,
    )
    assert option.on_index
    assert not find("NFO:SBIN29DEC26FUT").on_index


def test_expiry_day_itself_still_trades() -> None:
    on_the_day = Universe(date(2026, 11, 24))
    assert on_the_day.by_instrument("NFO:NIFTY24NOV26FUT") is not None
    day_after = Universe(date(2026, 11, 25))
    assert day_after.by_instrument("NFO:NIFTY24NOV26FUT") is None


def test_large_universe_is_deterministic_and_its_keys_unique() -> None:
    large = Universe(date(2026, 11, 22), rows=50_000)
    rows = list(large.contracts())
    assert 50_000 == len(rows) == len(large)
    assert 50_000 == len({row.key for row in rows}) == len({row.instrument for row in rows})
    assert rows == list(Universe(date(2026, 11, 22), rows=50_000).contracts())


@settings(deadline=None)
@given(st.integers(0, 49_999))
def test_every_row_of_a_large_universe_is_found_by_token_and_by_name(index: int) -> None:
    row = LARGE[index]
    assert row == LARGE_UNIVERSE.by_token(*row.key) == LARGE_UNIVERSE.by_instrument(row.instrument)


LARGE_UNIVERSE = Universe(date(2026, 11, 22), rows=50_000)
LARGE = list(LARGE_UNIVERSE.contracts())


def test_walking_one_exchange_gives_only_its_rows() -> None:
    nse = list(LARGE_UNIVERSE.contracts(Exchange.NSE))
    assert {Exchange.NSE} == {row.exchange for row in nse}
    assert len(nse) == sum(row.exchange is Exchange.NSE for row in LARGE)


def test_unknown_names_and_tokens_are_none() -> None:
    assert LARGE_UNIVERSE.by_instrument("NSE:NOPE") is None
    assert LARGE_UNIVERSE.by_instrument("NSE:SYN99999") is None
    assert LARGE_UNIVERSE.by_instrument("NSE:SYNERGY") is None
    assert LARGE_UNIVERSE.by_token(Exchange.NSE, 1) is None
    assert LARGE_UNIVERSE.by_token(Exchange.MCX, 200_001) is None


def test_prices_lie_on_the_tick_and_inside_the_circuit() -> None:
    for row in UNIVERSE.core:
        assert row.price % row.tick_size == 0, row.instrument
        assert row.lower_price <= row.price <= row.upper_price, row.instrument
