"""A small client for the gateway's API, over its control socket or over TCP."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from gateway.cli.failure import Failure
from gateway.cli.options import ClientTls

_TIMEOUT_S = 30.0


class Reply(NamedTuple):
    """An answer of the API; `body` is its JSON, or None when it has none."""

    status: int
    body: Any


class Api(Protocol):
    """Whatever answers calls of the API: a gateway over HTTP, or the store of a stopped one."""

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Reply: ...


def ask(
    api: Api,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Any:
    """Call the API and return the answer's body. Raises `Failure` with the problem's words."""
    reply = api.call(method, path, body, query=query, headers=headers, timeout_s=timeout_s)
    if reply.status >= 400:
        raise Failure(problem_words(reply))
    return reply.body


def problem_words(reply: Reply) -> str:
    """Say what a problem answer says, with the broker's own words where it has them."""
    problem = reply.body if isinstance(reply.body, dict) else {}
    words = str(problem.get("detail") or f"the gateway answered HTTP {reply.status}")
    broker = problem.get("broker_message")
    return f"{words} (the broker says: {broker})" if broker and broker not in words else words


class HttpApi:
    """A running gateway: `unix:PATH`, `http://` on this machine, or `https://`."""

    def __init__(
        self, where: str, key: str | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        self._where = where
        self._key = key
        self._context = context

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Reply:
        """Make one call, on a connection of its own, and never a second time."""
        with self._answer(method, path, body, query, headers, timeout_s) as answer:
            return Reply(answer.status, _json(answer.read()))

    def download(self, path: str, query: Mapping[str, str], timeout_s: float) -> Iterator[bytes]:
        """Yield the lines of a long answer as they come.

        Raises: `Failure`, also in the middle, where `timeout_s` pass without a byte.
        """
        with self._answer("GET", path, None, query, None, timeout_s) as answer:
            if answer.status >= 400:
                raise Failure(problem_words(Reply(answer.status, _json(answer.read()))))
            yield from answer

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        timeout_s: float,
    ) -> Iterator[http.client.HTTPResponse]:
        sent = {"Accept": "application/json", **(headers or {})}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        target = f"{path}?{urlencode(query)}" if query else path
        connection = _connection(self._where, timeout_s, self._context)
        try:
            connection.request(method, target, data, sent)
            yield connection.getresponse()
        except TimeoutError as error:
            raise Failure(f"no answer from {self._where} within {timeout_s:.0f} s") from error
        except ssl.SSLError as error:
            raise Failure(f"no secure connection to {self._where}: {_tls_words(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Failure(_no_answer(self._where, error)) from error
        finally:
            connection.close()


def remote_api(url: str, key_file: str, tls: ClientTls | None = None) -> HttpApi:
    """Make a client for a gateway elsewhere. Raises `Failure` for a bad URL, key or TLS file."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(f"--url {url}: write it as in https://gate.lan:8080")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise Failure(f"--url {url}: plain http would show the API key to the network; use https")
    try:
        key = Path(key_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"--key-file {key_file}: cannot be read as an API key: {error}") from error
    context = _context(tls or ClientTls()) if parts.scheme == "https" else None
    return HttpApi(url.rstrip("/"), key, context)


def _context(tls: ClientTls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise Failure(f"--ca {tls.ca}: cannot be read as PEM certificates: {error}") from error
    if tls.client_cert is not None:
        files = f"--client-cert {tls.client_cert}, --client-key {tls.client_key}"
        try:
            context.load_cert_chain(tls.client_cert, tls.client_key, _no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise Failure(f"{files}: not a certificate with its key: {error}") from error
    return context


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted with a passphrase; take it off with openssl pkey")


def _no_answer(where: str, error: Exception) -> str:
    """Say what is in the way; a socket that is not there, or is dead, is a stopped gateway."""
    if where.startswith("unix:"):
        path = where.removeprefix("unix:")
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return f"no gateway answers at {path}; start it with `brokergate serve`"
        if isinstance(error, PermissionError):
            return f"{path} is another user's: run this as the user that runs the gateway"
    return f"cannot reach the gateway at {where}: {getattr(error, 'strerror', None) or error}"


def _tls_words(error: ssl.SSLError) -> str:
    """Say who did not trust whom, and what to do about it."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        if "IP address" in why or "Hostname" in why:
            return f"{why}; use a name that its certificate has"
        if "expired" in why:
            return f"{why}; renew it at the gateway (brokergate tls renew)"
        return f"{why}; name the CA that signed the gateway's certificate with --ca"
    if "CERTIFICATE_REQUIRED" in text or "certificate required" in text:
        return "the gateway asks for a client certificate: --client-cert and --client-key"
    if "UNKNOWN_CA" in text or "BAD_CERTIFICATE" in text or "DECRYPT_ERROR" in text:
        return "the gateway does not take this client certificate; it is not of its client CA"
    if "WRONG_VERSION_NUMBER" in text:
        return "it does not speak TLS there; is its URL http://?"
    return text


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(
    where: str, timeout_s: float, context: ssl.SSLContext | None
) -> http.client.HTTPConnection:
    if where.startswith("unix:"):
        return _UnixConnection(where.removeprefix("unix:"), timeout_s)
    parts = urlsplit(where)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_s, context=context
        )
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data) if data else None
    except msgspec.DecodeError:
        return None


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
