"""Life cycles at the simulated exchange, by a clock that only moves when told."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import BrokerOrderState, OrderType, Product, Side, Validity
from adapters.sdk.simulator import (
    IST,
    Engine,
    EngineRefusal,
    EngineSettings,
    ManualClock,
    NewOrder,
    SimOrder,
    Universe,
)

TODAY = date(2026, 11, 23)
UNIVERSE = Universe(TODAY)
S = BrokerOrderState


def make(**changes: Any) -> tuple[Engine, ManualClock]:
    clock = ManualClock(datetime(2026, 11, 23, 10, 0, tzinfo=IST))
    engine = Engine(
        UNIVERSE,
        mint=lambda number, at: f"{at:%y%m%d}{number:06d}",
        clock=clock,
        settings=EngineSettings(**{"ack_delay_ms": 2, "fill_delay_ms": 10, **changes}),
    )
    return engine, clock


def order(instrument: str = "NSE:SBIN", **changes: Any) -> NewOrder:
    contract = UNIVERSE.by_instrument(instrument)
    assert contract is not None
    given_fields: dict[str, Any] = {
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "quantity": 10,
        "price": Decimal("812.50"),
    }
    return NewOrder(contract=contract, **given_fields | changes)


def states(placed: SimOrder) -> list[BrokerOrderState]:
    return [change.state for change in placed.history]


SBIN = order().contract


def test_marketable_limit_fills_at_the_reference_price_after_its_delays() -> None:
    engine, clock = make()
    placed = engine.place(order())
    assert S.PENDING is placed.state
    assert "" == placed.exchange_order_id
    clock.advance(ms=2)
    engine.advance()
    assert S.OPEN is placed.state
    assert placed.exchange_order_id
    clock.advance(ms=10)
    engine.advance()
    assert S.FILLED is placed.state
    assert Decimal("812.0000") == placed.average_price
    assert [S.PENDING, S.OPEN, S.FILLED] == states(placed)
    assert [0, 2000, 12000] == [
        (change.at - placed.accepted_at).microseconds for change in placed.history
    ]


def test_events_keep_their_own_times_when_looked_at_late() -> None:
    engine, clock = make()
    placed = engine.place(order())
    clock.advance(ms=60_000)
    assert 12000 == (engine.orders[0].updated_at - placed.accepted_at).microseconds


@pytest.mark.parametrize(
    ("side", "limit", "away", "across"),
    [(Side.BUY, "800.00", "800.05", "799.00"), (Side.SELL, "830.00", "829.95", "831.00")],
)
def test_resting_limit_fills_at_its_own_price_once_crossed(
    side: Side, limit: str, away: str, across: str
) -> None:
    engine, clock = make()
    placed = engine.place(order(side=side, price=Decimal(limit)))
    clock.advance(ms=100)
    engine.set_price(SBIN, Decimal(away))
    assert S.OPEN is placed.state
    engine.set_price(SBIN, Decimal(across))
    assert S.FILLED is placed.state
    assert Decimal(limit) == placed.average_price


def test_market_order_takes_the_price_of_its_fill() -> None:
    engine, clock = make()
    placed = engine.place(order(order_type=OrderType.MARKET, price=None))
    clock.advance(ms=5)
    engine.set_price(SBIN, Decimal("820.00"))
    clock.advance(ms=10)
    engine.advance()
    assert Decimal("820") == placed.average_price


@pytest.mark.parametrize(
    ("side", "trigger", "limit", "short_of", "reaches"),
    [
        (Side.BUY, "820.00", "825.00", "819.95", "820.00"),
        (Side.SELL, "805.00", "800.00", "805.05", "805.00"),
    ],
)
@pytest.mark.parametrize("order_type", [OrderType.SL, OrderType.SL_M])
def test_stop_waits_for_its_trigger_and_then_fills(
    side: Side, trigger: str, limit: str, short_of: str, reaches: str, order_type: OrderType
) -> None:
    engine, clock = make()
    price = Decimal(limit) if order_type is OrderType.SL else None
    placed = engine.place(
        order(side=side, order_type=order_type, price=price, trigger_price=Decimal(trigger))
    )
    clock.advance(ms=100)
    engine.set_price(SBIN, Decimal(short_of))
    assert S.TRIGGER_PENDING is placed.state
    engine.set_price(SBIN, Decimal(reaches))
    clock.advance(ms=10)
    engine.advance()
    assert [S.PENDING, S.TRIGGER_PENDING, S.OPEN, S.FILLED] == states(placed)
    assert Decimal(reaches) == placed.average_price


def test_limited_liquidity_fills_in_parts() -> None:
    engine, clock = make()
    engine.set_available(SBIN, 4)
    placed = engine.place(order())
    clock.advance(ms=100)
    engine.advance()
    assert (S.PARTIALLY_FILLED, 4, 6) == (
        placed.state,
        placed.filled_quantity,
        placed.pending_quantity,
    )
    second = engine.place(order())
    clock.advance(ms=100)
    engine.advance()
    assert (S.OPEN, 0) == (second.state, second.filled_quantity)
    engine.set_available(SBIN, None)
    assert [S.FILLED, S.FILLED] == [placed.state, second.state]
    assert [4, 6] == [fill.quantity for fill in placed.fills]


def test_ioc_cancels_what_it_cannot_fill() -> None:
    engine, clock = make()
    engine.set_available(SBIN, 4)
    placed = engine.place(order(validity=Validity.IOC))
    away = engine.place(order(validity=Validity.IOC, price=Decimal("790.00")))
    clock.advance(ms=100)
    engine.advance()
    assert (S.CANCELLED, 4, 6) == (placed.state, placed.filled_quantity, placed.cancelled_quantity)
    assert (S.CANCELLED, 0, 10) == (away.state, away.filled_quantity, away.cancelled_quantity)


def test_cancel_takes_its_time_and_may_lose_to_a_fill() -> None:
    engine, clock = make(cancel_delay_ms=50)
    resting = engine.place(order(price=Decimal("790.00")))
    racing = engine.place(order(price=Decimal("795.00")))
    clock.advance(ms=5)
    engine.cancel(resting)
    engine.cancel(racing)
    engine.set_price(SBIN, Decimal("794.00"))
    clock.advance(ms=50)
    engine.advance()
    assert (S.CANCELLED, S.FILLED) == (resting.state, racing.state)


def test_final_orders_can_neither_be_cancelled_nor_modified() -> None:
    engine, clock = make()
    placed = engine.place(order())
    clock.advance(ms=100)
    with pytest.raises(EngineRefusal, match="FILLED"):
        engine.cancel(placed)
    with pytest.raises(EngineRefusal, match="FILLED"):
        engine.modify(placed, price=Decimal("800.00"))


def test_modify_to_a_marketable_price_fills() -> None:
    engine, clock = make()
    placed = engine.place(order(price=Decimal("800.00")))
    clock.advance(ms=5)
    engine.modify(placed, price=Decimal("813.00"), quantity=12)
    clock.advance(ms=10)
    engine.advance()
    assert (S.FILLED, 12, True) == (placed.state, placed.filled_quantity, placed.modified)


def test_modify_blocks_the_margin_of_the_new_quantity_and_price() -> None:
    engine, clock = make()
    placed = engine.place(order(price=Decimal("800.00")))
    clock.advance(ms=5)
    engine.modify(placed, quantity=15, price=Decimal("801.00"))
    assert Decimal(15 * 801) == engine.account.funds.blocked
    engine.modify(placed, quantity=5)
    assert Decimal(5 * 801) == engine.account.funds.blocked
    engine.cancel(placed)
    assert 0 == engine.account.funds.blocked


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": Decimal("800.01")}, ReasonCode.TICK_SIZE),
        ({"price": Decimal("100.00")}, ReasonCode.PRICE_BAND),
        ({"quantity": 4}, ReasonCode.INVALID_ORDER),
    ],
)
def test_modify_is_checked_and_changes_nothing_when_refused(
    change: dict[str, Any], reason: ReasonCode
) -> None:
    engine, clock = make()
    engine.set_available(SBIN, 4)
    placed = engine.place(order())
    clock.advance(ms=100)
    with pytest.raises(EngineRefusal) as refused:
        engine.modify(placed, **change)
    assert reason is refused.value.reason
    assert (10, Decimal("812.50")) == (placed.quantity, placed.price)


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (order(price=Decimal("812.51")), ReasonCode.TICK_SIZE),
        (order(price=Decimal("400.00")), ReasonCode.PRICE_BAND),
        (order(quantity=0), ReasonCode.INVALID_ORDER),
        (order("NSE:NIFTY 50"), ReasonCode.INSTRUMENT_BLOCKED),
        (order("NFO:NIFTY24NOV26FUT", quantity=64), ReasonCode.LOT_SIZE),
        (order("NFO:NIFTY24NOV26FUT", quantity=65 * 28), ReasonCode.FREEZE_QUANTITY),
        (order(quantity=10_000_000), ReasonCode.MARGIN_SHORT),
    ],
)
def test_risk_check_refuses_and_the_book_shows_it_rejected(
    new: NewOrder, reason: ReasonCode
) -> None:
    engine, clock = make()
    refusal = engine.check(new)
    assert refusal is not None
    assert reason is refusal.reason
    placed = engine.place(new)
    clock.advance(ms=2)
    engine.advance()
    assert (S.REJECTED, refusal.message) == (placed.state, placed.message)
    assert engine.account.funds.opening == engine.account.funds.available


def test_closed_market_takes_only_amo_and_releases_it_at_the_open() -> None:
    engine, clock = make()
    engine.set_market(is_open=False)
    refusal = engine.check(order())
    assert refusal is not None
    assert ReasonCode.MARKET_CLOSED is refusal.reason
    placed = engine.place(order(amo=True))
    clock.advance(ms=1000)
    engine.advance()
    assert S.PENDING is placed.state
    engine.set_market(is_open=True)
    clock.advance(ms=100)
    engine.advance()
    assert S.FILLED is placed.state


def test_end_of_day_expires_what_is_live() -> None:
    engine, clock = make()
    placed = engine.place(order(price=Decimal("790.00")))
    clock.advance(ms=100)
    engine.end_of_day()
    assert (S.EXPIRED, 10) == (placed.state, placed.cancelled_quantity)
    assert engine.account.funds.blocked == 0


def test_book_lag_hides_young_orders_and_only_them() -> None:
    engine, clock = make(book_lag_ms=50)
    first = engine.place(order())
    clock.advance(ms=30)
    second = engine.place(order())
    assert [] == engine.visible_orders()
    clock.advance(ms=20)
    assert [first] == engine.visible_orders()
    assert engine.visible_order(first.broker_order_id) is first
    assert engine.visible_order(second.broker_order_id) is None
    assert [first, second] == engine.visible_orders(lag_ms=0)


def test_reset_forgets_orders_and_prices_but_repeats_no_id() -> None:
    engine, clock = make()
    first = engine.place(order())
    engine.set_price(SBIN, Decimal("900.00"))
    engine.reset()
    assert [] == engine.orders
    assert Decimal("812.00") == engine.price(SBIN)
    clock.advance(ms=100)
    second = engine.place(order())
    assert first.broker_order_id != second.broker_order_id
    assert S.PENDING is first.state


def test_decreed_fill_takes_quantity_and_price() -> None:
    engine, _ = make()
    placed = engine.place(order(price=Decimal("790.00")))
    engine.fill(placed, 3, Decimal("789.00"))
    assert (S.PARTIALLY_FILLED, Decimal("789.0000")) == (placed.state, placed.average_price)
    with pytest.raises(EngineRefusal, match="7 left"):
        engine.fill(placed, 8)
    engine.fill(placed)
    assert S.FILLED is placed.state


def test_decreed_fill_of_a_market_order_not_yet_acknowledged_trades_once() -> None:
    engine, _ = make(fill_delay_ms=0)
    placed = engine.place(order(order_type=OrderType.MARKET, price=None))
    assert S.PENDING is placed.state
    engine.fill(placed, price=Decimal("812.20"))
    assert S.FILLED is placed.state
    assert [(10, Decimal("812.20"))] == [(fill.quantity, fill.price) for fill in placed.fills]
    assert 10 == engine.account.net_quantity(SBIN, Product.CNC)


def test_the_rest_after_a_decreed_fill_of_an_unacknowledged_order_still_trades() -> None:
    engine, clock = make()
    placed = engine.place(order(order_type=OrderType.MARKET, price=None))
    engine.fill(placed, 4, Decimal("812.20"))
    assert (S.PARTIALLY_FILLED, 4) == (placed.state, placed.filled_quantity)
    clock.advance(ms=20)
    engine.advance()
    assert (S.FILLED, [4, 6]) == (placed.state, [fill.quantity for fill in placed.fills])


def test_a_quote_trades_at_its_own_sides_and_triggers_by_the_last_price() -> None:
    engine, _ = make(ack_delay_ms=0, fill_delay_ms=0)
    engine.set_quote(SBIN, Decimal("812.00"), bid=Decimal("811.50"), ask=Decimal("812.50"))
    between = engine.place(order(price=Decimal("812.25")))
    bought = engine.place(order(order_type=OrderType.MARKET, price=None))
    sold = engine.place(order(order_type=OrderType.MARKET, price=None, side=Side.SELL))
    stop = engine.place(
        order(order_type=OrderType.SL_M, price=None, trigger_price=Decimal("812.25"))
    )
    assert (Decimal("812.5000"), Decimal("811.5000")) == (bought.average_price, sold.average_price)
    assert (S.OPEN, S.TRIGGER_PENDING) == (between.state, stop.state)
    engine.set_price(SBIN, Decimal("812.00"))
    assert (S.FILLED, Decimal("812.2500")) == (between.state, between.average_price)


def test_without_a_price_nothing_trades_or_triggers_until_the_next_one() -> None:
    engine, _ = make(ack_delay_ms=0, fill_delay_ms=0)
    engine.suspend_price(SBIN)
    market = engine.place(order(order_type=OrderType.MARKET, price=None))
    stop = engine.place(
        order(order_type=OrderType.SL_M, price=None, trigger_price=Decimal("800.00"))
    )
    assert (S.OPEN, S.TRIGGER_PENDING) == (market.state, stop.state)
    engine.set_price(SBIN, Decimal("810.00"))
    assert [Decimal("810.0000")] * 2 == [market.average_price, stop.average_price]


def test_an_order_that_is_held_waits_for_its_release_in_an_open_market() -> None:
    engine, clock = make(ack_delay_ms=0, fill_delay_ms=0)
    held = engine.place(order(amo=True), hold=True)
    clock.advance(ms=10_000)
    assert S.PENDING is engine.orders[0].state
    engine.release(held)
    assert S.FILLED is held.state


def test_a_book_taken_up_again_goes_on_where_it_was() -> None:
    engine, _ = make(ack_delay_ms=0, fill_delay_ms=0)
    engine.place(order(order_type=OrderType.MARKET, price=None))
    resting = engine.place(order(price=Decimal("800.00")))
    again, _ = make(ack_delay_ms=0, fill_delay_ms=0)
    again.restore(engine.orders, engine.serials)
    assert engine.account.blocked == again.account.blocked
    fresh = again.place(order(price=Decimal("800.00")))
    assert (3, 3) == (fresh.number, len({one.broker_order_id for one in again.orders}))
    again.set_price(SBIN, Decimal("799.00"))
    assert (S.FILLED, S.FILLED) == (resting.state, fresh.state)
    assert ["00000001", "00000002", "00000003"] == [one.fill.trade_id for one in again.trades]


def test_thousands_of_orders_due_at_once_all_happen() -> None:
    engine, clock = make()
    for _ in range(3000):
        engine.place(order(quantity=1))
    clock.advance(ms=1000)
    assert {S.FILLED} == {placed.state for placed in engine.orders}


def test_settings_change_by_name_and_unknown_ones_are_refused() -> None:
    engine, _ = make()
    engine.configure({"cash": "5000", "book_lag_ms": 7})
    assert (Decimal(5000), 7) == (engine.account.funds.available, engine.settings.book_lag_ms)
    with pytest.raises(ValueError, match="speed"):
        engine.configure({"speed": 1})


prices = st.integers(16000, 16480).map(lambda ticks: ticks * Decimal("0.05"))
placing = st.tuples(
    st.just("place"),
    st.sampled_from(Side),
    st.sampled_from(OrderType),
    st.sampled_from([Product.CNC, Product.MIS]),
    st.sampled_from(Validity),
    st.integers(1, 50),
    prices,
    prices,
)
steps = st.one_of(
    placing,
    placing,
    st.tuples(st.just("price"), prices),
    st.tuples(st.just("available"), st.one_of(st.none(), st.integers(0, 60))),
    st.tuples(st.just("cancel"), st.integers(0, 12)),
    st.tuples(st.just("modify"), st.integers(0, 12), st.integers(1, 60), prices),
    st.tuples(st.just("end")),
)
# How long to wait after each step: mostly long enough for what was placed to fill.
scripts = st.lists(st.tuples(steps, st.sampled_from([0, 4, 20, 20])), min_size=8, max_size=30)


@settings(max_examples=200, deadline=None)
@given(scripts)
def test_quantities_and_cash_are_conserved_whatever_happens(script: list[Any]) -> None:
    engine, clock = make(cancel_delay_ms=3)
    for step, wait_ms in script:
        _play(engine, clock, step)
        clock.advance(ms=wait_ms)
        _check_conservation(engine)


def _play(engine: Engine, clock: ManualClock, step: Any) -> None:
    match step:
        case ("place", side, order_type, product, validity, quantity, price, trigger):
            limit = price if order_type in (OrderType.LIMIT, OrderType.SL) else None
            stop = trigger if order_type in (OrderType.SL, OrderType.SL_M) else None
            engine.place(
                order(
                    side=side,
                    order_type=order_type,
                    product=product,
                    validity=validity,
                    quantity=quantity,
                    price=limit,
                    trigger_price=stop,
                )
            )
        case ("price", price):
            engine.set_price(SBIN, price)
        case ("available", quantity):
            engine.set_available(SBIN, quantity)
        case ("cancel", index) | ("modify", index, _, _) if index < len(engine.orders):
            placed = engine.orders[index]
            try:
                if step[0] == "cancel":
                    engine.cancel(placed)
                else:
                    engine.modify(placed, quantity=step[2], price=step[3])
            except EngineRefusal:
                return
        case ("end",):
            engine.end_of_day()
            engine.set_market(is_open=True)


def _check_conservation(engine: Engine) -> None:
    buys = sells = Decimal(0)
    blocked = Decimal(0)
    for placed in engine.orders:
        assert placed.quantity == (
            placed.filled_quantity + placed.pending_quantity + placed.cancelled_quantity
        )
        assert placed.filled_quantity == sum(fill.quantity for fill in placed.fills)
        assert placed.history[-1].state is placed.state
        assert all(not change.state.is_final for change in placed.history[:-1])
        value = sum((fill.price * fill.quantity for fill in placed.fills), Decimal(0))
        buys += value if placed.side is Side.BUY else 0
        sells += value if placed.side is Side.SELL else 0
        blocked += placed.margin
        assert placed.margin == 0 or not placed.is_final
    funds = engine.account.funds
    positions = engine.account.positions
    signed_cost = sum((p.cost if p.quantity > 0 else -p.cost for p in positions), Decimal(0))
    assert funds.opening - buys + sells == funds.opening + funds.realised - signed_cost
    assert blocked == funds.blocked
    assert funds.opening + funds.realised == funds.available + funds.used
    assert all(abs(p.quantity) == sum(quantity for quantity, _ in p.open_lots) for p in positions)
