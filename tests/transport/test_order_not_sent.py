"""Failures before the first byte: `NotSent`, with the phase, and nothing at the server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from adapters.sdk.errors import NotSent, OutcomeUnknown, Phase, Progress
from adapters.sdk.transport import HttpRequest, OrderTransport, Timeouts
from tests.transport.certificates import Certificates
from tests.transport.gates import RecordingGate
from tests.transport.server import (
    OK,
    Peer,
    ScriptedServer,
    after_request,
    answering,
    hold,
    send_then,
)

ORDER = HttpRequest("POST", "/orders", (("Authorization", "secret"),), b'{"qty":1}')
QUICK = Timeouts(connect_s=0.3, answer_s=5.0)

Serve = Callable[..., ScriptedServer]


async def fail(transport: OrderTransport, request: HttpRequest = ORDER) -> NotSent:
    gate = RecordingGate()
    with pytest.raises(NotSent) as caught:
        await transport.send(request, gate=gate)
    await transport.close()
    assert [] == gate.calls
    assert Progress.NOTHING_SENT is caught.value.progress
    assert "secret" not in str(caught.value)
    return caught.value


async def test_refused_connection_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert Phase.CONNECT is (await fail(OrderTransport(f"http://127.0.0.1:{port}"))).phase


async def test_unknown_host_name_is_not_sent() -> None:
    assert Phase.DNS is (await fail(OrderTransport("https://nonexistent.invalid"))).phase


async def test_overlong_host_name_is_not_sent() -> None:
    assert Phase.DNS is (await fail(OrderTransport(f"https://{'a' * 70}.invalid"))).phase


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue of waiting connections is full, so that the kernel drops further ones."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(address)
            except TimeoutError:
                break
        yield address[1]


async def test_connect_timeout_is_not_sent() -> None:
    with full_listener() as port:
        transport = OrderTransport(f"http://127.0.0.1:{port}", timeouts=QUICK)
        error = await fail(transport)
    assert Phase.CONNECT is error.phase
    assert "timed out" in str(error)


async def test_untrusted_certificate_is_not_sent(serve: Serve, certificates: Certificates) -> None:
    server = serve(answering(OK), tls=certificates.good)
    error = await fail(OrderTransport(server.url))
    assert Phase.TLS is error.phase
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert b"" == server.received


async def test_certificate_for_another_host_is_not_sent(
    serve: Serve, certificates: Certificates
) -> None:
    server = serve(answering(OK), tls=certificates.other_host)
    error = await fail(OrderTransport(server.url, ca_file=str(certificates.ca)))
    assert Phase.TLS is error.phase
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert b"" == server.received


async def test_plain_text_server_behind_https_is_not_sent(
    serve: Serve, certificates: Certificates
) -> None:
    def greet(peer: Peer) -> None:
        peer.wait_readable()
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        hold(peer)

    server = serve(greet)
    transport = OrderTransport(server.url.replace("http:", "https:"), ca_file=str(certificates.ca))
    assert Phase.TLS is (await fail(transport)).phase
    assert b"secret" not in server.received


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_connection_ended_during_the_handshake_is_not_sent(
    serve: Serve, certificates: Certificates, end: Callable[[Peer], None]
) -> None:
    def script(peer: Peer) -> None:
        peer.wait_readable()
        end(peer)

    server = serve(script)
    transport = OrderTransport(server.url.replace("http:", "https:"), ca_file=str(certificates.ca))
    assert Phase.TLS is (await fail(transport)).phase


async def test_handshake_that_hangs_is_not_sent(serve: Serve, certificates: Certificates) -> None:
    server = serve(hold)
    transport = OrderTransport(
        server.url.replace("http:", "https:"), ca_file=str(certificates.ca), timeouts=QUICK
    )
    assert Phase.TLS is (await fail(transport)).phase
    assert b"secret" not in server.received


async def test_tls_older_than_1_2_is_not_sent(serve: Serve, certificates: Certificates) -> None:
    def old_hello(peer: Peer) -> None:
        peer.wait_readable()
        # A ServerHello of TLS 1.0: version 3.1, 32 random bytes, no session, AES128-SHA.
        body = b"\x03\x01" + b"r" * 32 + b"\x00" + b"\x00\x2f" + b"\x00"
        hello = b"\x02" + len(body).to_bytes(3, "big") + body
        peer.send(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
        hold(peer)

    server = serve(old_hello)
    transport = OrderTransport(server.url.replace("http:", "https:"), ca_file=str(certificates.ca))
    error = await fail(transport)
    assert Phase.TLS is error.phase
    assert isinstance(error.__cause__, ssl.SSLError)


async def test_source_address_that_is_not_ours_is_not_sent(serve: Serve) -> None:
    server = serve(answering(OK))
    transport = OrderTransport(server.url, source_address="192.0.2.1")
    assert Phase.CONNECT is (await fail(transport)).phase
    assert 0 == server.accepted


async def test_plain_http_to_localhost_does_not_leave_this_machine() -> None:
    transport = OrderTransport("http://localhost:9", source_address="127.0.0.1")
    assert Phase.CONNECT is (await fail(transport)).phase


async def wait_for(server: ScriptedServer, requests: int) -> None:
    while len(server.requests) < requests:
        await asyncio.sleep(0.005)


async def test_no_free_connection_is_not_sent(serve: Serve) -> None:
    server = serve(after_request(hold))
    transport = OrderTransport(
        server.url,
        timeouts=Timeouts(connect_s=0.2, answer_s=20.0),
        max_connections=1,
        reserved=0,
    )
    first = asyncio.create_task(transport.send(ORDER))
    await wait_for(server, 1)
    gate = RecordingGate()
    with pytest.raises(NotSent) as caught:
        await transport.send(ORDER, gate=gate)
    assert Phase.POOL is caught.value.phase
    assert [] == gate.calls
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await transport.close()
    assert 1 == len(server.requests)


async def test_reads_leave_the_reserved_connections_to_writes(serve: Serve) -> None:
    server = serve(after_request(hold), answering(OK))
    transport = OrderTransport(
        server.url, timeouts=Timeouts(connect_s=5.0, answer_s=20.0), max_connections=2, reserved=1
    )
    read = HttpRequest("GET", "/orders")
    hanging = asyncio.create_task(transport.send(read))
    await wait_for(server, 1)
    waiting = asyncio.create_task(transport.send(read))
    await asyncio.sleep(0)
    assert 200 == (await transport.send(ORDER, gate=RecordingGate())).status
    assert not waiting.done()
    hanging.cancel()
    assert 200 == (await waiting).status
    await transport.close()


async def test_hung_orders_keep_neither_a_cancel_nor_a_read_waiting(serve: Serve) -> None:
    server = serve(after_request(hold), after_request(hold), answering(OK), answering(OK))
    transport = OrderTransport(
        server.url,
        timeouts=Timeouts(connect_s=5.0, answer_s=20.0),
        max_connections=4,
        reserved=3,
        max_orders=2,
    )
    orders = [asyncio.create_task(transport.send(ORDER, gate=RecordingGate())) for _ in range(3)]
    await wait_for(server, 2)
    cancel = HttpRequest("DELETE", "/orders/1")
    assert 200 == (await transport.send(cancel, gate=RecordingGate())).status
    assert 200 == (await transport.send(HttpRequest("GET", "/orders"))).status
    assert not any(order.done() for order in orders)
    for order in orders:
        order.cancel()
    await asyncio.wait(orders)
    await transport.close()


async def test_slot_of_a_cancelled_waiter_is_not_lost(serve: Serve) -> None:
    server = serve(after_request(hold), answering(OK))
    transport = OrderTransport(server.url, max_connections=1, reserved=0)
    running = asyncio.create_task(transport.send(ORDER))
    await wait_for(server, 1)
    waiting = asyncio.create_task(transport.send(ORDER))
    await asyncio.sleep(0)
    # Cancelled in the same turn of the loop in which the slot is handed over.
    running.cancel()
    await asyncio.wait([running])
    waiting.cancel()
    await asyncio.wait([waiting])
    assert 200 == (await transport.send(ORDER)).status
    await transport.close()
    assert 2 == len(server.requests)


async def test_closed_transport_sends_nothing(serve: Serve) -> None:
    server = serve(answering(OK))
    transport = OrderTransport(server.url)
    await transport.close()
    assert Phase.POOL is (await fail(transport)).phase
    with pytest.raises(NotSent):
        await transport.warm()
    assert 0 == server.accepted


async def test_close_during_ready_sends_nothing(serve: Serve) -> None:
    server = serve(answering(OK))
    transport = OrderTransport(server.url)
    gate = RecordingGate(on_ready=transport.close)
    with pytest.raises(NotSent):
        await transport.send(ORDER, gate=gate)
    assert ["ready"] == gate.calls
    assert [] == server.requests


async def test_connection_on_which_the_server_talked_first_is_replaced(serve: Serve) -> None:
    server = serve(send_then(b"220 mail ready\r\n", hold))
    transport = OrderTransport(server.url)

    async def until_it_talked() -> None:
        await asyncio.sleep(0.1)

    gate = RecordingGate(on_ready=until_it_talked)
    # Whether the greeting on the second one arrives before our write is a matter of luck.
    with pytest.raises((NotSent, OutcomeUnknown)):
        await transport.send(ORDER, gate=gate, answer_timeout_s=1.0)
    await transport.close()
    assert 2 == server.accepted


async def test_warm_raises_what_connecting_failed_with() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    transport = OrderTransport(f"http://127.0.0.1:{port}")
    with pytest.raises(NotSent) as caught:
        await transport.warm()
    assert Phase.CONNECT is caught.value.phase
    assert not transport.is_warm()
    await transport.close()
