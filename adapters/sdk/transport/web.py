"""The HTTP client for everything that is not a trading call: logins, masters, market data."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from adapters.sdk.errors import (
    BadAnswer,
    GatewayError,
    NotSent,
    OutcomeUnknown,
    Phase,
    Progress,
    ReasonCode,
)
from adapters.sdk.transport.answer import MAX_BODY_BYTES, NO_BODY, AnswerBroken, BodyDecoder
from adapters.sdk.transport.http import HttpRequest, HttpResponse
from adapters.sdk.transport.origin import USER_AGENT, Origin, check
from adapters.sdk.transport.timeouts import Timeouts

if TYPE_CHECKING:
    import niquests

_CHUNK_BYTES = 64 * 1024
_MAX_FILE_BYTES = 1024 * 1024 * 1024


class WebTransport:
    """Carries one account's calls to one host through niquests, over HTTP/1.1.

    No retries, no redirects, no cookies, nothing from the environment; TLS is always verified,
    against `ca_file` alone where one is given. niquests is imported by the first call, since
    that costs a third of a second.

    Raises `ValueError` for plain http to anything but a loopback address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts | None = None,
        source_address: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._origin = Origin(base_url)
        self._timeouts = timeouts or Timeouts()
        self._source_address = source_address and str(ipaddress.ip_address(source_address))
        self._ca_file = ca_file
        self._session: niquests.AsyncSession | None = None
        self._is_closed = False

    async def send(self, request: HttpRequest, *, timeout_s: float | None = None) -> HttpResponse:
        """Send one request once and return its answer, whatever its status.

        `timeout_s` bounds the whole call (default: the answer time-out).

        Raises:
            NotSent: no connection was made, so no byte of the request went out.
            OutcomeUnknown: it may have, and no whole answer came back.
            ValueError: the request cannot be written as HTTP (see `HttpRequest`).
        """
        async with self._exchange(request, timeout_s) as call:
            body = bytearray()
            async for chunk in call.chunks():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise call.failure(f"body larger than {MAX_BODY_BYTES} bytes")
            return HttpResponse(call.status, call.headers, bytes(body))

    async def download(
        self,
        request: HttpRequest,
        path: Path,
        *,
        timeout_s: float | None = None,
        max_bytes: int = _MAX_FILE_BYTES,
    ) -> int:
        """Stream a 200 answer's body into a file and return its size in bytes.

        The file appears under its name only when whole; what stood there before stays until
        then. Raises what `send` raises, `BadAnswer` for any status but 200 and for a body over
        `max_bytes`, and `OSError` when the file cannot be written.
        """
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            async with self._exchange(request, timeout_s) as call:
                if call.status != 200:
                    raise BadAnswer(
                        f"{self._origin}: HTTP {call.status} instead of a file", status=call.status
                    )
                # Opened on the loop: a cancelled wait for a thread would leave the file open.
                with part.open("wb") as file:
                    size = await _store(call, file, max_bytes)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return size

    async def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @contextlib.asynccontextmanager
    async def _exchange(
        self, request: HttpRequest, timeout_s: float | None
    ) -> AsyncIterator[_Call]:
        check(request)
        session = await self._ready_session()
        total_s = self._timeouts.answer_s if timeout_s is None else timeout_s
        call = _Call(self._origin)
        try:
            async with asyncio.timeout(min(self._timeouts.connect_s, total_s)) as limit:
                await call.start(session, request, limit, total_s)
                yield call
        except TimeoutError:
            raise call.failure("no whole answer in time", reason=ReasonCode.TIMEOUT) from None
        finally:
            await call.close()

    async def _ready_session(self) -> niquests.AsyncSession:
        if self._session is None and not self._is_closed:
            # The import runs for long, so it is kept off the event loop.
            module = await asyncio.to_thread(importlib.import_module, "niquests")
            if self._session is None and not self._is_closed:
                self._session = module.AsyncSession(
                    source_address=(self._source_address, 0) if self._source_address else None,
                    retries=False,
                    # Over HTTP/2 and /3 the engine may repeat a request by itself, retries or not.
                    disable_http2=True,
                    disable_http3=True,
                    revocation_configuration=None,
                    allow_incoming_cookies=False,
                )
                self._session.trust_env = False
                self._session.verify = self._ca_file or True
                self._session.headers.clear()
        if self._session is None:
            raise NotSent("the transport is closed", phase=Phase.POOL)
        return self._session


class _Call:
    """One request and how far it got."""

    def __init__(self, origin: Origin) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._origin = origin
        self._may_be_sent = False
        self._has_body = True
        self._response: Any = None

    async def start(
        self,
        session: niquests.AsyncSession,
        request: HttpRequest,
        limit: asyncio.Timeout,
        total_s: float,
    ) -> None:
        """Send the request and read the head of the answer.

        `limit` bounds connecting, handshake included, and from the first byte on the whole call.
        """
        import niquests

        deadline = asyncio.get_running_loop().time() + total_s

        def begin(prepared: Any) -> None:
            # niquests calls this with a live connection, before it writes anything on it.
            if self._may_be_sent:
                raise self.failure("the client was about to send the request again")
            self._may_be_sent = True
            limit.reschedule(deadline)

        headers: list[tuple[str | bytes, str | bytes]] = [
            *request.headers,
            ("Accept-Encoding", "identity"),
        ]
        if not any(name.lower() == "user-agent" for name, _ in request.headers):
            headers.append(("User-Agent", USER_AGENT))
        url = self._origin.root + self._origin.target(request)
        hooks: Any = {"pre_send": [begin]}
        prepared = session.prepare_request(
            niquests.Request(
                request.method,
                self._origin.root,
                headers=headers,
                data=request.body or None,
                hooks=hooks,
            )
        )
        # Set afterwards, so that only the case of percent escapes is still normalised.
        prepared.url = url
        with self._translated():
            self._response = await session.send(
                prepared, stream=True, allow_redirects=False, timeout=total_s, proxies={}
            )
            self._may_be_sent = True
            self.status = int(self._response.status_code)
            self._has_body = request.method != "HEAD" and self.status not in NO_BODY
            self.headers = {name.lower(): value for name, value in self._response.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body, decoded.

        Decoding is ours: niquests takes packed data that stops early for whole.
        """
        coding = self.headers.get("content-encoding", "identity").lower()
        received = 0
        with self._translated():
            decoder = None if coding == "identity" else BodyDecoder(coding)
            stream = await self._response.iter_raw(_CHUNK_BYTES)
        while True:
            with self._translated():
                chunk = await anext(stream, b"")
                received += len(chunk)
                data = decoder.decode(chunk) if decoder is not None and chunk else chunk
            if not chunk:
                break
            if data:
                yield data
        expected = self.headers.get("content-length")
        if self._has_body and expected is not None and expected != str(received):
            raise self.failure(f"{received} bytes of {expected} arrived")
        if decoder is not None and received:
            with self._translated():
                decoder.finish()

    async def close(self) -> None:
        if self._response is not None:
            await self._response.close()

    def failure(
        self,
        why: str,
        *,
        phase: Phase = Phase.CONNECT,
        reason: ReasonCode = ReasonCode.BROKER_UNAVAILABLE,
    ) -> GatewayError:
        """Return the error that says how far this call got; `phase` is where connecting was."""
        message = f"{self._origin}: {why}"
        if not self._may_be_sent:
            return NotSent(message, phase=phase)
        answered = bool(self.status)
        return OutcomeUnknown(
            message,
            progress=Progress.ANSWERED if answered else Progress.MAYBE_SENT,
            phase=Phase.READ if answered else Phase.WAIT,
            status=self.status or None,
            reason=reason,
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except GatewayError:
            raise
        except TimeoutError:
            raise
        except AnswerBroken as error:
            raise self.failure(str(error)) from None
        except Exception as error:
            # Whatever its engine lets out means the same here. The chain is cut because the
            # library's texts hold the URL, and its errors the request, with all its secrets.
            phase, why = _explain(error)
            raise self.failure(why, phase=phase) from None


def _explain(error: BaseException) -> tuple[Phase, str]:
    """Return where connecting failed and why, from the chain that niquests wraps around it."""
    seen: set[int] = set()
    pending: list[Any] = [error]
    names: list[str] = []
    while pending:
        current = pending.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        name = type(current).__name__
        names.append(name)
        if isinstance(current, socket.gaierror) or "NameResolution" in name:
            return Phase.DNS, "the host name does not resolve"
        if isinstance(current, ssl.SSLError):
            return Phase.TLS, f"TLS failed: {current.reason or name}"
        pending += [*current.args, getattr(current, "reason", None)]
        pending += [current.__cause__, current.__context__]
    return Phase.CONNECT, " < ".join(dict.fromkeys(names))


async def _store(call: _Call, file: BinaryIO, max_bytes: int) -> int:
    size = 0
    async for chunk in call.chunks():
        size += len(chunk)
        if size > max_bytes:
            raise BadAnswer(f"a file of more than {max_bytes} bytes", status=call.status)
        writing = asyncio.ensure_future(asyncio.to_thread(file.write, chunk))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The file is closed next, which the thread must not meet in the middle.
            await asyncio.wait([writing])
            raise
    return size
