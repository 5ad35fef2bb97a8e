"""Trades, positions and quotes through the adapter, against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.constants import IST
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import BadAnswer, LoginExpired, OutcomeUnknown, ReasonCode
from adapters.sdk.models import (
    Instrument,
    InstrumentType,
    OrderType,
    PlaceOrder,
    Product,
    Session,
    Side,
)
from tests.fyers.conftest import Gate, ref

MakeOrder = Callable[..., PlaceOrder]


def market(order: MakeOrder, instrument: str = "NSE:SBIN", **changes: object) -> PlaceOrder:
    return order(instrument, order_type=OrderType.MARKET, price=None, **changes)


@pytest.fixture
def future(instruments: dict[str, Instrument]) -> Instrument:
    return next(i for i in instruments.values() if i.type is InstrumentType.FUT)


async def test_every_fill_names_its_order_contract_and_tag(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    wanted = order()
    taken = await adapter.place_order(session, wanted, Gate())
    for quantity, price in ((4, "800.50"), (6, "800.45")):
        simulator.engine.fill(simulator.engine.orders[0], quantity, Decimal(price))

    trades = await adapter.trade_book(session)

    assert [(4, Decimal("800.5")), (6, Decimal("800.45"))] == [
        (trade.quantity, trade.price) for trade in trades
    ]
    assert 2 == len({trade.trade_id for trade in trades})
    for trade in trades:
        assert taken.broker_order_id == trade.broker_order_id
        assert (Side.BUY, Product.CNC, wanted.broker_tag) == (
            trade.side,
            trade.product,
            trade.broker_tag,
        )
        assert trade.exchange_order_id
        assert trade.traded_at is not None
        assert abs(datetime.now(IST) - trade.traded_at) < timedelta(minutes=5)


async def test_no_fills_and_no_positions_are_empty(adapter: FyersAdapter, session: Session):
    assert [] == await adapter.trade_book(session)
    assert [] == await adapter.positions(session)


async def test_rows_and_master_agree_on_the_code_keys(
    adapter: FyersAdapter,
    session: Session,
    order: MakeOrder,
    future: Instrument,
    instruments: dict[str, Instrument],
):
    names = ("NSE:SBIN", "BSE:SBIN", "NSE:M&M", future.instrument)
    for name in names:
        lot = instruments[name].lot_size
        product = Product.NRML if name == future.instrument else Product.CNC
        await adapter.place_order(
            session, market(order, name, quantity=lot, product=product), Gate()
        )

    def keys(row: object) -> tuple[str, ...]:
        return tuple(row.codes[key] for key in adapter.capabilities.code_keys)

    expected = [keys(instruments[name]) for name in names]
    assert expected == [keys(row) for row in await adapter.order_book(session)]
    assert expected == [keys(row) for row in await adapter.trade_book(session)]
    assert expected == [keys(row) for row in await adapter.positions(session)]
    assert len(instruments) == len({keys(instrument) for instrument in instruments.values()})


async def test_short_position_is_negative_and_counts_units(
    adapter: FyersAdapter, session: Session, order: MakeOrder, future: Instrument
):
    lots = 2 * future.lot_size
    await adapter.place_order(
        session,
        market(order, future.instrument, side=Side.SELL, quantity=lots, product=Product.NRML),
        Gate(),
    )

    (position,) = await adapter.positions(session)

    assert (-lots, 0, lots) == (position.quantity, position.buy_quantity, position.sell_quantity)
    assert (Product.NRML, Decimal(1)) == (position.product, position.multiplier)
    assert position.buy_price is None
    assert position.sell_price == position.average_price == position.last_price
    assert (0, 0) == (position.realised_pnl, position.unrealised_pnl)


async def test_closed_position_stays_with_its_profit_and_no_average(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    await adapter.place_order(session, market(order), Gate())
    contract = simulator.engine.orders[0].contract
    simulator.engine.set_price(contract, Decimal(815))
    await adapter.place_order(session, market(order, side=Side.SELL), Gate())

    (position,) = await adapter.positions(session)

    assert (0, 10, 10) == (position.quantity, position.buy_quantity, position.sell_quantity)
    assert (Decimal(812), Decimal(815), None) == (
        position.buy_price,
        position.sell_price,
        position.average_price,
    )
    assert (30, 0) == (position.realised_pnl, position.unrealised_pnl)


@pytest.mark.parametrize(
    "action", ["accept_then_html", "accept_then_empty", "accept_then_truncated", "status"]
)
async def test_failed_read_is_an_error_and_never_an_empty_list(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
    action: str,
):
    simulator.faults.add([{"action": action, "count": 3}])

    for read in (adapter.trade_book, adapter.positions):
        with pytest.raises(OutcomeUnknown):
            await read(session)
    with pytest.raises(OutcomeUnknown):
        await adapter.quotes(session, [instruments["NSE:SBIN"]])


async def test_rate_limited_reads_say_why(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    simulator.faults.add([{"action": "rate_limit", "count": 3}])

    for read in (adapter.trade_book, adapter.positions):
        with pytest.raises(BadAnswer) as caught:
            await read(session)
        assert ReasonCode.RATE_LIMITED is caught.value.reason
    with pytest.raises(BadAnswer) as caught:
        await adapter.quotes(session, [instruments["NSE:SBIN"]])
    assert ReasonCode.RATE_LIMITED is caught.value.reason


async def test_dead_token_is_said_by_every_read(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    simulator.expire_sessions()

    for read in (adapter.trade_book, adapter.positions):
        with pytest.raises(LoginExpired):
            await read(session)
    with pytest.raises(LoginExpired):
        await adapter.quotes(session, [instruments["NSE:SBIN"]])


async def test_quotes_come_by_canonical_id_and_are_as_fresh_as_the_read(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    names = ("NSE:SBIN", "NSE:M&M", "NSE:NIFTY 50")
    contract = simulator.universe.by_instrument("NSE:SBIN")
    assert contract is not None
    simulator.engine.set_price(contract, Decimal("813.45"))
    began = datetime.now(IST)

    quotes = await adapter.quotes(session, [instruments[name] for name in names])

    assert set(names) == quotes.keys()
    sbin = quotes["NSE:SBIN"]
    assert (Decimal("813.45"), Decimal(812)) == (sbin.last_price, sbin.close)
    assert (Decimal(812), Decimal("813.45"), Decimal(812)) == (sbin.open, sbin.high, sbin.low)
    assert sbin.bid_price is not None
    assert sbin.ask_price is not None
    assert sbin.bid_price < sbin.ask_price
    assert (None, None, None) == (sbin.bid_quantity, sbin.ask_quantity, sbin.open_interest)
    assert began <= sbin.as_of <= datetime.now(IST)


async def test_instrument_that_fyers_does_not_know_is_missing(
    adapter: FyersAdapter, session: Session, instruments: dict[str, Instrument]
):
    sbin = instruments["NSE:SBIN"]
    unknown = msgspec.structs.replace(
        sbin, instrument="NSE:NOSUCH", codes={"symbol": "NSE:NOSUCH-EQ"}
    )
    nameless = msgspec.structs.replace(sbin, instrument="NSE:NAMELESS", codes={})

    assert {"NSE:SBIN"} == (await adapter.quotes(session, [unknown, sbin, nameless])).keys()
    assert {} == await adapter.quotes(session, [unknown])
    assert {} == await adapter.quotes(session, [])


async def test_quotes_are_asked_for_fifty_at_a_time(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
):
    wanted = list(instruments.values())[:120]

    quotes = await adapter.quotes(session, wanted)

    assert {instrument.instrument for instrument in wanted} == quotes.keys()
    assert 3 == simulator.calls["quote"]


async def test_quotes_that_hang_take_no_connection_from_orders(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    instruments: dict[str, Instrument],
):
    simulator.faults.add([{"call": "quote", "action": "hang", "count": None}])
    await adapter.warm(session)
    hanging = [
        asyncio.create_task(adapter.quotes(session, [instruments["NSE:SBIN"]])) for _ in range(20)
    ]
    async with asyncio.timeout(10):
        while not simulator.calls["quote"]:
            await asyncio.sleep(0.01)

    assert adapter.is_warm()
    taken = [await adapter.place_order(session, order(), Gate()) for _ in range(3)]

    assert await adapter.get_order(session, ref(taken[0].broker_order_id)) is not None
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
