"""Run the gateway until told to stop: lock, listeners, signals, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping

from adapters.sdk.interface import AdapterPlugin
from gateway.activation import take_socket
from gateway.api.server import ApiServer, Listen, assert_port_free
from gateway.config import Settings
from gateway.memory import keep_small
from gateway.notify import ServiceManager
from gateway.runtime import Gateway, data_dir_of
from gateway.secrets.sealing import Keyring
from gateway.store import DataDirLock

log = logging.getLogger(__name__)

OnReady = Callable[[Gateway], None]

# Longer than a broker may take to answer an order, so that stopping leaves few of them in doubt.
_FINISH_S = 12.0
# For answers on their way to their clients.
_HANG_UP_S = 3.0


def run(
    settings: Settings,
    plugins: Mapping[str, AdapterPlugin],
    keyring: Keyring,
    *,
    on_ready: OnReady | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, on uvloop where it is installed.

    Raises: `DataDirLocked`, `PortTaken`, `WrongSocket`, `WrongMasterKey`, and what opening the
    store raises; all of them before anything listens.
    """
    import uvloop

    keep_small()
    fd = take_socket(settings.server.host, settings.server.port)
    if fd is None:
        assert_port_free(settings.server.host, settings.server.port)
    with DataDirLock(data_dir_of(settings)):
        uvloop.run(serve(settings, plugins, keyring, on_ready=on_ready, fd=fd))


async def serve(
    settings: Settings,
    plugins: Mapping[str, AdapterPlugin],
    keyring: Keyring,
    *,
    stop: asyncio.Event | None = None,
    on_ready: OnReady | None = None,
    fd: int | None = None,
) -> None:
    """Serve on the running loop until `stop` is set or a signal comes. The lock is the caller's.

    Then nothing new is taken, what is on the wire gets its answer or is journalled as unknown,
    and whoever waits for it hears so; only then the listeners close. `fd`: see `Listen`.
    """
    stop = stop or asyncio.Event()
    _stop_on_signals(stop)
    gateway = Gateway(settings, plugins, keyring)
    _kill_on_signal(gateway)
    manager = ServiceManager()
    beating = asyncio.create_task(manager.beat())
    try:
        await gateway.start()
        server = settings.server
        api = ApiServer(
            gateway.app(),
            Listen(
                server.host,
                server.port,
                cert=server.tls.cert,
                key=server.tls.key,
                client_ca=server.tls.client_ca,
                fd=fd,
            ),
            settings.data_dir,
        )
        ready = asyncio.Event()
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


async def _first(*tasks: asyncio.Task[object] | asyncio.Task[None] | asyncio.Task[bool]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _kill_on_signal(gateway: Gateway) -> None:
    """SIGUSR1 halts everything new, also for a person who has no key and no client at hand."""
    with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGUSR1, gateway.signalled, signal.SIGUSR1.name
        )


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        # Only the main thread may handle signals; a gateway inside a test has none.
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
            loop.add_signal_handler(name, stop.set)
