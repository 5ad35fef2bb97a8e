"""The load's HTTP client: one keep-alive connection, as little work per request as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns
from typing import NamedTuple, cast

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Answered(NamedTuple):
    """When a request was written and its answer complete (nanoseconds), and the answer."""

    began_ns: int
    ended_ns: int
    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """Sends one request after another; the clock stops with the answer's last byte."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._began_ns = 0
        self._answer: asyncio.Future[Answered] | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        make: Callable[[], Connection] = cls
        _, connection = await asyncio.get_running_loop().create_connection(make, host, port)
        return connection

    def request(self, message: bytes) -> asyncio.Future[Answered]:
        """Write a request and return the future of its answer; it raises `ConnectionError`."""
        self._answer = answer = self._loop.create_future()
        self._began_ns = perf_counter_ns()
        self._transport.write(message)
        return answer

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head_end = received.find(_HEAD_END)
        if head_end >= 0:
            body_begin = head_end + len(_HEAD_END)
            end = body_begin + _content_length(received[:head_end])
            if len(received) >= end:
                ended_ns = perf_counter_ns()
                self._received = received[end:]
                answer = self._answer
                if answer is not None and not answer.done():
                    status, body = int(received[9:12]), received[body_begin:end]
                    answer.set_result(Answered(self._began_ns, ended_ns, status, body))
                return
        self._received = received

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the server closed the connection: {exc}"))


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(_LENGTH)
    if at < 0:
        raise ValueError("an answer without Content-Length")
    line_end = lower.find(b"\r\n", at)
    return int(lower[at + len(_LENGTH) : line_end if line_end >= 0 else None])
