"""A small HTTP/1.1 client for a Unix socket, TCP or TLS. One call, one connection, never twice.

A full HTTP library would cost the console more memory and start-up time than all else it does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

_MAX_HEAD = 64 * 1024
_CONNECT_S = 5.0
_BROKEN = (OSError, EOFError, ValueError, asyncio.LimitOverrunError, ssl.SSLError)


class Unreachable(Exception):
    """No connection: nothing of the call has left."""


class NoAnswer(Exception):
    """The call was under way and no usable answer came: what it asked for may have been done."""


class Where(NamedTuple):
    """A gateway: the path of its control socket, or host and port, with TLS where `tls` is set."""

    socket: str | None = None
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None
    key: str | None = None

    def __str__(self) -> str:
        if self.socket:
            return self.socket
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Where({self})"


class Answer(NamedTuple):
    """An answer; `body` is its JSON, or None when it has none."""

    status: int
    body: Any


async def call(
    where: Where,
    method: str,
    target: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 15.0,
    is_text: bool = False,
) -> Answer:
    """Make one call. Raises `Unreachable` or `NoAnswer`, which differ in what may have happened.

    `is_text`: a good answer is text, and so is the body then.
    """
    data = msgspec.json.encode(body) if body is not None else b""
    reader, writer = await _connected(where)
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(_head(where, method, target, len(data), headers or {}) + data)
            await writer.drain()
            status, answered = await _read_head(reader)
            content = b"".join([piece async for piece in _pieces(reader, answered)])
        if is_text and status < 400:
            return Answer(status, content.decode())
        return Answer(status, msgspec.json.decode(content) if content else None)
    except TimeoutError as error:
        raise NoAnswer(f"no answer within {timeout_s:.0f} s") from error
    except _BROKEN as error:
        raise NoAnswer(f"the answer broke off: {error or type(error).__name__}") from error
    finally:
        writer.close()


@asynccontextmanager
async def stream(
    where: Where, target: str, *, headers: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
    """Open an endless answer; yields its status and its pieces. Raises as `call` does."""
    reader, writer = await _connected(where)
    try:
        try:
            async with asyncio.timeout(_CONNECT_S):
                accept = {"Accept": "text/event-stream", **(headers or {})}
                writer.write(_head(where, "GET", target, 0, accept))
                await writer.drain()
                status, answered = await _read_head(reader)
        except TimeoutError as error:
            raise NoAnswer("no answer to the request for events") from error
        except _BROKEN as error:
            raise NoAnswer(f"the answer broke off: {error or type(error).__name__}") from error
        yield status, _guarded(_pieces(reader, answered))
    finally:
        writer.close()


async def _guarded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for piece in pieces:
            yield piece
    except _BROKEN as error:
        raise NoAnswer(f"the stream broke off: {error or type(error).__name__}") from error


async def _connected(where: Where) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(_CONNECT_S):
            if where.socket:
                return await asyncio.open_unix_connection(where.socket, limit=_MAX_HEAD)
            return await asyncio.open_connection(
                where.host, where.port, ssl=where.tls, limit=_MAX_HEAD
            )
    except TimeoutError as error:
        raise Unreachable(f"no connection within {_CONNECT_S:.0f} s") from error
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(_why(error)) from error


def _why(error: OSError) -> str:
    """Say what a person can do about it, where that is plain."""
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "nothing listens there; is `brokergate serve` running?"
    if isinstance(error, PermissionError):
        return "its socket is another user's; run the console as the gateway's user"
    return error.strerror or str(error)


def _head(where: Where, method: str, target: str, length: int, headers: Mapping[str, str]) -> bytes:
    # Both go on the line as they are; a line break in either would begin a header of its own.
    if any(character <= " " for character in target):
        raise ValueError("a request target holds no blanks")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {_host(where)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if where.key:
        lines.append(f"Authorization: Bearer {where.key}")
    if length or method != "GET":
        lines += [f"Content-Length: {length}", "Content-Type: application/json"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _host(where: Where) -> str:
    if where.socket:
        return "gateway"
    host = f"[{where.host}]" if ":" in where.host else where.host
    return f"{host}:{where.port}"


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return status, headers


async def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while piece := await reader.read(_MAX_HEAD):
            yield piece
