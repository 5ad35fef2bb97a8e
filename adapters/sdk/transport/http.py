"""The HTTP request and answer as adapters see them, whichever client carries them."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.sdk.errors import BadAnswer


class HttpRequest(msgspec.Struct, frozen=True):
    """One request. `target` is path plus query, appended to the transport's base URL as it stands.

    Header names may have any case; `Host`, `Content-Length`, `Connection` and
    `Accept-Encoding` are the transport's own.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        # Headers, query and body carry keys and passwords, so they never reach a log.
        return f"HttpRequest({self.method} {self.target.partition('?')[0]})"


class HttpResponse(msgspec.Struct, frozen=True):
    """A whole answer: the body was read to its end. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self, type: Any = Any) -> Any:
        """Decode the body; `BadAnswer` when it is not the JSON expected."""
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadAnswer(
                f"HTTP {self.status} with a body that is not the expected JSON: {error}",
                status=self.status,
            ) from error

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"
