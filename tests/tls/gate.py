"""A real listener with TLS, and clients that look at it as a scanner would."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

from gateway.api.server import ApiServer, Listen
from gateway.cli.ports import free_port

ANSWER_S = 60


class Gate:
    """Serves the rig's application a second time, over TLS. Start with `async with`."""

    def __init__(self, app, data_dir: Path, *, held: socket.socket | None = None, **tls) -> None:
        """`held`: a socket that listens already, as a service manager's does."""
        data_dir.mkdir(exist_ok=True)
        self.port = held.getsockname()[1] if held else free_port("127.0.0.1")
        given = tls | ({"fd": held.fileno()} if held else {})
        self.server = ApiServer(app, Listen("127.0.0.1", self.port, **given), data_dir)

    async def __aenter__(self) -> Gate:
        ready = asyncio.Event()
        self._serving = asyncio.create_task(self.server.run(ready))
        await ready.wait()
        await self._answers()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.server.stop()
        await self._serving

    async def _answers(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def get(self, path: str, context: ssl.SSLContext, key: str = "") -> tuple[bytes, bytes]:
        """Make one request on a connection of its own; returns certificate and answer."""
        return await asyncio.to_thread(self.get_now, path, context, key)

    def get_now(self, path: str, context: ssl.SSLContext, key: str = "") -> tuple[bytes, bytes]:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S)
        with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            served = secure.getpeercert(binary_form=True)
            lines = [f"GET {path} HTTP/1.1", "Host: gate", "Connection: close"]
            lines += [f"Authorization: Bearer {key}"] if key else []
            secure.sendall("\r\n".join([*lines, "", ""]).encode())
            parts = []
            while part := secure.recv(65536):
                parts.append(part)
        return served or b"", b"".join(parts)


def trusting(ca: Path, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    if client is not None:
        context.load_cert_chain(*map(str, client))
    return context


def anything(version: ssl.TLSVersion, ciphers: str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"):
    """A scanner's client: one version, every cipher this machine has, no questions asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    return context
