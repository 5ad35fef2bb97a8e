"""Practice money: nothing is made or lost but by prices, whatever happens and over any days."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.paper.account import Day
from adapters.paper.broker import PaperBroker
from adapters.sdk.errors import Refused
from adapters.sdk.models import OrderType, Product, Side
from adapters.sdk.simulator import IST, ManualClock, Universe
from tests.paper.support import MONDAY, order

CASH = Decimal(100_000)
UNIVERSE = Universe(MONDAY.date())


def broker_of(day: Day, clock: ManualClock, orders: Any = ()) -> PaperBroker:
    return PaperBroker(day, orders, UNIVERSE, borrowed=False, clock=clock)


def worth(broker: PaperBroker) -> Decimal:
    """What the account would come to if everything were sold at the price there is."""
    account, price = broker.account, broker.engine.price
    total = account.opening + account.funds.realised
    for position in account.positions:
        total += position.unrealised(price(position.contract))
    return total + sum((price(one.contract) * one.quantity for one in account.holdings), Decimal(0))


orders = st.tuples(
    st.just("order"),
    st.sampled_from(list(Side)),
    st.sampled_from([Product.CNC, Product.MIS, Product.MTF]),
    st.sampled_from([None, "812.00", "800.00", "820.00"]),
    st.integers(1, 30),
)
steps = st.lists(st.one_of(orders, st.just(("day",)), st.just(("restart",))), max_size=25)


@settings(max_examples=150, deadline=None)
@given(script=steps)
def test_at_a_standing_price_the_account_is_worth_what_it_began_with(script: list[Any]) -> None:
    clock = ManualClock(MONDAY)
    broker = broker_of(Day(date=MONDAY.date(), cash=CASH), clock)
    for step in script:
        if step[0] == "day":
            clock.advance(ms=24 * 3600 * 1000)
            fresh = broker.tidy()
            assert fresh is not None
            broker = broker_of(fresh, clock, broker.kept_on(fresh.date))
        elif step[0] == "restart":
            before = (broker.account.funds, [p.quantity for p in broker.account.positions])
            broker = broker_of(broker.day, clock, broker.orders)
            assert before == (broker.account.funds, [p.quantity for p in broker.account.positions])
        else:
            _, side, product, price, quantity = step
            made = order(
                side=side,
                product=product,
                quantity=quantity,
                order_type=OrderType.LIMIT if price else OrderType.MARKET,
                price=Decimal(price) if price else None,
            )
            try:
                broker.place(made)
            except Refused:
                continue
        # A limit better than the market trades at the market, so no order changes the sum.
        assert worth(broker).quantize(Decimal("0.01")) == CASH
        assert all(one.quantity > 0 for one in broker.account.holdings)
        sold = [p for p in broker.account.positions if p.product is Product.CNC]
        assert all(broker.account.owned(p.contract) + p.quantity >= 0 for p in sold)


def test_the_clock_of_a_day_is_indias() -> None:
    late = datetime(2026, 11, 23, 23, 59, tzinfo=IST)
    clock = ManualClock(late)
    broker = broker_of(Day(date=late.date(), cash=CASH), clock)
    assert broker.tidy() is None
    clock.advance(ms=int(timedelta(minutes=1) / timedelta(milliseconds=1)))
    fresh = broker.tidy()
    assert fresh is not None
    assert late.date() + timedelta(days=1) == fresh.date
