"""What survives a crash of the practice broker, and what a new day makes of the last one."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.paper.ledger import Ledger
from adapters.sdk.errors import NotSent, OutcomeUnknown, Progress, Refused
from adapters.sdk.models import (
    BrokerOrderState,
    Exchange,
    Instrument,
    InstrumentType,
    OptionType,
    OrderRef,
    OrderType,
    Product,
    Side,
)
from adapters.sdk.simulator import IST, Universe
from tests.paper.support import MONDAY, Desk, Gate, change

S = BrokerOrderState


def at(desk: Desk, day: int, hour: int, minute: int = 0) -> None:
    wanted = datetime(2026, 11, day, hour, minute, tzinfo=IST)
    desk.clock.advance(ms=int((wanted - desk.clock()) / timedelta(milliseconds=1)))


async def test_the_book_is_the_same_after_a_restart(desk: Desk) -> None:
    await desk.place(order_type=OrderType.MARKET)
    resting = await desk.place()
    gone = await desk.place(quantity=3)
    await desk.adapter.cancel_order(await desk.session(), OrderRef(broker_order_id=gone), Gate())
    changed = await desk.row(resting)
    await desk.adapter.modify_order(await desk.session(), change(changed, quantity=20), Gate())
    session, adapter = await desk.session(), desk.adapter
    before = [
        await adapter.order_book(session),
        await adapter.trade_book(session),
        await adapter.positions(session),
        await adapter.funds(session),
    ]
    await desk.restart()
    adapter = desk.adapter
    assert before == [
        await adapter.order_book(session),
        await adapter.trade_book(session),
        await adapter.positions(session),
        await adapter.funds(session),
    ]
    assert [S.FILLED, S.OPEN, S.CANCELLED] == [row.state for row in await desk.book()]
    again = await desk.place()
    assert 4 == len({row.broker_order_id for row in await desk.book()})
    await desk.adapter.cancel_order(session, OrderRef(broker_order_id=again), Gate())


async def test_an_open_order_goes_on_meeting_prices_after_a_restart(lent: Desk) -> None:
    placed = await lent.place()
    await lent.restart()
    assert lent.lender is not None
    lent.lender.say("NSE:SBIN", "799.00")
    await lent.adapter.warm(await lent.session())
    row = await lent.settled(placed)
    assert (S.FILLED, Decimal("800.0000")) == (row.state, row.average_price)


async def test_nothing_trades_at_a_price_from_before_the_restart(lent: Desk) -> None:
    assert lent.lender is not None
    await lent.place(order_type=OrderType.MARKET)
    lent.lender.quoted.clear()
    await lent.restart()
    placed = await lent.place(price=Decimal("900.00"))
    assert S.OPEN is (await lent.row(placed)).state
    position = (await lent.adapter.positions(await lent.session()))[0]
    assert (10, None, None) == (position.quantity, position.last_price, position.unrealised_pnl)


async def test_a_line_cut_short_by_a_crash_is_forgotten_and_nothing_else(
    desk: Desk, tmp_path: Path
) -> None:
    placed = await desk.place()
    await desk.adapter.close()
    ledger = tmp_path / "state" / "book.jsonl"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + whole.splitlines(keepends=True)[-1][:-20])
    await desk.restart()
    assert [placed] == [row.broker_order_id for row in await desk.book()]
    await desk.place()
    await desk.restart()
    assert 2 == len(await desk.book())


@pytest.mark.parametrize("line", [b"garbage\n", b'{"type":"nothing"}\n', b"\xff\xfe\n"])
async def test_a_damaged_ledger_is_refused_and_left_as_it_is(
    desk: Desk, tmp_path: Path, line: bytes
) -> None:
    await desk.place()
    await desk.adapter.close()
    ledger = tmp_path / "state" / "book.jsonl"
    damaged = line + ledger.read_bytes()
    ledger.write_bytes(damaged)
    await desk.restart()
    with pytest.raises(NotSent, match="line 1"):
        await desk.book()
    gate = Gate()
    with pytest.raises(NotSent):
        await desk.place(gate)
    assert [] == gate.calls
    assert damaged == ledger.read_bytes()


async def test_an_order_that_could_not_be_written_is_unknown_and_then_what_the_disk_says(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await desk.place()

    def full(self: Ledger, lines: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", full)
        with pytest.raises(OutcomeUnknown) as unknown:
            await desk.place()
    assert Progress.MAYBE_SENT is unknown.value.progress
    assert [first] == [row.broker_order_id for row in await desk.book()]
    second = await desk.place()
    assert [first, second] == [row.broker_order_id for row in await desk.book()]


async def test_an_order_is_on_disk_before_it_is_answered_or_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.book()
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd))[1])
    await desk.place()
    assert 1 == len(synced)


async def test_a_caller_that_gives_up_leaves_a_whole_book(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.book()
    entered = asyncio.Event()

    class Told(Gate):
        def check(self) -> None:
            entered.set()

    placing = asyncio.ensure_future(desk.place(Told()))
    await entered.wait()
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    rows = await desk.book()
    await desk.restart()
    assert 1 == len(rows)
    assert rows == await desk.book()


async def test_without_a_folder_the_book_lives_in_memory() -> None:
    desk = Desk(None)
    await desk.place()
    assert 1 == len(await desk.book())
    await desk.restart()
    assert [] == await desk.book()
    await desk.adapter.close()


# Days


async def test_day_orders_end_at_the_close_and_the_next_day_has_a_book_of_its_own(
    desk: Desk,
) -> None:
    placed = await desk.place()
    at(desk, 23, 15, 44)
    assert S.OPEN is (await desk.row(placed)).state
    at(desk, 23, 15, 45)
    assert S.EXPIRED is (await desk.row(placed)).state
    at(desk, 23, 23, 59)
    assert 1 == len(await desk.book())
    at(desk, 24, 0, 1)
    assert [] == await desk.book()


async def test_an_order_of_the_evening_is_for_the_next_session(desk: Desk) -> None:
    at(desk, 27, 20)
    placed = await desk.place()
    at(desk, 30, 15, 44)
    assert S.OPEN is (await desk.row(placed)).state
    at(desk, 30, 15, 46)
    assert S.EXPIRED is (await desk.row(placed)).state


async def test_what_ended_while_nobody_looked_is_still_shown(desk: Desk) -> None:
    placed = await desk.place()
    await desk.restart()
    at(desk, 24, 10)
    assert S.EXPIRED is (await desk.row(placed)).state


async def test_after_market_orders_wait_for_the_open(desk: Desk) -> None:
    at(desk, 23, 20)
    placed = await desk.place(amo=True, order_type=OrderType.MARKET)
    row = await desk.row(placed)
    assert (S.PENDING, "WAITING FOR THE OPEN") == (row.state, row.raw_state)
    await desk.restart()
    at(desk, 24, 9, 14)
    assert S.PENDING is (await desk.row(placed)).state
    at(desk, 24, 9, 15)
    assert S.FILLED is (await desk.row(placed)).state
    assert 1 == len(await desk.adapter.trade_book(await desk.session()))


async def test_after_market_orders_can_be_cancelled_while_they_wait(desk: Desk) -> None:
    placed = await desk.place(amo=True)
    await desk.adapter.cancel_order(
        await desk.session(), OrderRef(broker_order_id=placed, amo=True), Gate()
    )
    at(desk, 24, 9, 15)
    row = await desk.row(placed)
    assert (S.CANCELLED, 0) == (row.state, row.filled_quantity)


async def test_delivery_goes_to_the_holdings_and_can_be_sold_from_there(desk: Desk) -> None:
    adapter = desk.adapter
    await desk.place(order_type=OrderType.MARKET)
    assert [] == await adapter.holdings(await desk.session())
    at(desk, 24, 10)
    session = await desk.session()
    (holding,) = await adapter.holdings(session)
    assert (10, 10, Decimal("812.0000")) == (
        holding.quantity,
        holding.t1_quantity,
        holding.average_price,
    )
    assert [] == await adapter.positions(session) == await adapter.trade_book(session)
    spent = Decimal(1_000_000) - 8120
    funds = await adapter.funds(session)
    assert (spent, spent, Decimal(0)) == (funds.available, funds.opening, funds.used)

    await desk.place(side=Side.SELL, quantity=4, order_type=OrderType.MARKET)
    assert spent + 4 * 812 == (await adapter.funds(session)).available
    resting = await desk.place(side=Side.SELL, quantity=6, price=Decimal("820.00"))
    with pytest.raises(Refused, match="0 shares"):
        await desk.place(side=Side.SELL, quantity=1, price=Decimal("820.00"))
    row = await desk.row(resting)
    with pytest.raises(Refused, match="0 shares"):
        await adapter.modify_order(session, change(row, quantity=7), Gate())
    (position,) = await adapter.positions(session)
    assert -4 == position.quantity

    at(desk, 25, 10)
    await desk.restart()
    session = await desk.session()
    (holding,) = await desk.adapter.holdings(session)
    assert (6, 0) == (holding.quantity, holding.t1_quantity)
    assert spent + 4 * 812 == (await desk.adapter.funds(session)).opening


async def test_mis_is_squared_off_over_night_at_the_last_price(lent: Desk) -> None:
    assert lent.lender is not None
    await lent.place(order_type=OrderType.MARKET, product=Product.MIS)
    lent.lender.say("NSE:SBIN", "820.00")
    await lent.adapter.positions(await lent.session())
    at(lent, 24, 10)
    session = await lent.session()
    assert [] == await lent.adapter.positions(session)
    assert Decimal(1_000_080) == (await lent.adapter.funds(session)).available


async def test_nrml_is_carried_with_its_price_and_settled_at_its_expiry(desk: Desk) -> None:
    option = an_option()
    await desk.place(
        instrument=option,
        order_type=OrderType.MARKET,
        product=Product.NRML,
        quantity=option.lot_size,
    )
    session = await desk.session()
    (before,) = await desk.adapter.positions(session)
    available = (await desk.adapter.funds(session)).available
    at(desk, 24, 10)
    await desk.restart()
    session = await desk.session()
    (after,) = await desk.adapter.positions(session)
    assert (before.quantity, before.average_price) == (after.quantity, after.average_price)
    assert (0, None) == (after.buy_quantity, after.buy_price)
    assert available == (await desk.adapter.funds(session)).available
    await desk.place(
        instrument=option,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        product=Product.NRML,
        quantity=option.lot_size,
    )
    (flat,) = await desk.adapter.positions(session)
    assert (0, Decimal(0)) == (flat.quantity, flat.realised_pnl)
    await desk.place(
        instrument=option,
        order_type=OrderType.MARKET,
        product=Product.NRML,
        quantity=option.lot_size,
    )
    assert option.expiry is not None
    at(desk, option.expiry.day, 23)
    assert 1 == len([p for p in await desk.adapter.positions(await desk.session()) if p.quantity])
    at(desk, option.expiry.day + 1, 10)
    session = await desk.session()
    assert [] == await desk.adapter.positions(session)
    assert Decimal(1_000_000) == (await desk.adapter.funds(session)).available


def an_option() -> Instrument:
    contract = next(
        one
        for one in Universe(MONDAY.date()).contracts(Exchange.NFO)
        if one.type is InstrumentType.OPT
        and one.option_type is OptionType.CE
        and one.expiry is not None
        and (one.expiry.month, one.expiry.day) == (11, 24)
    )
    return Instrument(
        instrument=contract.instrument,
        exchange=contract.exchange,
        symbol=contract.symbol,
        name=contract.name,
        type=contract.type,
        lot_size=contract.lot_size,
        tick_size=contract.tick_size,
        codes={"instrument": contract.instrument},
        expiry=contract.expiry,
        strike=contract.strike,
        option_type=contract.option_type,
    )
