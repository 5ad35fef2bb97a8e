"""Bytes to the gateway and back, once per request; the only place that knows niquests."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import niquests
from niquests.exceptions import ConnectionError as NoConnection
from niquests.exceptions import ConnectTimeout, RequestException, SSLError

from gateway.client.calls import Repeat, Request
from gateway.client.steps import Answer, Lost, Reply, Unreachable

_CONNECT_S = 5.0
# The gateway gives a sign of life every 15 s.
SILENCE_S = 40.0
_AS_THEY_COME = -1


class Place:
    """Where the gateway is, and the key for it. `repr` shows no key.

    `ca`: a file of certificates to trust in place of the system's; `certificate`: a client
    certificate and its key, where the gateway asks for one.

    Raises: `ValueError` for a URL or key that cannot be meant.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a gateway; such as http://127.0.0.1:8080")
        if parts.scheme == "http" and not _is_this_machine(parts.hostname):
            raise ValueError(f"{url}: plain http would show the API key to the network; use https")
        if not key.strip() or not key.isascii():
            raise ValueError("an API key is needed: brokergate keys create")
        self.url = url.rstrip("/")
        self.key = key.strip()
        self.verify: bool | str = ca or True
        self.certificate = certificate

    @classmethod
    def from_environment(cls) -> Place:
        """Read BROKERGATE_URL, and BROKERGATE_KEY or BROKERGATE_KEY_FILE, and the TLS files.

        Those are named as for the commands: BROKERGATE_CA (or BROKERGATE_CA_FILE),
        BROKERGATE_CLIENT_CERT and BROKERGATE_CLIENT_KEY.
        """
        url = os.environ.get("BROKERGATE_URL", "http://127.0.0.1:8080")
        key = os.environ.get("BROKERGATE_KEY", "")
        if not key and (file := os.environ.get("BROKERGATE_KEY_FILE")):
            key = Path(file).read_text(encoding="ascii")
        if not key.strip():
            raise ValueError("set BROKERGATE_KEY or BROKERGATE_KEY_FILE to an API key")
        ca = os.environ.get("BROKERGATE_CA_FILE") or os.environ.get("BROKERGATE_CA")
        client = [os.environ.get(f"BROKERGATE_CLIENT_{part}") for part in ("CERT", "KEY")]
        certificate = (client[0], client[1]) if client[0] and client[1] else None
        return cls(url, key, ca=ca, certificate=certificate)

    def __repr__(self) -> str:
        return f"Place({self.url!r})"

    def settings(self, request: Request[Any]) -> dict[str, Any]:
        """What both kinds of session take for one request."""
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        data = None
        if request.body is not None:
            data = msgspec.json.encode(request.body)
            headers["Content-Type"] = "application/json"
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        return {
            "method": request.method,
            "url": self.url + request.target,
            "data": data,
            "headers": headers,
            "timeout": (_CONNECT_S, request.timeout_s),
            "allow_redirects": False,
            "verify": self.verify,
            "cert": self.certificate,
        }

    def stream_settings(self, request: Request[Any], after: int | None) -> dict[str, Any]:
        settings = self.settings(request)
        settings["headers"]["Accept"] = "text/event-stream"
        if after is not None:
            settings["headers"]["Last-Event-ID"] = str(after)
        return {**settings, "timeout": (_CONNECT_S, SILENCE_S), "stream": True}


class Wire:
    """A blocking connection. May be used by several threads at once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session = _plain(niquests.Session())

    def send(self, request: Request[Any]) -> Answer:
        """Make one call. What may be done once only goes on a connection of its own: an old one
        that the gateway has closed meanwhile would leave it in doubt.
        """
        if request.repeat is Repeat.ONCE:
            with _plain(niquests.Session()) as session:
                return self._sent(session, request)
        return self._sent(self._session, request)

    def _sent(self, session: niquests.Session, request: Request[Any]) -> Answer:
        try:
            response = session.request(**self._place.settings(request))
            return _reply(response.status_code, response.headers, response.content)
        except (RequestException, OSError) as error:
            return failed(error)

    @contextmanager
    def stream(self, request: Request[Any], after: int | None) -> Iterator[Reply | Iterator[bytes]]:
        """Open an endless answer: its pieces, or the reply where it was refused."""
        with _plain(niquests.Session()) as session:
            response = session.request(**self._place.stream_settings(request, after))
            if response.status_code != 200:
                yield _reply(response.status_code, response.headers, response.content)
            else:
                try:
                    yield response.iter_content(_AS_THEY_COME)
                finally:
                    # A stream that broke off does not close its connection by itself.
                    response.close()

    def close(self) -> None:
        self._session.close()


class AsyncWire:
    """The same for one event loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session = _plain(niquests.AsyncSession())

    async def send(self, request: Request[Any]) -> Answer:
        if request.repeat is Repeat.ONCE:
            async with _plain(niquests.AsyncSession()) as session:
                return await self._sent(session, request)
        return await self._sent(self._session, request)

    async def _sent(self, session: niquests.AsyncSession, request: Request[Any]) -> Answer:
        try:
            response = await session.request(**self._place.settings(request))
            return _reply(response.status_code, response.headers, response.content)
        except (RequestException, OSError) as error:
            return failed(error)

    @asynccontextmanager
    async def stream(
        self, request: Request[Any], after: int | None
    ) -> AsyncIterator[Reply | AsyncIterator[bytes]]:
        async with _plain(niquests.AsyncSession()) as session:
            response = await session.request(**self._place.stream_settings(request, after))
            if response.status_code != 200:
                content = await response.content or b""
                yield _reply(response.status_code, response.headers, content)
            else:
                try:
                    yield await response.iter_content(_AS_THEY_COME)
                finally:
                    await response.close()

    async def close(self) -> None:
        await self._session.close()


def failed(error: Exception) -> Unreachable | Lost:
    """Tell a connection that was never there from an answer that never came."""
    text = str(error) or type(error).__name__
    if isinstance(error, ConnectTimeout):
        return Unreachable(f"no connection to the gateway within {_CONNECT_S:.0f} s")
    # Any other fault of TLS may also come after the request went.
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
        return Unreachable(f"the gateway's certificate is not trusted: {text}", for_good=True)
    if isinstance(error, NoConnection) and error.args:
        reason = getattr(error.args[0], "reason", None)
        if type(reason).__name__ in ("NewConnectionError", "NameResolutionError"):
            why = str(reason).rpartition("connection: ")[2]
            return Unreachable(f"no connection to the gateway: {why}")
    return Lost(text)


def _plain(session: Any) -> Any:
    """No proxies, netrc or certificates out of the environment."""
    session.trust_env = False
    return session


def _reply(status: int | None, headers: Any, content: bytes | None) -> Reply:
    named = {str(name).lower(): str(value) for name, value in dict(headers).items()}
    return Reply(status or 0, named, content or b"")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
