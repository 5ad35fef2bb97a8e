"""One client connection of a simulator: HTTP/1.1 read and written by hand, reset at will."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import httptools

from adapters.sdk.simulator.actions import Action
from adapters.sdk.simulator.control import PREFIX
from adapters.sdk.simulator.faults import Effects
from adapters.sdk.simulator.faulty import FaultyCall
from adapters.sdk.simulator.http import SimRequest, SimResponse

if TYPE_CHECKING:
    from adapters.sdk.simulator.base import BrokerSimulator
    from adapters.sdk.simulator.server import SimServer

_log = logging.getLogger(__name__)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


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
            self._refuse_garbage()
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
            self.write_bytes(response.head(length=length, keep_alive=keep_alive))
        elif not isinstance(response.body, bytes):
            self._server.spawn(self._stream(response, response.body, keep_alive))
            return
        else:
            head = response.head(length=len(response.body), keep_alive=keep_alive)
            self.write_bytes(head + response.body)
        self._answered(keep_alive)

    def _answered(self, keep_alive: bool) -> None:
        if not keep_alive:
            self.close()
            return
        self._busy = False
        self._next()

    async def _stream(self, response: SimResponse, body: Iterator[bytes], keep_alive: bool) -> None:
        self.write_bytes(response.head(length=None, keep_alive=keep_alive))
        for chunk in body:
            if self.closed.is_set():
                return
            if chunk:
                self.write_bytes(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self._writable.wait()
        self.write_bytes(b"0\r\n\r\n")
        self._answered(keep_alive)

    def _refuse_garbage(self) -> None:
        """Answer bytes that are not HTTP, outside the queue, and hang up."""
        response = SimResponse(400, "Bad Request")
        body = response.whole_body()
        self.write_bytes(response.head(length=len(body), keep_alive=False) + body)
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
        # Some loops write at the end of their round, after the buffer was counted as empty.
        await asyncio.sleep(0.002)

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
