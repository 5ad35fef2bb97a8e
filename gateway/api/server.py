"""granian, embedded: the TCP listener and the control socket on one process and one loop.

granian's embedded server installs no signal handlers, so stopping is ours: see `gateway.serve`.
It reads certificates once, when a listener is made. Renewed ones are therefore served by a second
listener on the same port (granian binds with SO_REUSEPORT); the first gets nothing new (see
`handover`) and ends when its last answer is out, so that no request is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import stat
import time
from functools import partial
from pathlib import Path
from typing import Any

from blacksheep import Application
from granian import net
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from gateway.api.app import control_app, without_lifespan
from gateway.api.handover import Door, count_listeners, give_all_to_newest

log = logging.getLogger(__name__)

CONTROL_SOCKET = "control.sock"
_BACKPRESSURE = 512
# Whoever sends headers slowly is hung up on, and so is who sends more of them than anybody needs.
# The same time ends a connection that nothing is asked on, so it must not be short.
HEADERS_MS = 30_000
_MOST_HEADER_BYTES = 64 * 1024
_COMES_UP_S = 20.0
_SAME_CERTIFICATE_S = 1.0
# For those who are being greeted, and for those who are connected and call now and then.
_LEAVE_S = 10.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


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
        client_crl: Path | None = None,
        min_version: str = "1.3",
        fd: int | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.fd = fd
        self.cert = cert
        self.key = key
        self.client_ca = client_ca
        self.client_crl = client_crl
        self.min_version = min_version


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
        # A copy: the listener closes it when it ends, and another may follow on the same socket.
        self._shd: Any = make(os.dup(self._given_fd), uds=False, backlog=self.backlog)
        self._sfd = self._shd.get_fd()


class ApiServer:
    """Serves the application until stopped."""

    def __init__(self, app: Application, listen: Listen, data_dir: Path) -> None:
        self._app = app
        self._listen = listen
        self._socket = data_dir / CONTROL_SOCKET
        self._socket.unlink(missing_ok=True)
        self._served: bytes | None = None
        self._tcp, self._door = self._listener()
        self._control = Server(control_app(app), uds=self._socket, **_common())
        self._running: dict[asyncio.Task[None], Server] = {}
        self._ended: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
        self._leaving: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(self, ready: asyncio.Event) -> None:
        """Serve; sets `ready` when both listeners answer. Returns after `stop`."""
        await self._app.start()  # type: ignore[no-untyped-call]
        # The socket is made with the mode that the umask leaves: nobody else may ever open it.
        mask = os.umask(0o177)
        try:
            tasks = [self._serve(self._control), self._serve(self._tcp)]
            # granian tells nobody that it listens; the socket's file is the sign.
            while not self._socket.exists() and not any(t.done() for t in tasks):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        finally:
            os.umask(mask)
        if self._socket.exists() and stat.S_IMODE(self._socket.stat().st_mode) & 0o077:
            self._socket.chmod(0o600)
        ready.set()
        try:
            while self._running:
                task = await self._ended.get()
                del self._running[task]
                task.result()
        finally:
            # Whatever is left was hung up on, or its neighbour failed.
            left = list(self._running)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            self._socket.unlink(missing_ok=True)
            await self._app.stop()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        self._stopped = True
        if self._leaving is not None:
            self._leaving.cancel()
        for server in self._running.values():
            server.stop()  # type: ignore[no-untyped-call]

    async def renew(self) -> bool:
        """Serve the certificate files as they are now; False when they could not be served.

        What is connected stays with the listener, and the certificate, that it came to.
        """
        if self._leaving is not None:
            await asyncio.wait((self._leaving,))
        before = self._served
        try:
            server, door = self._listener()
        except (OSError, ValueError) as error:
            log.error("TLS: the files cannot be loaded: %s", error)
            return False
        task = asyncio.create_task(server.serve())
        is_up = False
        try:
            is_up = await self._comes_up(task, before) and not self._stopped
        finally:
            if not is_up:
                self._served = before
                await _given_up(server, task)
        if is_up:
            self._keep(task, server)
            give_all_to_newest(self._listen.host, self._listen.port)
            self._door.close()
            self._leaving = asyncio.create_task(self._leave(self._tcp))
            self._tcp, self._door = server, door
        return is_up

    async def _leave(self, server: Server) -> None:
        """Let a listener end, once nobody comes to it any more."""
        await asyncio.sleep(_LEAVE_S)
        server.stop()  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + _COMES_UP_S
        while count_listeners(self._listen.host, self._listen.port) > 1:
            if time.monotonic() > deadline:
                log.warning("TLS: the listener with the old certificate does not end")
                return
            await asyncio.sleep(0.05)

    def _listener(self) -> tuple[Server, Door]:
        listen = self._listen
        app = without_lifespan(self._app)
        door = Door(app)
        kind = Server if listen.fd is None else partial(_OnSocket, listen.fd)
        server = kind(
            # Without TLS there is nothing to renew, and no door to close.
            door if listen.cert is not None else app,
            address=listen.host,
            port=listen.port,
            ssl_cert=listen.cert,
            ssl_key=listen.key,
            ssl_ca=listen.client_ca,
            ssl_crl=[listen.client_crl] if listen.client_crl is not None else None,
            ssl_client_verify=listen.client_ca is not None,
            ssl_protocol_min=SSLProtocols.tls12
            if listen.min_version == "1.2"
            else SSLProtocols.tls13,
            **_common(),
        )
        self._served = _fingerprint(listen)
        return server, door

    def _serve(self, server: Server) -> asyncio.Task[None]:
        task = asyncio.create_task(server.serve())
        self._keep(task, server)
        return task

    def _keep(self, task: asyncio.Task[None], server: Server) -> None:
        self._running[task] = server
        task.add_done_callback(self._ended.put_nowait)

    async def _comes_up(self, task: asyncio.Task[None], before: bytes | None) -> bool:
        """Wait until a new listener answers: until its certificate was seen on the port."""
        if self._served == before:
            # The CA of the clients changed alone, which cannot be seen from outside.
            await asyncio.wait((task,), timeout=_SAME_CERTIFICATE_S)
            return not task.done()
        deadline = time.monotonic() + _COMES_UP_S
        while time.monotonic() < deadline and not task.done() and not self._stopped:
            seen = await asyncio.to_thread(_certificate_at, self._listen)
            if seen is not None and seen == self._served:
                return True
            await asyncio.sleep(0.02)
        return False


def _common() -> dict[str, Any]:
    return {
        "interface": Interfaces.ASGI,
        "http": HTTPModes.http1,
        "websockets": False,
        "log_enabled": False,
        "backpressure": _BACKPRESSURE,
        "http1_settings": HTTP1Settings(
            header_read_timeout=HEADERS_MS, max_buffer_size=_MOST_HEADER_BYTES
        ),
    }


async def _given_up(server: Server, task: asyncio.Task[None]) -> None:
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait((task,), timeout=5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _fingerprint(listen: Listen) -> bytes | None:
    """The DER form of the certificate in the file, by which it is known again on the wire."""
    if listen.cert is None:
        return None
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = listen.cert.read_text(encoding="ascii", errors="replace")
    _, _, rest = text.partition(begin)
    return ssl.PEM_cert_to_DER_cert(f"{begin}{rest.partition(end)[0]}{end}")


def _certificate_at(listen: Listen) -> bytes | None:
    """Ask the port for its certificate. Any is taken: nothing is sent, it is only looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host = _EVERYWHERE.get(listen.host, listen.host)
    try:
        plain = socket.create_connection((host, listen.port), timeout=5)
        with plain, context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)
    except OSError:
        return None
