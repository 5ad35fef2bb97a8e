"""The HTTP client for trading calls: one request, sent at most once, and how far it got."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from adapters.sdk.errors import NotSent, Phase
from adapters.sdk.transport import hooks
from adapters.sdk.transport.answer import AnswerReader
from adapters.sdk.transport.connection import Connection
from adapters.sdk.transport.connector import Connector
from adapters.sdk.transport.http import HttpRequest, HttpResponse
from adapters.sdk.transport.origin import Origin
from adapters.sdk.transport.slots import Lane, Slots
from adapters.sdk.transport.timeouts import Timeouts

if TYPE_CHECKING:
    from adapters.sdk.interface import SendGate


class OrderTransport:
    """Carries every trading call of one account to one host, over HTTP/1.1.

    Nothing here retries, follows a redirect, keeps a cookie or reads a proxy from the
    environment. An idle connection is used only within `proven_for_s` of its handshake or of
    its last answer's end, since a server may drop an older one at the moment we write. TLS is
    always verified, against `ca_file` alone where one is given.

    `max_connections` calls run at once, `max_orders` of them placements and changes, and all but
    `reserved` of them reads. So orders that hang keep no cancel (DELETE) and no read waiting; a
    call without a gate counts as a read.

    Raises `ValueError` for plain http to anything but a loopback address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts | None = None,
        source_address: str | None = None,
        ca_file: str | None = None,
        proven_for_s: float = 5.0,
        max_connections: int = 20,
        reserved: int = 14,
        max_orders: int = 10,
    ) -> None:
        self._origin = Origin(base_url)
        self._timeouts = timeouts or Timeouts()
        self._proven_for_s = proven_for_s
        self._connector = Connector(self._origin, source_address=source_address, ca_file=ca_file)
        self._slots = Slots(
            max_connections,
            {
                Lane.CANCEL: max_connections,
                Lane.ORDER: min(max_orders, max_connections),
                Lane.READ: max_connections - reserved,
            },
        )
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._is_closed = False

    async def send(
        self,
        request: HttpRequest,
        *,
        gate: SendGate | None = None,
        answer_timeout_s: float | None = None,
    ) -> HttpResponse:
        """Send one request once and return its answer, whatever its status.

        The connection is proven first, then `gate.ready()` is awaited, then the connection is
        looked at again (a dead one is replaced), then `gate.check()` is called and the request
        written with nothing awaited in between. What the gate raises comes out unchanged.

        Raises:
            NotSent: no byte of this request was handed to a socket.
            OutcomeUnknown: it was, and no whole answer came back; `progress` is ANSWERED when
                status and headers did.
            ValueError: the request cannot be written as HTTP (see `HttpRequest`).
        """
        message = self._origin.encode(request)
        reader = AnswerReader(is_head=request.method == "HEAD")
        answer_s = self._timeouts.answer_s if answer_timeout_s is None else answer_timeout_s
        lane = _lane(request, gate)
        waited_s = await self._slots.take(lane, self._timeouts.connect_s)
        connection = None
        try:
            connection = await self._take_idle(self._proven_for_s)
            if connection is None:
                connection = await self._connect(self._timeouts.connect_s - waited_s)
            if gate is not None:
                await gate.ready()
            if not await connection.prove(self._proven_for_s):
                connection.drop()
                connection = await self._connect(self._timeouts.connect_s)
                if not await connection.prove(self._proven_for_s):
                    raise NotSent(f"{self._origin}: closed when opened", phase=Phase.CONNECT)
            if gate is not None:
                gate.check()
            answer = connection.exchange(message, reader, answer_s)
            if gate is not None and hooks.after_write is not None:
                hooks.after_write()
            response = await answer
            if gate is not None and hooks.before_read is not None:
                hooks.before_read()
            return response
        finally:
            if connection is not None:
                self._put_back(connection)
            self._slots.give_back(lane)

    async def warm(self) -> None:
        """Make sure that a proven connection stands ready, sending no request.

        Opens a new one once the newest idle one is past half of its proven time, so a caller
        who repeats this more often than that always finds the transport warm.
        Raises `NotSent`.
        """
        waited_s = await self._slots.take(Lane.ORDER, self._timeouts.connect_s)
        try:
            connection = await self._take_idle(self._proven_for_s / 2)
            if connection is None:
                connection = await self._connect(self._timeouts.connect_s - waited_s)
            self._put_back(connection)
        finally:
            self._slots.give_back(Lane.ORDER)

    def is_warm(self) -> bool:
        """Tell whether a request could go out now without connecting first."""
        return any(connection.seems_fit(self._proven_for_s) for connection in self._idle)

    async def close(self) -> None:
        """Close every connection; a call under way raises `OutcomeUnknown` or `NotSent`."""
        self._is_closed = True
        self._slots.close()
        self._idle.clear()
        lost = []
        for connection in list(self._open):
            connection.drop()
            lost.append(connection.lost)
        if lost:
            await asyncio.wait(lost, timeout=1.0)

    async def _take_idle(self, proven_for_s: float) -> Connection | None:
        """Take the newest idle connection if it is fit; close those past their time."""
        while self._idle:
            connection = self._idle[-1]
            if not connection.is_recent(proven_for_s):
                break
            self._idle.pop()
            try:
                if await connection.prove(proven_for_s):
                    return connection
            except BaseException:
                connection.drop()
                raise
            connection.drop()
        self._close_old()
        return None

    def _put_back(self, connection: Connection) -> None:
        if connection.is_idle and not self._is_closed:
            self._close_old()
            self._idle.append(connection)
            # The newest is taken first; a connection that stayed unused keeps its older proof.
            self._idle.sort(key=_proven_at)
        else:
            connection.drop()

    def _close_old(self) -> None:
        if self._idle and not self._idle[0].is_recent(self._proven_for_s):
            kept = []
            for connection in self._idle:
                if connection.is_recent(self._proven_for_s):
                    kept.append(connection)
                else:
                    connection.drop()
            self._idle = kept

    async def _connect(self, timeout_s: float) -> Connection:
        if self._is_closed:
            raise NotSent("the transport is closed", phase=Phase.POOL)
        connection = await self._connector.open(timeout_s)
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        if self._is_closed:
            connection.drop()
            raise NotSent("the transport is closed", phase=Phase.POOL)
        return connection


def _lane(request: HttpRequest, gate: SendGate | None) -> Lane:
    if request.method == "DELETE":
        return Lane.CANCEL
    return Lane.READ if gate is None else Lane.ORDER


def _proven_at(connection: Connection) -> float:
    return connection.proven_at
