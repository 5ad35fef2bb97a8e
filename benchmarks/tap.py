"""A relay that remembers what passes: so that the direct calls are the gateway's own requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit


class Tap:
    """Stands between the gateway and one simulator, byte for byte. Use with `async with`.

    `urls` are the simulator's base URLs, leading here.
    """

    def __init__(self, base_urls: Mapping[str, str]) -> None:
        self._base_urls = base_urls
        target = urlsplit(next(iter(base_urls.values())))
        self.host, self.port = target.hostname or "", target.port or 0
        self._requests: list[bytearray] = []
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self.urls: dict[str, str] = {}

    async def __aenter__(self) -> Tap:
        self._server = await asyncio.start_server(self._relay, self.host, 0)
        port = self._server.sockets[0].getsockname()[1]
        self.urls = {
            name: url.replace(f":{self.port}", f":{port}", 1)
            for name, url in self._base_urls.items()
        }
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def request_with(self, text: str) -> bytes:
        """Return the one request that held this text. Raises `LookupError`."""
        found = [bytes(request) for request in self._requests if text.encode() in request]
        if len(found) != 1:
            raise LookupError(f"{len(found)} requests passed with {text!r}")
        return found[0]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self.host, self.port)
        # Requests are not pipelined: what comes after an answer begins a new one.
        state = {"answered": True}

        async def out() -> None:
            while data := await reader.read(65536):
                if state["answered"]:
                    self._requests.append(bytearray())
                    state["answered"] = False
                self._requests[-1] += data
                back.write(data)

        async def home() -> None:
            while data := await there.read(65536):
                state["answered"] = True
                writer.write(data)

        pumps = {asyncio.ensure_future(out()), asyncio.ensure_future(home())}
        self._pumps |= pumps
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._pumps -= pumps
            writer.close()
            back.close()
