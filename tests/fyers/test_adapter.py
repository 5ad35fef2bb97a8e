"""The adapter against its simulator, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from adapters.fyers import PLUGIN
from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.constants import IST
from adapters.fyers.orders import order_body
from adapters.fyers.simulator import FyersSimulator
from adapters.fyers.simulator_symbols import ticker
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    GatewayError,
    LoginExpired,
    NotSupported,
    OutcomeUnknown,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import (
    BrokerOrderState,
    Exchange,
    Instrument,
    InstrumentType,
    OrderType,
    PlaceOrder,
    Product,
    Session,
    Side,
    Validity,
)
from tests.fyers.conftest import Gate, context, ref

MakeOrder = Callable[..., PlaceOrder]


async def test_order_is_taken_and_found_by_id_by_tag_and_in_the_book(
    adapter: FyersAdapter, session: Session, order: MakeOrder
):
    gate, wanted = Gate(), order()

    taken = await adapter.place_order(session, wanted, gate)

    assert ["ready", "check"] == gate.calls
    book = await adapter.order_book(session)
    assert [taken.broker_order_id] == [row.broker_order_id for row in book]
    assert book == await adapter.find_by_tag(session, wanted.broker_tag)
    assert book[0] == await adapter.get_order(session, ref(taken.broker_order_id))
    row = book[0]
    assert (BrokerOrderState.OPEN, wanted.broker_tag) == (row.state, row.broker_tag)
    for name in adapter.capabilities.comparable_fields:
        expected = wanted.instrument.codes if name == "codes" else getattr(wanted, name)
        assert expected == getattr(row, name), name


async def test_missing_order_and_tag_are_not_there(adapter: FyersAdapter, session: Session):
    assert [] == await adapter.order_book(session)
    assert await adapter.get_order(session, ref("26112200000999")) is None
    assert [] == await adapter.find_by_tag(session, 999999999999999)


async def test_tag_query_that_lags_is_made_good_by_the_whole_book(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    wanted = order()
    await adapter.place_order(session, wanted, Gate())
    simulator.faults.add([{"call": "book", "action": "book_omit", "params": {"newest": 1}}])

    assert 1 == len(await adapter.find_by_tag(session, wanted.broker_tag))


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("order_type", "buy", "sell"),
    [
        (OrderType.LIMIT, ("800.5", None), ("900.5", None)),
        (OrderType.SL, ("820.5", "820"), ("800", "800.5")),
        (OrderType.SL_M, (None, "820"), (None, "800")),
        (OrderType.MARKET, (None, None), (None, None)),
    ],
)
@pytest.mark.parametrize(
    ("instrument", "product", "quantity"),
    [("NSE:SBIN", Product.CNC, 10), ("BSE:SBIN", Product.MIS, 10)],
)
async def test_every_kind_of_order_comes_back_as_it_was_sent(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    side: Side,
    order_type: OrderType,
    buy: tuple[str | None, str | None],
    sell: tuple[str | None, str | None],
    instrument: str,
    product: Product,
    quantity: int,
):
    price, trigger = (
        Decimal(text) if text else None for text in (buy if side is Side.BUY else sell)
    )
    wanted = order(
        instrument,
        side=side,
        order_type=order_type,
        product=product,
        quantity=quantity,
        price=price,
        trigger_price=trigger,
        disclosed_quantity=5,
    )

    await adapter.place_order(session, wanted, Gate())

    (row,) = await adapter.order_book(session)
    for name in adapter.capabilities.comparable_fields:
        expected = wanted.instrument.codes if name == "codes" else getattr(wanted, name)
        assert expected == getattr(row, name), name
    (booked,) = simulator.engine.orders
    assert (instrument, 5) == (booked.contract.instrument, booked.disclosed_quantity)
    if order_type is OrderType.MARKET:
        assert (BrokerOrderState.FILLED, Decimal(812)) == (row.state, row.average_price)


async def test_derivative_goes_in_units(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    instruments: dict[str, Instrument],
):
    future = next(i for i in instruments.values() if i.underlying == "NIFTY" and not i.option_type)
    wanted = order(
        future.instrument,
        product=Product.NRML,
        quantity=2 * future.lot_size,
        price=Decimal(26000),
        validity=Validity.IOC,
    )

    await adapter.place_order(session, wanted, Gate())

    (booked,) = simulator.engine.orders
    assert (130, Validity.IOC) == (booked.quantity, booked.validity)
    assert future.instrument == booked.contract.instrument
    (row,) = await adapter.order_book(session)
    assert BrokerOrderState.CANCELLED is row.state


async def test_after_market_order_is_said_as_one(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    simulator.engine.set_market(is_open=False)

    await adapter.place_order(session, order(amo=True), Gate())

    (row,) = await adapter.order_book(session)
    assert BrokerOrderState.PENDING is row.state
    assert simulator.engine.orders[0].amo


async def test_partial_fill_and_its_cancel_keep_the_filled_part(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    taken = await adapter.place_order(session, order(), Gate())
    simulator.engine.fill(simulator.engine.orders[0], 4, Decimal("800.5"))

    row = await adapter.get_order(session, ref(taken.broker_order_id))
    assert row is not None
    assert (BrokerOrderState.PARTIALLY_FILLED, 4, Decimal("800.5")) == (
        row.state,
        row.filled_quantity,
        row.average_price,
    )
    await adapter.cancel_order(session, ref(taken.broker_order_id), Gate())
    row = await adapter.get_order(session, ref(taken.broker_order_id))
    assert row is not None
    assert (BrokerOrderState.CANCELLED, 4, 10) == (row.state, row.filled_quantity, row.quantity)


async def test_cancel_of_a_done_or_unknown_order_is_refused(
    adapter: FyersAdapter, session: Session, order: MakeOrder
):
    taken = await adapter.place_order(session, order(), Gate())
    await adapter.cancel_order(session, ref(taken.broker_order_id))

    with pytest.raises(Refused) as caught:
        await adapter.cancel_order(session, ref(taken.broker_order_id))
    assert "-52" == caught.value.broker_code
    with pytest.raises(Refused) as caught:
        await adapter.cancel_order(session, ref("no/such order?"))
    assert "-51" == caught.value.broker_code


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": 3_000_000}, ReasonCode.MARGIN_SHORT),
        ({"price": Decimal("1500")}, ReasonCode.PRICE_BAND),
    ],
)
async def test_risk_rejection_is_refused_and_its_order_is_in_the_book(
    adapter: FyersAdapter,
    session: Session,
    order: MakeOrder,
    changes: dict[str, object],
    reason: ReasonCode,
):
    wanted = order(**changes)

    with pytest.raises(Refused) as caught:
        await adapter.place_order(session, wanted, Gate())

    assert reason is caught.value.reason
    (row,) = await adapter.find_by_tag(session, wanted.broker_tag)
    assert caught.value.broker_order_id == row.broker_order_id
    assert BrokerOrderState.REJECTED is row.state
    assert row.message
    assert "FX0011" not in row.message


async def test_invalid_parameter_is_refused_and_creates_nothing(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    with pytest.raises(Refused) as caught:
        await adapter.place_order(session, order(price=Decimal("800.52")), Gate())

    assert (ReasonCode.TICK_SIZE, "-50") == (caught.value.reason, caught.value.broker_code)
    assert not simulator.engine.orders


def _contract(order: MakeOrder, **changes: object) -> Instrument:
    return msgspec.structs.replace(order().instrument, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"product": Product.NRML}, ReasonCode.PRODUCT_NOT_ALLOWED),
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
        ({"quantity": 0}, ReasonCode.INVALID_ORDER),
        ({"disclosed_quantity": 11}, ReasonCode.INVALID_ORDER),
        ({"broker_tag": 12345678901234}, ReasonCode.INVALID_ORDER),
    ],
)
async def test_order_that_cannot_be_taken_is_denied_before_anything_is_sent(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    changes: dict[str, object],
    reason: ReasonCode,
):
    gate = Gate()
    with pytest.raises(Denied) as caught:
        await adapter.place_order(session, order(**changes), gate)

    assert reason is caught.value.reason
    assert not gate.calls
    assert not simulator.calls["place"]


@pytest.mark.parametrize("exchange", [Exchange.MCX, Exchange.CDS, Exchange.BCD])
def test_segment_whose_quantity_unit_is_unproven_is_not_supported(
    adapter: FyersAdapter, order: MakeOrder, exchange: Exchange
):
    wanted = msgspec.structs.replace(order(), instrument=_contract(order, exchange=exchange))

    with pytest.raises(NotSupported):
        adapter.check_order(wanted)


def test_derivative_rules_and_the_index(
    adapter: FyersAdapter, order: MakeOrder, instruments: dict[str, Instrument]
):
    future = next(i for i in instruments.values() if i.type is InstrumentType.FUT)
    good = order(future.instrument, product=Product.NRML, quantity=future.lot_size)
    adapter.check_order(good)
    for changes, reason in (
        ({"product": Product.CNC}, ReasonCode.PRODUCT_NOT_ALLOWED),
        ({"product": Product.MTF}, ReasonCode.PRODUCT_NOT_ALLOWED),
        ({"quantity": future.lot_size + 1}, ReasonCode.LOT_SIZE),
        ({"disclosed_quantity": 1}, ReasonCode.INVALID_ORDER),
        ({"instrument": instruments["NSE:NIFTY 50"]}, ReasonCode.INSTRUMENT_BLOCKED),
        ({"instrument": _contract(order, codes={})}, ReasonCode.INSTRUMENT_UNKNOWN),
    ):
        with pytest.raises(Denied) as caught:
            adapter.check_order(msgspec.structs.replace(good, **changes))
        assert reason is caught.value.reason


def test_order_body_is_exactly_the_documented_one(order: MakeOrder):
    assert {
        "symbol": "NSE:SBIN-EQ",
        "qty": 10,
        "type": 1,
        "side": 1,
        "productType": "CNC",
        "limitPrice": Decimal("800.50"),
        "stopPrice": 0,
        "validity": "DAY",
        "disclosedQty": 0,
        "offlineOrder": False,
        "orderTag": "123456789012345",
    } == order_body(order())


@pytest.mark.parametrize(
    "action",
    ["accept_then_html", "accept_then_empty", "accept_then_truncated", "book_fail"],
)
async def test_failed_book_is_an_error_and_never_an_empty_book(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, action: str
):
    simulator.faults.add([{"call": "book", "action": action, "count": 3}])

    with pytest.raises(OutcomeUnknown):
        await adapter.order_book(session)
    with pytest.raises(OutcomeUnknown):
        await adapter.find_by_tag(session, 123456789012345)
    with pytest.raises(OutcomeUnknown):
        await adapter.get_order(session, ref("1"))


async def test_rate_limited_book_says_why_and_for_how_long(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session
):
    simulator.faults.add([{"call": "book", "action": "rate_limit"}])

    with pytest.raises(BadAnswer) as caught:
        await adapter.order_book(session)

    assert (ReasonCode.RATE_LIMITED, 1.0) == (caught.value.reason, caught.value.retry_after_s)


async def test_rate_limited_cancel_is_unknown_and_says_when_to_repeat_it(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    taken = await adapter.place_order(session, order(), Gate())
    simulator.faults.add([{"call": "cancel", "action": "rate_limit"}])

    with pytest.raises(BadAnswer) as caught:
        await adapter.cancel_order(session, ref(taken.broker_order_id))
    assert (ReasonCode.RATE_LIMITED, 1.0) == (caught.value.reason, caught.value.retry_after_s)
    await adapter.cancel_order(session, ref(taken.broker_order_id))
    assert BrokerOrderState.CANCELLED is simulator.engine.orders[0].state


async def test_dead_token_on_reading_is_said(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session
):
    simulator.expire_sessions()

    with pytest.raises(LoginExpired):
        await adapter.order_book(session)
    with pytest.raises(LoginExpired):
        await adapter.prove_session(session)


async def test_session_of_no_app_sends_nothing(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    with pytest.raises(LoginExpired) as caught:
        await adapter.place_order(msgspec.structs.replace(session, extra={}), order(), Gate())

    assert caught.value.created_nothing
    assert not simulator.calls


async def test_lost_answer_to_a_cancel_is_unknown(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    taken = await adapter.place_order(session, order(), Gate())
    simulator.faults.add([{"call": "cancel", "action": "accept_then_reset"}])

    with pytest.raises(OutcomeUnknown):
        await adapter.cancel_order(session, ref(taken.broker_order_id))

    row = await adapter.get_order(session, ref(taken.broker_order_id))
    assert row is not None
    assert BrokerOrderState.CANCELLED is row.state


async def test_warm_connection_needs_no_request(adapter: FyersAdapter, simulator: FyersSimulator):
    assert not adapter.is_warm()
    await adapter.warm(
        Session(
            token="x", client_id="", logged_in_at=datetime.now(IST), expires_at=datetime.now(IST)
        )
    )

    assert adapter.is_warm()
    assert not simulator.calls


async def test_master_names_every_contract_of_the_market(
    adapter: FyersAdapter, simulator: FyersSimulator, tmp_path: Path
):
    files = await adapter.download_master(None, tmp_path)
    instruments = {found.instrument: found for found in adapter.read_master(files)}

    contracts = {contract.instrument: contract for contract in simulator.universe.contracts()}
    assert contracts.keys() == instruments.keys()
    for name, found in instruments.items():
        contract = contracts[name]
        assert {"symbol": ticker(contract)} == found.codes
        for field in _SHARED_FIELDS:
            assert getattr(contract, field) == getattr(found, field), (name, field)


_SHARED_FIELDS = (
    "exchange",
    "symbol",
    "type",
    "lot_size",
    "tick_size",
    "expiry",
    "strike",
    "option_type",
    "isin",
    "freeze_quantity",
)


@pytest.mark.parametrize("action", ["accept_then_truncated", "accept_then_html", "status"])
async def test_broken_master_file_is_an_error(
    adapter: FyersAdapter, simulator: FyersSimulator, tmp_path: Path, action: str
):
    simulator.faults.add([{"call": "master", "action": action}])

    with pytest.raises(GatewayError):
        await adapter.download_master(None, tmp_path)


async def test_orders_at_once_each_arrive_once(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    wanted = [order() for _ in range(8)]

    await asyncio.gather(*(adapter.place_order(session, each, Gate()) for each in wanted))

    assert sorted(str(each.broker_tag) for each in wanted) == sorted(
        booked.tag or "" for booked in simulator.engine.orders
    )


async def test_secrets_stay_out_of_errors(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    simulator.faults.add([{"call": "place", "action": "accept_then_html"}])

    with pytest.raises(OutcomeUnknown) as caught:
        await adapter.place_order(session, order(), Gate())

    shown = f"{caught.value!r} {caught.value} {caught.value.__dict__} {caught.value.__cause__!r}"
    assert session.token not in shown
    assert simulator.credentials["secret_key"] not in shown


async def test_plug_in_makes_the_adapter_and_its_simulator(simulator: FyersSimulator):
    adapter = PLUGIN.create(context(simulator))

    assert isinstance(adapter, FyersAdapter)
    assert PLUGIN.capabilities is adapter.capabilities
    assert PLUGIN.simulator is not None
    assert isinstance(PLUGIN.simulator(seed=1), FyersSimulator)
    assert adapter.capabilities.hosts.keys() == simulator.base_urls.keys()
    await adapter.close()
