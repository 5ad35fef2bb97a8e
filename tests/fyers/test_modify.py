"""Changing an order through the adapter, against the simulator."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    OutcomeUnknown,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import (
    BrokerOrderState,
    ModifyOrder,
    OrderType,
    PlaceOrder,
    Session,
)
from tests.fyers.conftest import Gate, ref

MakeOrder = Callable[..., PlaceOrder]
MakeChange = Callable[..., ModifyOrder]


async def resting(adapter: FyersAdapter, session: Session, wanted: PlaceOrder) -> str:
    return (await adapter.place_order(session, wanted, Gate())).broker_order_id


async def test_change_is_in_the_book_and_the_rest_is_as_it_was(
    adapter: FyersAdapter, session: Session, order: MakeOrder, change: MakeChange
):
    gate, wanted = Gate(), order()
    order_id = await resting(adapter, session, wanted)

    done = await adapter.modify_order(
        session, change(order_id, price=Decimal("801.25"), quantity=12), gate
    )

    assert order_id == done.broker_order_id
    assert ["ready", "check"] == gate.calls
    row = await adapter.get_order(session, ref(order_id))
    assert row is not None
    assert (BrokerOrderState.OPEN, Decimal("801.25"), 12) == (row.state, row.price, row.quantity)
    assert (wanted.broker_tag, wanted.side, wanted.product, wanted.validity) == (
        row.broker_tag,
        row.side,
        row.product,
        row.validity,
    )


async def test_modify_needs_no_gate(
    adapter: FyersAdapter, session: Session, order: MakeOrder, change: MakeChange
):
    order_id = await resting(adapter, session, order())

    await adapter.modify_order(session, change(order_id, price=Decimal(801)))

    row = await adapter.get_order(session, ref(order_id))
    assert row is not None
    assert Decimal(801) == row.price


@pytest.mark.parametrize(
    ("order_type", "price", "trigger", "state"),
    [
        (OrderType.MARKET, None, None, BrokerOrderState.FILLED),
        (OrderType.SL_M, None, "830", BrokerOrderState.TRIGGER_PENDING),
        (OrderType.SL, "830.5", "830", BrokerOrderState.TRIGGER_PENDING),
        (OrderType.LIMIT, "801", None, BrokerOrderState.OPEN),
    ],
)
@pytest.mark.parametrize(
    ("first_type", "first_price", "first_trigger"),
    [
        (OrderType.LIMIT, "800.5", None),
        (OrderType.SL, "840.5", "840"),
        (OrderType.SL_M, None, "840"),
    ],
)
async def test_order_type_may_change(
    adapter: FyersAdapter,
    session: Session,
    order: MakeOrder,
    change: MakeChange,
    first_type: OrderType,
    first_price: str | None,
    first_trigger: str | None,
    order_type: OrderType,
    price: str | None,
    trigger: str | None,
    state: BrokerOrderState,
):
    def money(text: str | None) -> Decimal | None:
        return Decimal(text) if text else None

    order_id = await resting(
        adapter,
        session,
        order(order_type=first_type, price=money(first_price), trigger_price=money(first_trigger)),
    )

    await adapter.modify_order(
        session,
        change(order_id, order_type=order_type, price=money(price), trigger_price=money(trigger)),
    )

    row = await adapter.get_order(session, ref(order_id))
    assert row is not None
    assert (order_type, money(price), money(trigger), state) == (
        row.order_type,
        row.price,
        row.trigger_price,
        row.state,
    )


async def test_part_filled_order_takes_a_new_price_and_keeps_its_quantity(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    change: MakeChange,
):
    order_id = await resting(adapter, session, order())
    simulator.engine.fill(simulator.engine.orders[0], 4, Decimal("800.5"))

    with pytest.raises(Denied):
        await adapter.modify_order(session, change(order_id, quantity=12, filled_quantity=4))
    assert not simulator.calls["modify"]
    await adapter.modify_order(session, change(order_id, price=Decimal(801), filled_quantity=4))

    row = await adapter.get_order(session, ref(order_id))
    assert row is not None
    assert (10, 4, Decimal(801)) == (row.quantity, row.filled_quantity, row.price)


async def test_change_of_a_done_or_unknown_order_is_refused(
    adapter: FyersAdapter, session: Session, order: MakeOrder, change: MakeChange
):
    order_id = await resting(adapter, session, order())
    await adapter.cancel_order(session, ref(order_id))

    for wanted, code in ((change(order_id), "-52"), (change("26112200000999"), "-51")):
        with pytest.raises(Refused) as caught:
            await adapter.modify_order(session, wanted)
        assert code == caught.value.broker_code
        assert not caught.value.repeatable


async def test_change_off_the_tick_is_refused_and_changes_nothing(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    change: MakeChange,
):
    order_id = await resting(adapter, session, order())

    with pytest.raises(Refused) as caught:
        await adapter.modify_order(session, change(order_id, price=Decimal("800.52")))

    assert ReasonCode.TICK_SIZE is caught.value.reason
    assert Decimal("800.5") == simulator.engine.orders[0].price


@pytest.mark.parametrize(
    "action",
    [
        "accept_then_reset",
        "accept_then_close",
        "accept_then_status",
        "accept_then_html",
        "accept_then_empty",
        "accept_then_truncated",
        "reset_at_byte",
    ],
)
async def test_lost_answer_to_a_modify_is_unknown_and_it_was_sent_once(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    change: MakeChange,
    action: str,
):
    order_id = await resting(adapter, session, order())
    simulator.faults.add([{"call": "modify", "action": action}])

    with pytest.raises(OutcomeUnknown):
        await adapter.modify_order(session, change(order_id, price=Decimal(801)), Gate())

    assert 1 == simulator.calls["modify"]
    row = await adapter.get_order(session, ref(order_id))
    assert row is not None
    assert Decimal(801) == row.price


@pytest.mark.parametrize("accepted", [False, True])
async def test_rate_limited_modify_is_unknown(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    change: MakeChange,
    accepted: bool,
):
    order_id = await resting(adapter, session, order())
    simulator.faults.add(
        [{"call": "modify", "action": "rate_limit", "params": {"accepted": accepted}}]
    )

    with pytest.raises(BadAnswer) as caught:
        await adapter.modify_order(session, change(order_id, price=Decimal(801)))

    assert (ReasonCode.RATE_LIMITED, 1.0) == (caught.value.reason, caught.value.retry_after_s)
    assert (Decimal(801) if accepted else Decimal("800.50")) == simulator.engine.orders[0].price


async def test_dead_token_on_a_modify_never_claims_that_nothing_changed(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    change: MakeChange,
):
    order_id = await resting(adapter, session, order())
    simulator.faults.add(
        [{"call": "modify", "action": "session_expired", "params": {"accepted": True}}]
    )

    with pytest.raises(LoginExpired) as caught:
        await adapter.modify_order(session, change(order_id, price=Decimal(801)))
    assert not caught.value.created_nothing


async def test_gate_that_closes_keeps_the_change_here(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    change: MakeChange,
):
    class Closed(Gate):
        async def ready(self) -> None:
            raise Denied("kill switch", reason=ReasonCode.KILL_SWITCH)

    order_id = await resting(adapter, session, order())
    with pytest.raises(Denied):
        await adapter.modify_order(session, change(order_id, price=Decimal(801)), Closed())

    assert not simulator.calls["modify"]
