"""One connection of the order transport: proving that it lives, and one exchange at a time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import select
import socket
import struct
from typing import cast

from adapters.sdk.errors import OutcomeUnknown, Phase, Progress, ReasonCode
from adapters.sdk.transport.answer import AnswerBroken, AnswerReader
from adapters.sdk.transport.http import HttpResponse
from adapters.sdk.transport.origin import Origin

_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL
_LINGER_NONE = struct.pack("ii", 1, 0)
_KEEP_ALIVE_TIMEOUT = re.compile(r"timeout\s*=\s*\"?(\d{1,6})", re.ASCII | re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Carries one request after another, each only after the answer before it ended cleanly.

    `proven_at` (loop time) is when the other side was last seen alive: the handshake, or the
    end of the last answer.
    """

    __slots__ = (
        "_answer",
        "_idle_limit_s",
        "_is_alive",
        "_loop",
        "_origin",
        "_poll",
        "_reader",
        "_socket",
        "_timer",
        "_transport",
        "lost",
        "proven_at",
    )

    def __init__(self, origin: Origin, sock: socket.socket) -> None:
        self._origin = origin
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN | select.POLLRDHUP)
        self._transport: asyncio.Transport
        self._is_alive = False
        self._idle_limit_s = math.inf
        self._reader: AnswerReader | None = None
        self._answer: asyncio.Future[HttpResponse] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.proven_at = 0.0

    def is_fit(self, proven_for_s: float) -> bool:
        """Tell whether a request may go out now: alive, proven lately, and nothing waits unread.

        Asks the kernel as well: an end of connection that arrived may not have reached the
        event loop yet.
        """
        return self.is_recent(proven_for_s) and not self._poll.poll(0)

    def is_recent(self, proven_for_s: float) -> bool:
        """Tell whether it lives, as far as the event loop knows, and was proven lately."""
        return (
            self._is_alive
            and self._loop.time() - self.proven_at < min(proven_for_s, self._idle_limit_s)
            and not self._transport.is_closing()
            and self._socket.fileno() >= 0
        )

    def seems_fit(self, proven_for_s: float) -> bool:
        """Tell the same as `is_fit`, but take unread bytes under TLS for the best."""
        if not self.is_recent(proven_for_s):
            return False
        events = self._poll.poll(0)
        return not events or (self._origin.is_tls and not events[0][1] & _GONE)

    async def prove(self, proven_for_s: float) -> bool:
        """Tell the same as `is_fit`, letting the loop first take in what the kernel holds.

        Under TLS, unread bytes may be a harmless session ticket, which only the loop can tell.
        """
        if self.is_fit(proven_for_s):
            return True
        if self._origin.is_tls and self._is_alive:
            for _ in range(3):
                await asyncio.sleep(0)
            return self.is_fit(proven_for_s)
        return False

    def exchange(
        self, message: bytes, reader: AnswerReader, timeout_s: float
    ) -> asyncio.Future[HttpResponse]:
        """Write a request and return the future of its answer. Never waits.

        The future raises `OutcomeUnknown` only: once this was called, bytes may be gone.
        """
        answer = self._loop.create_future()
        self._answer = answer
        self._reader = reader
        self._timer = self._loop.call_at(self._loop.time() + timeout_s, self._time_out)
        try:
            self._transport.write(message)
        except Exception as error:
            self._fail(f"writing to {self._origin} failed", phase=Phase.WRITE, cause=error)
        return answer

    @property
    def is_idle(self) -> bool:
        """Alive, with no answer outstanding."""
        return self._is_alive and self._answer is None

    def drop(self) -> None:
        """Close at once. An answer still outstanding becomes `OutcomeUnknown`."""
        if self._answer is None:
            if self._is_alive:
                self._is_alive = False
                self._transport.abort()
        else:
            self._fail(f"{self._origin}: the connection was given up during the call")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._is_alive = True
        self.proven_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        if not self._is_alive:
            return
        reader = self._reader
        if reader is None:
            # Nobody asked: whatever this is, the next answer could be mistaken for it.
            self.drop()
            return
        try:
            reader.feed(data)
        except AnswerBroken as error:
            self._fail(f"{self._origin}: {error}", cause=error)
            return
        if reader.complete:
            self._succeed(reader)

    def eof_received(self) -> None:
        reader = self._reader
        if reader is None:
            self.drop()
            return
        try:
            reader.finish()
        except AnswerBroken as error:
            self._fail(f"{self._origin}: {error}", cause=error)
        else:
            self._succeed(reader)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._reader is not None:
            self._fail(f"{self._origin}: the connection broke ({exc})", cause=exc)
        elif self._reader is not None:
            # uvloop tells the end of a TLS connection without a closing alert in this way only.
            self.eof_received()
        self._is_alive = False
        if not self.lost.done():
            self.lost.set_result(None)

    def _succeed(self, reader: AnswerReader) -> None:
        try:
            response = reader.response()
        except AnswerBroken as error:
            self._fail(f"{self._origin}: {error}", cause=error)
            return
        answer = self._disarm()
        if reader.reusable and not self._is_writing():
            self.proven_at = self._loop.time()
            self._idle_limit_s = _idle_limit_s(response)
        else:
            self.drop()
        if answer is not None and not answer.done():
            answer.set_result(response)

    def _time_out(self) -> None:
        self._fail(f"{self._origin}: no whole answer in time", reason=ReasonCode.TIMEOUT)

    def _fail(
        self,
        message: str,
        *,
        phase: Phase | None = None,
        reason: ReasonCode = ReasonCode.BROKER_UNAVAILABLE,
        cause: BaseException | None = None,
    ) -> None:
        reader = self._reader
        has_head = reader is not None and reader.head_complete
        if phase is None:
            phase = Phase.READ if has_head else Phase.WRITE if self._is_writing() else Phase.WAIT
        answer = self._disarm()
        self._break_off()
        if answer is not None and not answer.done():
            error = OutcomeUnknown(
                message,
                progress=Progress.ANSWERED if has_head else Progress.MAYBE_SENT,
                phase=phase,
                status=reader.status if reader is not None and has_head else None,
                reason=reason,
            )
            error.__cause__ = cause
            answer.set_exception(error)

    def _break_off(self) -> None:
        """Close at once and make the kernel forget bytes that it has not delivered yet.

        Otherwise it would go on retransmitting an order for minutes after we gave it up, and a
        look into the order book could come too early to see it.
        """
        self._is_alive = False
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self._transport.abort()

    def _is_writing(self) -> bool:
        """Tell whether a part of the request still waits for room in the socket."""
        return self._transport.get_write_buffer_size() > 0

    def _disarm(self) -> asyncio.Future[HttpResponse] | None:
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None:
            self._reader.close()
        answer = self._answer
        self._timer = self._reader = self._answer = None
        return answer


def _idle_limit_s(response: HttpResponse) -> float:
    """Return for how long the server's `Keep-Alive: timeout=` leaves the connection safe to use."""
    hint = response.headers.get("keep-alive")
    match = _KEEP_ALIVE_TIMEOUT.search(hint) if hint is not None else None
    # A second less, for the time that its end of connection takes to get here.
    return int(match[1]) - 1.0 if match is not None else math.inf
