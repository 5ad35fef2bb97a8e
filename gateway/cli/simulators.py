"""Broker simulators as a process of their own: what `simulate` and `demo` start.

The hidden command `_simulators` runs several at once for a parent process: it writes where they
are as one line of JSON, and ends when its standard input does, so it never outlives the parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.cli.failure import Failure

if TYPE_CHECKING:
    from adapters.sdk.simulator import BrokerSimulator


class SimulatorInfo(msgspec.Struct, kw_only=True):
    """Where a simulator is and what its account's vault and configuration must hold."""

    broker: str
    title: str
    url: str
    control_url: str
    base_urls: dict[str, str]
    credentials: dict[str, str]


@click.command("_simulators", hidden=True)
@click.argument("spec")
def command(spec: str) -> None:
    """Run simulators for a parent process. SPEC: {broker: options} as JSON."""
    wanted = msgspec.json.decode(spec, type=dict[str, dict[str, Any]])
    asyncio.run(_run_for_parent(wanted))


@asynccontextmanager
async def running_simulator(
    broker: str, options: Mapping[str, Any], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[SimulatorInfo]:
    """Serve one broker's simulator. Raises `Failure`, and `UsageError` for what it cannot take."""
    from gateway.brokers import load_plugins

    plugins = load_plugins()
    plugin = plugins.get(broker)
    if plugin is None or plugin.simulator is None:
        known = ", ".join(name for name, each in plugins.items() if each.simulator)
        raise click.UsageError(f"no simulator for {broker!r}; there are {known}")
    simulator = _made(plugin.simulator, broker, options)
    try:
        await simulator.start(host, port)
    except OSError as error:
        raise Failure(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error
    try:
        yield SimulatorInfo(
            broker=broker,
            title=plugin.title,
            url=simulator.url,
            control_url=simulator.control_url,
            base_urls=dict(simulator.base_urls),
            credentials=dict(simulator.credentials),
        )
    finally:
        await simulator.stop()


def on_stop_signals(stop: Callable[[], None]) -> None:
    """Have SIGTERM, SIGINT and SIGHUP call `stop` on the running loop."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(name, stop)


def _made(
    make: Callable[..., BrokerSimulator], broker: str, options: Mapping[str, Any]
) -> BrokerSimulator:
    try:
        return make(options=dict(options))
    except (ValueError, TypeError) as error:
        raise click.UsageError(
            f"the {broker} simulator does not take these options: {error}"
        ) from error


async def _run_for_parent(wanted: dict[str, dict[str, Any]]) -> None:
    stop = asyncio.Event()
    on_stop_signals(stop.set)
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(running_simulator(broker, options))
            for broker, options in wanted.items()
        ]
        _watch_parent(stop)
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()
        await stop.wait()


def _watch_parent(stop: asyncio.Event) -> None:
    """Set `stop` when the parent closes its end of standard input, or dies."""
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

    def readable() -> None:
        with contextlib.suppress(OSError):
            if os.read(descriptor, 1):
                return
        loop.remove_reader(descriptor)
        stop.set()

    loop.add_reader(descriptor, readable)
