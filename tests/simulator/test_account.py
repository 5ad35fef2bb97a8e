"""Positions and cash, against the plain sums that they must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk.models import Product, Side
from adapters.sdk.simulator import Account, Position, Universe

SBIN = Universe(date(2026, 11, 23)).by_instrument("NSE:SBIN")
assert SBIN is not None

prices = st.decimals(1, 2000, places=2)
trades = st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 100), prices), max_size=30)


def position_after(fills: Sequence[tuple[Side, int, Decimal]]) -> Position:
    assert SBIN is not None
    position = Position(contract=SBIN, product=Product.MIS)
    for side, quantity, price in fills:
        position.trade(side, quantity, price)
    return position


@given(trades, prices)
def test_profit_equals_the_cash_that_flowed_plus_what_is_held(
    fills: list[tuple[Side, int, Decimal]], last: Decimal
) -> None:
    position = position_after(fills)
    sign = {Side.BUY: -1, Side.SELL: 1}
    cash = sum((sign[side] * quantity * price for side, quantity, price in fills), Decimal(0))
    held = -sum(sign[side] * quantity for side, quantity, _ in fills)
    assert held == position.quantity
    assert cash + held * last == position.realised + position.unrealised(last)


@pytest.mark.parametrize(
    ("fills", "quantity", "average", "realised"),
    [
        ([(Side.BUY, 10, "100"), (Side.SELL, 4, "110")], 6, "100", "40"),
        ([(Side.SELL, 10, "100"), (Side.BUY, 4, "110")], -6, "100", "-40"),
        ([(Side.BUY, 10, "100"), (Side.SELL, 15, "90")], -5, "90", "-100"),
        ([(Side.BUY, 5, "100"), (Side.BUY, 5, "120"), (Side.SELL, 5, "130")], 5, "120", "150"),
        ([(Side.BUY, 5, "100"), (Side.SELL, 5, "100")], 0, "0", "0"),
    ],
)
def test_first_bought_is_first_sold(
    fills: list[tuple[Side, int, str]], quantity: int, average: str, realised: str
) -> None:
    position = position_after([(side, count, Decimal(price)) for side, count, price in fills])
    assert (quantity, Decimal(average), Decimal(realised)) == (
        position.quantity,
        position.average_price,
        position.realised,
    )


def test_average_prices_of_each_side() -> None:
    position = position_after(
        [(Side.BUY, 1, Decimal(10)), (Side.BUY, 3, Decimal(14)), (Side.SELL, 2, Decimal(20))]
    )
    assert (Decimal(13), Decimal(20)) == (position.buy_price, position.sell_price)


def test_products_are_positions_apart() -> None:
    assert SBIN is not None
    account = Account(Decimal(10_000))
    account.trade(SBIN, Product.MIS, Side.BUY, 5, Decimal(100))
    account.trade(SBIN, Product.CNC, Side.BUY, 3, Decimal(100))
    assert [5, 3] == [position.quantity for position in account.positions]
    assert (5, 0) == (
        account.net_quantity(SBIN, Product.MIS),
        account.net_quantity(SBIN, Product.NRML),
    )
    assert (Decimal(800), Decimal(9200)) == (account.funds.used, account.funds.available)
