"""Orders through the adapter against the simulator, faults included, over real sockets."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.mstock import PLUGIN
from adapters.sdk.errors import (
    BadAnswer,
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
    ModifyOrder,
    OrderRef,
    OrderType,
    Product,
    Side,
    Validity,
)
from adapters.sdk.simulator import CallKind
from tests.mstock.support import TAG, Desk, Gate, desk


class Shut(Gate):
    """A gate that closes just before the first byte."""

    def check(self) -> None:
        raise NotSupported("the kill switch")


async def placed_orders(at: Desk) -> list[str | None]:
    return [order.tag for order in at.simulator.engine.orders]


async def refused(at: Desk, **changes: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await at.place(at.order(**changes))
    return caught.value


async def test_an_order_carries_its_tag_and_appears_in_the_book(trading: Desk) -> None:
    gate = Gate()
    placed = await trading.adapter.place_order(trading.session, trading.order(), gate)
    assert gate.checks == 1
    assert await placed_orders(trading) == [str(TAG)]
    (found,) = await trading.adapter.order_book(trading.session)
    assert found.broker_order_id == placed.broker_order_id
    assert found.state is BrokerOrderState.OPEN
    assert found.price == Decimal("800.50")
    assert found.broker_tag is None
    codes = trading.instruments["NSE:SBIN"].codes
    assert found.codes.items() <= codes.items()


@pytest.mark.parametrize(
    ("name", "changes", "state"),
    [
        ("NSE:SBIN", {"price": Decimal("812.00")}, BrokerOrderState.FILLED),
        ("NSE:SBIN", {"order_type": OrderType.MARKET, "price": None}, BrokerOrderState.FILLED),
        ("NSE:SBIN", {"validity": Validity.IOC}, BrokerOrderState.CANCELLED),
        ("BSE:SBIN", {"product": Product.MIS}, BrokerOrderState.OPEN),
        ("NSE:SBIN", {"product": Product.MTF}, BrokerOrderState.OPEN),
        (
            "NSE:SBIN",
            {"order_type": OrderType.SL, "price": Decimal(830), "trigger_price": Decimal(825)},
            BrokerOrderState.TRIGGER_PENDING,
        ),
        (
            "NSE:SBIN",
            {"order_type": OrderType.SL_M, "price": None, "trigger_price": Decimal(825)},
            BrokerOrderState.TRIGGER_PENDING,
        ),
    ],
)
async def test_every_kind_of_order_is_taken_and_read_back(
    trading: Desk, name: str, changes: dict[str, Any], state: BrokerOrderState
) -> None:
    order = trading.order(name, **changes)
    ref = await trading.place(order)
    (found,) = await trading.adapter.order_book(trading.session)
    detail = await trading.adapter.get_order(trading.session, ref)
    assert detail is not None
    for one in (found, detail):
        assert one.state is state
        assert one.broker_order_id == ref.broker_order_id
        assert (one.order_type, one.product) == (order.order_type, order.product)
        assert (one.price, one.trigger_price) == (order.price, order.trigger_price)
        assert (one.side, one.quantity, one.validity) == (Side.BUY, 10, order.validity)
        assert one.codes.items() <= order.instrument.codes.items()


async def test_a_derivative_is_found_again_under_its_own_segment(trading: Desk) -> None:
    name = next(key for key in trading.instruments if key.startswith("NFO:NIFTY"))
    future = trading.instruments[name]
    order = trading.order(
        name, product=Product.NRML, quantity=future.lot_size * 2, price=Decimal("26000.00")
    )
    ref = await trading.place(order)
    (found,) = await trading.adapter.order_book(trading.session)
    detail = await trading.adapter.get_order(trading.session, ref)
    assert found.codes == {"exchange": "NFO", "token": future.codes["token"]}
    assert found.product is Product.NRML
    assert found.quantity == future.lot_size * 2
    assert detail is not None
    assert detail.codes == found.codes


async def test_fills_come_from_the_trade_book(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    engine = trading.simulator.engine
    order = engine.get(ref.broker_order_id)
    assert order is not None
    engine.fill(order, 3, Decimal("800.00"))
    engine.fill(order, 1, Decimal("800.40"))
    (found,) = await trading.adapter.order_book(trading.session)
    assert found.state is BrokerOrderState.PARTIALLY_FILLED
    assert found.filled_quantity == 4
    assert found.average_price == Decimal("800.1")
    detail = await trading.adapter.get_order(trading.session, ref)
    assert detail is not None
    assert detail.filled_quantity == 4


async def test_a_book_without_its_trade_book_is_not_read(trading: Desk) -> None:
    await trading.place(trading.order())
    trading.simulator.faults.add([{"call": "trades", "action": "book_fail"}])
    with pytest.raises(BadAnswer):
        await trading.adapter.order_book(trading.session)


async def test_an_empty_book_is_empty(trading: Desk) -> None:
    assert await trading.adapter.order_book(trading.session) == []
    assert trading.simulator.calls[CallKind.TRADES] == 0


@pytest.mark.parametrize(
    "action", ["book_fail", "accept_then_html", "accept_then_empty", "accept_then_truncated"]
)
async def test_a_book_that_was_not_answered_is_not_empty(trading: Desk, action: str) -> None:
    trading.simulator.faults.add([{"call": "book", "action": action}])
    with pytest.raises(OutcomeUnknown):
        await trading.adapter.order_book(trading.session)


async def test_the_details_echo_the_tag(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    found = await trading.adapter.get_order(trading.session, ref)
    assert found is not None
    assert found.broker_tag == TAG
    assert found.broker_order_id == ref.broker_order_id


@pytest.mark.parametrize(
    ("echo", "in_details", "in_book"),
    [("none", None, None), ("details", TAG, None), ("book", TAG, TAG)],
)
async def test_the_tag_is_read_wherever_the_broker_echoes_it(
    tmp_path: Path, echo: str, in_details: int | None, in_book: int | None
) -> None:
    async with desk(echo=echo) as at:
        await at.log_in()
        await at.load(tmp_path)
        ref = await at.place(at.order())
        (found,) = await at.adapter.order_book(at.session)
        detail = await at.adapter.get_order(at.session, ref)
        assert detail is not None
        assert (in_details, in_book) == (detail.broker_tag, found.broker_tag)


async def test_an_order_that_does_not_exist_is_none(trading: Desk) -> None:
    ref = OrderRef(broker_order_id="21612611229999")
    assert await trading.adapter.get_order(trading.session, ref) is None


async def test_a_tag_cannot_be_asked_for(trading: Desk) -> None:
    with pytest.raises(NotSupported):
        await trading.adapter.find_by_tag(trading.session, TAG)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"order_type": OrderType.SL, "price": Decimal(830), "trigger_price": Decimal(825)},
        {"amo": True},
    ],
)
async def test_an_order_is_cancelled_under_its_own_variety(
    trading: Desk, changes: dict[str, Any]
) -> None:
    if changes.get("amo"):
        trading.simulator.engine.set_market(is_open=False)
    ref = await trading.place(trading.order(**changes))
    asked = await trading.adapter.cancel_order(trading.session, ref, Gate())
    assert asked.broker_order_id == ref.broker_order_id
    (found,) = await trading.adapter.order_book(trading.session)
    assert found.state is BrokerOrderState.CANCELLED


async def test_a_waiting_amo_order_is_pending(trading: Desk) -> None:
    trading.simulator.engine.set_market(is_open=False)
    await trading.place(trading.order(amo=True))
    (found,) = await trading.adapter.order_book(trading.session)
    assert found.raw_state == "O-Pending"
    assert found.state is BrokerOrderState.PENDING


async def test_a_cancel_of_a_closed_order_is_refused(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    await trading.adapter.cancel_order(trading.session, ref)
    with pytest.raises(Refused, match="refresh your OrderBook") as caught:
        await trading.adapter.cancel_order(trading.session, ref)
    assert caught.value.broker_code == "RS-00093"


async def test_a_cancel_without_an_answer_is_unknown(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    trading.simulator.faults.add([{"call": "cancel", "action": "accept_then_reset"}])
    with pytest.raises(OutcomeUnknown):
        await trading.adapter.cancel_order(trading.session, ref)


def modify(at: Desk, ref: OrderRef, **changes: Any) -> ModifyOrder:
    fields: dict[str, Any] = {
        "broker_order_id": ref.broker_order_id,
        "instrument": at.instruments["NSE:SBIN"],
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 12,
        "previous_quantity": 10,
        "filled_quantity": 0,
        "price": Decimal("801.00"),
    }
    return ModifyOrder(**(fields | changes))


async def test_a_modified_order_shows_its_new_terms_in_the_book(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    gate = Gate()
    done = await trading.adapter.modify_order(trading.session, modify(trading, ref), gate)
    assert done.broker_order_id == ref.broker_order_id
    assert gate.checks == 1
    (found,) = await trading.adapter.order_book(trading.session)
    assert (found.quantity, found.price) == (12, Decimal("801.00"))


async def test_a_modify_of_a_closed_order_is_refused(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    await trading.adapter.cancel_order(trading.session, ref)
    with pytest.raises(Refused) as caught:
        await trading.adapter.modify_order(trading.session, modify(trading, ref))
    assert caught.value.broker_code == "RS-0034"


async def test_a_modify_without_an_answer_is_unknown_and_sent_once(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    trading.simulator.faults.add([{"call": "modify", "action": "accept_then_reset"}])
    with pytest.raises(OutcomeUnknown):
        await trading.adapter.modify_order(trading.session, modify(trading, ref))
    assert trading.simulator.calls[CallKind.MODIFY] == 1


async def test_a_part_filled_order_is_not_modified(trading: Desk) -> None:
    ref = await trading.place(trading.order())
    with pytest.raises(NotSupported):
        await trading.adapter.modify_order(
            trading.session, modify(trading, ref, quantity=10, filled_quantity=4)
        )
    assert trading.simulator.calls[CallKind.MODIFY] == 0


async def test_trades_and_positions_name_the_contract_that_was_ordered(trading: Desk) -> None:
    name = next(key for key in trading.instruments if key.startswith("NFO:NIFTY"))
    future = trading.instruments[name]
    order = trading.order(
        name,
        product=Product.NRML,
        quantity=future.lot_size,
        order_type=OrderType.MARKET,
        price=None,
    )
    ref = await trading.place(order)
    (trade,) = await trading.adapter.trade_book(trading.session)
    (held,) = await trading.adapter.positions(trading.session)
    assert trade.broker_order_id == ref.broker_order_id
    assert (trade.side, trade.quantity) == (Side.BUY, future.lot_size)
    for row in (trade, held):
        assert row.codes.items() <= future.codes.items()
        assert row.product is Product.NRML
    assert held.quantity == held.buy_quantity == future.lot_size
    assert held.average_price == trade.price


@pytest.mark.parametrize(("call", "read"), [("trades", "trade_book"), ("read", "positions")])
async def test_a_list_that_was_not_answered_is_not_empty(
    trading: Desk, call: str, read: str
) -> None:
    assert await getattr(trading.adapter, read)(trading.session) == []
    trading.simulator.faults.add([{"call": call, "action": "accept_then_html"}])
    with pytest.raises(BadAnswer):
        await getattr(trading.adapter, read)(trading.session)


async def test_quotes_are_matched_by_segment_and_token_over_several_batches(
    trading: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.mstock.adapter.QUOTE_BATCH", 2)
    unknown = msgspec.structs.replace(
        trading.instruments["NSE:INFY"],
        codes={"exchange": "NSE", "token": "999260", "tradingsymbol": "X-EQ"},
        instrument="NSE:X",
    )
    names = ("NSE:SBIN", "BSE:SBIN", "NSE:NIFTY 50")
    asked = [unknown, *(trading.instruments[name] for name in names)]
    got = await trading.adapter.quotes(trading.session, asked)
    assert set(got) == set(names)
    assert got["NSE:SBIN"].last_price == Decimal("812.00")
    assert got["NSE:SBIN"].volume is None
    assert trading.simulator.calls[CallKind.QUOTE] == 2


async def test_short_margin_is_refused_with_the_id_that_the_book_keeps(tmp_path: Path) -> None:
    async with desk(cash=1000) as at:
        await at.log_in()
        await at.load(tmp_path)
        error = await refused(at)
        assert isinstance(error, Refused)
        assert error.reason == ReasonCode.MARGIN_SHORT
        assert error.broker_code == "RS-0111"
        (found,) = await at.adapter.order_book(at.session)
        assert found.broker_order_id == error.broker_order_id
        assert found.state is BrokerOrderState.REJECTED


async def test_the_exchange_rejects_in_the_book_after_an_id_was_given(trading: Desk) -> None:
    await trading.place(trading.order(price=Decimal("2000.00")))
    (found,) = await trading.adapter.order_book(trading.session)
    assert found.state is BrokerOrderState.REJECTED
    assert found.message is not None
    assert found.message.startswith("EXCH:16284:")


async def test_an_unregistered_address_is_refused_and_placed_nothing(trading: Desk) -> None:
    trading.simulator.ip_registered = False
    error = await refused(trading)
    assert isinstance(error, Refused)
    assert error.reason == ReasonCode.IP_NOT_WHITELISTED
    assert await placed_orders(trading) == []


async def test_a_dead_key_is_refused_and_placed_nothing(trading: Desk) -> None:
    trading.simulator.key_valid = False
    error = await refused(trading)
    assert isinstance(error, Refused)
    assert error.reason == ReasonCode.SESSION_EXPIRED
    assert await placed_orders(trading) == []


async def test_a_dead_session_is_expired_and_created_nothing(trading: Desk) -> None:
    trading.simulator.expire_sessions()
    error = await refused(trading)
    assert isinstance(error, LoginExpired)
    assert error.created_nothing
    assert await placed_orders(trading) == []
    with pytest.raises(LoginExpired):
        await trading.adapter.order_book(trading.session)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "accept_then_reset"},
        {"action": "accept_then_close"},
        {"action": "accept_then_status", "params": {"status": 500}},
        {"action": "accept_then_status", "params": {"status": 502}},
        {"action": "accept_then_status", "params": {"status": 504}},
        {"action": "accept_then_html"},
        {"action": "accept_then_empty"},
        {"action": "accept_then_truncated"},
        {"action": "accept_then_truncated", "params": {"length": "full"}},
        {"action": "reset_at_byte", "params": {"bytes": 40}},
        {"action": "rate_limit", "params": {"accepted": True}},
    ],
)
async def test_an_accepted_order_without_a_usable_answer_is_unknown_and_sent_once(
    trading: Desk, fault: dict[str, Any]
) -> None:
    trading.simulator.faults.add([{"call": "place", **fault}])
    error = await refused(trading)
    assert isinstance(error, OutcomeUnknown)
    assert error.progress is not Progress.NOTHING_SENT
    assert await placed_orders(trading) == [str(TAG)]
    assert trading.simulator.calls[CallKind.PLACE] == 1


@pytest.mark.parametrize("action", ["accept_then_hang", "accept_late"])
async def test_an_order_that_is_never_answered_is_unknown_and_sent_once(
    tmp_path: Path, action: str
) -> None:
    async with desk(answer_timeout_s=0.3) as at:
        await at.log_in()
        await at.load(tmp_path)
        at.simulator.faults.add([{"call": "place", "action": action}])
        error = await refused(at)
        assert isinstance(error, OutcomeUnknown)
        assert error.progress is Progress.MAYBE_SENT
        assert at.simulator.calls[CallKind.PLACE] == 1


@pytest.mark.parametrize("action", ["reset_before_accept", "status", "rate_limit"])
async def test_an_order_that_only_may_have_been_taken_is_unknown_too(
    trading: Desk, action: str
) -> None:
    trading.simulator.faults.add([{"call": "place", "action": action}])
    assert isinstance(await refused(trading), OutcomeUnknown)
    assert trading.simulator.calls[CallKind.PLACE] == 1


async def test_a_refused_connection_sent_nothing(trading: Desk) -> None:
    trading.simulator.faults.add([{"action": "refuse", "params": {"ms": None}}])
    assert isinstance(await refused(trading), NotSent)
    assert await placed_orders(trading) == []


async def test_a_gate_that_closes_sends_nothing(trading: Desk) -> None:
    with pytest.raises(NotSupported, match="kill switch"):
        await trading.adapter.place_order(trading.session, trading.order(), Shut())
    assert trading.simulator.calls[CallKind.PLACE] == 0


async def test_an_order_that_cannot_be_taken_is_not_sent(trading: Desk) -> None:
    error = await refused(trading, product=Product.NRML)
    assert error.reason == ReasonCode.PRODUCT_NOT_ALLOWED
    assert trading.simulator.calls[CallKind.PLACE] == 0


async def test_warming_sends_no_trading_request(trading: Desk) -> None:
    calls = sum(trading.simulator.calls.values())
    await trading.adapter.warm(trading.session)
    assert trading.adapter.is_warm()
    assert calls == sum(trading.simulator.calls.values())


async def test_the_master_needs_a_login(tmp_path: Path) -> None:
    async with desk() as at:
        with pytest.raises(LoginExpired):
            await at.adapter.download_master(None, tmp_path)


async def test_a_dead_session_gets_no_master(trading: Desk, tmp_path: Path) -> None:
    trading.simulator.expire_sessions()
    with pytest.raises(LoginExpired):
        await trading.adapter.download_master(trading.session, tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "accept_then_truncated"},
        {"action": "accept_then_truncated", "params": {"length": "full"}},
        {"action": "accept_then_html"},
        {"action": "accept_then_empty"},
        {"action": "status"},
        {
            "action": "accept_then_status",
            "params": {"status": 200, "body": '{"status":"false","errorcode":"IA500"}'},
        },
    ],
)
async def test_a_master_that_is_none_is_an_error(
    trading: Desk, tmp_path: Path, fault: dict[str, Any]
) -> None:
    trading.simulator.faults.add([{"call": "master", **fault}])
    with pytest.raises(OutcomeUnknown):
        await trading.adapter.download_master(trading.session, tmp_path)


async def test_a_master_answered_with_a_dead_session_inside_http_200_says_so(
    trading: Desk, tmp_path: Path
) -> None:
    body = '{"status":"false","message":"Invalid request.","errorcode":"IA401","data":null}'
    params = {"status": 200, "body": body, "content_type": "application/json"}
    trading.simulator.faults.add(
        [{"call": "master", "action": "accept_then_status", "params": params}]
    )
    with pytest.raises(LoginExpired):
        await trading.adapter.download_master(trading.session, tmp_path)


async def test_the_secrets_of_a_call_are_taken_out_of_the_brokers_words(trading: Desk) -> None:
    body = '{"status":"false","message":"bad token %s","errorcode":"RS-0999","data":null}'
    params = {"status": 200, "body": body % trading.session.token, "content_type": "text/json"}
    trading.simulator.faults.add(
        [{"call": "place", "action": "accept_then_status", "params": params}]
    )
    error = await refused(trading)
    assert isinstance(error, Refused)
    assert trading.session.token[:40] not in f"{error} {error.broker_message}"


def test_the_plug_in_declares_what_the_adapter_can_do() -> None:
    assert PLUGIN.broker == "mstock"
    assert PLUGIN.capabilities.login_kinds == ("otp", "totp")
    assert PLUGIN.capabilities.hosts == {"api": "https://api.mstock.trade"}
