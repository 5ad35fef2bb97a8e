"""The adapter against its simulator, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from adapters.fyers import PLUGIN
from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.constants import IST
from adapters.fyers.login import session_end
from adapters.fyers.orders import order_body
from adapters.fyers.simulator import FyersSimulator
from adapters.fyers.simulator_login import mint_jwt
from adapters.fyers.simulator_symbols import ticker
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    GatewayError,
    LoginExpired,
    LoginRefused,
    NotSent,
    NotSupported,
    OutcomeUnknown,
    Progress,
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
    RedirectRequired,
    Session,
    Side,
    Validity,
)
from tests.fyers.conftest import Gate, context, log_in, ref

MakeOrder = Callable[..., PlaceOrder]


async def redirected(
    adapter: FyersAdapter, simulator: FyersSimulator
) -> tuple[RedirectRequired, str]:
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, RedirectRequired)
    return step, await simulator.complete_login(step)


async def test_login_page_is_named_without_a_request(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    step = await adapter.begin_login(simulator.credentials)

    assert isinstance(step, RedirectRequired)
    url = urlsplit(step.login_url)
    assert step.login_url.startswith(simulator.base_urls["login"] + "/generate-authcode?")
    assert {
        "client_id": ["SIMFYERS01-100"],
        "redirect_uri": ["http://127.0.0.1:8080/v1/callback/fyers-main"],
        "response_type": ["code"],
        "state": [step.state],
    } == parse_qs(url.query)
    assert step.state == step.pending["state"]
    assert len(step.state) >= 22
    assert not simulator.calls


async def test_redirect_gives_a_session_with_a_proven_client_code(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    session = await log_in(adapter, simulator)

    assert "FX0011" == session.client_id
    assert session.token in simulator.sessions
    assert {"app_id": "SIMFYERS01-100"} == session.extra
    assert (6, 0) == (session.expires_at.hour, session.expires_at.minute)
    assert timedelta(0) < session.expires_at - session.logged_in_at <= timedelta(days=1)
    assert "FX0011" == await adapter.prove_session(session)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url, _: url.replace("state=", "state=x"),
        lambda url, _: url.partition("&state=")[0],
        lambda url, state: f"{url}&state={state}",
        lambda url, _: "http://[broken",
        lambda url, _: "",
    ],
)
async def test_url_of_another_login_is_refused_and_the_right_one_still_works(
    adapter: FyersAdapter, simulator: FyersSimulator, spoil: Callable[[str, str], str]
):
    step, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            simulator.credentials, step.pending, spoil(url, step.state or "")
        )
    assert not caught.value.restart
    assert isinstance(
        await adapter.submit_redirect(simulator.credentials, step.pending, url), Session
    )


async def test_login_without_a_pending_state_is_refused(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    _, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused):
        await adapter.submit_redirect(simulator.credentials, {}, url + "&state=")


async def test_login_page_that_says_error_ends_the_login(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    step, _ = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            simulator.credentials,
            step.pending,
            f"http://x/?s=error&code=-352&message=Invalid+App&state={step.state}",
        )
    assert caught.value.restart
    assert "Invalid App" == caught.value.broker_message


async def test_code_is_good_once(adapter: FyersAdapter, simulator: FyersSimulator):
    step, url = await redirected(adapter, simulator)
    await adapter.submit_redirect(simulator.credentials, step.pending, url)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(simulator.credentials, step.pending, url)
    assert caught.value.restart
    assert "-437" == caught.value.broker_code


async def test_wrong_secret_is_refused_and_not_shown(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    step, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            {**simulator.credentials, "secret_key": "WRONG-SECRET"}, step.pending, url
        )
    assert "-371" == caught.value.broker_code
    assert "WRONG-SECRET" not in str(caught.value)


async def test_login_of_another_client_is_refused(adapter: FyersAdapter, simulator: FyersSimulator):
    step, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            {**simulator.credentials, "client_id": "FX9999"}, step.pending, url
        )
    assert caught.value.restart


@pytest.mark.parametrize("name", ["app_id", "redirect_uri"])
async def test_missing_credential_is_named(
    adapter: FyersAdapter, simulator: FyersSimulator, name: str
):
    with pytest.raises(LoginRefused, match=name):
        await adapter.begin_login({**simulator.credentials, name: " "})


async def test_one_time_passwords_are_the_login_pages_matter(adapter: FyersAdapter):
    with pytest.raises(NotSupported):
        await adapter.submit_otp({}, {}, "123456")
    with pytest.raises(NotSupported):
        await adapter.resend_otp({}, {})


@pytest.mark.parametrize("action", ["accept_then_reset", "accept_then_html", "accept_then_empty"])
async def test_lost_answer_to_the_code_exchange_is_unknown(
    adapter: FyersAdapter, simulator: FyersSimulator, action: str
):
    step, url = await redirected(adapter, simulator)
    simulator.faults.add([{"call": "login", "action": action}])

    with pytest.raises(OutcomeUnknown):
        await adapter.submit_redirect(simulator.credentials, step.pending, url)


async def test_logout_kills_the_token_and_may_be_repeated(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session
):
    await adapter.logout(session)

    assert not simulator.sessions
    with pytest.raises(LoginExpired):
        await adapter.prove_session(session)
    await adapter.logout(session)


def test_token_dies_at_six_in_the_morning_at_the_latest(simulator: FyersSimulator):
    now = datetime(2026, 11, 22, 10, 0, tzinfo=IST)
    edge = datetime(2026, 11, 23, 6, 0, tzinfo=IST)

    def token(end: datetime) -> str:
        return mint_jwt(simulator.rng, {"exp": int(end.timestamp())})

    assert edge == session_end(token(now + timedelta(days=9)), now)
    assert now + timedelta(hours=1) == session_end(token(now + timedelta(hours=1)), now)
    assert edge == session_end(token(now - timedelta(hours=1)), now)
    assert edge == session_end(token(now + timedelta(days=9)), now.astimezone(UTC))
    assert edge.replace(day=22) == session_end("opaque", now.replace(hour=5, minute=59))
    for opaque in ("", "a.b.c", "a.e30.c", "a.W10.c", "a.eyJleHAiOjFlOTl9.c"):
        assert edge == session_end(opaque, now)


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


_LOST = (
    "accept_then_reset",
    "accept_then_close",
    "accept_then_status",
    "accept_then_html",
    "accept_then_empty",
    "accept_then_truncated",
    "reset_at_byte",
)


@pytest.mark.parametrize("action", _LOST)
async def test_lost_answer_is_unknown_and_the_order_was_sent_once(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    action: str,
):
    simulator.faults.add([{"call": "place", "action": action}])
    wanted = order()

    with pytest.raises(OutcomeUnknown) as caught:
        await adapter.place_order(session, wanted, Gate())

    assert caught.value.progress is not Progress.NOTHING_SENT
    assert 1 == simulator.calls["place"]
    (found,) = await adapter.find_by_tag(session, wanted.broker_tag)
    assert [found.broker_order_id] == [o.broker_order_id for o in simulator.engine.orders]


@pytest.mark.parametrize("action", ["reset_before_accept", "status"])
async def test_silence_is_unknown_even_where_nothing_was_created(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    action: str,
):
    simulator.faults.add([{"call": "place", "action": action}])

    with pytest.raises(OutcomeUnknown):
        await adapter.place_order(session, order(), Gate())
    assert not simulator.engine.orders


@pytest.mark.parametrize(("action", "booked"), [("accept_then_hang", 1), ("hang", 0)])
async def test_answer_that_never_comes_is_unknown(
    adapter: FyersAdapter,
    impatient: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    action: str,
    booked: int,
):
    simulator.faults.add([{"call": "place", "action": action}])
    wanted = order()

    with pytest.raises(OutcomeUnknown):
        await impatient.place_order(session, wanted, Gate())

    assert 1 == simulator.calls["place"]
    assert booked == len(await adapter.find_by_tag(session, wanted.broker_tag))


async def test_book_that_never_comes_is_an_error(
    impatient: FyersAdapter, simulator: FyersSimulator, session: Session
):
    simulator.faults.add([{"call": "book", "action": "hang"}])

    with pytest.raises(OutcomeUnknown):
        await impatient.order_book(session)


@pytest.mark.parametrize("accepted", [False, True])
async def test_dead_token_on_placing_never_claims_that_nothing_was_created(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    accepted: bool,
):
    simulator.faults.add(
        [{"call": "place", "action": "session_expired", "params": {"accepted": accepted}}]
    )

    with pytest.raises(LoginExpired) as caught:
        await adapter.place_order(session, order(), Gate())

    assert not caught.value.created_nothing
    assert accepted == bool(simulator.engine.orders)


@pytest.mark.parametrize("accepted", [False, True])
async def test_rate_limited_order_is_unknown_and_found_by_tag_if_it_was_taken(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    accepted: bool,
):
    simulator.faults.add(
        [{"call": "place", "action": "rate_limit", "params": {"accepted": accepted}}]
    )
    wanted = order()

    with pytest.raises(OutcomeUnknown) as caught:
        await adapter.place_order(session, wanted, Gate())

    assert isinstance(caught.value, BadAnswer)
    assert (ReasonCode.RATE_LIMITED, 1.0) == (caught.value.reason, caught.value.retry_after_s)
    assert 1 == simulator.calls["place"]
    assert accepted == len(simulator.engine.orders)
    found = await adapter.find_by_tag(session, wanted.broker_tag)
    assert [booked.broker_order_id for booked in simulator.engine.orders] == [
        row.broker_order_id for row in found
    ]


async def test_business_refusal_names_the_brokers_words(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    simulator.faults.add(
        [{"call": "place", "action": "reject", "params": {"message": "RED:not today"}}]
    )

    with pytest.raises(Refused) as caught:
        await adapter.place_order(session, order(), Gate())

    assert ("RED:not today", False) == (caught.value.broker_message, caught.value.repeatable)
    assert caught.value.broker_order_id is None


async def test_refused_connection_means_nothing_was_sent(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    wanted = order()
    simulator.faults.add([{"action": "refuse", "params": {"ms": None}}])

    with pytest.raises(NotSent):
        await adapter.place_order(session, wanted, Gate())

    simulator.faults.clear()
    await _until_warm(adapter, session)
    await adapter.place_order(session, wanted, Gate())
    assert 1 == len(simulator.engine.orders)


async def _until_warm(adapter: FyersAdapter, session: Session) -> None:
    """The simulator listens again a moment after the fault is lifted."""
    for _ in range(500):
        with contextlib.suppress(NotSent):
            await adapter.warm(session)
            return
        await asyncio.sleep(0.01)


async def test_gate_that_closes_keeps_the_order_here(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session, order: MakeOrder
):
    class Closed(Gate):
        def check(self) -> None:
            raise Denied("kill switch", reason=ReasonCode.KILL_SWITCH)

    with pytest.raises(Denied):
        await adapter.place_order(session, order(), Closed())

    assert not simulator.calls["place"]


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
