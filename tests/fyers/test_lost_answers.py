"""Orders whose answer is lost, late, a refusal or none, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    NotSent,
    OutcomeUnknown,
    Progress,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import (
    PlaceOrder,
    Session,
)
from tests.fyers.conftest import Gate

MakeOrder = Callable[..., PlaceOrder]


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
