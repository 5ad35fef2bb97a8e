"""Events through both clients: resumed where they broke off, each told once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from gateway.cli.ports import free_port
from gateway.client import AsyncClient, Client, Event, FixRequest, RetryLater
from gateway.client.event import Parser
from tests.client.between import Say
from tests.client.conftest import QUICK, Desk
from tests.client.test_orders import ORDER


async def first(client: AsyncClient, count: int, **given: Any) -> list[Event]:
    """Listen until so many events came."""
    found = []
    async with asyncio.timeout(60), aclosing(client.events(**given)) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


def told_open(event: Event, leg_id: str) -> bool:
    return event.leg is not None and (event.leg.leg_id, event.body["to"]) == (leg_id, "OPEN")


async def listening(desk: Desk, streams: int = 1) -> None:
    """Wait until as many streams were asked for through the relay, and the gateway has them."""
    async with asyncio.timeout(60):
        while len([each for each in desk.between.seen if "/v1/events" in each[1]]) < streams:
            await asyncio.sleep(0.01)


async def test_events_of_an_order_have_its_leg(desk: Desk) -> None:
    order = await desk.aio.place(**ORDER, strategy="seen", wait_for="book")
    heard = await first(desk.aio, 3, after=0, types=["order"], strategy="seen")

    assert ["order"] * 3 == [event.type for event in heard]
    assert {order.order_id} == {event.order_id for event in heard}
    assert heard[0].leg is not None
    assert "fyers-main" == heard[0].leg.account
    assert "READY" == heard[0].body["to"]
    assert [event.seq for event in heard] == sorted({event.seq for event in heard})


async def test_stream_goes_on_after_a_break_without_a_gap_or_a_double(desk: Desk) -> None:
    heard: list[Event] = []

    async def listen() -> None:
        async with aclosing(desk.aio.events(types=["order"])) as events:
            async for event in events:
                heard.append(event)

    task = asyncio.create_task(listen())
    await listening(desk)
    for _ in range(3):
        await desk.aio.place(**ORDER)
        desk.between.cut()
    [final] = (await desk.aio.place(**ORDER, wait_for="book")).legs
    async with asyncio.timeout(60):
        while not any(
            e.leg and e.leg.leg_id == final.leg_id and e.body["to"] == "OPEN" for e in heard
        ):
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

    told = await first(desk.aio, len(heard), after=heard[0].seq - 1, types=["order"])
    assert [event.seq for event in heard] == [event.seq for event in told]


async def test_break_before_the_first_event_loses_nothing(desk: Desk) -> None:
    task = asyncio.create_task(first(desk.aio, 1, types=["order"]))
    await listening(desk)
    await _greeted(desk)
    # The relay answers nothing while the order is placed past it.
    desk.between.todo.extend(["drop"] * 3)
    desk.between.cut()
    async with AsyncClient(f"http://127.0.0.1:{desk.rig.port}", desk.rig.key) as direct:
        order = await direct.place(**ORDER)
    [event] = await task

    assert order.order_id == event.order_id
    assert "READY" == event.body["to"]


async def test_stream_goes_on_after_a_restart_of_the_gateway(desk: Desk) -> None:
    task = asyncio.create_task(first(desk.aio, 1, types=["order"]))
    await listening(desk)
    await _greeted(desk)
    await desk.rig.restart_gateway()
    order = await desk.aio.place(**ORDER)

    assert order.order_id == (await task)[0].order_id


async def test_blocking_client_hears_the_same(desk: Desk) -> None:
    await desk.aio.place(**ORDER, wait_for="book")

    def listen() -> list[Event]:
        stream = desk.client.events(after=0, types=["order"])
        found = [next(stream), next(stream)]
        stream.close()
        return found

    heard = await asyncio.wait_for(desk.do(listen), 60)
    assert await first(desk.aio, 2, after=0, types=["order"]) == heard


async def test_busy_gateway_is_asked_for_the_stream_again(desk: Desk) -> None:
    full = {"code": "too_many_streams", "detail": "close one", "status": 503}
    await desk.aio.place(**ORDER)
    desk.between.todo.append(Say(503, full))

    assert 1 == len(await first(desk.aio, 1, after=0))


async def test_refused_stream_is_to_be_fixed(desk: Desk) -> None:
    with pytest.raises(FixRequest, match="no type of event"):
        await first(desk.aio, 1, types=["odrer"])
    with pytest.raises(FixRequest):
        await desk.do(lambda: next(desk.client.events(account="nobody")))


async def test_patience_with_a_gateway_that_is_gone_ends() -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    async with AsyncClient(url, "bg_live_any", policy=QUICK) as aio:
        with pytest.raises(RetryLater, match="no events"):
            await first(aio, 1, patience_s=0.05)
    with Client(url, "bg_live_any", policy=QUICK) as client, pytest.raises(RetryLater):
        await asyncio.to_thread(lambda: next(client.events(patience_s=0.0)))


def test_events_are_put_together_from_any_pieces() -> None:
    text = b'id: 4\nretry: 2000\n\n: alive\n\nid: 7\nevent: kill\ndata: {"seq":7,"type":"kill"}\n\n'
    for size in range(1, len(text) + 1):
        parser = Parser()
        heard = [
            event for at in range(0, len(text), size) for event in parser.feed(text[at : at + size])
        ]
        assert [7] == [event.seq for event in heard]
        assert 7 == parser.place


def test_half_an_event_is_forgotten_with_its_stream() -> None:
    parser = Parser()
    parser.feed(b"id: 4\n\nid: 7\nevent: kill\nda")
    parser.restart()

    assert 4 == parser.place
    assert [8] == [e.seq for e in parser.feed(b'id: 8\ndata: {"seq":8,"type":"kill"}\n\n')]


async def _greeted(desk: Desk) -> None:
    """Wait until the stream's greeting has passed the relay."""
    async with asyncio.timeout(60):
        while not desk.between.passed:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
