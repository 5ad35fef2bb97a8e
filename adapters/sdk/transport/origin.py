"""The host a transport talks to, and the exact bytes of a request to it."""

from __future__ import annotations

import functools
import ipaddress
import re
import ssl
from urllib.parse import urlsplit

from adapters.sdk.transport.http import HttpRequest

USER_AGENT = "brokergate"

_METHOD = re.compile(r"[A-Z]{1,16}")
_TARGET = re.compile(r"(?:[/?][\x21\x22\x24-\x7e]*)?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_HOST = re.compile(r"[A-Za-z0-9_.:-]+")
_OWN_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "connection",
        "accept-encoding",
        "transfer-encoding",
        "keep-alive",
        "expect",
        "upgrade",
        "te",
        "trailer",
    }
)
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Origin:
    """A base URL taken apart.

    Raises `ValueError` for anything but `https://` (or `http://` to a loopback address), and
    for a URL with user info, a query or a fragment.
    """

    __slots__ = ("_common", "_common_with_agent", "host", "is_tls", "path", "port", "root")

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        if parts.scheme not in ("https", "http") or not _HOST.fullmatch(host):
            raise ValueError("base URL must be https://host[:port][/path] in plain ASCII")
        if parts.username is not None or parts.query or parts.fragment or "?" in base_url:
            raise ValueError("base URL must have no user info, query or fragment")
        self.is_tls = parts.scheme == "https"
        if not self.is_tls and not is_loopback(host):
            raise ValueError(f"plain http is allowed to loopback addresses only, not to {host}")
        self.host = host
        self.port = parts.port or (443 if self.is_tls else 80)
        self.path = parts.path.rstrip("/")
        if not _TARGET.fullmatch(self.path):
            raise ValueError("base URL has a path with characters that a request line cannot hold")
        authority = f"[{host}]" if ":" in host else host
        if self.port != (443 if self.is_tls else 80):
            authority = f"{authority}:{self.port}"
        self.root = f"{parts.scheme}://{authority}"
        self._common = f" HTTP/1.1\r\nHost: {authority}\r\nAccept-Encoding: identity\r\n"
        self._common_with_agent = f"{self._common}User-Agent: {USER_AGENT}\r\n"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def encode(self, request: HttpRequest) -> bytes:
        """Return the whole request as it goes on the wire. Raises `ValueError`, see `check`."""
        lines, has_agent = _header_lines(request)
        body = request.body
        length = (
            f"Content-Length: {len(body)}\r\n"
            if body or request.method in _METHODS_WITH_BODY
            else ""
        )
        common = self._common if has_agent else self._common_with_agent
        target = self.target(request)
        head = f"{request.method} {target}{common}{lines}{length}\r\n"
        return head.encode("latin-1") + body

    def target(self, request: HttpRequest) -> str:
        """Return the request's path and query below the base URL's path."""
        target = self.path + request.target
        return target if target.startswith("/") else "/" + target


def check(request: HttpRequest) -> None:
    """Raise `ValueError` unless the request is safe to put on a wire.

    A line break in a target or a header would end the line early and start another request, so
    nothing outside the allowed characters passes. The text never repeats a value.
    """
    _header_lines(request)


def _header_lines(request: HttpRequest) -> tuple[str, bool]:
    if not _METHOD.fullmatch(request.method):
        raise ValueError("the request's method is not an upper-case word")
    if not _TARGET.fullmatch(request.target):
        raise ValueError(
            "the request's target must be empty or start with / or ?, and hold printable ASCII"
            " without blanks or #"
        )
    lines = []
    has_agent = False
    for name, value in request.headers:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("a header name holds a character that is not allowed")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"header {name} holds a character that is not allowed")
        lower = name.lower()
        if lower in _OWN_HEADERS:
            raise ValueError(f"header {name} is set by the transport itself")
        if lower == "user-agent":
            has_agent = True
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines), has_agent


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: a loopback address, or the name `localhost`.

    What `localhost` resolves to is checked again when connecting.
    """
    if host.lower() == "localhost":
        return True
    address = as_address(host)
    return address is not None and address.is_loopback


def as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is written as, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@functools.lru_cache(maxsize=8)
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the verifying TLS context for the system's trust, or for a PEM bundle alone.

    Shared by all transports: building one reads the whole trust store.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
