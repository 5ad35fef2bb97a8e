"""Server-sent events: the framing, and how a listener says where it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

_RETRY_MS = 2000
_encode = msgspec.json.Encoder().encode

SIGN_OF_LIFE = b": alive\n\n"


class BadPlace(ValueError):
    """`Last-Event-ID` or `after` is not the number of a row."""


def hello(place: int) -> bytes:
    """Begin a stream. The number is an event-source client's `Last-Event-ID` until an event comes,
    so that a break before the first one loses nothing.
    """
    return b"id: %d\nretry: %d\n\n" % (place, _RETRY_MS)


def frame(seq: int, kind: str, body: object) -> bytes:
    """One event. JSON holds no line break, so one `data` line is enough."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (seq, kind.encode(), _encode(body))


def frames(events: Iterable[tuple[int, str, object]]) -> bytes:
    return b"".join(frame(*event) for event in events) or SIGN_OF_LIFE


def place_of(headers: Mapping[str, str], query: Mapping[str, str]) -> int | None:
    """Return the row after which a listener wants to go on, or None for from now on.

    `Last-Event-ID`, which a client sends by itself after a break, wins over `after`.

    Raises: `BadPlace` naming the field.
    """
    for field, text in (
        ("Last-Event-ID", headers.get("last-event-id")),
        ("after", query.get("after")),
    ):
        if text:
            if not text.isdecimal() or len(text) > 18:
                raise BadPlace(field)
            return int(text)
    return None
