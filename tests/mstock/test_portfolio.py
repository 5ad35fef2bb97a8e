from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.mstock import portfolio, rows
from adapters.mstock.constants import IST
from adapters.mstock.master import read_master
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerPosition, BrokerTrade, Product, Side
from tests.mstock.support import PAYLOADS, TAG, answer

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
MASTER = PAYLOADS / "get_instruments_OpenAPIScripMaster.json"
INSTRUMENTS = {row.instrument: row for row in read_master([MASTER])}


def trade(**changes: Any) -> rows.TradeRow:
    return rows.TRADES.of({**rows.list_of(answer("get_tradebook"))[0], **changes})


def position(**changes: Any) -> BrokerPosition:
    row = {**rows.list_of(answer("get_portfolio_positions"))[0], **changes}
    (found,) = portfolio.positions([rows.POSITIONS.of(row)])
    return found


def test_a_trade_is_read_whole() -> None:
    assert portfolio.trades([trade()]) == [
        BrokerTrade(
            trade_id="206465040",
            broker_order_id="21612611221479",
            codes={"exchange": "NSE", "token": "14366"},
            side=Side.BUY,
            product=Product.CNC,
            quantity=1,
            price=Decimal("6.1"),
            exchange_order_id="1100000012345678",
            traded_at=datetime(2026, 11, 22, 13, 8, 42, tzinfo=IST),
        )
    ]


def test_a_trade_that_is_listed_twice_is_one() -> None:
    assert len(portfolio.trades([trade(), trade()])) == 1


@pytest.mark.parametrize("field", ["REMARKS1", "REMARKS2"])
def test_a_tag_in_the_remarks_is_read(field: str) -> None:
    (found,) = portfolio.trades([trade(**{field: str(TAG)})])
    assert found.broker_tag == TAG


@pytest.mark.parametrize("field", ["ORDER_NUMBER", "TRADE_NUMBER", "QUANTITY", "PRICE"])
def test_a_trade_that_cannot_be_read_makes_the_whole_read_bad(field: str) -> None:
    with pytest.raises(BadAnswer):
        portfolio.trades([trade(**{field: None})])


def test_a_position_is_read_whole_and_nothing_is_made_up() -> None:
    assert position() == BrokerPosition(
        codes={"exchange": "NFO", "token": "50374"},
        product=Product.NRML,
        quantity=50,
        buy_quantity=150,
        sell_quantity=100,
        buy_price=Decimal("800.1"),
        sell_price=Decimal("799.9"),
        average_price=Decimal("800.1"),
    )


def test_a_short_position_is_negative_and_was_entered_by_selling() -> None:
    short = position(netqty="-50")
    assert (short.quantity, short.average_price) == (-50, Decimal("799.9"))


def test_a_flat_position_has_realised_its_net_value() -> None:
    flat = position(netqty="0", netvalue="-30.5")
    assert (flat.average_price, flat.realised_pnl) == (None, Decimal("-30.5"))


def test_a_flat_position_that_was_carried_over_tells_no_profit() -> None:
    assert position(netqty="0", cfbuyqty="50").realised_pnl is None


@pytest.mark.parametrize("quantity", ["", None, "ten", "1.5"])
def test_a_position_without_its_quantity_makes_the_whole_read_bad(quantity: str | None) -> None:
    with pytest.raises(BadAnswer):
        position(netqty=quantity)
