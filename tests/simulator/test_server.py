"""HTTP/1.1 as the simulators speak it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from adapters.sdk.simulator import serve_forever
from adapters.sdk.simulator.base import BrokerSimulator
from tests.simulator.certificates import make_certificate
from tests.simulator.toy import ToyBroker
from tests.simulator.wire import BODY, Wire, connect_is_refused, request_bytes

Connect = Callable[[], Awaitable[Wire]]


async def test_one_connection_carries_many_calls(broker: ToyBroker, connect: Connect) -> None:
    wire = await connect()
    for _ in range(20):
        assert 200 == (await wire.call("POST", "/v1/orders", BODY)).status
    assert 20 == len(broker.engine.orders)


async def test_pipelined_calls_are_answered_in_order(broker: ToyBroker, connect: Connect) -> None:
    broker.faults.add([{"call": "place", "action": "slow_answer", "params": {"ms": 50}}])
    wire = await connect()
    wire.send(request_bytes("POST", "/v1/orders", BODY) + request_bytes("GET", "/v1/nowhere"))
    assert b"id" in (await wire.see()).body
    assert 404 == (await wire.see()).status


async def test_request_may_arrive_byte_by_byte(broker: ToyBroker, connect: Connect) -> None:
    wire = await connect()
    for byte in request_bytes("POST", "/v1/orders?a=1", BODY):
        wire.send(bytes([byte]))
        await asyncio.sleep(0)
    assert 200 == (await wire.see()).status
    assert 1 == len(broker.engine.orders)


async def test_chunked_request_bodies_are_read(broker: ToyBroker, connect: Connect) -> None:
    wire = await connect()
    head = (
        b"POST /v1/orders HTTP/1.1\r\nhost: sim\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    middle = len(BODY) // 2
    chunks = [BODY[:middle], BODY[middle:], b""]
    wire.send(head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks))
    assert 200 == (await wire.see()).status
    assert "123456789012345" == broker.engine.orders[0].tag


async def test_expect_is_ignored(broker: ToyBroker, connect: Connect) -> None:
    wire = await connect()
    wire.send(request_bytes("POST", "/v1/orders", BODY, "expect: 100-continue"))
    assert 200 == (await wire.see()).status


async def test_head_has_the_length_and_no_body(connect: Connect) -> None:
    wire = await connect()
    whole = await wire.call("GET", "/v1/orders")
    bare = await wire.call("HEAD", "/v1/orders", to_head=True)
    assert (whole.head, b"") == (bare.head, bare.body)
    assert 200 == (await wire.call("GET", "/v1/orders")).status


async def test_client_may_ask_for_the_connection_to_close(connect: Connect) -> None:
    wire = await connect()
    wire.send(request_bytes("GET", "/v1/orders", b"", "connection: close"))
    seen = await wire.see()
    assert "connection: close" in seen.head
    assert "closed" == (await wire.see()).ending


async def test_bytes_that_are_not_http_get_400_and_the_door(connect: Connect) -> None:
    wire = await connect()
    wire.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert 400 == (await wire.see()).status
    assert "closed" == (await wire.see()).ending


async def test_wrong_path_is_404_and_wrong_method_405(connect: Connect) -> None:
    wire = await connect()
    assert 404 == (await wire.call("GET", "/v2/orders")).status
    assert 405 == (await wire.call("PATCH", "/v1/orders")).status
    assert 405 == (await wire.call("PATCH", "/v1/orders/123")).status


async def test_bug_in_a_handler_is_500_and_logged(
    broker: ToyBroker, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    wire = await connect()
    assert 500 == (await wire.call("POST", "/v1/orders", b"{not json")).status
    assert "toy simulator failed on /v1/orders" in caplog.text
    assert 200 == (await wire.call("GET", "/v1/orders")).status


async def test_streamed_answer_arrives_whole_and_can_be_cut(
    broker: ToyBroker, connect: Connect
) -> None:
    wire = await connect()
    whole = await wire.call("GET", "/files/master.csv")
    assert "transfer-encoding: chunked" in whole.head
    assert len(broker.universe) == whole.body.count(b",")
    broker.faults.add([{"call": "master", "action": "reset_at_byte", "params": {"bytes": 5000}}])
    cut = await wire.call("GET", "/files/master.csv")
    assert (5000, "reset") == (len(cut.data), cut.ending)


async def test_tls_is_served_where_asked_for(tmp_path: Path) -> None:
    server_side, client_side = make_certificate(tmp_path)
    broker = ToyBroker(tls=server_side)
    await broker.start()
    assert broker.url.startswith("https://")
    wire = await Wire.open(broker.url, tls=client_side)
    assert 200 == (await wire.call("POST", "/v1/orders", BODY)).status
    await wire.close()
    control = await Wire.open(broker.control_url)
    assert 1 == len((await control.call("GET", "/_sim/ledger")).json()["orders"])
    await control.close()
    await broker.stop()


async def test_taken_port_is_an_error() -> None:
    second = ToyBroker()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await second.start(port=taken.getsockname()[1])


async def test_serve_forever_serves_until_cancelled() -> None:
    broker = ToyBroker()
    started = asyncio.Event()
    urls: list[str] = []

    def show(simulator: BrokerSimulator) -> None:
        urls.append(simulator.url)
        started.set()

    running = asyncio.create_task(serve_forever(broker, started=show))
    await started.wait()
    assert not connect_is_refused(urls[0])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert connect_is_refused(urls[0])


async def test_base_urls_name_every_host(broker: ToyBroker) -> None:
    assert {"api": f"{broker.url}/v1"} == broker.base_urls
