"""granian, embedded: the TCP listener and the control socket on one process and one loop.

granian's embedded server installs no signal handlers, so stopping is ours: see `gateway.serve`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from functools import partial
from pathlib import Path
from typing import Any

from blacksheep import Application
from granian import net
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.embed import Server

from gateway.api.app import control_app, without_lifespan

CONTROL_SOCKET = "control.sock"
_BACKPRESSURE = 512


class Listen:
    """Where to listen, and with which certificate. `fd`: a socket that listens there already."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        cert: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        fd: int | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.fd = fd
        self.cert = cert
        self.key = key
        self.client_ca = client_ca


class PortTaken(RuntimeError):
    """Another program listens where the gateway should."""


def assert_port_free(host: str, port: int) -> None:
    """Raise `PortTaken` with words for a person, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {host}:{port}: {error.strerror}; is another brokergate or"
                " program there? choose another port (server.port, --port)"
            ) from error


class _OnSocket(Server):
    """granian on a socket that it did not open, which its own options do not offer."""

    def __init__(self, fd: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._given_fd = fd

    def _init_shared_socket(self) -> None:
        make: Any = net.SocketHolder  # type: ignore[attr-defined]
        self._ssp = None
        self._shd: Any = make(self._given_fd, uds=False, backlog=self.backlog)
        self._sfd = self._shd.get_fd()


class ApiServer:
    """Serves the application until stopped."""

    def __init__(self, app: Application, listen: Listen, data_dir: Path) -> None:
        self._app = app
        self._socket = data_dir / CONTROL_SOCKET
        self._socket.unlink(missing_ok=True)
        common: dict[str, Any] = {
            "interface": Interfaces.ASGI,
            "http": HTTPModes.http1,
            "websockets": False,
            "log_enabled": False,
            "backpressure": _BACKPRESSURE,
        }
        kind = Server if listen.fd is None else partial(_OnSocket, listen.fd)
        self._tcp = kind(
            without_lifespan(app),
            address=listen.host,
            port=listen.port,
            ssl_cert=listen.cert,
            ssl_key=listen.key,
            ssl_ca=listen.client_ca,
            ssl_client_verify=listen.client_ca is not None,
            ssl_protocol_min=SSLProtocols.tls13,
            **common,
        )
        self._control = Server(control_app(app), uds=self._socket, **common)

    async def run(self, ready: asyncio.Event) -> None:
        """Serve; sets `ready` when both listeners answer. Returns after `stop`."""
        await self._app.start()  # type: ignore[no-untyped-call]
        # The socket is made with the mode that the umask leaves: nobody else may ever open it.
        mask = os.umask(0o177)
        try:
            tasks = [
                asyncio.create_task(self._control.serve()),
                asyncio.create_task(self._tcp.serve()),
            ]
            # granian tells nobody that it listens; the socket's file is the sign.
            while not self._socket.exists() and not any(t.done() for t in tasks):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        finally:
            os.umask(mask)
        if self._socket.exists() and stat.S_IMODE(self._socket.stat().st_mode) & 0o077:
            self._socket.chmod(0o600)
        ready.set()
        try:
            await asyncio.gather(*tasks)
        finally:
            self._socket.unlink(missing_ok=True)
            await self._app.stop()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        self._tcp.stop()  # type: ignore[no-untyped-call]
        self._control.stop()  # type: ignore[no-untyped-call]
