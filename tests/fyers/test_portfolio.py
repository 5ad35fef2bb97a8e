"""Holdings, funds, margins and carried positions through the adapter, against the simulator."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import BadAnswer, Denied, LoginExpired, NotSupported, ReasonCode
from adapters.sdk.models import (
    Exchange,
    Instrument,
    InstrumentType,
    MarginOrder,
    OrderType,
    PlaceOrder,
    Product,
    Session,
    Side,
)
from tests.fyers.conftest import Gate

MakeOrder = Callable[..., PlaceOrder]
_HOLDINGS = [
    {"instrument": "NSE:SBIN", "quantity": 50, "price": "640.25"},
    {"instrument": "NSE:INFY", "quantity": 20, "price": "1510", "t1": 5, "pledged": 12},
    {"instrument": "NSE:ACC", "quantity": 7, "price": "1850", "t1": 7, "type": "T1"},
]


@pytest.fixture
def nifty(instruments: dict[str, Instrument]) -> dict[str, Instrument]:
    """The nearest future and two options of the same day."""
    listed = [i for i in instruments.values() if i.underlying == "NIFTY"]
    future = min((i for i in listed if i.type is InstrumentType.FUT), key=lambda i: str(i.expiry))
    calls = [i for i in listed if i.symbol.endswith("CE") and i.expiry == future.expiry]
    return {"future": future, "near": calls[10], "far": calls[11]}


def asked(instrument: Instrument, side: Side, **changes: Any) -> MarginOrder:
    fields: dict[str, Any] = {
        "order_type": OrderType.MARKET,
        "product": Product.NRML if instrument.is_derivative else Product.CNC,
        "quantity": instrument.lot_size,
        **changes,
    }
    return MarginOrder(instrument=instrument, side=side, **fields)


@pytest.mark.parametrize("options", [{"holdings": _HOLDINGS}])
async def test_holdings_tell_delivered_pledged_and_undelivered_apart(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session
):
    delivered, pledged, undelivered = await adapter.holdings(session)

    assert ({"symbol": "NSE:SBIN-EQ"}, "INE062A01020", 50) == (
        delivered.codes,
        delivered.isin,
        delivered.quantity,
    )
    assert (Decimal("640.25"), Decimal(812), Decimal("8587.5")) == (
        delivered.average_price,
        delivered.last_price,
        delivered.pnl,
    )
    assert (20, 5, 12) == (pledged.quantity, pledged.t1_quantity, pledged.pledged_quantity)
    assert (7, 7, 0) == (
        undelivered.quantity,
        undelivered.t1_quantity,
        undelivered.pledged_quantity,
    )
    assert not simulator.violations


async def test_what_was_sold_today_is_no_longer_held(
    adapter: FyersAdapter, session: Session, order: MakeOrder
):
    sale = order(side=Side.SELL, quantity=8, order_type=OrderType.MARKET, price=None)
    await adapter.place_order(session, sale, Gate())

    assert [42, 20] == [held.quantity for held in await adapter.holdings(session)]


async def test_funds_say_what_orders_may_use(
    adapter: FyersAdapter, session: Session, order: MakeOrder
):
    before = await adapter.funds(session)
    await adapter.place_order(session, order(quantity=10), Gate())
    after = await adapter.funds(session)

    assert before.available is not None
    assert after.available is not None
    assert Decimal("8005") == before.available - after.available == after.used
    assert before.opening == after.opening == before.available


async def test_margin_of_a_hedge_counts_from_the_bought_leg_on(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    nifty: dict[str, Instrument],
):
    long, short = asked(nifty["far"], Side.BUY), asked(nifty["near"], Side.SELL)

    hedged = await adapter.margins(session, [long, short])
    bare = await adapter.margins(session, [short, long])

    assert hedged.required < bare.required
    assert (None, None) == tuple(hedged.orders)
    assert hedged.available == (await adapter.funds(session)).available
    assert not simulator.engine.orders
    assert not simulator.violations


@pytest.mark.parametrize(
    ("side", "changes"),
    [
        (Side.BUY, {"order_type": OrderType.LIMIT, "price": Decimal("800.50"), "quantity": 3}),
        (Side.SELL, {"product": Product.MIS}),
        (
            Side.BUY,
            {
                "order_type": OrderType.SL,
                "price": Decimal("820.50"),
                "trigger_price": Decimal("820.00"),
            },
        ),
    ],
)
async def test_every_kind_of_order_has_a_margin(
    adapter: FyersAdapter,
    session: Session,
    instruments: dict[str, Instrument],
    side: Side,
    changes: dict[str, Any],
):
    margin = await adapter.margins(session, [asked(instruments["NSE:SBIN"], side, **changes)])

    assert margin.required > 0


async def test_margin_of_an_order_that_cannot_be_placed_is_denied_and_not_asked_for(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    instruments: dict[str, Instrument],
    nifty: dict[str, Instrument],
):
    sbin, index = instruments["NSE:SBIN"], instruments["NSE:NIFTY 50"]
    for wrong, reason in (
        (asked(nifty["future"], Side.BUY, quantity=1), ReasonCode.LOT_SIZE),
        (asked(nifty["future"], Side.BUY, product=Product.CNC), ReasonCode.PRODUCT_NOT_ALLOWED),
        (asked(sbin, Side.BUY, product=Product.NRML), ReasonCode.PRODUCT_NOT_ALLOWED),
        (asked(sbin, Side.BUY, order_type=OrderType.LIMIT), ReasonCode.INVALID_ORDER),
        (asked(index, Side.BUY, quantity=1), ReasonCode.INSTRUMENT_BLOCKED),
    ):
        with pytest.raises(Denied) as caught:
            await adapter.margins(session, [asked(sbin, Side.BUY), wrong])
        assert reason is caught.value.reason
    with pytest.raises(Denied):
        await adapter.margins(session, [])

    assert not simulator.calls["read"]


async def test_margin_in_lots_is_not_supported(
    adapter: FyersAdapter, session: Session, instruments: dict[str, Instrument]
):
    crude = Instrument(
        instrument="MCX:CRUDEOIL21DEC26FUT",
        exchange=Exchange.MCX,
        symbol="CRUDEOIL21DEC26FUT",
        name="CRUDEOIL",
        type=InstrumentType.FUT,
        lot_size=100,
        tick_size=Decimal(1),
        codes={"symbol": "MCX:CRUDEOIL26DECFUT"},
    )
    with pytest.raises(NotSupported):
        await adapter.margins(session, [asked(crude, Side.BUY)])


@pytest.mark.parametrize(
    "options",
    [
        {
            "carried": [
                {"instrument": "NSE:SBIN", "product": "MIS", "quantity": 4, "price": "790"},
                {"instrument": "NSE:INFY", "product": "MIS", "quantity": -20, "price": "1500"},
            ]
        }
    ],
)
async def test_position_of_an_earlier_day_is_whole_and_signed(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    cover = order(
        "NSE:INFY",
        product=Product.MIS,
        quantity=5,
        order_type=OrderType.MARKET,
        price=None,
    )
    await adapter.place_order(session, cover, Gate())

    long, short = await adapter.positions(session)

    assert (4, Decimal(790), 4, 0) == (
        long.quantity,
        long.average_price,
        long.buy_quantity,
        long.sell_quantity,
    )
    assert (-15, Decimal(1500), 5, 20) == (
        short.quantity,
        short.average_price,
        short.buy_quantity,
        short.sell_quantity,
    )
    assert Decimal(10) == short.realised_pnl
    simulator.reset()
    assert [4, -20] == [row.quantity for row in await adapter.positions(session)]


@pytest.mark.parametrize("call", ["holdings", "funds"])
async def test_failed_read_is_an_error_and_a_dead_token_is_said(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, call: str
):
    simulator.faults.add([{"call": "read", "action": "accept_then_html"}])
    with pytest.raises(BadAnswer):
        await getattr(adapter, call)(session)
    simulator.expire_sessions()
    with pytest.raises(LoginExpired):
        await getattr(adapter, call)(session)
