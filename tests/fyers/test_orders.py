"""What may be asked of an order that is already at Fyers, and what goes on the wire."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.fyers.orders import change_body, check_modify
from adapters.sdk.errors import Denied, NotSupported, ReasonCode
from adapters.sdk.models import Exchange, Instrument, InstrumentType, ModifyOrder, OrderType, Side

MakeChange = Callable[..., ModifyOrder]


def test_change_names_the_order_its_type_and_what_differs(change: MakeChange):
    assert {"id": "26112200000123", "type": 1, "limitPrice": Decimal("801.50")} == change_body(
        change("26112200000123", price=Decimal("801.50"))
    )
    assert {"id": "1", "type": 1, "limitPrice": Decimal("800.50"), "qty": 12} == change_body(
        change("1", quantity=12)
    )


@pytest.mark.parametrize(
    ("order_type", "price", "trigger", "expected"),
    [
        (OrderType.MARKET, None, None, {"type": 2}),
        (OrderType.SL_M, None, "799", {"type": 3, "stopPrice": Decimal(799)}),
        (
            OrderType.SL,
            "820.50",
            "820",
            {"type": 4, "limitPrice": Decimal("820.50"), "stopPrice": Decimal(820)},
        ),
    ],
)
def test_each_type_takes_its_own_prices(
    change: MakeChange,
    order_type: OrderType,
    price: str | None,
    trigger: str | None,
    expected: dict[str, Any],
):
    wanted = change(
        "1",
        order_type=order_type,
        price=Decimal(price) if price else None,
        trigger_price=Decimal(trigger) if trigger else None,
    )
    check_modify(wanted)

    assert {"id": "1", **expected} == change_body(wanted)


def test_quantity_that_stays_is_never_sent(change: MakeChange):
    part_filled = change("1", filled_quantity=4, price=Decimal(801))
    check_modify(part_filled)

    assert "qty" not in change_body(part_filled)


def test_disclosed_quantity_goes_along_where_there_is_one(change: MakeChange):
    assert 5 == change_body(change("1", disclosed_quantity=5))["disclosedQty"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": 12, "filled_quantity": 1}, ReasonCode.INVALID_ORDER),
        ({"quantity": 9, "filled_quantity": 4}, ReasonCode.INVALID_ORDER),
        ({"quantity": 0}, ReasonCode.INVALID_ORDER),
        ({"quantity": -10}, ReasonCode.INVALID_ORDER),
        ({"price": None}, ReasonCode.INVALID_ORDER),
        ({"price": Decimal(0)}, ReasonCode.INVALID_ORDER),
        ({"price": Decimal("NaN")}, ReasonCode.INVALID_ORDER),
        ({"trigger_price": Decimal(800)}, ReasonCode.INVALID_ORDER),
        ({"order_type": OrderType.MARKET}, ReasonCode.INVALID_ORDER),
        ({"order_type": OrderType.SL}, ReasonCode.INVALID_ORDER),
        ({"order_type": OrderType.SL, "trigger_price": Decimal(801)}, ReasonCode.INVALID_ORDER),
        (
            {"order_type": OrderType.SL, "side": Side.SELL, "trigger_price": Decimal(800)},
            ReasonCode.INVALID_ORDER,
        ),
        ({"quantity": 4, "disclosed_quantity": 5}, ReasonCode.INVALID_ORDER),
        ({"broker_order_id": ""}, ReasonCode.INVALID_ORDER),
    ],
)
def test_change_that_cannot_be_made_is_denied(
    change: MakeChange, changes: dict[str, Any], reason: ReasonCode
):
    with pytest.raises(Denied) as caught:
        check_modify(msgspec.structs.replace(change("1"), **changes))

    assert reason is caught.value.reason


@pytest.mark.parametrize("exchange", [Exchange.MCX, Exchange.CDS, Exchange.BCD])
def test_order_counted_in_lots_is_not_changed(change: MakeChange, exchange: Exchange):
    instrument = msgspec.structs.replace(change("1").instrument, exchange=exchange)

    with pytest.raises(NotSupported):
        check_modify(change("1", instrument=instrument))


def test_new_quantity_of_a_derivative_is_whole_lots(
    change: MakeChange, instruments: dict[str, Instrument]
):
    future = next(i for i in instruments.values() if i.type is InstrumentType.FUT)
    lot = future.lot_size
    check_modify(change("1", instrument=future, quantity=2 * lot, previous_quantity=lot))

    with pytest.raises(Denied) as caught:
        check_modify(change("1", instrument=future, quantity=lot + 1, previous_quantity=lot))
    assert ReasonCode.LOT_SIZE is caught.value.reason
