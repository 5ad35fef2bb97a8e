"""Orders through the adapter against the simulated InvestRight, over real sockets."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.hdfc.adapter import HdfcAdapter
from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    GatewayError,
    LoginExpired,
    NotSent,
    NotSupported,
    OutcomeUnknown,
    Progress,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import (
    BrokerOrderState,
    Instrument,
    OrderRef,
    OrderType,
    PlaceOrder,
    Product,
    Session,
    Side,
    Validity,
)
from adapters.sdk.simulator import CallKind
from tests.hdfc.conftest import INSTANT, OpenGate, adapter_for, log_in
from tests.hdfc.support import order

TAG = 176300000012301
RESTING: dict[str, Any] = {"price": Decimal("700.05"), "quantity": 10}


@pytest.fixture
async def instruments(adapter: HdfcAdapter, tmp_path: Path) -> dict[str, Instrument]:
    files = await adapter.download_master(None, tmp_path)
    return {row.instrument: row for row in adapter.read_master(files)}


@pytest.fixture
def sbin(instruments: dict[str, Instrument]) -> Instrument:
    return instruments["NSE:SBIN"]


class ClosedGate(OpenGate):
    def check(self) -> None:
        raise Denied("stopped", reason=ReasonCode.KILL_SWITCH)


async def test_master_names_every_contract_of_the_market(
    simulator: HdfcSimulator, instruments: dict[str, Instrument]
) -> None:
    for contract in simulator.universe.contracts():
        found = instruments[contract.instrument]
        assert (found.lot_size, found.tick_size) == (contract.lot_size, contract.tick_size)
        assert found.codes["token"] == str(contract.token)
        assert (found.expiry, found.strike) == (contract.expiry, contract.strike)


async def test_order_is_placed_once_with_the_tag_and_found_in_the_book(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
) -> None:
    placed = await adapter.place_order(session, order(sbin, broker_tag=TAG, **RESTING), gate)
    assert (gate.ready_calls, gate.checks) == (1, 1)
    (accepted,) = simulator.engine.orders
    assert accepted.tag == str(TAG)
    assert (accepted.price, accepted.product) == (Decimal("700.05"), Product.CNC)
    (row,) = await adapter.order_book(session)
    assert row.broker_order_id == placed.broker_order_id == accepted.broker_order_id
    assert len(placed.broker_order_id) == 14
    assert (row.state, row.raw_state) == (BrokerOrderState.OPEN, "Pending")
    assert (row.broker_tag, row.price, row.quantity) == (TAG, Decimal("700.05"), 10)
    assert (row.side, row.order_type, row.validity) == (
        Side.BUY,
        OrderType.LIMIT,
        Validity.DAY,
    )
    assert row.codes.items() <= sbin.codes.items()
    assert row.placed_at is not None
    assert not simulator.violations


async def test_fill_is_read_with_its_average_price(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
) -> None:
    placed = await adapter.place_order(
        session, order(sbin, price=Decimal("812.00"), quantity=3), gate
    )
    row = await adapter.get_order(session, OrderRef(broker_order_id=placed.broker_order_id))
    assert row is not None
    assert (row.state, row.filled_quantity) == (BrokerOrderState.FILLED, 3)
    assert row.average_price == Decimal("812")


async def test_part_fill_then_cancel_keeps_the_fill(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
) -> None:
    placed = await adapter.place_order(session, order(sbin, **RESTING), gate)
    ref = OrderRef(broker_order_id=placed.broker_order_id)
    simulator.engine.fill(simulator.engine.orders[0], 4)
    part = await adapter.get_order(session, ref)
    assert part is not None
    assert (part.state, part.filled_quantity) == (BrokerOrderState.PARTIALLY_FILLED, 4)
    done = await adapter.cancel_order(session, ref, gate)
    assert done.broker_order_id == placed.broker_order_id
    row = await adapter.get_order(session, ref)
    assert row is not None
    assert (row.state, row.filled_quantity) == (BrokerOrderState.CANCELLED, 4)
    with pytest.raises(Refused, match="Order cannot be cancelled"):
        await adapter.cancel_order(session, ref)


async def test_derivative_orders_name_their_underlying_in_brokers_codes(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    instruments: dict[str, Instrument],
) -> None:
    wanted = [
        next(row for name, row in instruments.items() if name.startswith(prefix))
        for prefix in ("NFO:NIFTY", "NFO:SBIN", "BFO:SENSEX")
    ]
    wanted.append(next(r for n, r in instruments.items() if n.startswith("NFO:") and r.strike))
    for number, instrument in enumerate(wanted):
        contract = simulator.universe.by_instrument(instrument.instrument)
        assert contract is not None
        await adapter.place_order(
            session,
            order(
                instrument,
                broker_tag=TAG + number,
                product=Product.NRML,
                quantity=instrument.lot_size,
                side=Side.SELL,
                price=contract.price,
            ),
            gate,
        )
    assert [o.contract.instrument for o in simulator.engine.orders] == [
        row.instrument for row in wanted
    ]
    for row, instrument in zip(await adapter.order_book(session), wanted, strict=True):
        assert row.codes.items() <= instrument.codes.items()
        assert row.product is Product.NRML
    assert not simulator.violations


async def test_stop_order_waits_for_its_trigger(
    adapter: HdfcAdapter, session: Session, gate: OpenGate, sbin: Instrument
) -> None:
    await adapter.place_order(
        session,
        order(
            sbin,
            order_type=OrderType.SL,
            price=Decimal("830"),
            trigger_price=Decimal("829.95"),
            product=Product.MIS,
        ),
        gate,
    )
    (row,) = await adapter.order_book(session)
    assert row.state is BrokerOrderState.TRIGGER_PENDING
    assert (row.trigger_price, row.product) == (Decimal("829.95"), Product.MIS)


async def test_risk_refusal_shows_in_the_book_only(
    adapter: HdfcAdapter, session: Session, gate: OpenGate, sbin: Instrument
) -> None:
    await adapter.place_order(session, order(sbin, price=Decimal("812"), quantity=10**8), gate)
    (row,) = await adapter.order_book(session)
    assert row.state is BrokerOrderState.REJECTED
    assert row.message is not None
    assert "Margin" in row.message


async def test_reference_that_the_broker_replaces_is_not_our_tag(gate: OpenGate) -> None:
    simulator = HdfcSimulator(options=INSTANT | {"external_reference": "generated"})
    await simulator.start()
    adapter = adapter_for(simulator)
    session = await log_in(adapter, simulator)
    await adapter.place_order(session, order(price=Decimal("240")), gate)
    (row,) = await adapter.order_book(session)
    assert row.broker_tag is None
    await adapter.close()
    await simulator.stop()


async def test_closed_gate_sends_nothing(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session, sbin: Instrument
) -> None:
    with pytest.raises(Denied, match="stopped"):
        await adapter.place_order(session, order(sbin), ClosedGate())
    assert simulator.calls[CallKind.PLACE] == 0


@pytest.mark.parametrize(
    ("fault", "error", "orders"),
    [
        ({"action": "reset_before_read"}, OutcomeUnknown, 0),
        ({"action": "reset_before_accept"}, OutcomeUnknown, 0),
        ({"action": "accept_then_reset"}, OutcomeUnknown, 1),
        ({"action": "accept_then_close"}, OutcomeUnknown, 1),
        ({"action": "accept_then_hang"}, OutcomeUnknown, 1),
        ({"action": "hang"}, OutcomeUnknown, 0),
        ({"action": "reset_at_byte", "params": {"bytes": 60}}, OutcomeUnknown, 1),
        ({"action": "accept_then_truncated"}, BadAnswer, 1),
        ({"action": "accept_then_truncated", "params": {"length": "full"}}, OutcomeUnknown, 1),
        ({"action": "accept_then_empty"}, BadAnswer, 1),
        ({"action": "accept_then_html"}, BadAnswer, 1),
        ({"action": "accept_then_status", "params": {"status": 500}}, BadAnswer, 1),
        ({"action": "accept_then_status", "params": {"status": 502}}, BadAnswer, 1),
        ({"action": "accept_then_status", "params": {"status": 504}}, BadAnswer, 1),
        ({"action": "status", "params": {"status": 503}}, BadAnswer, 0),
        ({"action": "rate_limit"}, BadAnswer, 0),
        ({"action": "rate_limit", "params": {"accepted": True}}, BadAnswer, 1),
        ({"action": "session_expired"}, LoginExpired, 0),
        ({"action": "session_expired", "params": {"accepted": True}}, LoginExpired, 1),
        ({"action": "reject", "params": {"message": "RMS: Margin Exceeds"}}, Refused, 0),
    ],
)
async def test_every_fault_of_a_place_is_typed_and_nothing_is_sent_twice(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
    fault: dict[str, Any],
    error: type[GatewayError],
    orders: int,
) -> None:
    simulator.faults.add([{"call": "place", **fault}])
    with pytest.raises(error) as caught:
        await adapter.place_order(session, order(sbin, **RESTING), gate)
    assert type(caught.value) is error
    assert len(simulator.engine.orders) == orders
    assert simulator.calls[CallKind.PLACE] == (0 if fault["action"] == "reset_before_read" else 1)
    assert gate.checks == 1
    if isinstance(caught.value, OutcomeUnknown):
        assert caught.value.progress is not Progress.NOTHING_SENT
    if isinstance(caught.value, LoginExpired):
        assert not caught.value.created_nothing
    if isinstance(caught.value, Refused):
        assert caught.value.reason is ReasonCode.MARGIN_SHORT
        assert not caught.value.repeatable
    assert simulator.credentials["api_key"] not in str(caught.value)
    assert session.token not in str(caught.value)


async def test_redirect_of_a_write_is_not_followed(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
) -> None:
    simulator.faults.add([{"call": "place", "action": "status", "params": {"status": 307}}])
    with pytest.raises(BadAnswer):
        await adapter.place_order(session, order(sbin), gate)
    assert simulator.calls[CallKind.PLACE] == 1


async def test_refused_connection_is_not_sent(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
) -> None:
    await simulator.stop()
    with pytest.raises(NotSent):
        await adapter.place_order(session, order(sbin), gate)
    assert gate.checks == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"action": "accept_then_reset"}, OutcomeUnknown),
        ({"action": "status", "params": {"status": 500}}, BadAnswer),
        ({"action": "rate_limit"}, BadAnswer),
        ({"action": "session_expired"}, LoginExpired),
        ({"action": "reject", "params": {"message": "Order cannot be cancelled"}}, Refused),
    ],
)
async def test_every_class_of_cancel_failure(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
    fault: dict[str, Any],
    error: type[GatewayError],
) -> None:
    placed = await adapter.place_order(session, order(sbin, **RESTING), gate)
    simulator.faults.add([{"call": "cancel", **fault}])
    with pytest.raises(error):
        await adapter.cancel_order(session, OrderRef(broker_order_id=placed.broker_order_id))
    assert simulator.calls[CallKind.CANCEL] == 1


async def test_cancel_of_an_unknown_order_is_refused(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    with pytest.raises(Refused, match="Order not found"):
        await adapter.cancel_order(session, OrderRef(broker_order_id="1/../2?x"))
    assert simulator.calls[CallKind.CANCEL] == 1


async def test_unknown_order_is_none(adapter: HdfcAdapter, session: Session) -> None:
    assert await adapter.get_order(session, OrderRef(broker_order_id="26010100000001")) is None


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "book_fail"},
        {"action": "accept_then_html"},
        {"action": "accept_then_empty"},
        {"action": "accept_then_truncated"},
        {"action": "rate_limit"},
        {"action": "accept_then_reset"},
    ],
)
async def test_failing_book_is_never_an_empty_book(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session, fault: dict[str, Any]
) -> None:
    simulator.faults.add([{"call": "book", **fault}])
    with pytest.raises(OutcomeUnknown):
        await adapter.order_book(session)


async def test_dead_session_on_the_book(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    assert await adapter.order_book(session) == []
    simulator.expire_sessions()
    with pytest.raises(LoginExpired):
        await adapter.order_book(session)


async def test_tag_cannot_be_queried(adapter: HdfcAdapter, session: Session) -> None:
    with pytest.raises(NotSupported):
        await adapter.find_by_tag(session, TAG)


async def test_warm_connection_stands_ready_without_a_request(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    before = len(simulator.requests)
    assert not adapter.is_warm()
    await adapter.warm(session)
    assert adapter.is_warm()
    assert len(simulator.requests) == before


async def test_market_order_that_slips_through_is_a_policy_refusal(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    sbin: Instrument,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import msgspec

    from adapters.hdfc import orders

    body = msgspec.json.decode(orders.body(order(sbin))) | {"order_type": "MARKET", "price": 0}
    monkeypatch.setattr(orders, "body", lambda _: msgspec.json.encode(body))
    with pytest.raises(Refused) as caught:
        await adapter.place_order(session, order(sbin), gate)
    assert caught.value.reason is ReasonCode.ORDER_TYPE_NOT_ALLOWED
    assert simulator.engine.orders == []


@pytest.mark.parametrize("size", ["accept_then_truncated", "accept_then_empty"])
async def test_master_cut_short_is_not_taken_and_the_old_file_stays(
    adapter: HdfcAdapter, simulator: HdfcSimulator, tmp_path: Path, size: str
) -> None:
    (path,) = await adapter.download_master(None, tmp_path)
    before = path.read_bytes()
    simulator.faults.add([{"call": "master", "action": size}])
    with pytest.raises(GatewayError):
        await adapter.download_master(None, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


async def test_large_master_is_read_and_every_row_can_be_ordered(
    tmp_path: Path, gate: OpenGate
) -> None:
    simulator = HdfcSimulator(options=INSTANT | {"rows": 3000})
    await simulator.start()
    adapter = adapter_for(simulator)
    session = await log_in(adapter, simulator)
    found = {
        row.instrument: row
        for row in adapter.read_master(await adapter.download_master(None, tmp_path))
    }
    assert {contract.instrument for contract in simulator.universe.contracts()} <= set(found)
    last = [c for c in simulator.universe.contracts() if c.symbol.startswith("SYN")][-1]
    new: PlaceOrder = order(
        found[last.instrument],
        product=Product.NRML,
        quantity=last.lot_size,
        price=last.price,
    )
    await adapter.place_order(session, new, gate)
    assert simulator.engine.orders[0].contract == last
    await adapter.close()
    await simulator.stop()
