"""Run the gateway until told to stop: lock, listeners, signals, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from adapters.sdk.interface import AdapterPlugin
from gateway.activation import take_socket
from gateway.api.server import ApiServer, Listen, assert_port_free
from gateway.config import Server, Settings, is_loopback
from gateway.data_dir import data_dir_of
from gateway.memory import keep_small, settle
from gateway.notify import ServiceManager
from gateway.runtime import Gateway
from gateway.secrets.sealing import Keyring
from gateway.store import DataDirLock

if TYPE_CHECKING:
    from gateway.tls import Finding
    from gateway.tls.watch import CertificateWatch

log = logging.getLogger(__name__)

OnReady = Callable[[Gateway], None]

# Longer than a broker may take to answer an order, so that stopping leaves few of them in doubt.
_FINISH_S = 12.0
# For answers on their way to their clients.
_HANG_UP_S = 3.0


class NotSecure(RuntimeError):
    """The listener would be open to others without TLS, or with certificates that do not work."""


def run(
    settings: Settings,
    plugins: Mapping[str, AdapterPlugin],
    keyring: Keyring,
    *,
    on_ready: OnReady | None = None,
    read_settings: Callable[[], Settings] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, on uvloop where it is installed.

    Raises: `NotSecure`, `DataDirLocked`, `PortTaken`, `WrongSocket`, `WrongMasterKey`, and what
    opening the store raises; all of them before anything listens.
    """
    import uvloop

    def started(gateway: Gateway) -> None:
        if on_ready is not None:
            on_ready(gateway)
        settle()

    keep_small()
    assert_secure(settings.server)
    fd = take_socket(settings.server.host, settings.server.port)
    if fd is None:
        assert_port_free(settings.server.host, settings.server.port)
    with DataDirLock(data_dir_of(settings)):
        uvloop.run(
            serve(settings, plugins, keyring, on_ready=started, read_settings=read_settings, fd=fd)
        )


async def serve(
    settings: Settings,
    plugins: Mapping[str, AdapterPlugin],
    keyring: Keyring,
    *,
    stop: asyncio.Event | None = None,
    on_ready: OnReady | None = None,
    read_settings: Callable[[], Settings] | None = None,
    fd: int | None = None,
) -> None:
    """Serve on the running loop until `stop` is set or a signal comes. The lock is the caller's.

    Then nothing new is taken, what is on the wire gets its answer or is journalled as unknown,
    and whoever waits for it hears so; only then the listeners close. `fd`: see `Listen`.
    SIGHUP reads the configuration anew with `read_settings`.
    """
    stop = stop or asyncio.Event()
    _stop_on_signals(stop)
    gateway = Gateway(settings, plugins, keyring, read_settings)
    _kill_on_signal(gateway)
    if read_settings is not None:
        _reload_on_signal(gateway)
    manager = ServiceManager()
    beating = asyncio.create_task(manager.beat())
    watching: asyncio.Task[None] | None = None
    try:
        ready = asyncio.Event()
        await gateway.start(ready)
        server = settings.server
        api = ApiServer(
            gateway.app(),
            Listen(
                server.host,
                server.port,
                cert=server.tls.cert,
                key=server.tls.key,
                client_ca=server.tls.client_ca,
                client_crl=server.tls.client_crl,
                min_version=server.tls.min_version,
                fd=fd,
            ),
            settings.data_dir,
        )
        if server.tls.cert is not None:
            watching = asyncio.create_task(_watch(server, api, gateway).run())
        serving = asyncio.create_task(api.run(ready))
        stopping = asyncio.create_task(stop.wait())
        await _first(asyncio.create_task(ready.wait()), serving)
        if not serving.done():
            if on_ready is not None:
                on_ready(gateway)
            manager.ready()
        await _first(stopping, serving)
        if not serving.done():
            await _end(gateway, api, serving, manager)
        if not serving.cancelled():
            await serving
        stopping.cancel()
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await gateway.stop()
        beating.cancel()


async def _end(
    gateway: Gateway, api: ApiServer, serving: asyncio.Task[None], manager: ServiceManager
) -> None:
    log.info("stopping")
    manager.stopping()
    await gateway.orders.finish(_FINISH_S)
    gateway.feed.close()
    api.stop()
    await asyncio.wait({serving}, timeout=_HANG_UP_S)
    if not serving.done():
        log.warning("hanging up on requests that still wait")
        serving.cancel()
        await asyncio.wait({serving})


def assert_secure(server: Server) -> None:
    """Raise `NotSecure` where the listener's TLS is missing or would not work, with every reason.

    Raised before anything is started; a gateway that listens half secured is worse than none.
    """
    if server.tls.cert is None:
        if not is_loopback(server.host):
            raise NotSecure(
                f"server.host: {server.host} is reachable from other machines, and there is no"
                " TLS. Set server.tls.cert and server.tls.key (`brokergate tls init` makes them),"
                " or listen on 127.0.0.1"
            )
        return
    findings = tls_findings(server)
    if findings:
        raise NotSecure("\n".join(f"TLS: {each}" for each in findings))


def tls_findings(server: Server) -> list[Finding]:
    """Say what is wrong with the certificate files of a listener that has them."""
    from gateway.tls import client_ca_findings, client_crl_findings, pair_findings

    tls = server.tls
    found = pair_findings(tls.cert, tls.key) if tls.cert and tls.key else []
    if tls.client_ca:
        found += client_ca_findings(tls.client_ca)
        if tls.client_crl and not found:
            found += client_crl_findings(tls.client_crl, tls.client_ca)
    return found


def _watch(server: Server, api: ApiServer, gateway: Gateway) -> CertificateWatch:
    from gateway.tls.watch import CertificateWatch

    def alarm(event: str, text: str) -> None:
        # Its end is of no interest: a broken journal says so itself.
        written = gateway.store.audit("alarm", {"event": event, "text": f"TLS: {text}"})
        written.add_done_callback(lambda done: done.exception())

    tls = server.tls
    named = (tls.cert, tls.key, tls.client_ca, tls.client_crl)
    files = [file for file in named if file is not None]
    return CertificateWatch(files, lambda: tls_findings(server), api.renew, alarm)


async def _first(*tasks: asyncio.Task[object] | asyncio.Task[None] | asyncio.Task[bool]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _kill_on_signal(gateway: Gateway) -> None:
    """SIGUSR1 halts everything new, also for a person who has no key and no client at hand."""
    with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGUSR1, gateway.signalled, signal.SIGUSR1.name
        )


def _reload_on_signal(gateway: Gateway) -> None:
    with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reload_soon)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        # Only the main thread may handle signals; a gateway inside a test has none.
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
            loop.add_signal_handler(name, stop.set)
