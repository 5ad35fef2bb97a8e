"""Failures after the first byte: `OutcomeUnknown`, one request at the server at most, no repeat."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.sdk.errors import NotSent, OutcomeUnknown, Phase, Progress, ReasonCode
from adapters.sdk.transport import HttpRequest, HttpResponse, OrderTransport, Timeouts
from tests.transport.certificates import Certificates
from tests.transport.gates import RecordingGate
from tests.transport.server import (
    OK,
    Peer,
    Script,
    ScriptedServer,
    after_request,
    answering,
    hold,
    send_then,
)

ORDER = HttpRequest("POST", "/orders", (("Authorization", "secret"),), b'{"qty":1}')
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

Serve = Callable[..., ScriptedServer]


@pytest.fixture(params=["plain", "tls1.2", "tls1.3"])
def over(
    request: pytest.FixtureRequest, serve: Serve, certificates: Certificates
) -> Callable[..., tuple[ScriptedServer, OrderTransport]]:
    """A server and a transport to it, over plain TCP and both versions of TLS."""

    def start(*scripts: Script) -> tuple[ScriptedServer, OrderTransport]:
        if request.param == "plain":
            server = serve(*scripts)
            return server, OrderTransport(server.url)
        version = ssl.TLSVersion.TLSv1_2 if request.param == "tls1.2" else ssl.TLSVersion.TLSv1_3
        server = serve(*scripts, tls=certificates.good, tls_version=version)
        return server, OrderTransport(server.url, ca_file=str(certificates.ca))

    return start


Over = Callable[..., tuple[ScriptedServer, OrderTransport]]


async def fail(transport: OrderTransport, answer_timeout_s: float | None = None) -> OutcomeUnknown:
    gate = RecordingGate()
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.send(ORDER, gate=gate, answer_timeout_s=answer_timeout_s)
    assert not transport.is_warm()
    await transport.close()
    assert ["ready", "check"] == gate.calls
    assert "secret" not in str(caught.value)
    return caught.value


def unread_then(action: Callable[[Peer], None]) -> Script:
    def script(peer: Peer) -> None:
        peer.wait_readable()
        action(peer)

    return script


@pytest.mark.parametrize("end", [Peer.reset, Peer.close])
async def test_connection_ended_before_the_request_was_read_is_maybe_sent(
    over: Over, end: Callable[[Peer], None]
) -> None:
    server, transport = over(unread_then(end))
    error = await fail(transport)
    assert (Progress.MAYBE_SENT, Phase.WAIT, None) == (error.progress, error.phase, error.status)
    assert 1 == server.accepted
    assert [] == server.requests


@pytest.mark.parametrize("end", [Peer.reset, Peer.close, Peer.half_close])
async def test_connection_ended_after_the_request_was_read_is_maybe_sent(
    over: Over, end: Callable[[Peer], None]
) -> None:
    server, transport = over(after_request(end))
    error = await fail(transport)
    assert (Progress.MAYBE_SENT, Phase.WAIT, None) == (error.progress, error.phase, error.status)
    assert 1 == server.accepted
    assert [ORDER.body] == [request[-len(ORDER.body) :] for request in server.requests]


async def test_server_that_hangs_is_maybe_sent_after_the_answer_timeout(over: Over) -> None:
    server, transport = over(after_request(hold))
    error = await fail(transport, answer_timeout_s=0.2)
    assert (Progress.MAYBE_SENT, Phase.WAIT) == (error.progress, error.phase)
    assert ReasonCode.TIMEOUT is error.reason
    assert 1 == len(server.requests)


async def test_answer_timeout_of_the_transport_is_the_default(serve: Serve) -> None:
    server = serve(after_request(hold))
    transport = OrderTransport(server.url, timeouts=Timeouts(answer_s=0.2))
    assert ReasonCode.TIMEOUT is (await fail(transport)).reason


async def test_request_that_does_not_fit_into_the_socket_times_out_in_writing(
    serve: Serve,
) -> None:
    server = serve(lambda peer: peer.wait_readable() or (threading.Event().wait(1.0) and None))
    transport = OrderTransport(server.url)
    big = HttpRequest("POST", "/orders", (), b"x" * 32_000_000)
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.send(big, answer_timeout_s=0.3)
    assert (Progress.MAYBE_SENT, Phase.WRITE) == (caught.value.progress, caught.value.phase)
    await transport.close()


@pytest.mark.parametrize(
    "cut", [b"H", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Len"]
)
@pytest.mark.parametrize("end", [Peer.reset, Peer.close])
async def test_answer_cut_in_its_head_is_maybe_sent(
    serve: Serve, cut: bytes, end: Callable[[Peer], None]
) -> None:
    server = serve(after_request(send_then(cut, end)))
    error = await fail(OrderTransport(server.url))
    assert (Progress.MAYBE_SENT, Phase.WAIT, None) == (error.progress, error.phase, error.status)
    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    "cut",
    [
        HEAD,
        HEAD + b"12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n",
    ],
)
async def test_answer_cut_in_its_body_is_answered(over: Over, cut: bytes) -> None:
    server, transport = over(after_request(send_then(cut, Peer.close)))
    error = await fail(transport)
    assert (Progress.ANSWERED, Phase.READ, 200) == (error.progress, error.phase, error.status)
    assert 1 == len(server.requests)


async def test_body_that_hangs_is_answered(over: Over) -> None:
    server, transport = over(after_request(send_then(HEAD + b"123", hold)))
    error = await fail(transport, answer_timeout_s=0.2)
    assert (Progress.ANSWERED, Phase.READ, 200) == (error.progress, error.phase, error.status)
    assert ReasonCode.TIMEOUT is error.reason
    assert 1 == len(server.requests)


async def test_until_close_body_ended_by_a_reset_is_not_whole(serve: Serve) -> None:
    seen = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n{")
        seen.wait(5.0)
        peer.reset()

    server = serve(script)
    transport = OrderTransport(server.url)
    task = asyncio.create_task(transport.send(ORDER))
    while not server.requests:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    seen.set()
    with pytest.raises(OutcomeUnknown) as caught:
        await task
    await transport.close()
    assert Progress.ANSWERED is caught.value.progress


async def test_reset_at_any_byte_of_an_answer_never_passes_for_one(serve: Serve) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"id":1}'
    head_length = answer.index(b"{")

    def cut_at(length: int) -> Script:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(answer[:length])
            # FIN before RST, or the kernel would throw away what the client has not read yet.
            peer.half_close()
            peer.wait_closed()

        return script

    server = serve(*[cut_at(length) for length in range(len(answer) + 1)])
    transport = OrderTransport(server.url)
    for length in range(len(answer)):
        with pytest.raises(OutcomeUnknown) as caught:
            await transport.send(ORDER, gate=RecordingGate())
        expected = Progress.ANSWERED if length >= head_length else Progress.MAYBE_SENT
        assert (length, expected) == (length, caught.value.progress)
        assert length + 1 == len(server.requests) == server.accepted
    assert b'{"id":1}' == (await transport.send(ORDER)).body
    await transport.close()


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"SSH-2.0-x\r\n", b"HTTP/9.9 999999\r\n\r\n"])
async def test_garbage_answer_is_maybe_sent(serve: Serve, garbage: bytes) -> None:
    server = serve(after_request(send_then(garbage, hold)))
    error = await fail(OrderTransport(server.url))
    assert (Progress.MAYBE_SENT, Phase.WAIT) == (error.progress, error.phase)
    assert 1 == len(server.requests)


async def test_garbage_after_the_head_is_answered(serve: Serve) -> None:
    chunked = b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve(after_request(send_then(chunked + b"zz\r\n", hold)))
    error = await fail(OrderTransport(server.url))
    assert (Progress.ANSWERED, Phase.READ, 500) == (error.progress, error.phase, error.status)


async def test_gzip_body_that_does_not_unpack_is_answered(serve: Serve) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    server = serve(after_request(send_then(answer, hold)))
    error = await fail(OrderTransport(server.url))
    assert (Progress.ANSWERED, Phase.READ, 200) == (error.progress, error.phase, error.status)


async def test_connection_closed_inside_check_is_maybe_sent_and_not_repeated(
    serve: Serve,
) -> None:
    go, gone = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        go.wait(5.0)
        peer.reset()
        gone.set()

    def close_now() -> None:
        go.set()
        assert gone.wait(5.0)

    server = serve(script, answering(OK))
    transport = OrderTransport(server.url)
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.send(ORDER, gate=RecordingGate(on_check=close_now))
    await transport.close()
    assert Progress.MAYBE_SENT is caught.value.progress
    assert 1 == server.accepted
    assert [] == server.requests


async def test_client_certificate_alert_after_the_write_is_maybe_sent(
    certificates: Certificates,
) -> None:
    """Under TLS 1.3 our handshake ends before the server judges our (missing) certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.good)
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    listener = socket.create_server(("127.0.0.1", 0))
    written = threading.Event()
    alerts: list[str] = []

    def refuse_late() -> None:
        sock, _ = listener.accept()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(sock.recv(65536))
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        sock.sendall(outgoing.read())
        # The client's last handshake message stays unread until its request is on the wire.
        written.wait(5.0)
        incoming.write(sock.recv(65536))
        try:
            tls.do_handshake()
        except ssl.SSLError as error:
            alerts.append(error.reason or "")
        sock.sendall(outgoing.read())
        sock.recv(65536)
        sock.close()

    thread = threading.Thread(target=refuse_late, daemon=True)
    thread.start()
    transport = OrderTransport(
        f"https://127.0.0.1:{listener.getsockname()[1]}", ca_file=str(certificates.ca)
    )
    asyncio.get_running_loop().call_later(0.3, written.set)
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.send(ORDER, gate=RecordingGate())
    await transport.close()
    await asyncio.to_thread(thread.join, 5.0)
    listener.close()
    assert (Progress.MAYBE_SENT, Phase.WAIT) == (caught.value.progress, caught.value.phase)
    assert ["PEER_DID_NOT_RETURN_A_CERTIFICATE"] == alerts


async def test_cancelled_call_closes_its_connection_and_is_not_repeated(over: Over) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.wait_closed()
        closed.set()

    server, transport = over(script, answering(OK))
    task = asyncio.create_task(transport.send(ORDER, gate=RecordingGate()))
    while not server.requests:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(closed.wait, 5.0)
    assert not transport.is_warm()
    assert 1 == len(server.requests)
    assert 200 == (await transport.send(ORDER)).status
    assert 2 == server.accepted
    await transport.close()


async def test_call_under_way_when_the_transport_closes_is_maybe_sent(serve: Serve) -> None:
    server = serve(after_request(hold))
    transport = OrderTransport(server.url)
    task = asyncio.create_task(transport.send(ORDER))
    while not server.requests:
        await asyncio.sleep(0.005)
    await transport.close()
    with pytest.raises(OutcomeUnknown) as caught:
        await task
    assert Progress.MAYBE_SENT is caught.value.progress


async def test_given_up_request_leaves_nothing_in_the_kernel_to_send_later(serve: Serve) -> None:
    """A peer that reads on after we gave up must see a broken stream, not the rest of the order."""
    resume = threading.Event()
    ends: list[object] = []
    total = 32_000_000

    def script(peer: Peer) -> None:
        peer.wait_readable()
        resume.wait(10.0)
        read = 0
        try:
            while data := peer.socket.recv(1 << 20):
                read += len(data)
        except ConnectionResetError:
            ends.append("reset")
        else:
            ends.append("end")
        ends.append(read < total)

    server = serve(script)
    transport = OrderTransport(server.url)
    with pytest.raises(OutcomeUnknown):
        await transport.send(HttpRequest("POST", "/", (), b"x" * total), answer_timeout_s=0.2)
    await transport.close()
    resume.set()
    await asyncio.to_thread(server.stop)
    assert ["reset", True] == ends


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail),
        st.binary(max_size=60).map(lambda tail: HEAD + tail),
    )
)
def test_any_bytes_as_an_answer_parse_or_raise_our_error(answer: bytes) -> None:
    server = ScriptedServer([after_request(send_then(answer, Peer.half_close)), answering(OK)])

    async def call() -> None:
        transport = OrderTransport(server.url)
        try:
            response = await transport.send(ORDER, gate=RecordingGate())
        except OutcomeUnknown as error:
            assert error.progress in (Progress.MAYBE_SENT, Progress.ANSWERED)
        else:
            assert isinstance(response, HttpResponse)
        assert 1 == len(server.requests)
        # After a whole answer the end of the connection may still be on its way to us.
        while transport.is_warm():
            await asyncio.sleep(0)
        assert OK.endswith((await transport.send(ORDER)).body)
        assert 2 == len(server.requests) == server.accepted
        await transport.close()

    try:
        asyncio.run(call())
    finally:
        server.stop()


async def test_not_sent_and_unknown_are_never_the_same_error() -> None:
    assert not issubclass(NotSent, OutcomeUnknown)
    assert not issubclass(OutcomeUnknown, NotSent)
