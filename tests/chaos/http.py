"""A client as plain as a script's: one connection, one request, and it may hang up."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec


class Reply(msgspec.Struct):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content) if self.content else None


class NoReply(Exception):
    """Refused, reset, cut short or too late: the caller cannot know what was done."""


async def call(
    port: int,
    method: str,
    path: str,
    *,
    token: str = "",
    body: Any = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 30.0,
    hang_up_after_s: float | None = None,
) -> Reply:
    """Make one request. `hang_up_after_s`: send it, then close without reading an answer.

    Raises `NoReply`.
    """
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    content = b"" if body is None else msgspec.json.encode(body)
    if content or method in ("POST", "PATCH"):
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    message = "\r\n".join(lines).encode() + b"\r\n\r\n" + content
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(port, message, hang_up_after_s)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
        raise NoReply(f"{type(error).__name__}: {error}") from error


async def _exchange(port: int, message: bytes, hang_up_after_s: float | None) -> Reply:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(message)
        await writer.drain()
        if hang_up_after_s is not None:
            await asyncio.sleep(hang_up_after_s)
            raise ConnectionAbortedError("hung up")
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        if headers.get("transfer-encoding", "").lower() == "chunked":
            content = await _chunks(reader)
        else:
            content = await reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(status, headers, content)
    finally:
        writer.close()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        content += await reader.readexactly(size)
        await reader.readline()
    return content
