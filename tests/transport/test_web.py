"""The niquests client: the same report, more carefully, and no silent repeats."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Callable

import pytest

from adapters.sdk.errors import NotSent, OutcomeUnknown, Phase, Progress, ReasonCode
from adapters.sdk.transport import HttpRequest, Timeouts, WebTransport
from tests.transport.certificates import Certificates
from tests.transport.server import (
    OK,
    Peer,
    Script,
    ScriptedServer,
    after_request,
    answering,
    answering_once_then,
    hold,
    send_then,
)
from tests.transport.test_order_not_sent import full_listener

# niquests warns when it closes a connection that the server reset, on uvloop only. The file
# descriptor is released all the same: see the test that counts them.
pytestmark = pytest.mark.filterwarnings("ignore:urllib3-future is unable to properly close")

LOGIN = HttpRequest("POST", "/login?key=secret", (("Authorization", "secret"),), b"pw=secret")

Serve = Callable[..., ScriptedServer]
Connect = Callable[..., WebTransport]


@pytest.fixture
async def connect(certificates: Certificates) -> AsyncIterator[Connect]:
    opened: list[WebTransport] = []

    def start(url: str, *, trusting: bool = True, connect_s: float = 3.0) -> WebTransport:
        ca_file = str(certificates.ca) if trusting else None
        transport = WebTransport(url, ca_file=ca_file, timeouts=Timeouts(connect_s=connect_s))
        opened.append(transport)
        return transport

    yield start
    for transport in opened:
        await transport.close()


@pytest.fixture(params=["plain", "tls"])
def over(
    request: pytest.FixtureRequest, serve: Serve, connect: Connect, certificates: Certificates
) -> Callable[..., tuple[ScriptedServer, WebTransport]]:
    def start(*scripts: Script) -> tuple[ScriptedServer, WebTransport]:
        server = serve(*scripts, tls=certificates.good if request.param == "tls" else None)
        return server, connect(server.url)

    return start


Over = Callable[..., tuple[ScriptedServer, WebTransport]]


async def not_sent(transport: WebTransport, timeout_s: float = 5.0) -> NotSent:
    with pytest.raises(NotSent) as caught:
        await transport.send(LOGIN, timeout_s=timeout_s)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def unknown(transport: WebTransport, timeout_s: float = 5.0) -> OutcomeUnknown:
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.send(LOGIN, timeout_s=timeout_s)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def test_request_reaches_the_server_once(over: Over) -> None:
    server, transport = over(answering(OK))
    response = await transport.send(LOGIN)
    assert (200, b"{}", "2") == (
        response.status,
        response.body,
        response.headers["content-length"],
    )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert b"pw=secret" == body
    assert b"post /login?key=secret http/1.1" == lines[0]
    assert {
        b"host: 127.0.0.1:%d" % server.port,
        b"authorization: secret",
        b"accept-encoding: identity",
        b"user-agent: brokergate",
        b"content-length: 9",
    } == set(lines[1:])
    assert 1 == len(server.requests)


async def test_refused_connection_is_not_sent(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert Phase.CONNECT is (await not_sent(connect(f"http://127.0.0.1:{port}"))).phase


async def test_unknown_host_name_is_not_sent(connect: Connect) -> None:
    assert Phase.DNS is (await not_sent(connect("https://nonexistent.invalid"))).phase


async def test_connect_timeout_is_not_sent(connect: Connect) -> None:
    with full_listener() as port:
        error = await not_sent(connect(f"http://127.0.0.1:{port}", connect_s=0.3))
    assert Phase.CONNECT is error.phase


async def test_call_timeout_while_connecting_is_not_sent(connect: Connect) -> None:
    with full_listener() as port:
        await not_sent(connect(f"http://127.0.0.1:{port}"), timeout_s=0.3)


async def test_untrusted_certificate_is_not_sent(
    serve: Serve, connect: Connect, certificates: Certificates
) -> None:
    server = serve(answering(OK), tls=certificates.good)
    assert Phase.TLS is (await not_sent(connect(server.url, trusting=False))).phase
    assert b"" == server.received


async def test_certificate_for_another_host_is_not_sent(
    serve: Serve, connect: Connect, certificates: Certificates
) -> None:
    server = serve(answering(OK), tls=certificates.other_host)
    assert Phase.TLS is (await not_sent(connect(server.url))).phase
    assert b"" == server.received


async def test_plain_text_server_behind_https_is_not_sent(serve: Serve, connect: Connect) -> None:
    def greet(peer: Peer) -> None:
        peer.wait_readable()
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        hold(peer)

    server = serve(greet)
    assert Phase.TLS is (await not_sent(connect(server.url.replace("http:", "https:")))).phase
    assert b"secret" not in server.received


async def test_handshake_that_hangs_is_not_sent(serve: Serve, connect: Connect) -> None:
    server = serve(hold)
    await not_sent(connect(server.url.replace("http:", "https:"), connect_s=0.3))
    assert b"secret" not in server.received


def unread_then_reset(peer: Peer) -> None:
    peer.wait_readable()
    peer.reset()


@pytest.mark.parametrize(
    "script",
    [
        unread_then_reset,
        after_request(Peer.reset),
        after_request(Peer.close),
        after_request(send_then(b"HTTP/1.1 200 OK\r\nContent-Le", Peer.close)),
        after_request(send_then(b"\0" * 50, Peer.close)),
    ],
    ids=["reset unread", "reset", "close", "cut in the head", "garbage"],
)
async def test_no_whole_head_is_maybe_sent_and_not_repeated(over: Over, script: Script) -> None:
    server, transport = over(script, answering(OK))
    error = await unknown(transport)
    assert (Progress.MAYBE_SENT, Phase.WAIT, None) == (error.progress, error.phase, error.status)
    assert 1 == server.accepted
    assert len(server.requests) <= 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["length", "chunk", "last chunk", "gzip"],
)
async def test_body_that_is_not_whole_is_answered(over: Over, answer: bytes) -> None:
    server, transport = over(after_request(send_then(answer, Peer.close)), answering(OK))
    error = await unknown(transport)
    assert (Progress.ANSWERED, Phase.READ, 200) == (error.progress, error.phase, error.status)
    assert (1, 1) == (server.accepted, len(server.requests))


async def test_answer_cut_at_any_byte_never_passes_for_one(serve: Serve, connect: Connect) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"id":1}'

    def cut_at(length: int) -> Script:
        return after_request(send_then(answer[:length], Peer.close))

    server = serve(*[cut_at(length) for length in range(len(answer) + 1)])
    transport = connect(server.url)
    for length in range(len(answer)):
        await unknown(transport)
        assert length + 1 == len(server.requests) == server.accepted
    assert b'{"id":1}' == (await transport.send(LOGIN)).body


async def test_server_that_hangs_is_maybe_sent(over: Over) -> None:
    server, transport = over(after_request(hold), answering(OK))
    error = await unknown(transport, timeout_s=0.3)
    assert (Progress.MAYBE_SENT, ReasonCode.TIMEOUT) == (error.progress, error.reason)
    assert 1 == len(server.requests)
    assert b"{}" == (await transport.send(LOGIN)).body
    assert 2 == server.accepted


async def test_body_that_hangs_is_answered(over: Over) -> None:
    server, transport = over(
        after_request(send_then(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", hold)),
        answering(OK),
    )
    error = await unknown(transport, timeout_s=0.3)
    assert (Progress.ANSWERED, Phase.READ, 200) == (error.progress, error.phase, error.status)
    assert b"{}" == (await transport.send(LOGIN)).body
    assert (2, 2) == (server.accepted, len(server.requests))


async def test_cancelled_call_is_not_repeated_and_its_connection_not_used_again(
    over: Over,
) -> None:
    server, transport = over(after_request(hold), answering(OK))
    task = asyncio.create_task(transport.send(LOGIN))
    while not server.requests:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 == len(server.requests)
    assert b"{}" == (await transport.send(LOGIN)).body
    assert (2, 2) == (server.accepted, len(server.requests))


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_stale_connection_never_doubles_a_request(
    over: Over, end: Callable[[Peer], None]
) -> None:
    ended = threading.Event()

    def end_it(peer: Peer) -> None:
        end(peer)
        ended.set()

    server, transport = over(answering_once_then(end_it), answering(OK))
    await transport.send(LOGIN)
    assert ended.wait(5.0)
    try:
        response = await transport.send(LOGIN)
    except OutcomeUnknown as error:
        assert Progress.MAYBE_SENT is error.progress
        assert (1, 1) == (server.accepted, len(server.requests))
    else:
        assert 200 == response.status
        assert (2, 2) == (server.accepted, len(server.requests))


async def test_stale_connections_leak_no_file_descriptor(over: Over) -> None:
    resets = [threading.Event() for _ in range(8)]

    def resetting(done: threading.Event) -> Script:
        def reset(peer: Peer) -> None:
            peer.reset()
            done.set()

        return answering_once_then(reset)

    _, transport = over(*map(resetting, resets))
    open_files = []
    for done in resets:
        while not done.is_set():
            with contextlib.suppress(OutcomeUnknown):
                await transport.send(LOGIN)
            await asyncio.sleep(0.01)
        open_files.append(len(os.listdir("/proc/self/fd")))
    assert open_files[-1] <= open_files[0] + 2


async def test_connection_that_dies_under_a_second_request_is_maybe_sent(over: Over) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.read_request()
        peer.reset()

    server, transport = over(script, answering(OK))
    await transport.send(LOGIN)
    error = await unknown(transport)
    assert Progress.MAYBE_SENT is error.progress
    assert (1, 2) == (server.accepted, len(server.requests))


async def test_redirect_is_an_answer_and_not_followed(serve: Serve, connect: Connect) -> None:
    other = serve(answering(OK))
    server = serve(
        answering(
            b"HTTP/1.1 307 Moved\r\nLocation: %s/x\r\nContent-Length: 0\r\n\r\n"
            % other.url.encode()
        )
    )
    response = await connect(server.url).send(LOGIN)
    assert (307, f"{other.url}/x") == (response.status, response.headers["location"])
    assert (1, 0) == (len(server.requests), other.accepted)


async def test_server_error_is_an_answer_and_not_repeated(serve: Serve, connect: Connect) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    server = serve(answering(busy, OK))
    assert 503 == (await connect(server.url).send(LOGIN)).status
    assert 1 == len(server.requests)


async def test_cookies_are_not_kept(serve: Serve, connect: Connect) -> None:
    server = serve(answering(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n")))
    transport = connect(server.url)
    await transport.send(LOGIN)
    await transport.send(LOGIN)
    assert 2 == len(server.requests)
    assert b"cookie" not in server.received.lower()


async def test_environment_is_not_read(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: object
) -> None:
    proxy, server = serve(answering(OK)), serve(answering(OK))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    assert 200 == (await connect(server.url).send(LOGIN)).status
    assert (0, 1) == (proxy.accepted, len(server.requests))


async def test_compressed_body_is_unpacked(serve: Serve, connect: Connect) -> None:
    packed = gzip.compress(b'{"a":1}')
    server = serve(
        answering(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
            % (len(packed), packed)
        )
    )
    assert {"a": 1} == (await connect(server.url).send(LOGIN)).json()


async def test_source_address_is_bound(serve: Serve) -> None:
    addresses: list[str] = []

    def script(peer: Peer) -> None:
        addresses.append(peer.socket.getpeername()[0])
        answering(OK)(peer)

    transport = WebTransport(serve(script).url, source_address="127.0.0.7")
    await transport.send(LOGIN)
    await transport.close()
    assert ["127.0.0.7"] == addresses


async def test_closed_transport_sends_nothing(serve: Serve, connect: Connect) -> None:
    server = serve(answering(OK))
    transport = connect(server.url)
    await transport.close()
    assert Phase.POOL is (await not_sent(transport)).phase
    assert 0 == server.accepted


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("POST", "/a\r\nX: y"),
        HttpRequest("POST", "/", (("X", "a\r\nY: b"),)),
        HttpRequest("POST", "/", (("Content-Length", "3"),)),
    ],
)
async def test_request_that_cannot_be_one_request_is_a_value_error(
    serve: Serve, connect: Connect, request_: HttpRequest
) -> None:
    server = serve(answering(OK))
    with pytest.raises(ValueError, match=r"request|header"):
        await connect(server.url).send(request_)
    assert 0 == server.accepted


def test_plain_http_to_another_host_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="loopback"):
        WebTransport("http://broker.example")
