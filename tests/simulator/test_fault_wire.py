"""Each fault as a raw client meets it: what it saw, and whether the order exists."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from adapters.sdk.simulator import BrokerSimulator
from tests.simulator.toy import ToyBroker
from tests.simulator.wire import BODY, Seen, Wire, connect_is_refused, request_bytes

Connect = Callable[[], Awaitable[Wire]]
WHOLE_ANSWER_STARTS = b"HTTP/1.1 200 OK\r\n"


def fault(broker: BrokerSimulator, action: str, call: str = "place", **params: Any) -> None:
    broker.faults.add([{"call": call, "action": action, "params": params}])


async def place(broker: BrokerSimulator, connect: Connect, **how: Any) -> tuple[Seen, int]:
    """Place one order on a new connection: what was seen, and orders in the ledger."""
    seen = await (await connect()).call("POST", "/v1/orders", BODY, **how)
    return seen, len(broker.engine.orders)


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("action", "ending", "accepted"),
    [
        ("reset_before_read", "reset", 0),
        ("reset_before_accept", "reset", 0),
        ("accept_then_reset", "reset", 1),
        ("accept_then_close", "closed", 1),
        ("hang", "silent", 0),
        ("accept_then_hang", "silent", 1),
    ],
)
async def test_no_byte_of_answer(
    broker: ToyBroker, connect: Connect, action: str, ending: str, accepted: int
) -> None:
    fault(broker, action)
    seen, orders = await place(broker, connect, wait_s=0.2 if ending == "silent" else 5.0)
    assert Seen(b"", ending) == seen
    assert accepted == orders


@pytest.mark.parametrize("action", ["reset_before_read", "reset_before_accept"])
async def test_reset_strikes_a_kept_alive_connection(
    broker: ToyBroker, connect: Connect, action: str
) -> None:
    wire = await connect()
    assert (await wire.call("GET", "/v1/orders")).status == 200
    fault(broker, action)
    assert Seen(b"", "reset") == await wire.call("POST", "/v1/orders", BODY)
    assert broker.engine.orders == []


async def test_reset_before_read_does_not_wait_for_the_body(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "reset_before_read")
    wire = await connect()
    wire.send(request_bytes("POST", "/v1/orders", BODY)[: -len(BODY)])
    assert Seen(b"", "reset") == await wire.see()
    assert broker.calls == {}


async def test_reset_before_accept_waits_for_the_body(broker: ToyBroker, connect: Connect) -> None:
    fault(broker, "reset_before_accept")
    wire = await connect()
    wire.send(request_bytes("POST", "/v1/orders", BODY)[: -len(BODY)])
    assert Seen(b"", "silent") == await wire.see(wait_s=0.1)
    wire.send(BODY)
    assert Seen(b"", "reset") == await wire.see()
    assert broker.calls == {"place": 1}


async def test_reset_on_connect_strikes_before_a_request(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "reset_before_read", "any", on="connect")
    assert Seen(b"", "reset") == await (await connect()).see()
    seen, orders = await place(broker, connect)
    assert (200, 1) == (seen.status, orders)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_accepted_then_a_gateway_page(
    broker: ToyBroker, connect: Connect, status: int
) -> None:
    fault(broker, "accept_then_status", status=status)
    seen, orders = await place(broker, connect)
    assert (status, "answered", 1) == (seen.status, seen.ending, orders)
    assert "content-type: text/html" in seen.head
    assert seen.body.startswith(b"<html>")


async def test_accepted_then_a_status_with_a_given_body(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "accept_then_status", status=500, body='{"e":1}', content_type="application/json")
    seen, orders = await place(broker, connect)
    assert (500, {"e": 1}, 1) == (seen.status, seen.json(), orders)


async def test_accepted_then_html_with_status_200(broker: ToyBroker, connect: Connect) -> None:
    fault(broker, "accept_then_html")
    seen, orders = await place(broker, connect)
    assert (200, 1) == (seen.status, orders)
    assert seen.body.startswith(b"<html>")


async def test_accepted_then_an_empty_body(broker: ToyBroker, connect: Connect) -> None:
    fault(broker, "accept_then_empty")
    seen, orders = await place(broker, connect)
    assert (200, b"", "answered", 1) == (seen.status, seen.body, seen.ending, orders)


async def test_accepted_then_a_whole_answer_of_cut_json(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "accept_then_truncated", bytes=11)
    seen, orders = await place(broker, connect)
    assert (b'{"ok":true,', "answered", 1) == (seen.body, seen.ending, orders)


async def test_accepted_then_the_connection_ends_inside_the_answer(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "accept_then_truncated", bytes=11, length="full")
    seen, orders = await place(broker, connect)
    assert (b'{"ok":true,', "closed", 1) == (seen.body, seen.ending, orders)


async def test_reset_at_every_byte_of_the_answer(broker: ToyBroker, connect: Connect) -> None:
    whole, _ = await place(broker, connect)
    for count in range(len(whole.data)):
        fault(broker, "reset_at_byte", bytes=count)
        seen, _ = await place(broker, connect)
        assert (count, "reset") == (len(seen.data), seen.ending)
        assert seen.data[:17] == WHOLE_ANSWER_STARTS[:count]
    assert len(whole.data) + 1 == len(broker.engine.orders)


async def test_accepted_late_after_the_client_gave_up(broker: ToyBroker, connect: Connect) -> None:
    fault(broker, "accept_late", ms=20)
    wire = await connect()
    assert Seen(b"", "silent") == await wire.call("POST", "/v1/orders", BODY, wait_s=0.1)
    assert broker.engine.orders == []
    gave_up = broker.clock()
    await wire.close()
    await eventually(lambda: len(broker.engine.orders) == 1)
    assert broker.engine.orders[0].accepted_at >= gave_up + timedelta(milliseconds=15)


async def test_reject_is_the_brokers_own_refusal(broker: ToyBroker, connect: Connect) -> None:
    fault(broker, "reject", message="not today")
    seen, orders = await place(broker, connect)
    assert {"ok": False, "message": "not today"} == seen.json()
    assert orders == 0


@pytest.mark.parametrize("accepted", [False, True])
async def test_rate_limit_with_or_without_acceptance(
    broker: ToyBroker, connect: Connect, accepted: bool
) -> None:
    fault(broker, "rate_limit", accepted=accepted)
    seen, orders = await place(broker, connect)
    assert (429, int(accepted)) == (seen.status, orders)
    assert "retry-after: 1" in seen.head


@pytest.mark.parametrize("accepted", [False, True])
async def test_session_expired_before_or_after_acceptance(
    broker: ToyBroker, connect: Connect, accepted: bool
) -> None:
    fault(broker, "session_expired", accepted=accepted)
    seen, orders = await place(broker, connect)
    assert (401, int(accepted)) == (seen.status, orders)


async def test_session_expired_may_really_end_the_sessions(
    broker: ToyBroker, connect: Connect
) -> None:
    await (await connect()).call("POST", "/v1/login")
    assert broker.session_of("toy-token") is not None
    fault(broker, "session_expired", expire=True)
    await place(broker, connect)
    assert broker.session_of("toy-token") is None


async def test_slow_places_the_order_although_the_client_left(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "slow", ms=150)
    wire = await connect()
    assert Seen(b"", "silent") == await wire.call("POST", "/v1/orders", BODY, wait_s=0.05)
    assert broker.engine.orders == []
    await wire.close()
    await eventually(lambda: len(broker.engine.orders) == 1)


async def test_slow_answer_accepts_before_it_waits(broker: ToyBroker, connect: Connect) -> None:
    fault(broker, "slow_answer", ms=150)
    wire = await connect()
    assert Seen(b"", "silent") == await wire.call("POST", "/v1/orders", BODY, wait_s=0.05)
    assert len(broker.engine.orders) == 1
    assert (await wire.see()).status == 200


async def test_duplicate_creates_two_orders_with_one_tag(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "duplicate")
    seen, orders = await place(broker, connect)
    assert orders == 2
    assert {"123456789012345"} == {order.tag for order in broker.engine.orders}
    assert seen.json()["id"] == broker.engine.orders[0].broker_order_id


async def test_status_answers_without_acceptance(broker: ToyBroker, connect: Connect) -> None:
    fault(broker, "status")
    seen, orders = await place(broker, connect)
    assert (503, 0) == (seen.status, orders)


async def test_book_lag_hides_young_orders_from_every_read(
    broker: ToyBroker, connect: Connect
) -> None:
    placed, _ = await place(broker, connect)
    order_id = placed.json()["id"]
    broker.faults.add([{"action": "book_lag", "count": 3, "params": {"ms": 60_000}}])
    wire = await connect()
    assert [] == (await wire.call("GET", "/v1/orders")).json()["orders"]
    assert (await wire.call("GET", f"/v1/orders/{order_id}")).json()["state"] is None
    assert [] == (await wire.call("GET", "/v1/trades")).json()["trades"]
    assert 1 == len((await wire.call("GET", "/v1/orders")).json()["orders"])


async def test_book_omit_leaves_out_the_newest(broker: ToyBroker, connect: Connect) -> None:
    first, _ = await place(broker, connect)
    await place(broker, connect)
    fault(broker, "book_omit", "book")
    rows = (await (await connect()).call("GET", "/v1/orders")).json()["orders"]
    assert [first.json()["id"]] == [row["id"] for row in rows]


async def test_book_omit_leaves_out_by_tag_or_id(broker: ToyBroker, connect: Connect) -> None:
    placed, _ = await place(broker, connect)
    wire = await connect()
    fault(broker, "book_omit", "book", tags=["123456789012345"])
    assert [] == (await wire.call("GET", "/v1/orders")).json()["orders"]
    order_id = placed.json()["id"]
    fault(broker, "book_omit", "order", broker_order_ids=[order_id])
    assert (await wire.call("GET", f"/v1/orders/{order_id}")).json()["state"] is None


async def test_book_fail_spares_the_place(broker: ToyBroker, connect: Connect) -> None:
    broker.faults.add([{"action": "book_fail", "count": 1}])
    seen, orders = await place(broker, connect)
    assert (200, 1) == (seen.status, orders)
    wire = await connect()
    assert 500 == (await wire.call("GET", "/v1/orders")).status
    assert 200 == (await wire.call("GET", "/v1/orders")).status


async def test_refuse_closes_the_port_and_opens_it_again(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "refuse", "any", ms=50)
    assert connect_is_refused(broker.url)
    await eventually(lambda: not connect_is_refused(broker.url))
    seen, orders = await place(broker, connect)
    assert (200, 1) == (seen.status, orders)


async def test_refuse_until_cleared_is_lifted_through_the_control_port(broker: ToyBroker) -> None:
    control = await Wire.open(broker.control_url)
    body = b'{"action":"refuse","params":{"ms":null}}'
    assert 200 == (await control.call("POST", "/_sim/faults", body)).status
    assert connect_is_refused(broker.url)
    assert 200 == (await control.call("DELETE", "/_sim/faults")).status
    await eventually(lambda: not connect_is_refused(broker.url))
    await control.close()


@pytest.mark.parametrize(("close_idle", "ending"), [(True, "closed"), (False, "silent")])
async def test_refuse_closes_idle_connections_unless_told_not_to(
    broker: ToyBroker, connect: Connect, close_idle: bool, ending: str
) -> None:
    wire = await connect()
    await wire.call("GET", "/v1/orders")
    fault(broker, "refuse", "any", close_idle=close_idle)
    assert Seen(b"", ending) == await wire.see(wait_s=0.2)


async def test_refuse_after_a_call_lets_that_call_through(
    broker: ToyBroker, connect: Connect
) -> None:
    fault(broker, "refuse", "place", ms=None)
    wire = await connect()
    assert 200 == (await wire.call("POST", "/v1/orders", BODY)).status
    assert Seen(b"", "closed") == await wire.see()
    assert connect_is_refused(broker.url)


@pytest.mark.parametrize(("how", "ending"), [("fin", "closed"), ("rst", "reset")])
async def test_close_idle_ends_kept_alive_connections(
    broker: ToyBroker, connect: Connect, how: str, ending: str
) -> None:
    wire = await connect()
    await wire.call("GET", "/v1/orders")
    fault(broker, "close_idle", "any", how=how)
    assert Seen(b"", ending) == await wire.see()


async def test_stop_ends_calls_that_hang(broker: ToyBroker, connect: Connect) -> None:
    broker.faults.add([{"action": "hang"}, {"action": "accept_late"}])
    wires = [await connect(), await connect()]
    for wire in wires:
        wire.send(request_bytes("POST", "/v1/orders", BODY))
    await eventually(lambda: broker.calls["place"] == 2)
    await broker.stop()
    for wire in wires:
        assert (await wire.see()).ending in ("closed", "reset")
    assert broker.engine.orders == []
