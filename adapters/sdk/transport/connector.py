"""Opening connections: DNS, TCP, TLS, each failure told apart, and nothing sent in any of them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

from adapters.sdk.errors import NotSent, Phase
from adapters.sdk.transport.connection import Connection
from adapters.sdk.transport.origin import Origin, as_address, tls_context

_Address = tuple[socket.AddressFamily, Any]


class Connector:
    """Opens connections to one origin."""

    def __init__(self, origin: Origin, *, source_address: str | None, ca_file: str | None) -> None:
        self._origin = origin
        self._source = None if source_address is None else ipaddress.ip_address(source_address)
        self._ca_file = ca_file
        self._looking_up: asyncio.Future[list[_Address]] | None = None

    async def open(self, timeout_s: float) -> Connection:
        """Open a connection. Raises `NotSent` with the phase that failed, and nothing else."""
        phase = Phase.DNS
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await self._resolve()
                phase = Phase.CONNECT
                sock = await self._connect(addresses, timeout_s)
                phase = Phase.TLS if self._origin.is_tls else Phase.CONNECT
                return await self._wrap(sock)
        except TimeoutError as error:
            raise NotSent(f"{self._origin}: {phase} timed out", phase=phase) from error
        except (OSError, UnicodeError) as error:
            raise NotSent(f"{self._origin}: {phase} failed: {error}", phase=phase) from error

    async def _wrap(self, sock: socket.socket) -> Connection:
        loop = asyncio.get_running_loop()
        tls = tls_context(self._ca_file) if self._origin.is_tls else None
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self._origin, sock),
                sock=sock,
                ssl=tls,
                server_hostname=self._origin.host if tls is not None else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _connect(self, addresses: list[_Address], timeout_s: float) -> socket.socket:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        failure: OSError = OSError("no address to connect to")
        for position, (family, address) in enumerate(addresses):
            # Each address gets its share: one that swallows packets leaves time for the rest.
            share_s = (deadline - loop.time()) / (len(addresses) - position)
            sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._source is not None:
                    sock.bind((str(self._source), 0))
                async with asyncio.timeout(share_s):
                    await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure

    async def _resolve(self) -> list[_Address]:
        literal = as_address(self._origin.host)
        if literal is not None:
            is_v4 = literal.version == 4
            family = socket.AF_INET if is_v4 else socket.AF_INET6
            port = self._origin.port
            return [(family, (str(literal), port) if is_v4 else (str(literal), port, 0, 0))]
        if self._looking_up is None or self._looking_up.done():
            # One look-up at a time: each holds a thread for as long as the resolver hangs.
            self._looking_up = asyncio.ensure_future(self._look_up())
            self._looking_up.add_done_callback(_retrieve)
        return await asyncio.shield(self._looking_up)

    async def _look_up(self) -> list[_Address]:
        family = socket.AF_UNSPEC
        if self._source is not None:
            family = socket.AF_INET if self._source.version == 4 else socket.AF_INET6
        found = await asyncio.get_running_loop().getaddrinfo(
            self._origin.host,
            self._origin.port,
            family=family,
            type=socket.SOCK_STREAM,
            proto=socket.IPPROTO_TCP,
        )
        addresses: list[_Address] = [(item[0], item[4]) for item in found]
        if not self._origin.is_tls:
            addresses = [
                (kind, address)
                for kind, address in addresses
                if ipaddress.ip_address(address[0]).is_loopback
            ]
        return addresses


def _retrieve(future: asyncio.Future[list[_Address]]) -> None:
    # Everyone who waited may have given up by now; asyncio would log an unread exception.
    if not future.cancelled():
        future.exception()
