"""Server-sent events out of the bytes of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec


class Event(NamedTuple):
    """One event; `seq` is where to go on after a break. `body` is its JSON."""

    seq: int
    kind: str
    body: Any


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[list[Event]]:
    """Yield what came together as one list. An empty list is a sign of life."""
    waiting = b""
    async for piece in pieces:
        *blocks, waiting = (waiting + piece).split(b"\n\n")
        yield [event for event in map(_event, blocks) if event is not None]


def _event(block: bytes) -> Event | None:
    seq, kind, data = 0, "", b""
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"id":
            seq = int(value)
        elif name == b"event":
            kind = value.decode()
        elif name == b"data":
            data += value
    return Event(seq, kind, msgspec.json.decode(data)) if data else None
