"""Lost answers, dead gateways, restarts, busy gateways: nothing is ever placed twice."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gateway.cli.ports import free_port
from gateway.client import AsyncClient, Client, FixRequest, LookFirst, Policy, RetryLater
from tests.client.between import DROP, HANG, LOSE, PASS, Say
from tests.client.conftest import QUICK, Desk
from tests.client.test_orders import ORDER

ONCE = Policy(retry_for_s=0.0, wait_s=0.0)
BUSY = {"type": "", "title": "", "status": 429, "detail": "slow down", "code": "rate_limited"}


async def test_lost_answer_is_asked_for_by_its_key_and_not_sent_again(desk: Desk) -> None:
    desk.between.todo.append(LOSE)
    order = await desk.aio.place(key="lost", **ORDER)

    assert "accepted" == order.summary
    assert ["lost"] == desk.between.keys()
    assert ("GET", "/v1/orders?idempotency_key=lost&mine=true&limit=1", None) in desk.between.seen
    assert 1 == len(desk.sent())


async def test_order_of_another_client_under_the_same_key_is_not_taken_for_ours(desk: Desk) -> None:
    other = await desk.rig.new_key("another", ["trade"])
    async with AsyncClient(desk.between.url, other, policy=QUICK) as client:
        theirs = await client.place(key="morning", **ORDER)
    desk.between.todo.append(DROP)
    ours = await desk.aio.place(key="morning", **{**ORDER, "quantity": 2})

    assert theirs.order_id != ours.order_id
    assert 2 == ours.legs[0].quantity
    found = await desk.aio.find_order("morning")
    assert found is not None
    assert ours.order_id == found.order_id


async def test_key_of_an_earlier_order_is_not_taken_for_this_one_after_a_lost_answer(
    desk: Desk,
) -> None:
    await desk.aio.place(key="again", **ORDER)
    desk.between.todo.append(DROP)
    with pytest.raises(LookFirst) as caught:
        await desk.aio.place(key="again", **{**ORDER, "side": "SELL"})

    assert "idempotency_key_reused" == caught.value.code
    assert 1 == len(desk.sent())


async def test_request_lost_on_its_way_is_sent_again_under_the_same_key(desk: Desk) -> None:
    desk.between.todo.extend([DROP, PASS, DROP])
    order = await desk.do(desk.client.place, **ORDER)

    assert "accepted" == order.summary
    assert 3 == len(desk.between.keys())
    assert 1 == len(set(desk.between.keys()))
    assert 1 == len(desk.sent())


async def test_lost_basket_and_close_are_repeated_under_their_key(desk: Desk) -> None:
    desk.between.todo.append(LOSE)
    basket = await desk.aio.basket([ORDER])  # type: ignore[list-item]
    desk.between.todo.append(LOSE)
    closed = await desk.do(desk.client.close_positions, accounts=["fyers-main"])

    assert "accepted" == basket.summary
    assert closed.close_id
    for path in ("/v1/baskets", "/v1/positions/close"):
        keys = desk.between.keys(path)
        assert (2, 1) == (len(keys), len(set(keys)))
    assert 1 == len(desk.sent())


async def test_lost_answer_without_repeats_has_to_be_looked_for(desk: Desk) -> None:
    desk.between.todo.append(LOSE)
    async with AsyncClient(desk.between.url, desk.rig.key, policy=ONCE) as client:
        with pytest.raises(LookFirst) as caught:
            await client.place(**ORDER)
        key = caught.value.idempotency_key
        assert key is not None
        found = await client.find_order(key)

    assert found is not None
    assert 1 == len(desk.sent())


async def test_answer_that_never_comes_has_to_be_looked_for(desk: Desk) -> None:
    desk.between.todo.append(HANG)
    client = Client(desk.between.url, desk.rig.key, policy=ONCE)
    hasty = _with_timeout(client, 0.3)
    with pytest.raises(LookFirst) as caught:
        await desk.do(hasty.place, key="hung", **ORDER)

    assert "hung" == caught.value.idempotency_key
    assert (await desk.aio.find_order("hung")) is not None
    client.close()


async def test_gateway_that_is_gone_means_nothing_was_placed() -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    with (
        Client(url, "bg_live_any", policy=ONCE) as client,
        pytest.raises(RetryLater, match=r"^no connection to the gateway: .*refused"),
    ):
        await asyncio.to_thread(client.place, **ORDER)
    async with AsyncClient(url, "bg_live_any", policy=ONCE) as aio:
        with pytest.raises(RetryLater):
            await aio.place(**ORDER)


async def test_gateway_gone_after_a_lost_answer_leaves_the_order_in_doubt(desk: Desk) -> None:
    desk.between.todo.append(LOSE)
    policy = Policy(retry_for_s=1.0, wait_s=0.0, first_pause_s=0.01)
    async with AsyncClient(desk.between.url, desk.rig.key, policy=policy) as client:
        placing = asyncio.create_task(client.place(key="doubt", **ORDER))
        while not desk.sent():
            await asyncio.sleep(0.01)
        desk.between._server.close()
        desk.between.cut()
        with pytest.raises(LookFirst) as caught:
            await placing

    assert "doubt" == caught.value.idempotency_key


async def test_order_survives_a_restart_of_the_gateway_in_the_midst(desk: Desk) -> None:
    desk.between.todo.append(LOSE)
    placing = asyncio.create_task(desk.aio.place(**ORDER))
    while not desk.sent():
        await asyncio.sleep(0.01)
    await desk.rig.restart_gateway()
    order = await placing

    assert order.order_id
    assert 1 == len(set(desk.between.keys()))
    assert 1 == len(desk.sent())


async def test_busy_gateway_is_asked_again_when_it_says(desk: Desk) -> None:
    desk.between.todo.extend([Say(429, BUSY, {"Retry-After": "0"}), Say(429, BUSY)])
    order = await desk.aio.place(**ORDER)

    assert order.accepted
    assert 1 == len(set(desk.between.keys()))


async def test_busy_gateway_without_patience_is_for_later(desk: Desk) -> None:
    desk.between.todo.append(Say(429, {**BUSY, "sent": False}, {"Retry-After": "7"}))
    async with AsyncClient(desk.between.url, desk.rig.key, policy=ONCE) as client:
        with pytest.raises(RetryLater, match="slow down") as caught:
            await client.place(**ORDER)

    assert 7.0 == caught.value.retry_after_s
    assert [] == desk.sent()


async def test_first_request_still_under_way_is_waited_for(desk: Desk) -> None:
    busy = {**BUSY, "status": 409, "code": "idempotency_in_flight", "sent": None}
    desk.between.todo.append(Say(409, busy, {"Retry-After": "0"}))

    assert (await desk.do(desk.client.place, **ORDER)).accepted
    assert 1 == len(desk.sent())


async def test_broken_journal_is_for_later_and_not_repeated(desk: Desk) -> None:
    broken = {**BUSY, "status": 503, "code": "journal_broken", "sent": False}
    desk.between.todo.append(Say(503, broken))
    with pytest.raises(RetryLater):
        await desk.aio.place(**ORDER)

    assert 1 == len(desk.between.keys())


async def test_fault_in_the_gateway_leaves_the_order_in_doubt_until_it_is_found(
    desk: Desk,
) -> None:
    fault = {**BUSY, "status": 500, "code": "internal_error", "sent": None}
    desk.between.todo.append(Say(500, fault))
    assert (await desk.aio.place(**ORDER)).accepted
    desk.between.todo.append(Say(500, fault))
    async with AsyncClient(desk.between.url, desk.rig.key, policy=ONCE) as client:
        with pytest.raises(LookFirst):
            await client.place(**ORDER)


async def test_proxys_own_error_page_proves_nothing(desk: Desk) -> None:
    desk.between.todo.append(Say(502, b"<html>Bad Gateway</html>"))
    assert (await desk.aio.place(**ORDER)).accepted
    desk.between.todo.append(Say(502, b"<html>Bad Gateway</html>"))
    async with AsyncClient(desk.between.url, desk.rig.key, policy=ONCE) as client:
        with pytest.raises(LookFirst):
            await client.place(**ORDER)


async def test_answer_that_is_not_understood_has_to_be_looked_for(desk: Desk) -> None:
    desk.between.todo.append(Say(201, b'{"order_id": 7'))
    with pytest.raises(LookFirst, match="not understood"):
        await desk.aio.place(**ORDER)

    assert 1 == len(desk.between.keys())


async def test_pending_order_is_followed_and_then_left_to_be_looked_at(desk: Desk) -> None:
    desk.rig.sims["fyers"].faults.add(
        [
            {"call": "place", "action": "accept_then_reset"},
            {"call": "book", "action": "book_fail", "count": None},
        ]
    )
    async with AsyncClient(desk.between.url, desk.rig.key, policy=QUICK) as client:
        with pytest.raises(LookFirst, match="UNKNOWN") as caught:
            await client.place(**ORDER, wait_s=0.3)

    assert caught.value.order is not None
    assert caught.value.order.is_pending
    assert caught.value.idempotency_key is not None
    [row] = await desk.aio.unresolved()
    assert caught.value.order.order_id == row.order_id
    assert 1 == len(desk.sent())


async def test_lost_modify_is_not_repeated(desk: Desk) -> None:
    order = await desk.aio.place(**ORDER, wait_for="book")
    desk.between.todo.append(LOSE)
    with pytest.raises(LookFirst):
        await desk.aio.modify(order.order_id, price="761.00")

    assert 1 == len([method for method, *_ in desk.between.seen if method == "PATCH"])


async def test_modify_that_never_left_is_sent_when_the_gateway_is_back(desk: Desk) -> None:
    order = await desk.aio.place(**ORDER, wait_for="book")
    port = desk.rig.port
    async with AsyncClient(f"http://127.0.0.1:{port}", desk.rig.key, policy=QUICK) as direct:
        await desk.rig.stop_gateway()
        modifying = asyncio.create_task(direct.modify(order.order_id, price="761.00"))
        await asyncio.sleep(0.05)
        await desk.rig.start_gateway()
        with contextlib.suppress(FixRequest):
            await modifying

    assert "760.00" not in {str(leg.price) for leg in (await desk.aio.order(order.order_id)).legs}


async def test_lost_cancel_is_repeated(desk: Desk) -> None:
    order = await desk.do(desk.client.place, **ORDER, wait_for="book")
    desk.between.todo.append(LOSE)
    over = await desk.do(desk.client.cancel, order.order_id)

    assert "CANCELLED" == over.legs[0].state


async def test_gateway_gone_after_a_cancel_was_taken_leaves_it_to_be_looked_at(desk: Desk) -> None:
    order = await desk.do(desk.client.place, **ORDER, wait_for="book")
    taken = (await desk.rig.call("GET", f"/v1/orders/{order.order_id}")).json
    desk.between.todo.extend(
        [Say(202, taken), Say(503, {**BUSY, "status": 503, "code": "stopping"})]
    )
    async with AsyncClient(desk.between.url, desk.rig.key, policy=Policy(0.0, 60.0)) as client:
        with pytest.raises(LookFirst) as caught:
            await client.cancel(order.order_id)

    assert order.order_id == caught.value.order.order_id  # type: ignore[union-attr]


async def test_lost_login_step_is_not_repeated(desk: Desk) -> None:
    desk.between.todo.append(LOSE)
    with pytest.raises(LookFirst):
        await desk.aio.login("fyers-main", renew=True)

    assert 1 == len(desk.between.seen)


def _with_timeout(client: Client, seconds: float) -> Client:
    """Give up on an answer sooner than the client would."""
    settings = client._place.settings
    client._place.settings = lambda request: {**settings(request), "timeout": (5.0, seconds)}  # type: ignore[method-assign]
    return client
