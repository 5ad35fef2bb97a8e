from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.mstock import portfolio, rows
from adapters.mstock.constants import IST
from adapters.mstock.master import read_master
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import (
    BrokerFunds,
    BrokerHolding,
    BrokerPosition,
    BrokerTrade,
    Product,
    Side,
)
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


def holding(**changes: Any) -> list[BrokerHolding]:
    row = {**rows.list_of(answer("get_portfolio_holdings"))[0], **changes}
    return portfolio.holdings([row])


def test_holdings_are_named_by_token_and_isin_and_sold_ones_are_left_out() -> None:
    owned, bought = portfolio.holdings(rows.list_of(answer("get_portfolio_holdings")))
    assert owned == BrokerHolding(
        codes={"exchange": "NSE", "token": "11377"},
        quantity=100,
        isin="INE457A01014",
        name="BANK OF MAHARASHTRA",
        t1_quantity=0,
        pledged_quantity=0,
        average_price=Decimal("48.25"),
        last_price=Decimal("51.6"),
        pnl=Decimal("335.00"),
    )
    assert (bought.quantity, bought.t1_quantity) == (40, 40)


def test_a_holding_is_never_more_than_one_of_its_figures() -> None:
    (found,) = holding(quantity=50, t1quantity=10, collateralquantity="20")
    assert (found.quantity, found.t1_quantity, found.pledged_quantity) == (50, 10, 20)


def test_a_holding_that_tells_its_exchange_is_that_exchanges() -> None:
    (found,) = holding(exchange="BSE", symboltoken="532525")
    assert found.codes == {"exchange": "BSE", "token": "532525"}


@pytest.mark.parametrize("token", [None, "", "None"])
def test_a_holding_without_a_token_is_named_by_its_isin(token: Any) -> None:
    (found,) = holding(symboltoken=token)
    assert (found.codes, found.isin) == ({}, "INE457A01014")


@pytest.mark.parametrize("changes", [{"ltp": 0}, {"averageprice": None}])
def test_the_profit_of_a_holding_without_prices_is_not_made_up(changes: dict[str, Any]) -> None:
    (found,) = holding(**changes)
    assert found.pnl is None


@pytest.mark.parametrize("quantity", [None, "", "ten", 1.5, -1])
def test_a_holding_without_its_quantity_makes_the_whole_read_bad(quantity: Any) -> None:
    with pytest.raises(BadAnswer):
        holding(quantity=quantity)


def test_no_holdings_are_none() -> None:
    assert portfolio.holdings(rows.list_of(answer("get_portfolio_holdings_empty"))) == []


def fund(**changes: Any) -> BrokerFunds:
    row = {**rows.list_of(answer("get_user_fundsummary"))[0], **changes}
    return portfolio.funds([row])


def test_funds_are_read_from_the_one_row() -> None:
    assert fund(LIMIT_SOD="102500.50") == BrokerFunds(
        available=Decimal("100000.00"),
        used=Decimal("2500.50"),
        opening=Decimal("102500.50"),
        collateral=Decimal(0),
    )


@pytest.mark.parametrize("value", ["None", None, "", "abc"])
def test_money_that_is_not_told_is_none_and_never_zero(value: Any) -> None:
    assert fund(AVAILABLE_BALANCE=value).available is None


def test_an_overdrawn_account_is_negative() -> None:
    assert fund(AVAILABLE_BALANCE="-12.50").available == Decimal("-12.50")


def test_a_fund_summary_without_a_row_tells_nothing() -> None:
    assert portfolio.funds([]) == BrokerFunds(available=None)


def test_of_several_fund_summaries_the_one_for_all_segments_counts() -> None:
    row = rows.list_of(answer("get_user_fundsummary"))[0]
    other = {**row, "SEG": "E", "AVAILABLE_BALANCE": "1"}
    assert portfolio.funds([other, row]).available == Decimal("100000.00")
    for unclear in ([other, other], [row, row]):
        with pytest.raises(BadAnswer):
            portfolio.funds(unclear)
