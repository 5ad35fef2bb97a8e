"""The listeners of a simulator: the broker's port, which faults may close, and the control's."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from adapters.sdk.simulator.actions import Action, Applied
from adapters.sdk.simulator.connection import Connection

if TYPE_CHECKING:
    from adapters.sdk.simulator.base import BrokerSimulator

_BACKLOG = 1024


class SimServer:
    """Two listeners of one simulator: the broker's, which faults may close, and the control's.

    The broker's port stays bound by a socket that never listens, so that while connections are
    refused nobody else can take it.
    """

    def __init__(self, simulator: BrokerSimulator, *, tls: ssl.SSLContext | None) -> None:
        self.simulator = simulator
        self._tls = tls
        self._host = ""
        self._reserved: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._control: asyncio.Server | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._wanted = False
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.control_url = ""

    async def start(self, host: str, port: int) -> int:
        """Bind and listen. Raises `OSError` when the port is taken."""
        self._host = host
        self._reserved = _bound(host, port)
        actual: int = self._reserved.getsockname()[1]
        scheme = "https" if self._tls else "http"
        shown = f"[{host}]" if ":" in host else host
        await self._listen()
        control = _bound(host, 0)
        control_port = control.getsockname()[1]
        self._control = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, control_only=True), sock=control
        )
        self.url = f"{scheme}://{shown}:{actual}"
        self.control_url = f"http://{shown}:{control_port}"
        self.simulator.faults.on_connection_fault = self.connection_fault
        self.simulator.faults.on_clear = self._listen_again
        return actual

    async def stop(self) -> None:
        """Close listeners, connections and whatever is still under way."""
        self.simulator.faults.on_connection_fault = None
        self.simulator.faults.on_clear = None
        self._stop_listening()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(connection.closed.wait() for connection in connections))

    def connection_fault(self, applied: Applied) -> None:
        """Carry out `refuse` or `close_idle` now."""
        if applied.action is Action.CLOSE_IDLE:
            self._close_idle(reset=applied.params.how == "rst")
            return
        self._stop_listening()
        if applied.params.close_idle:
            self._close_idle(reset=False)
        if applied.params.ms is not None:
            loop = asyncio.get_running_loop()
            self._resume = loop.call_later(applied.params.ms / 1000, self._listen_again)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that outlives its connection, until `stop`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def joined(self, connection: Connection) -> None:
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    async def _listen(self) -> None:
        if self._reserved is None or self._listener is not None:
            return
        listening = _bound(self._host, self._reserved.getsockname()[1])
        self._wanted = True
        listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, control_only=False),
            sock=listening,
            ssl=self._tls,
            backlog=_BACKLOG,
        )
        # A fault may have closed the port again while this one was being opened.
        if self._wanted and self._listener is None:
            self._listener = listener
        else:
            listener.close()

    def _listen_again(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._listener is None and self._reserved is not None:
            self.spawn(self._listen())

    def _stop_listening(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._wanted = False
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _close_idle(self, *, reset: bool) -> None:
        for connection in list(self._connections):
            if connection.is_idle and not connection.control_only:
                if reset:
                    connection.reset()
                else:
                    connection.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named, and with it on, the
    # bytes before a reset would wait for an acknowledgement and be lost.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
