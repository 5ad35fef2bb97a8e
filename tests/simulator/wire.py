"""A client that sees exactly what a socket sees."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any

BODY = b'{"price":"812.50","tag":"123456789012345"}'


@dataclass(frozen=True)
class Seen:
    """What came back, and how it ended: answered, closed (FIN), reset (RST) or silent."""

    data: bytes
    ending: str

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def head(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: sim", "content-type: application/json"]
    lines += [f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Wire:
    """One connection, plain or TLS, driven byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._early = b""

    @classmethod
    async def open(cls, url: str, *, tls: ssl.SSLContext | None = None) -> Wire:
        host, port = url.split("//")[1].rsplit(":", 1)
        return cls(*await asyncio.open_connection(host, int(port), ssl=tls))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def see(self, *, wait_s: float = 5.0, to_head: bool = False) -> Seen:
        """Read one answer, or to the end of the connection, or until nothing came for `wait_s`."""
        data, self._early = self._early, b""
        while (end := _end_of_answer(data, head_only=to_head)) is None:
            try:
                async with asyncio.timeout(wait_s):
                    chunk = await self._reader.read(65536)
            except TimeoutError:
                return Seen(data, "silent")
            except ConnectionResetError:
                return Seen(data, "reset")
            if not chunk:
                return Seen(data, "closed")
            data += chunk
        self._early = data[end:]
        return Seen(data[:end], "answered")

    async def call(self, method: str, path: str, body: bytes = b"", **how: Any) -> Seen:
        self.send(request_bytes(method, path, body))
        return await self.see(**how)

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return


def connect_is_refused(url: str) -> bool:
    host, port = url.split("//")[1].rsplit(":", 1)
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


def _end_of_answer(data: bytes, *, head_only: bool) -> int | None:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        return len(data) if body.endswith(b"0\r\n\r\n") else None
    length = 0 if head_only else int(lowered.split(b"content-length: ")[1].split(b"\r\n")[0])
    end = len(head) + len(found) + length
    return end if len(data) >= end else None
