"""Depth, candles and batches of quotes through the adapter, against the simulator."""

from __future__ import annotations

import logging
from datetime import datetime, time, timedelta
from decimal import Decimal

import msgspec
import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.client import FyersClient
from adapters.fyers.config import CANDLE_DAYS
from adapters.fyers.constants import IST, PRODUCT_TO_WIRE
from adapters.fyers.quoting import MOST_EXTRA_CALLS, Quoting
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import Denied, LoginExpired, ReasonCode, Refused
from adapters.sdk.models import Instrument, InstrumentType, Interval, Product, Session, Side
from adapters.sdk.simulator.candles import candles as made_up
from tests.fyers.conftest import context

_WHOLE = pytest.mark.parametrize("options", [{"quotes_refuse_whole": True}])


def last_friday() -> datetime:
    """The midnight that the last Friday before today began with."""
    today = datetime.combine(datetime.now(IST).date(), time(), IST)
    return today - timedelta(days=(today.weekday() - 4 - 1) % 7 + 1)


def unknown(like: Instrument, number: int = 1) -> Instrument:
    return msgspec.structs.replace(
        like, instrument=f"NSE:NO{number}", codes={"symbol": f"NSE:NO{number}-EQ"}
    )


def nearest_future(instruments: dict[str, Instrument]) -> Instrument:
    return next(i for i in instruments.values() if i.type is InstrumentType.FUT)


async def test_depth_has_five_levels_a_side(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    began = datetime.now(IST)

    # The ampersand of its symbol has to be encoded in a query.
    depth = await adapter.depth(session, instruments["NSE:M&M"])

    assert depth is not None
    assert "NSE:M&M" == depth.instrument
    assert (5, 5) == (len(depth.bids), len(depth.asks))
    assert depth.bids[4].price < depth.bids[0].price < depth.asks[0].price < depth.asks[4].price
    assert 5 == depth.bids[0].orders
    assert began <= depth.as_of <= datetime.now(IST)
    assert not simulator.violations


async def test_index_has_no_levels_and_an_unknown_symbol_no_depth(
    adapter: FyersAdapter, session: Session, instruments: dict[str, Instrument]
):
    index = await adapter.depth(session, instruments["NSE:NIFTY 50"])

    assert index is not None
    assert ([], []) == (list(index.bids), list(index.asks))
    assert await adapter.depth(session, unknown(instruments["NSE:SBIN"])) is None


async def test_contract_without_a_symbol_is_not_asked_for(
    adapter: FyersAdapter, session: Session, instruments: dict[str, Instrument]
):
    nameless = msgspec.structs.replace(instruments["NSE:SBIN"], codes={})
    start = last_friday()

    with pytest.raises(Denied) as caught:
        await adapter.depth(session, nameless)
    assert ReasonCode.INSTRUMENT_UNKNOWN is caught.value.reason
    with pytest.raises(Denied):
        await adapter.candles(session, nameless, Interval.D1, start, start)


@pytest.mark.parametrize("interval", list(Interval))
async def test_candles_are_those_of_the_market(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
    interval: Interval,
):
    contract = simulator.universe.by_instrument("NSE:SBIN")
    assert contract is not None
    end = last_friday() + timedelta(hours=23)
    start = end - timedelta(days=CANDLE_DAYS[interval], hours=-2)

    got = await adapter.candles(session, instruments["NSE:SBIN"], interval, start, end)

    assert made_up(contract, interval, start, end, simulator.clock()) == got
    assert got
    assert 1 == simulator.calls["quote"]
    assert not simulator.violations


@pytest.mark.parametrize("interval", [Interval.M30, Interval.D1])
async def test_candles_of_a_future_have_open_interest(
    adapter: FyersAdapter,
    session: Session,
    instruments: dict[str, Instrument],
    interval: Interval,
):
    start = last_friday()

    got = await adapter.candles(
        session, nearest_future(instruments), interval, start, start + timedelta(hours=23)
    )

    assert got
    assert all(candle.open_interest for candle in got)


async def test_both_ends_of_a_range_of_candles_are_included(
    adapter: FyersAdapter, session: Session, instruments: dict[str, Instrument]
):
    start = last_friday() + timedelta(hours=9, minutes=20)
    end = start + timedelta(minutes=10)

    got = await adapter.candles(session, instruments["NSE:SBIN"], Interval.M5, start, end)

    assert [start, start + timedelta(minutes=5), end] == [candle.at for candle in got]


async def test_range_without_trading_has_no_candles(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    saturday = last_friday() - timedelta(days=6)
    sbin = instruments["NSE:SBIN"]

    for interval in (Interval.M1, Interval.D1):
        assert [] == await adapter.candles(session, sbin, interval, saturday, saturday)
    tomorrow = datetime.now(IST) + timedelta(days=1)
    simulator.calls.clear()
    assert [] == await adapter.candles(session, sbin, Interval.M1, tomorrow, tomorrow)
    assert not simulator.calls["quote"]


@pytest.mark.parametrize("options", [{"history_rows": 1500}])
@pytest.mark.parametrize("interval", list(Interval))
async def test_no_candle_is_lost_where_an_answer_holds_1500_at_most(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
    interval: Interval,
):
    start = last_friday() - timedelta(days=27)
    end = last_friday() + timedelta(hours=23)
    contract = simulator.universe.by_instrument("NSE:SBIN")
    assert contract is not None

    got = await adapter.candles(session, instruments["NSE:SBIN"], interval, start, end)

    assert made_up(contract, interval, start, end, simulator.clock()) == got


async def test_candles_of_an_unknown_symbol_are_refused(
    adapter: FyersAdapter, session: Session, instruments: dict[str, Instrument]
):
    start = last_friday()

    with pytest.raises(Refused) as caught:
        await adapter.candles(session, unknown(instruments["NSE:SBIN"]), Interval.D1, start, start)
    assert ReasonCode.INSTRUMENT_UNKNOWN is caught.value.reason


async def test_dead_token_on_market_data_is_said(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    simulator.expire_sessions()
    sbin, start = instruments["NSE:SBIN"], last_friday()

    with pytest.raises(LoginExpired) as of_data:
        await adapter.depth(session, sbin)
    with pytest.raises(LoginExpired) as of_history:
        await adapter.candles(session, sbin, Interval.D1, start, start)
    assert ("-15", "-16") == (of_data.value.broker_code, of_history.value.broker_code)


@_WHOLE
async def test_one_bad_symbol_costs_the_others_no_price(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    good = list(instruments.values())[:49]
    bad = unknown(instruments["NSE:SBIN"])

    quotes = await adapter.quotes(session, [*good[:30], bad, *good[30:]])

    assert {instrument.instrument for instrument in good} == quotes.keys()
    assert simulator.calls["quote"] <= 1 + MOST_EXTRA_CALLS


@_WHOLE
async def test_bad_symbol_is_found_out_once(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    good, bad = instruments["NSE:SBIN"], unknown(instruments["NSE:SBIN"])
    await adapter.quotes(session, [good, bad])
    simulator.calls.clear()

    assert {"NSE:SBIN"} == (await adapter.quotes(session, [good, bad])).keys()
    assert 1 == simulator.calls["quote"]
    assert {} == await adapter.quotes(session, [bad])
    assert 2 == simulator.calls["quote"]


@_WHOLE
async def test_bad_symbol_is_tried_again_after_a_while(simulator: FyersSimulator, session: Session):
    now = [0.0]
    client = FyersClient(context(simulator))
    quoting = Quoting(client, clock=lambda: now[0])
    names = {"NSE:SBIN-EQ": "NSE:SBIN", "NSE:NO1-EQ": "NSE:NO1"}
    authorization = f"{simulator.credentials['app_id']}:{session.token}"
    try:
        calls = []
        for now[0] in (0.0, 299.0, 301.0):
            simulator.calls.clear()
            assert {"NSE:SBIN"} == (await quoting.read(authorization, names)).keys()
            calls.append(simulator.calls["quote"])
    finally:
        await client.close()

    assert [3, 1, 3] == calls


@_WHOLE
async def test_many_bad_symbols_take_no_endless_calls_and_are_told(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
    caplog: pytest.LogCaptureFixture,
):
    sbin = instruments["NSE:SBIN"]
    asked = [sbin, *(unknown(sbin, number) for number in range(49))]

    with caplog.at_level(logging.WARNING, "adapters.fyers.quoting"):
        quotes = await adapter.quotes(session, asked)

    assert {"NSE:SBIN"} == quotes.keys()
    assert simulator.calls["quote"] <= 1 + MOST_EXTRA_CALLS
    assert "Fyers refuses quotes" in caplog.text


async def test_word_that_is_not_known_is_logged_once_and_shown(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    contract = simulator.universe.by_instrument("NSE:SBIN")
    assert contract is not None
    simulator.engine.account.trade(contract, Product.MIS, Side.BUY, 1, Decimal(800))
    monkeypatch.setitem(PRODUCT_TO_WIRE, Product.MIS, "WONDER")

    with caplog.at_level(logging.WARNING, "adapters.fyers.unrecognised"):
        for _ in range(3):
            (row,) = await adapter.positions(session)

    assert row.product is None
    assert 1 == caplog.text.count("'WONDER', which is unrecognised")
    assert "fyers-test" in caplog.text
