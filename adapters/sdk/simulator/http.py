"""What a broker simulator's handlers take and give: requests, answers and routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="number")
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class CallKind(StrEnum):
    """What a call is for, in the words that faults and the ledger's counts use.

    ORDER reads one order; READ is every other account read (positions, holdings, funds,
    profile, margins); OTHER is a path that no route knows.
    """

    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    BOOK = "book"
    ORDER = "order"
    TRADES = "trades"
    LOGIN = "login"
    QUOTE = "quote"
    MASTER = "master"
    READ = "read"
    OTHER = "other"


class SimRequest:
    """One request as the simulated broker read it. Header names are lower case.

    `params` holds the route's path parameters and `query` the query's, both decoded; the last
    one wins where a name is repeated. `lag_ms` and `omit` are what the book
    faults asked for; handlers need not look, `BrokerSimulator.visible_orders` does.
    """

    __slots__ = (
        "body",
        "headers",
        "kind",
        "lag_ms",
        "method",
        "omit",
        "params",
        "path",
        "query",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        raw_query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        params: Mapping[str, str] | None = None,
        kind: CallKind = CallKind.OTHER,
    ) -> None:
        self.method = method
        self.path = path
        self.query: dict[str, str] = (
            dict(parse_qsl(raw_query, keep_blank_values=True)) if raw_query else {}
        )
        self.headers: dict[str, str] = dict(headers or {})
        self.body = body
        self.params: dict[str, str] = dict(params or {})
        self.kind = kind
        self.lag_ms: int | None = None
        self.omit: Mapping[str, Any] | None = None

    @property
    def content_type(self) -> str:
        """The media type without its parameters, lower case, or an empty string."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def json(self) -> Any:
        """Decode the body. Raises `ValueError` when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise ValueError(f"the body is not JSON: {error}") from error

    def form(self) -> dict[str, str]:
        """Decode the body as a URL-encoded form. Raises `ValueError` when it is not UTF-8."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class SimResponse:
    """One answer. `body` may be bytes, text, an iterator of bytes (streamed), or any JSON value.

    JSON values may hold `Decimal` (written as a number with its digits) and msgspec Structs.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        body: Any = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.headers: dict[str, str] = dict(headers or {})
        self.body: bytes | Iterator[bytes]
        default_type = "application/json"
        if isinstance(body, bytes):
            self.body = body
        elif isinstance(body, str):
            self.body = body.encode()
            default_type = "text/plain; charset=utf-8"
        elif isinstance(body, Iterator):
            self.body = body
            default_type = "application/octet-stream"
        else:
            self.body = _encoder.encode(body)
        self.headers.setdefault("content-type", default_type)

    def whole_body(self) -> bytes:
        """Return the body in one piece, exhausting an iterator."""
        if not isinstance(self.body, bytes):
            self.body = b"".join(self.body)
        return self.body

    def head(self, *, length: int | None, keep_alive: bool = True) -> bytes:
        """Write the status line and headers. `length` None means chunked."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(
            "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        )
        if not keep_alive:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


Handler = Callable[[SimRequest], SimResponse]


class Route:
    """One method and path of the broker.

    `path` segments are literal, `{name}` (one segment) or, at the end only, `{rest...}`
    (everything that is left, slashes included).
    """

    __slots__ = ("handler", "kind", "method", "path")

    def __init__(self, method: str, path: str, kind: CallKind, handler: Handler) -> None:
        self.method = method
        self.path = path
        self.kind = kind
        self.handler = handler


class Router:
    """Find a request's route: literal paths first, then patterns in the order given."""

    def __init__(self, routes: list[Route]) -> None:
        self._literal: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[list[str], Route]] = []
        for route in routes:
            if "{" in route.path:
                self._patterns.append((route.path.split("/"), route))
            else:
                self._literal[route.method, route.path] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route and its path parameters. HEAD finds the route of GET."""
        if method == "HEAD":
            method = "GET"
        literal = self._literal.get((method, path))
        if literal is not None:
            return literal, {}
        segments = path.split("/")
        for pattern, route in self._patterns:
            if route.method == method:
                params = _match(pattern, segments)
                if params is not None:
                    return route, params
        return None

    def knows_path(self, path: str) -> bool:
        """Whether some method has this path (the answer is then 405 rather than 404)."""
        segments = path.split("/")
        return any(known == path for _, known in self._literal) or any(
            _match(pattern, segments) is not None for pattern, _ in self._patterns
        )


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for index, part in enumerate(pattern):
        if part.endswith("...}"):
            params[part[1:-4]] = unquote("/".join(segments[index:]))
            return params
        if index >= len(segments):
            return None
        if part.startswith("{"):
            params[part[1:-1]] = unquote(segments[index])
        elif part != segments[index]:
            return None
    return params if len(pattern) == len(segments) else None
