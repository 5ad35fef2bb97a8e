"""The gateway's own request to a broker, sent again without the gateway."""

from __future__ import annotations

from urllib.parse import urlsplit

from benchmarks.fleet import Seat


class DirectCall:
    """A broker's place request as the gateway sent it, the order's tag left open."""

    def __init__(self, host: str, port: int, before: bytes, after: bytes) -> None:
        self.host, self.port = host, port
        self._before, self._after = before, after

    @classmethod
    def recorded(cls, seat: Seat, request: bytes, tag: str) -> DirectCall:
        parts = urlsplit(next(iter(seat.base_urls.values())))
        before, _, after = request.partition(tag.encode())
        return cls(parts.hostname or "", parts.port or 0, before, after)

    def by(self, host: str, port: int) -> DirectCall:
        """Return the same request, to be sent to somebody who passes it on."""
        return DirectCall(host, port, self._before, self._after)

    def message(self, tag: int) -> bytes:
        return b"%s%015d%s" % (self._before, tag, self._after)
