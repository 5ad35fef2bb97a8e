"""A listener as a script would write one: a socket, HTTP and server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httptools
import msgspec

from tests.gateway.rig import Rig


class Listener:
    """Reads events one after the other; each waits at most `patience_s`."""

    def __init__(self, reader: asyncio.StreamReader, patience_s: float) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self._reader = reader
        self._patience_s = patience_s
        self._parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended = True

    async def open(self) -> None:
        while not self.status or (b"\n\n" not in self.body and not self.ended):
            await self._more()

    async def event(self) -> dict[str, Any]:
        """Return the next event: its data, which must agree with its id and its name."""
        while True:
            block, found, rest = self.body.partition(b"\n\n")
            if not found:
                assert not self.ended, "the stream ended"
                await self._more()
                continue
            self.body = rest
            fields = dict(
                line.split(": ", 1) for line in block.decode().splitlines() if line[0] != ":"
            )
            if "data" in fields:
                data: dict[str, Any] = msgspec.json.decode(fields["data"])
                assert int(fields["id"]) == data["seq"]
                assert fields["event"] == data.get("type", data.get("kind"))
                return data

    async def until(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the events up to the first that has these values."""
        events = [await self.event()]
        while any(events[-1].get(name) != value for name, value in wanted.items()):
            events.append(await self.event())
        return events

    async def finish(self) -> None:
        """Read on until the gateway ends the stream."""
        while not self.ended:
            await self._more()

    async def _more(self) -> None:
        async with asyncio.timeout(self._patience_s):
            data = await self._reader.read(65_536)
        if not data:
            self.ended = True
            return
        self._parser.feed_data(data)


@asynccontextmanager
async def listening(
    rig: Rig, path: str, *, key: str | None = None, after: int | None = None, patience_s: float = 20
) -> AsyncIterator[Listener]:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: gate",
        f"Authorization: Bearer {rig.key if key is None else key}",
    ]
    if after is not None:
        lines.append(f"Last-Event-ID: {after}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    listener = Listener(reader, patience_s)
    try:
        await listener.open()
        yield listener
    finally:
        writer.close()
