"""The simulators' HTTP/1.1 server: raw sockets, so that every fault happens exactly as said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import struct
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, cast

import httptools

from adapters.sdk.simulator.control import PREFIX
from adapters.sdk.simulator.faults import Action, Applied, Effects
from adapters.sdk.simulator.faulty import FaultyCall
from adapters.sdk.simulator.http import SimRequest, SimResponse

if TYPE_CHECKING:
    from adapters.sdk.simulator.base import BrokerSimulator

_log = logging.getLogger(__name__)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SimServer:
    """Two listeners of one simulator: the broker's, which faults may close, and the control's.

    The broker's port stays bound by a socket that never listens, so that while connections are
    refused nobody else can take it.
    """

    def __init__(self, simulator: BrokerSimulator, *, tls: ssl.SSLContext | None) -> None:
        self.simulator = simulator
        self._tls = tls
        self._host = ""
        self._reserved: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._control: asyncio.Server | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.control_url = ""

    async def start(self, host: str, port: int) -> int:
        """Bind and listen. Raises `OSError` when the port is taken."""
        self._host = host
        self._reserved = _bound(host, port)
        actual: int = self._reserved.getsockname()[1]
        scheme = "https" if self._tls else "http"
        shown = f"[{host}]" if ":" in host else host
        await self._listen()
        control = _bound(host, 0)
        control_port = control.getsockname()[1]
        self._control = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, control_only=True), sock=control
        )
        self.url = f"{scheme}://{shown}:{actual}"
        self.control_url = f"http://{shown}:{control_port}"
        self.simulator.faults.on_connection_fault = self.connection_fault
        self.simulator.faults.on_clear = self._listen_again
        return actual

    async def stop(self) -> None:
        """Close listeners, connections and whatever is still under way."""
        self.simulator.faults.on_connection_fault = None
        self.simulator.faults.on_clear = None
        self._stop_listening()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(connection.closed.wait() for connection in connections))

    def connection_fault(self, applied: Applied) -> None:
        """Carry out `refuse` or `close_idle` now."""
        if applied.action is Action.CLOSE_IDLE:
            self._close_idle(reset=applied.params.how == "rst")
            return
        self._stop_listening()
        if applied.params.close_idle:
            self._close_idle(reset=False)
        if applied.params.ms is not None:
            loop = asyncio.get_running_loop()
            self._resume = loop.call_later(applied.params.ms / 1000, self._listen_again)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that outlives its connection, until `stop`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def joined(self, connection: Connection) -> None:
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    async def _listen(self) -> None:
        if self._reserved is None or self._listener is not None:
            return
        listening = _bound(self._host, self._reserved.getsockname()[1])
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, control_only=False), sock=listening, ssl=self._tls
        )

    def _listen_again(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._listener is None and self._reserved is not None:
            self.spawn(self._listen())

    def _stop_listening(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _close_idle(self, *, reset: bool) -> None:
        for connection in list(self._connections):
            if connection.is_idle and not connection.control_only:
                if reset:
                    connection.reset()
                else:
                    connection.close()


class Connection(asyncio.Protocol):
    """One client connection; requests on it are answered one after the other."""

    def __init__(self, server: SimServer, *, control_only: bool) -> None:
        self.control_only = control_only
        self._server = server
        self._simulator = server.simulator
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[tuple[SimRequest, Effects | None, bool]] = deque()
        self._busy = False
        self._doomed = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = asyncio.Event()
        self._url = b""
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._request: SimRequest | None = None
        self._effects: Effects | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request, not even a part of one, is under way."""
        return not self._busy and not self._queue and self._request is None and not self._url

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.joined(self)
        if not self.control_only and self._simulator.faults.strikes_connect():
            self.reset()

    def data_received(self, data: bytes) -> None:
        if self._doomed:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()
        except httptools.HttpParserError:
            self.write(SimResponse(400, "Bad Request"), keep_alive=False)
        if self._doomed:
            self.reset()
        else:
            self._next()

    def eof_received(self) -> bool:
        # A client that shuts down its writing half has given up on us: let the transport close.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._writable.set()
        self._server.left(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Called by the parser

    def on_message_begin(self) -> None:
        self._url, self._headers, self._chunks = b"", {}, []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._doomed:
            return
        url = httptools.parse_url(self._url)
        path = (url.path or b"/").decode("latin-1")
        method = self._parser.get_method().decode("ascii")
        self._request = request = SimRequest(
            method,
            path,
            raw_query=(url.query or b"").decode("latin-1"),
            headers=self._headers,
        )
        self._effects = None
        if not path.startswith(PREFIX) and not self.control_only:
            request.kind = self._simulator.kind_of(method, path)
            self._effects = self._simulator.faults.pick(request.kind)
            if self._effects and self._effects.action is Action.RESET_BEFORE_READ:
                self._doomed = True

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._doomed or self._request is None:
            return
        self._request.body = b"".join(self._chunks)
        entry = (self._request, self._effects, self._parser.should_keep_alive())
        self._queue.append(entry)
        self._request, self._url = None, b""

    # Answering

    def _next(self) -> None:
        while self._queue and not self._busy and not self.closed.is_set():
            request, effects, keep_alive = self._queue.popleft()
            self._busy = True
            if request.path.startswith(PREFIX):
                self.finish(request, self._simulator.control.answer(request), keep_alive)
            elif self.control_only:
                self.finish(request, SimResponse(404, "only /_sim/ answers here"), keep_alive)
            else:
                self._simulator.record(request)
                if effects is None:
                    self.finish(request, self.accept(request), keep_alive)
                else:
                    call = FaultyCall(self, self._server, request, effects, keep_alive)
                    self._server.spawn(call.run())

    def accept(self, request: SimRequest) -> SimResponse:
        """Let the broker handle the request; a bug in its simulator is a 500 and logged."""
        try:
            return self._simulator.handle(request)
        except Exception:
            _log.exception("%s simulator failed on %s", self._simulator.broker, request.path)
            return SimResponse(500, {"error": "simulator bug"})

    @property
    def simulator(self) -> BrokerSimulator:
        return self._simulator

    def finish(self, request: SimRequest, response: SimResponse, keep_alive: bool) -> None:
        """Write the answer and go on to the next request."""
        if request.method == "HEAD":
            length = len(response.whole_body())
            self.write_bytes(response.head(length=length))
        elif not isinstance(response.body, bytes):
            self._server.spawn(self._stream(response, response.body, keep_alive))
            return
        else:
            self.write_bytes(response.head(length=len(response.body)) + response.body)
        self._answered(keep_alive)

    def _answered(self, keep_alive: bool) -> None:
        if not keep_alive:
            self.close()
            return
        self._busy = False
        self._next()

    async def _stream(self, response: SimResponse, body: Iterator[bytes], keep_alive: bool) -> None:
        self.write_bytes(response.head(length=None))
        for chunk in body:
            if self.closed.is_set():
                return
            if chunk:
                self.write_bytes(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self._writable.wait()
        self.write_bytes(b"0\r\n\r\n")
        self._answered(keep_alive)

    def write(self, response: SimResponse, *, keep_alive: bool) -> None:
        """Write an answer outside the queue (a request that could not be parsed)."""
        body = response.whole_body()
        self.write_bytes(response.head(length=len(body)) + body)
        if not keep_alive:
            self.close()

    def write_bytes(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def flushed(self) -> None:
        """Wait until the kernel has every byte written so far."""
        while not self.closed.is_set() and self._transport is not None:
            if self._transport.get_write_buffer_size() == 0:
                break
            await asyncio.sleep(0.001)

    def close(self) -> None:
        """End the connection politely, after what was written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """End the connection with RST."""
        if self._transport is None or self._transport.is_closing():
            return
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            # Socket options belong to the connection, so a duplicate descriptor sets them on
            # every event loop, also where the loop's own socket object refuses to.
            with contextlib.closing(socket.socket(fileno=os.dup(raw.fileno()))) as duplicate:
                duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
