"""Holdings, funds, margins, quotes and candles through the adapter against the simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.mstock import PLUGIN
from adapters.mstock.constants import IST
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    GatewayError,
    LoginExpired,
    NotSupported,
    OutcomeUnknown,
    ReasonCode,
    Refused,
)
from adapters.sdk.interface import Feature, Support
from adapters.sdk.models import Candle, Instrument, Interval, MarginOrder, OrderType, Product, Side
from adapters.sdk.simulator import CallKind, ManualClock
from adapters.sdk.simulator.candles import candles as made
from tests.mstock.support import Desk, desk

# A Monday at noon.
NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=IST)
TODAY = NOON.replace(hour=0, minute=0, second=0)
TO_MIDNIGHT = timedelta(days=1) - timedelta(seconds=1)
SHARE = "NSE:SBIN"


@pytest.fixture(autouse=True)
def unpaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.mstock.client.DATA_PACE", (1000, 1.0))


@pytest.fixture
async def at_noon(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(clock=ManualClock(NOON)) as ready:
        await ready.log_in()
        await ready.load(tmp_path)
        yield ready
        assert not ready.simulator.violations


def unknown(at: Desk, name: str = "NSE:X") -> Instrument:
    codes = {"exchange": "NSE", "token": "999260", "tradingsymbol": "X-EQ"}
    return msgspec.structs.replace(at.instruments["NSE:INFY"], codes=codes, instrument=name)


async def read(
    at: Desk, interval: Interval, start: datetime, end: datetime, name: str = SHARE
) -> list[Candle]:
    return await at.adapter.candles(at.session, at.instruments[name], interval, start, end)


def expected(
    at: Desk, interval: Interval, start: datetime, end: datetime, name: str = SHARE
) -> list[Candle]:
    contract = at.simulator.universe.by_instrument(name)
    assert contract is not None
    found = made(contract, interval, start, end, at.simulator.clock())
    return [msgspec.structs.replace(one, open_interest=None) for one in found]


async def test_holdings_are_read_with_their_contract_and_without_sold_ones(trading: Desk) -> None:
    found = {one.isin: one for one in await trading.adapter.holdings(trading.session)}
    assert set(found) == {"INE062A01020", "INE009A01021"}
    share = found["INE062A01020"]
    assert share.codes.items() <= trading.instruments["NSE:SBIN"].codes.items()
    assert (share.quantity, share.average_price) == (50, Decimal("640.25"))
    assert share.pnl == (Decimal("812.00") - Decimal("640.25")) * 50


async def test_no_holdings_are_an_empty_list(trading: Desk) -> None:
    trading.simulator.engine.account.holdings = ()
    assert await trading.adapter.holdings(trading.session) == []


async def test_funds_follow_an_order(trading: Desk) -> None:
    before = await trading.adapter.funds(trading.session)
    await trading.place(trading.order())
    after = await trading.adapter.funds(trading.session)
    assert before.opening == before.available == Decimal(1_000_000_000)
    assert before.available is not None
    assert after.available == before.available - 10 * Decimal("800.50")
    assert after.used == 10 * Decimal("800.50")


@pytest.mark.parametrize("call", ["holdings", "funds", "positions"])
@pytest.mark.parametrize("action", ["accept_then_html", "accept_then_empty"])
async def test_what_was_not_answered_is_not_empty(trading: Desk, call: str, action: str) -> None:
    trading.simulator.faults.add([{"call": "read", "action": action}])
    with pytest.raises(OutcomeUnknown):
        await getattr(trading.adapter, call)(trading.session)


def asked(at: Desk, name: str = SHARE, **changes: Any) -> MarginOrder:
    fields: dict[str, Any] = {
        "instrument": at.instruments[name],
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "quantity": 10,
        "price": Decimal("800.50"),
    }
    return MarginOrder(**(fields | changes))


async def test_margins_are_told_together_and_each(trading: Desk) -> None:
    future = next(name for name in trading.instruments if name.endswith("FUT"))
    lot = trading.instruments[future].lot_size
    orders = [
        asked(trading),
        asked(trading, future, product=Product.NRML, quantity=lot, price=Decimal(100)),
    ]
    got = await trading.adapter.margins(trading.session, orders)
    assert got.orders == [Decimal("8025.00"), Decimal("0.15") * lot * 100 + 20]
    assert got.required == sum(one for one in got.orders if one is not None)
    assert got.available is None


@pytest.mark.parametrize("order_type", [OrderType.MARKET, OrderType.SL_M])
async def test_an_order_without_a_limit_needs_margin_too(
    trading: Desk, order_type: OrderType
) -> None:
    trigger = Decimal("812.00") if order_type is OrderType.SL_M else None
    order = asked(trading, order_type=order_type, price=None, trigger_price=trigger)
    got = await trading.adapter.margins(trading.session, [order])
    assert got.required == Decimal("8140.00")
    assert trading.simulator.calls[CallKind.QUOTE] == (order_type is OrderType.MARKET)


async def test_margins_of_an_unknown_contract_are_refused(trading: Desk) -> None:
    order = asked(trading, instrument=unknown(trading))
    with pytest.raises(Refused) as caught:
        await trading.adapter.margins(trading.session, [order])
    assert caught.value.reason is ReasonCode.INSTRUMENT_UNKNOWN
    trading.simulator.violations.clear()


@pytest.mark.parametrize("interval", [one for one in Interval if one is not Interval.D1])
async def test_candles_of_earlier_days_are_those_of_the_market(
    at_noon: Desk, interval: Interval
) -> None:
    start, end = TODAY - timedelta(days=4), TODAY - timedelta(days=3, seconds=1)
    got = await read(at_noon, interval, start, end)
    assert got == expected(at_noon, interval, start, end)
    assert got[0].at == start.replace(hour=9, minute=15)


@pytest.mark.parametrize("interval", [one for one in Interval if one is not Interval.D1])
@pytest.mark.parametrize("name", [SHARE, "BSE:SBIN", "NSE:NIFTY 50", "NFO", "BFO"])
async def test_candles_of_today_are_those_of_the_market(
    at_noon: Desk, interval: Interval, name: str
) -> None:
    if ":" not in name:
        name = next(key for key in at_noon.instruments if key.startswith(f"{name}:"))
    got = await read(at_noon, interval, TODAY, TODAY + TO_MIDNIGHT, name)
    assert got == expected(at_noon, interval, TODAY, TODAY + TO_MIDNIGHT, name)
    assert got[-1].at <= NOON


async def test_days_are_read_up_to_yesterday_and_today_is_added_up(at_noon: Desk) -> None:
    start = TODAY - timedelta(days=999)
    days = await read(at_noon, Interval.D1, start, TODAY - timedelta(days=1))
    assert days == expected(at_noon, Interval.D1, start, TODAY - timedelta(days=1))
    assert len(days) > 700
    (today,) = await read(at_noon, Interval.D1, TODAY, TODAY)
    assert [today] == expected(at_noon, Interval.D1, TODAY, TODAY)


async def test_the_form_of_the_official_mocks_is_read_alike(tmp_path: Path) -> None:
    async with desk(clock=ManualClock(NOON), candle_times="mocks", mock_hours=True) as at:
        await at.log_in()
        await at.load(tmp_path)
        start, end = TODAY - timedelta(days=4), TODAY - timedelta(days=3, seconds=1)
        days = await read(at, Interval.D1, start, end)
        assert days == expected(at, Interval.D1, start, end)
        hours = await read(at, Interval.H1, start, end)
        assert [f"{one.at:%H:%M}" for one in hours] == [
            *(f"{hour:02d}:45" for hour in range(9, 15)),
            "15:15",
        ]


@pytest.mark.parametrize("interval", list(Interval))
async def test_a_day_without_trading_has_no_candles(at_noon: Desk, interval: Interval) -> None:
    sunday = TODAY - timedelta(days=1)
    assert await read(at_noon, interval, sunday, sunday + TO_MIDNIGHT) == []


async def test_a_weekend_has_no_candle_of_today(tmp_path: Path) -> None:
    async with desk(clock=ManualClock(NOON - timedelta(days=1))) as at:
        await at.log_in()
        await at.load(tmp_path)
        sunday = TODAY - timedelta(days=1)
        for interval in (Interval.M1, Interval.D1):
            assert await read(at, interval, sunday, sunday + TO_MIDNIGHT) == []


async def test_tomorrow_has_no_candles_and_is_not_asked_for(at_noon: Desk) -> None:
    tomorrow = TODAY + timedelta(days=1)
    assert await read(at_noon, Interval.M1, tomorrow, tomorrow + TO_MIDNIGHT) == []
    assert await read(at_noon, Interval.M1, NOON, TODAY) == []
    assert at_noon.simulator.calls[CallKind.QUOTE] == 0


async def test_earlier_days_and_today_in_one_call_are_denied(at_noon: Desk) -> None:
    with pytest.raises(Denied, match="two calls"):
        await read(at_noon, Interval.M5, TODAY - timedelta(days=1), NOON)
    assert at_noon.simulator.calls[CallKind.QUOTE] == 0


@pytest.mark.parametrize("interval", list(Interval))
async def test_as_many_days_as_declared_fit_and_no_more(at_noon: Desk, interval: Interval) -> None:
    days = PLUGIN.capabilities.candle_days[interval]
    end = TODAY - timedelta(seconds=1)
    await read(at_noon, interval, TODAY - timedelta(days=days), end)
    assert at_noon.simulator.calls[CallKind.QUOTE] == 1
    with pytest.raises(Denied, match=f"at most {days} days"):
        await read(at_noon, interval, TODAY - timedelta(days=days + 1), end)


async def test_a_token_that_is_not_known_is_refused_and_not_an_empty_list(at_noon: Desk) -> None:
    for start in (TODAY, TODAY - timedelta(days=1)):
        end = start + timedelta(hours=20)
        with pytest.raises(Refused) as caught:
            await at_noon.adapter.candles(
                at_noon.session, unknown(at_noon), Interval.M1, start, end
            )
        assert caught.value.reason is ReasonCode.INSTRUMENT_UNKNOWN
    at_noon.simulator.violations.clear()


@pytest.mark.parametrize("interval", [Interval.M5, Interval.D1])
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "accept_then_status", "params": {"status": 500}},
        {"action": "accept_then_empty"},
        {"action": "accept_then_html"},
        {"action": "accept_then_truncated"},
    ],
)
async def test_a_flaky_route_is_an_error_and_no_gap(
    at_noon: Desk, interval: Interval, fault: dict[str, Any]
) -> None:
    at_noon.simulator.faults.add([{"call": "quote", **fault}])
    with pytest.raises(OutcomeUnknown):
        await read(at_noon, interval, TODAY, NOON)


async def test_a_dead_session_has_no_data(trading: Desk) -> None:
    trading.simulator.expire_sessions()
    calls: list[Any] = [
        trading.adapter.holdings(trading.session),
        trading.adapter.funds(trading.session),
        trading.adapter.margins(trading.session, [asked(trading)]),
        trading.adapter.quotes(trading.session, [trading.instruments[SHARE]]),
        read(trading, Interval.M1, TODAY - timedelta(days=7), TODAY - timedelta(days=7)),
    ]
    for call in calls:
        with pytest.raises(LoginExpired):
            await call


async def test_candles_keep_to_one_call_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.mstock.client.DATA_PACE", (1, 1.05))
    start, end = TODAY - timedelta(days=7), TODAY - timedelta(days=6)
    async with desk(pace_data=True) as at:
        await at.log_in()
        await at.load(tmp_path)
        await read(at, Interval.M1, start, end)
        await read(at, Interval.M1, start, end)
        assert not at.simulator.violations


async def test_a_rate_limit_on_data_says_so_and_how_long(tmp_path: Path) -> None:
    async with desk(clock=ManualClock(NOON), pace_data=True) as at:
        await at.log_in()
        await at.load(tmp_path)
        with pytest.raises(BadAnswer) as caught:
            await read(at, Interval.M1, TODAY, NOON)
        assert (caught.value.reason, caught.value.retry_after_s) == (ReasonCode.RATE_LIMITED, 1.0)


async def test_one_token_that_has_a_whole_call_refused_is_found_and_missing(
    tmp_path: Path,
) -> None:
    async with desk(refuse_unknown_tokens=True) as at:
        await at.log_in()
        await at.load(tmp_path)
        names = ("NSE:SBIN", "BSE:SBIN", "NSE:INFY", "NSE:TCS", "NSE:NIFTY 50")
        wanted = [at.instruments[name] for name in names]
        wanted.insert(3, unknown(at))
        got = await at.adapter.quotes(at.session, wanted)
        assert set(got) == set(names)
        assert at.simulator.calls[CallKind.QUOTE] <= 7


async def test_quotes_of_which_all_are_refused_are_an_error_after_a_few_calls(
    tmp_path: Path,
) -> None:
    async with desk(refuse_unknown_tokens=True) as at:
        await at.log_in()
        await at.load(tmp_path)
        for count in (1, 100):
            at.simulator.calls.clear()
            wanted = [unknown(at, f"NSE:X{number}") for number in range(count)]
            with pytest.raises(GatewayError):
                await at.adapter.quotes(at.session, wanted)
            assert at.simulator.calls[CallKind.QUOTE] <= 21


async def test_depth_is_not_offered(trading: Desk) -> None:
    with pytest.raises(NotSupported, match=r"m\.Stock does not offer market depth"):
        await trading.adapter.depth(trading.session, trading.instruments[SHARE])


def test_what_is_declared_is_what_the_adapter_has() -> None:
    capabilities = PLUGIN.capabilities
    for feature in (Feature.HOLDINGS, Feature.FUNDS, Feature.MARGINS, Feature.CANDLES):
        assert capabilities.has(feature)
    assert capabilities.features[Feature.DEPTH] is Support.NOT_OFFERED
    assert set(capabilities.candle_days) == set(Interval)
