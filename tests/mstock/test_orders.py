from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.mstock import orders
from adapters.mstock.config import StopSpelling
from adapters.mstock.master import read_master
from adapters.sdk.errors import Denied, NotSupported, ReasonCode
from adapters.sdk.models import (
    Exchange,
    Instrument,
    ModifyOrder,
    OrderRef,
    OrderType,
    PlaceOrder,
    Product,
    Side,
    Validity,
)
from tests.mstock.support import PAYLOADS, TAG

MASTER: Path = PAYLOADS / "get_instruments_OpenAPIScripMaster.json"
INSTRUMENTS = {row.instrument: row for row in read_master([MASTER])}
SPELLING = StopSpelling()


def order(name: str = "NSE:IDEA", **changes: Any) -> PlaceOrder:
    fields: dict[str, Any] = {
        "broker_tag": TAG,
        "instrument": INSTRUMENTS[name],
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 10,
        "price": Decimal("6.10"),
    }
    return PlaceOrder(**(fields | changes))


def test_a_limit_order_is_written_as_the_docs_show_it() -> None:
    assert orders.place_fields(order(), SPELLING) == {
        "variety": "NORMAL",
        "tradingsymbol": "IDEA-EQ",
        "symboltoken": "14366",
        "exchange": "NSE",
        "transactiontype": "BUY",
        "ordertype": "LIMIT",
        "quantity": "10",
        "producttype": "DELIVERY",
        "price": "6.10",
        "triggerprice": "0",
        "squareoff": "0",
        "stoploss": "0",
        "trailingStopLoss": "",
        "disclosedquantity": "0",
        "duration": "DAY",
        "ordertag": "123456789012345",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"order_type": OrderType.MARKET, "price": None, "validity": Validity.IOC},
            {"ordertype": "MARKET", "price": "0", "triggerprice": "0", "duration": "IOC"},
        ),
        (
            {"order_type": OrderType.SL, "trigger_price": Decimal("6.05")},
            {"variety": "STOPLOSS", "ordertype": "STOPLOSS_LIMIT", "triggerprice": "6.05"},
        ),
        (
            {"order_type": OrderType.SL_M, "price": None, "trigger_price": Decimal("6.05")},
            {"variety": "STOPLOSS", "ordertype": "STOPLOSS_MARKET", "price": "0"},
        ),
        ({"amo": True}, {"variety": "AMO", "ordertype": "LIMIT"}),
        ({"product": Product.MIS, "side": Side.SELL}, {"producttype": "INTRADAY"}),
        ({"product": Product.MTF}, {"producttype": "MARGIN"}),
        ({"disclosed_quantity": 4}, {"disclosedquantity": "4"}),
        ({"price": Decimal("1E+2")}, {"price": "100"}),
    ],
)
def test_every_kind_of_order_has_its_words(
    changes: dict[str, Any], expected: dict[str, str]
) -> None:
    placed = order(**changes)
    orders.check(placed)
    fields = orders.place_fields(placed, SPELLING)
    assert expected == {name: fields[name] for name in expected}


def test_a_derivative_goes_out_under_its_own_segment() -> None:
    option = order("NFO:NIFTY29DEC2626000CE", product=Product.NRML, quantity=130)
    orders.check(option)
    fields = orders.place_fields(option, SPELLING)
    assert fields["exchange"] == "NFO"
    assert fields["tradingsymbol"] == "NIFTY26DEC26000CE"
    assert fields["producttype"] == "CARRYFORWARD"
    assert fields["quantity"] == "130"


def test_the_spelling_of_stop_orders_is_configuration() -> None:
    stop = order(order_type=OrderType.SL, trigger_price=Decimal("6.05"))
    assert orders.place_fields(stop, StopSpelling(limit="STOP_LOSS"))["ordertype"] == "STOP_LOSS"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"product": Product.NRML}, ReasonCode.PRODUCT_NOT_ALLOWED),
        ({"price": None}, ReasonCode.INVALID_ORDER),
        ({"price": Decimal(0)}, ReasonCode.INVALID_ORDER),
        ({"price": Decimal("NaN")}, ReasonCode.INVALID_ORDER),
        ({"trigger_price": Decimal(6)}, ReasonCode.INVALID_ORDER),
        ({"order_type": OrderType.SL}, ReasonCode.INVALID_ORDER),
        ({"order_type": OrderType.MARKET}, ReasonCode.INVALID_ORDER),
        ({"quantity": 0}, ReasonCode.INVALID_ORDER),
        ({"disclosed_quantity": 3}, ReasonCode.INVALID_ORDER),
        ({"disclosed_quantity": 10}, ReasonCode.INVALID_ORDER),
        ({"broker_tag": 12345}, ReasonCode.INVALID_ORDER),
        ({"amo": True, "order_type": OrderType.SL_M}, ReasonCode.NOT_SUPPORTED),
    ],
)
def test_what_cannot_be_taken_is_denied_before_anything_is_sent(
    changes: dict[str, Any], reason: ReasonCode
) -> None:
    with pytest.raises(Denied) as caught:
        orders.check(order(**changes))
    assert reason == caught.value.reason


def test_a_quantity_that_is_not_whole_lots_is_denied() -> None:
    with pytest.raises(Denied) as caught:
        orders.check(order("NFO:NIFTY29DEC26FUT", product=Product.NRML, quantity=100))
    assert caught.value.reason == ReasonCode.LOT_SIZE


def test_delivery_of_a_derivative_is_denied() -> None:
    with pytest.raises(Denied) as caught:
        orders.check(order("NFO:NIFTY29DEC26FUT", quantity=65))
    assert caught.value.reason == ReasonCode.PRODUCT_NOT_ALLOWED


def test_an_index_is_not_traded() -> None:
    with pytest.raises(Denied) as caught:
        orders.check(order("NSE:NIFTY 50"))
    assert caught.value.reason == ReasonCode.INSTRUMENT_BLOCKED


@pytest.mark.parametrize("exchange", [Exchange.CDS, Exchange.BCD, Exchange.MCX])
def test_a_segment_that_is_not_proven_is_not_supported(exchange: Exchange) -> None:
    share = INSTRUMENTS["NSE:IDEA"]
    other = Instrument(
        instrument=f"{exchange.value}:X",
        exchange=exchange,
        symbol="X",
        name="X",
        type=share.type,
        lot_size=1,
        tick_size=share.tick_size,
        codes=share.codes,
    )
    with pytest.raises(NotSupported):
        orders.check(order(instrument=other))


@pytest.mark.parametrize(
    ("order_type", "amo", "expected"),
    [
        (OrderType.LIMIT, False, "NORMAL"),
        (None, False, "NORMAL"),
        (OrderType.SL, False, "STOPLOSS"),
        (OrderType.SL_M, False, "STOPLOSS"),
        (OrderType.LIMIT, True, "AMO"),
    ],
)
def test_a_cancel_repeats_the_variety_of_the_placement(
    order_type: OrderType | None, amo: bool, expected: str
) -> None:
    ref = OrderRef(broker_order_id="1", order_type=order_type, amo=amo)
    assert expected == orders.variety(ref)


def test_the_segment_of_details_follows_the_instrument() -> None:
    cash = OrderRef(broker_order_id="1", instrument=INSTRUMENTS["NSE:IDEA"])
    future = OrderRef(broker_order_id="1", instrument=INSTRUMENTS["NFO:NIFTY29DEC26FUT"])
    assert orders.segment(cash) == "E"
    assert orders.segment(future) == "D"
    assert orders.segment(OrderRef(broker_order_id="1")) is None


def change(**changes: Any) -> ModifyOrder:
    fields: dict[str, Any] = {
        "broker_order_id": "21612611221476",
        "instrument": INSTRUMENTS["NSE:IDEA"],
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 1,
        "previous_quantity": 1,
        "filled_quantity": 0,
        "price": Decimal("6.05"),
    }
    return ModifyOrder(**(fields | changes))


def test_a_modify_is_written_as_the_docs_show_it() -> None:
    orders.check_modify(change())
    assert orders.modify_fields(change(), SPELLING) == {
        "variety": "NORMAL",
        "tradingsymbol": "IDEA-EQ",
        "symboltoken": "14366",
        "exchange": "NSE",
        "transactiontype": "BUY",
        "orderid": "21612611221476",
        "ordertype": "LIMIT",
        "quantity": "1",
        "producttype": "DELIVERY",
        "duration": "DAY",
        "price": "6.05",
        "triggerprice": "0",
        "disclosedquantity": "0",
        "modqty_remng": "0",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": 12, "previous_quantity": 10, "filled_quantity": 4}, "not_supported"),
        ({"quantity": 10, "previous_quantity": 10, "filled_quantity": 4}, "not_supported"),
        ({"order_type": OrderType.SL}, "invalid_order"),
        ({"price": None}, "invalid_order"),
        ({"quantity": 0}, "invalid_order"),
        (
            {"order_type": OrderType.SL, "trigger_price": Decimal(6), "amo": True},
            "not_supported",
        ),
        ({"instrument": INSTRUMENTS["NSE:NIFTY 50"]}, "instrument_blocked"),
    ],
)
def test_a_change_that_cannot_be_taken_is_denied_before_anything_is_sent(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Denied) as caught:
        orders.check_modify(change(**changes))
    assert reason == caught.value.reason
