"""What goes right: whole answers, warm connections, gates, and which connection carries a call."""

from __future__ import annotations

import asyncio
import gc
import gzip
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.transport import HttpRequest, OrderTransport
from adapters.sdk.transport.answer import AnswerReader
from tests.transport.certificates import Certificates
from tests.transport.gates import RecordingGate
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

ORDER = HttpRequest("POST", "/orders", (("Authorization", "secret"),), b'{"qty":1}')
READ = HttpRequest("GET", "/orders")

Serve = Callable[..., ScriptedServer]


@pytest.fixture(params=["plain", "tls"])
def over(
    request: pytest.FixtureRequest, serve: Serve, certificates: Certificates
) -> Callable[..., tuple[ScriptedServer, OrderTransport]]:
    def start(*scripts: Script, **options: float) -> tuple[ScriptedServer, OrderTransport]:
        tls = certificates.good if request.param == "tls" else None
        server = serve(*scripts, tls=tls)
        return server, OrderTransport(
            server.url,
            ca_file=str(certificates.ca),
            **options,  # type: ignore[arg-type]
        )

    return start


Over = Callable[..., tuple[ScriptedServer, OrderTransport]]


async def test_request_reaches_the_server_once_and_byte_for_byte(over: Over) -> None:
    server, transport = over(answering(OK))
    response = await transport.send(ORDER, gate=RecordingGate())
    await transport.close()
    assert (200, b"{}", {"n": 1}) == (response.status, response.body, {"n": server.accepted})
    assert [
        b"POST /orders HTTP/1.1\r\n"
        b"Host: 127.0.0.1:%d\r\n"
        b"Accept-Encoding: identity\r\n"
        b"User-Agent: brokergate\r\n"
        b"Authorization: secret\r\n"
        b"Content-Length: 9\r\n"
        b"\r\n"
        b'{"qty":1}' % server.port
    ] == server.requests
    assert len(server.requests[0]) == len(server.received)


async def test_an_answer_is_freed_without_a_collection_of_cycles(over: Over) -> None:
    server, transport = over(answering(OK, OK))
    gc.collect()
    gc.disable()
    try:
        await transport.send(READ)
        await transport.send(READ)
        left = [each for each in gc.get_objects() if isinstance(each, AnswerReader)]
    finally:
        gc.enable()
    await transport.close()
    assert 2 == len(server.requests)
    assert [] == left


async def test_host_name_is_verified_and_resolved(serve: Serve, certificates: Certificates) -> None:
    server = serve(answering(OK), tls=certificates.good)
    transport = OrderTransport(
        f"https://localhost:{server.port}/api/v3",
        ca_file=str(certificates.ca),
        source_address="127.0.0.1",
    )
    assert 200 == (await transport.send(READ)).status
    await transport.close()
    assert server.requests[0].startswith(
        b"GET /api/v3/orders HTTP/1.1\r\nHost: localhost:%d\r\n" % server.port
    )


async def test_source_address_is_bound(serve: Serve) -> None:
    addresses: list[str] = []

    def script(peer: Peer) -> None:
        addresses.append(peer.socket.getpeername()[0])
        answering(OK)(peer)

    server = serve(script)
    transport = OrderTransport(server.url, source_address="127.0.0.7")
    await transport.send(READ)
    await transport.close()
    assert ["127.0.0.7"] == addresses


async def test_calls_one_after_another_share_a_connection(over: Over) -> None:
    server, transport = over(answering(OK))
    for _ in range(5):
        assert 200 == (await transport.send(ORDER, gate=RecordingGate())).status
    await transport.close()
    assert (1, 5) == (server.accepted, len(server.requests))


async def test_two_calls_at_once_use_two_connections(over: Over) -> None:
    both = threading.Barrier(2, timeout=10.0)

    def script(peer: Peer) -> None:
        peer.read_request()
        both.wait()
        peer.send(OK)
        hold(peer)

    server, transport = over(script)
    answers = await asyncio.gather(transport.send(ORDER), transport.send(ORDER))
    await transport.close()
    assert [200, 200] == [answer.status for answer in answers]
    assert (2, 2) == (server.accepted, len(server.requests))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_an_answer_and_not_followed(serve: Serve, status: int) -> None:
    other = serve(answering(OK))
    server = serve(
        answering(
            b"HTTP/1.1 %d Moved\r\nLocation: %s/orders\r\nContent-Length: 0\r\n\r\n"
            % (status, other.url.encode())
        )
    )
    transport = OrderTransport(server.url)
    response = await transport.send(ORDER)
    await transport.close()
    assert status == response.status
    assert (1, 0) == (len(server.requests), other.accepted)


async def test_server_error_is_an_answer_and_not_repeated(serve: Serve) -> None:
    server = serve(
        answering(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", OK)
    )
    transport = OrderTransport(server.url)
    assert 503 == (await transport.send(ORDER)).status
    await transport.close()
    assert 1 == len(server.requests)


async def test_cookies_are_not_kept(serve: Serve) -> None:
    server = serve(answering(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n")))
    transport = OrderTransport(server.url)
    await transport.send(READ)
    await transport.send(READ)
    await transport.close()
    assert 2 == len(server.requests)
    assert b"cookie" not in server.received.lower()


async def test_proxies_of_the_environment_are_not_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(answering(OK)), serve(answering(OK))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    transport = OrderTransport(server.url)
    assert 200 == (await transport.send(READ)).status
    await transport.close()
    assert (0, 1) == (proxy.accepted, len(server.requests))


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"{}"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
            b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
            b"{}",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
            % (len(gzip.compress(b"{}")), gzip.compress(b"{}")),
            b"{}",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (OK.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), b"{}"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000, b"x" * 300_000),
    ],
    ids=["interim", "chunked", "gzip", "no content", "big headers", "big body"],
)
async def test_answer_is_read_to_its_end_and_its_connection_used_again(
    over: Over, answer: bytes, body: bytes
) -> None:
    server, transport = over(answering(answer))
    assert body == (await transport.send(ORDER)).body
    assert body == (await transport.send(ORDER)).body
    await transport.close()
    assert (1, 2) == (server.accepted, len(server.requests))


async def test_until_close_body_is_whole_at_the_end_of_the_connection(over: Over) -> None:
    server, transport = over(
        after_request(send_then(b"HTTP/1.1 200 OK\r\n\r\n{}", Peer.close)), answering(OK)
    )
    assert b"{}" == (await transport.send(ORDER)).body
    assert not transport.is_warm()
    assert 200 == (await transport.send(ORDER)).status
    await transport.close()
    assert (2, 2) == (server.accepted, len(server.requests))


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1\r\n\r\n"),
        OK + OK,
        OK + b"x",
        OK + b"\r\n",
    ],
    ids=["close", "http/1.0", "short keep-alive", "second answer", "stray byte", "blank line"],
)
async def test_connection_is_not_used_again_after(serve: Serve, answer: bytes) -> None:
    server = serve(answering(answer), answering(OK))
    transport = OrderTransport(server.url)
    assert b"{}" == (await transport.send(ORDER)).body
    assert not transport.is_warm()
    assert b"{}" == (await transport.send(ORDER, gate=RecordingGate())).body
    await transport.close()
    assert (2, 2) == (server.accepted, len(server.requests))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "action", [Peer.close, Peer.reset, Peer.half_close, lambda peer: peer.send(b"late")]
)
async def test_idle_connection_that_the_server_touched_is_never_used(
    over: Over, action: Callable[[Peer], None]
) -> None:
    touched = threading.Event()

    def touch(peer: Peer) -> None:
        action(peer)
        touched.set()
        if peer.socket.fileno() >= 0:
            hold(peer)

    server, transport = over(answering_once_then(touch), answering(OK))
    await transport.send(READ)
    # No turn of the event loop passes: only the kernel knows what happened.
    assert touched.wait(5.0)
    assert 200 == (await transport.send(ORDER, gate=RecordingGate())).status
    await transport.close()
    assert (2, 2) == (server.accepted, len(server.requests))


async def test_idle_connection_beyond_its_proven_time_is_closed_and_not_used(
    over: Over,
) -> None:
    ended = threading.Event()

    def script(peer: Peer) -> None:
        answering(OK)(peer)
        ended.set()

    server, transport = over(script, answering(OK), proven_for_s=0.1)
    await transport.send(READ)
    assert transport.is_warm()
    await until(lambda: not transport.is_warm())
    assert 200 == (await transport.send(ORDER, gate=RecordingGate())).status
    assert await asyncio.to_thread(ended.wait, 5.0)
    await transport.close()
    assert (2, 2) == (server.accepted, len(server.requests))


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_connection_that_dies_during_ready_is_replaced_without_asking_again(
    over: Over, end: Callable[[Peer], None]
) -> None:
    connected, go, gone = threading.Event(), threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        connected.set()
        go.wait(5.0)
        end(peer)
        gone.set()

    def close_now() -> None:
        # Blocks the event loop, so that the end of the connection is known to the kernel alone.
        go.set()
        assert gone.wait(5.0)

    server, transport = over(script, answering(OK))
    await transport.warm()
    assert await asyncio.to_thread(connected.wait, 5.0)
    gate = RecordingGate(on_ready=close_now)
    assert 200 == (await transport.send(ORDER, gate=gate)).status
    await transport.close()
    assert ["ready", "check"] == gate.calls
    assert (2, 1) == (server.accepted, len(server.requests))


async def test_gate_is_asked_on_an_open_connection_and_before_any_byte(over: Over) -> None:
    server, transport = over(answering(OK))
    seen: list[tuple[int, bytes]] = []

    async def look() -> None:
        await until(lambda: server.accepted == 1)
        seen.append((server.accepted, server.received))

    await transport.send(ORDER, gate=RecordingGate(on_ready=look))
    await transport.close()
    assert [(1, b"")] == seen
    assert 1 == len(server.requests)


class Stop(Exception):
    pass


def refuse() -> None:
    raise Denied("kill switch", reason=ReasonCode.KILL_SWITCH)


def stop() -> None:
    raise Stop


@pytest.mark.parametrize(("raising", "error"), [(refuse, Denied), (stop, Stop)])
@pytest.mark.parametrize("moment", ["on_ready", "on_check"])
async def test_gate_that_raises_sends_nothing_and_keeps_the_connection(
    over: Over, raising: Callable[[], None], error: type[Exception], moment: str
) -> None:
    server, transport = over(answering(OK))
    with pytest.raises(error):
        await transport.send(ORDER, gate=RecordingGate(**{moment: raising}))
    assert b"" == server.received
    assert transport.is_warm()
    assert 200 == (await transport.send(ORDER)).status
    await transport.close()
    assert (1, 1) == (server.accepted, len(server.requests))


async def test_caller_cancelled_during_ready_sends_nothing(over: Over) -> None:
    server, transport = over(answering(OK))
    reached = asyncio.Event()

    async def wait_forever() -> None:
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(transport.send(ORDER, gate=RecordingGate(on_ready=wait_forever)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert b"" == server.received
    assert 200 == (await transport.send(ORDER)).status
    await transport.close()
    assert (1, 1) == (server.accepted, len(server.requests))


async def test_warm_opens_one_connection_and_sends_nothing(over: Over) -> None:
    server, transport = over(answering(OK))
    assert not transport.is_warm()
    await transport.warm()
    await transport.warm()
    assert transport.is_warm()
    assert b"" == server.received
    assert 200 == (await transport.send(ORDER)).status
    await transport.close()
    assert (1, 1) == (server.accepted, len(server.requests))
    assert not transport.is_warm()


async def test_warm_renews_before_the_proven_time_ends(serve: Serve) -> None:
    server = serve(answering(OK))
    transport = OrderTransport(server.url, proven_for_s=0.4)
    await transport.warm()
    for _ in range(6):
        await asyncio.sleep(0.1)
        await transport.warm()
        assert transport.is_warm()
    await transport.close()
    assert 2 <= server.accepted <= 7
    assert b"" == server.received


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("POST", "/a b"),
        HttpRequest("POST", "/a\r\nX: y"),
        HttpRequest("POST", "orders"),
        HttpRequest("POST", "/a#b"),
        HttpRequest("POST", "/ü"),
        HttpRequest("POST ", "/"),
        HttpRequest("post", "/"),
        HttpRequest("POST", "/", (("X", "a\r\nY: b"),)),
        HttpRequest("POST", "/", (("X", "a\nb"),)),
        HttpRequest("POST", "/", (("X", "a\0b"),)),
        HttpRequest("POST", "/", (("X", "₹"),)),
        HttpRequest("POST", "/", (("X: y\r\nZ", "a"),)),
        HttpRequest("POST", "/", (("", "a"),)),
        HttpRequest("POST", "/", (("Content-length", "3"),)),
        HttpRequest("POST", "/", (("Transfer-Encoding", "chunked"),)),
        HttpRequest("POST", "/", (("HOST", "other"),)),
    ],
)
async def test_request_that_cannot_be_one_request_is_a_value_error(
    serve: Serve, request_: HttpRequest
) -> None:
    server = serve(answering(OK))
    transport = OrderTransport(server.url)
    gate = RecordingGate()
    with pytest.raises(ValueError, match=r"request|header"):
        await transport.send(request_, gate=gate)
    await transport.close()
    assert ([], 0) == (gate.calls, server.accepted)


@pytest.mark.parametrize(
    "url",
    [
        "http://broker.example",
        "http://192.0.2.1",
        "http://127.0.0.1.example",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "https://",
        "https://user:password@broker.example",
        "https://broker.example/?a=b",
        "https://broker.example/#a",
        "https://broker.example/a b",
        "https://br oker.example",
        "https://broker.example:99999",
    ],
)
def test_base_url_that_is_unsafe_or_unclear_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError):
        OrderTransport(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://[::1]:80", "http://localhost:80"])
def test_plain_http_to_loopback_is_allowed(url: str) -> None:
    assert not OrderTransport(url).is_warm()


def test_reprs_hold_no_secret() -> None:
    request = HttpRequest("GET", "/a?token=secret", (("Authorization", "secret"),), b"secret")
    assert "secret" not in repr(request)


def test_importing_the_transport_does_not_import_niquests() -> None:
    code = "import sys, adapters.sdk.transport; sys.exit('niquests' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], timeout=60).returncode
