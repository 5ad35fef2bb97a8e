"""Orders of every kind at the practice broker."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.paper import feed
from adapters.sdk.errors import Denied, GatewayError, LoginExpired, ReasonCode, Refused
from adapters.sdk.models import (
    BrokerOrderState,
    OrderRef,
    OrderType,
    Product,
    Side,
    Validity,
)
from tests.paper.support import SBIN, Desk, Gate, Lender, change, order

S = BrokerOrderState


async def test_the_session_ends_at_midnight_and_proves_its_account(desk: Desk) -> None:
    session = await desk.session()
    assert "2026-11-24T00:00:00+05:30" == session.expires_at.isoformat()
    assert "PAPER-paper" == session.client_id == await desk.adapter.prove_session(session)
    desk.clock.advance(ms=14 * 3600 * 1000)
    with pytest.raises(LoginExpired) as expired:
        await desk.adapter.place_order(session, order(), Gate())
    assert expired.value.created_nothing


async def test_market_order_fills_at_the_synthetic_price(desk: Desk) -> None:
    row = await desk.row(await desk.place(order_type=OrderType.MARKET))
    assert (S.FILLED, Decimal("812.0000")) == (row.state, row.average_price)


async def test_orders_come_back_as_they_were_sent(desk: Desk) -> None:
    placed = order(
        order_type=OrderType.SL,
        price=Decimal("830.00"),
        trigger_price=Decimal("825.00"),
        disclosed_quantity=5,
    )
    answer = await desk.adapter.place_order(await desk.session(), placed, Gate())
    row = await desk.row(answer.broker_order_id)
    assert S.TRIGGER_PENDING is row.state
    for name in ("broker_tag", "side", "order_type", "product", "validity", "quantity", "price"):
        assert getattr(placed, name) == getattr(row, name)
    assert Decimal("825.00") == row.trigger_price
    assert "NSE:SBIN" == row.instrument == row.codes["instrument"]
    session = await desk.session()
    assert [row] == await desk.adapter.find_by_tag(session, placed.broker_tag)
    assert [] == await desk.adapter.find_by_tag(session, 999999999999999)
    assert await desk.adapter.get_order(session, OrderRef(broker_order_id="none")) is None


async def test_limit_fills_when_the_lenders_price_crosses_it(lent: Desk) -> None:
    placed = await lent.place(price=Decimal("800.00"))
    assert S.OPEN is (await lent.row(placed)).state
    assert lent.lender is not None
    lent.lender.say("NSE:SBIN", "799.50")
    row = await lent.settled(placed)
    assert (S.FILLED, Decimal("800.0000")) == (row.state, row.average_price)


@pytest.mark.parametrize(("side", "paid"), [(Side.BUY, "812.40"), (Side.SELL, "811.60")])
async def test_market_order_takes_the_other_side_of_the_quote(
    lent: Desk, side: Side, paid: str
) -> None:
    assert lent.lender is not None
    lent.lender.say("NSE:SBIN", "812.00", bid="811.60", ask="812.40")
    row = await lent.row(
        await lent.place(order_type=OrderType.MARKET, side=side, product=Product.MIS)
    )
    assert (S.FILLED, Decimal(paid)) == (row.state, row.average_price)


async def test_a_limit_between_bid_and_ask_rests(lent: Desk) -> None:
    assert lent.lender is not None
    lent.lender.say("NSE:SBIN", "812.00", bid="811.60", ask="812.40")
    assert S.OPEN is (await lent.row(await lent.place(price=Decimal("812.20")))).state


async def test_stop_triggers_by_the_last_price_and_then_trades(lent: Desk) -> None:
    assert lent.lender is not None
    placed = await lent.place(
        order_type=OrderType.SL_M, trigger_price=Decimal("820.00"), product=Product.MIS
    )
    assert S.TRIGGER_PENDING is (await lent.row(placed)).state
    lent.lender.say("NSE:SBIN", "820.50", bid="820.40", ask="820.60")
    row = await lent.settled(placed)
    assert (S.FILLED, Decimal("820.60")) == (row.state, row.average_price)


async def test_ioc_that_cannot_trade_is_cancelled(lent: Desk) -> None:
    row = await lent.row(await lent.place(validity=Validity.IOC))
    assert (S.CANCELLED, 0) == (row.state, row.filled_quantity)


async def test_market_order_without_a_price_is_refused_and_a_limit_waits(lent: Desk) -> None:
    assert lent.lender is not None
    lent.lender.problem = Denied("not logged in", reason=ReasonCode.SESSION_MISSING)
    with pytest.raises(Refused) as refused:
        await lent.place(order_type=OrderType.MARKET)
    assert ReasonCode.PRICE_UNAVAILABLE is refused.value.reason
    placed = await lent.place(price=Decimal("900.00"))
    assert [S.OPEN] == [row.state for row in await lent.book()]
    lent.lender.problem = None
    await lent.adapter._feed.close()
    assert S.FILLED is (await lent.settled(placed)).state


async def test_prices_are_asked_for_in_one_batch_and_only_while_orders_are_open(
    lent: Desk,
) -> None:
    assert lent.lender is not None
    infy = msgspec.structs.replace(
        SBIN, instrument="NSE:INFY", symbol="INFY", codes={"instrument": "NSE:INFY"}
    )
    lent.lender.say("NSE:INFY", "1498.00")
    await lent.place(order_type=OrderType.MARKET)
    first, second = await lent.place(), await lent.place(instrument=infy, price=Decimal("1490"))
    lent.lender.readings.clear()
    async with asyncio.timeout(5):
        while ["NSE:INFY", "NSE:SBIN"] not in lent.lender.readings:
            await asyncio.sleep(0.01)
    for placed in (first, second):
        ref = OrderRef(broker_order_id=placed)
        await lent.adapter.cancel_order(await lent.session(), ref, Gate())
    task = lent.adapter._feed._task
    assert task is not None
    await task
    lent.lender.readings.clear()
    await lent.adapter.order_book(await lent.session())
    assert [] == lent.lender.readings


@pytest.mark.parametrize("no_at", ["ready", "check"])
async def test_a_shut_gate_lets_nothing_into_the_book(desk: Desk, no_at: str) -> None:
    gate = Gate(no_at)
    with pytest.raises(Denied):
        await desk.place(gate)
    assert ["ready", "check"][: 1 + (no_at == "check")] == gate.calls
    assert [] == await desk.book()
    placed = await desk.place()
    with pytest.raises(Denied):
        await desk.adapter.cancel_order(
            await desk.session(), OrderRef(broker_order_id=placed), Gate(no_at)
        )
    row = await desk.row(placed)
    with pytest.raises(Denied):
        await desk.adapter.modify_order(await desk.session(), change(row, quantity=5), Gate(no_at))
    assert [(S.OPEN, 10)] == [(row.state, row.quantity) for row in await desk.book()]


async def test_a_part_filled_order_takes_a_new_total(desk: Desk) -> None:
    placed = await desk.place()
    await desk.adapter.book.run(lambda broker: broker.engine.fill(broker.orders[0], 4))
    row = await desk.row(placed)
    assert (S.PARTIALLY_FILLED, 4) == (row.state, row.filled_quantity)
    with pytest.raises(Denied, match="above the 4"):
        desk.adapter.check_modify(change(row, quantity=4))
    await desk.adapter.modify_order(await desk.session(), change(row, quantity=7), Gate())
    row = await desk.row(placed)
    assert (S.PARTIALLY_FILLED, 7, 4) == (row.state, row.quantity, row.filled_quantity)


async def test_a_modify_meets_the_price_at_once(lent: Desk) -> None:
    row = await lent.row(await lent.place())
    await lent.adapter.modify_order(
        await lent.session(), change(row, price=Decimal("815.00")), Gate()
    )
    assert S.FILLED is (await lent.row(row.broker_order_id)).state


async def test_what_is_over_can_neither_be_cancelled_nor_changed(desk: Desk) -> None:
    row = await desk.row(await desk.place(order_type=OrderType.MARKET))
    session = await desk.session()
    with pytest.raises(Refused):
        await desk.adapter.cancel_order(
            session, OrderRef(broker_order_id=row.broker_order_id), Gate()
        )
    again = change(row, order_type=OrderType.LIMIT, price=Decimal("1.00"), filled_quantity=0)
    with pytest.raises(Refused):
        await desk.adapter.modify_order(session, again, Gate())
    with pytest.raises(Refused):
        await desk.adapter.cancel_order(session, OrderRef(broker_order_id="none"), Gate())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": None}, ReasonCode.INVALID_ORDER),
        ({"price": Decimal(0)}, ReasonCode.INVALID_ORDER),
        ({"trigger_price": Decimal(5)}, ReasonCode.INVALID_ORDER),
        ({"quantity": 0}, ReasonCode.INVALID_ORDER),
        ({"quantity": -1}, ReasonCode.INVALID_ORDER),
        ({"disclosed_quantity": 11}, ReasonCode.INVALID_ORDER),
        ({"product": Product.NRML}, ReasonCode.PRODUCT_NOT_ALLOWED),
        ({"order_type": OrderType.SL_M}, ReasonCode.INVALID_ORDER),
        (
            {"order_type": OrderType.SL, "trigger_price": Decimal("800.05")},
            ReasonCode.INVALID_ORDER,
        ),
        ({"price": Decimal("800.01")}, ReasonCode.TICK_SIZE),
        ({"price": Decimal("1.00")}, ReasonCode.PRICE_BAND),
        ({"quantity": 2000}, ReasonCode.MARGIN_SHORT),
        ({"side": Side.SELL}, ReasonCode.BROKER_REJECTED),
        (
            {"instrument": msgspec.structs.replace(SBIN, instrument="NSE:NOSUCH")},
            ReasonCode.INSTRUMENT_UNKNOWN,
        ),
        ({"instrument": msgspec.structs.replace(SBIN, lot_size=25)}, ReasonCode.LOT_SIZE),
    ],
)
async def test_what_a_broker_would_not_take_is_refused_with_its_reason(
    desk: Desk, changes: dict[str, Any], reason: ReasonCode
) -> None:
    with pytest.raises((Denied, Refused)) as caught:
        await desk.place(**changes)
    assert isinstance(caught.value, GatewayError)
    assert reason is caught.value.reason
    assert [] == await desk.book()


async def test_starting_cash_is_what_the_settings_say(tmp_path: Any) -> None:
    desk = Desk(tmp_path, cash="5000")
    try:
        assert Decimal(5000) == (await desk.adapter.funds(await desk.session())).available
        with pytest.raises(Refused, match="Margin"):
            await desk.place()
        await desk.place(quantity=6)
        funds = await desk.adapter.funds(await desk.session())
        assert (Decimal("200.00"), Decimal("4800.00")) == (funds.available, funds.used)
    finally:
        await desk.adapter.close()


async def test_a_lender_that_never_answers_holds_no_order_up_for_long(
    lent: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "QUOTE_WAIT_S", 0.05)
    assert isinstance(lent.lender, Lender)
    monkeypatch.setattr(lent.lender, "quotes", lambda instruments: asyncio.Event().wait())
    assert S.OPEN is (await lent.row(await lent.place())).state
