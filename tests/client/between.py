"""Something that stands between a client and the gateway and can lose what passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import NamedTuple

import msgspec


class Say(NamedTuple):
    """Answer in the gateway's place, without asking it."""

    status: int
    body: object
    headers: dict[str, str] = {}


PASS, LOSE, DROP, HANG = "pass", "lose", "drop", "hang"


class Between:
    """A relay, one request per connection. What it does comes from `todo`, then it passes all.

    `LOSE` lets the gateway have the request and cuts the answer; `DROP` cuts before; `HANG` lets
    the gateway have it and never answers. `seen` is what came: method, target, idempotency key.
    """

    def __init__(self, port: int) -> None:
        self.todo: deque[str | Say] = deque()
        self.seen: list[tuple[str, str, str | None]] = []
        self.passed = 0
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Between:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection that is open."""
        for writer in list(self._open):
            writer.transport.abort()

    def keys(self, target: str = "/v1/orders") -> list[str | None]:
        """The idempotency keys of what was posted to a path."""
        return [key for method, path, key in self.seen if (method, path) == ("POST", target)]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head, body = await _request(reader)
            line, *rest = head.decode("latin-1").split("\r\n")
            fields = {n.lower(): v.strip() for n, _, v in (each.partition(":") for each in rest)}
            self.seen.append((*line.split(" ")[:2], fields.get("idempotency-key")))  # type: ignore[arg-type]
            await self._answer(self.todo.popleft() if self.todo else PASS, head, body, writer)
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            await _closed(writer)

    async def _answer(
        self, what: str | Say, head: bytes, body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if isinstance(what, Say):
            writer.write(_reply(what))
            await writer.drain()
            return
        if what == DROP:
            writer.transport.abort()
            return
        reader, onward = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            lines = head.split(b"\r\n")
            kept = [line for line in lines[1:] if not line.lower().startswith(b"connection:")]
            onward.write(b"\r\n".join([lines[0], *kept, b"Connection: close"]) + b"\r\n\r\n" + body)
            await onward.drain()
            if what in (LOSE, HANG):
                await reader.read()
                if what == HANG:
                    await asyncio.sleep(3600)
                writer.transport.abort()
                return
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
                self.passed += len(piece)
        finally:
            await _closed(onward)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head, await reader.readexactly(length)


def _reply(said: Say) -> bytes:
    body = said.body if isinstance(said.body, bytes) else msgspec.json.encode(said.body)
    fields = {"Content-Length": str(len(body)), "Connection": "close", **said.headers}
    lines = [f"HTTP/1.1 {said.status} As Scripted", *(f"{n}: {v}" for n, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
