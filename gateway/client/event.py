"""Server-sent events out of the bytes of a stream."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from gateway.client.models import Leg


class Event(msgspec.Struct, kw_only=True):
    """Something that happened. Give `seq` as `after` to hear what came behind it.

    `body` is the whole event; an `order` event has the `leg` as it is now.
    """

    seq: int
    type: str
    at: datetime | None = None
    account: str | None = None
    order_id: str | None = None
    strategy: str | None = None
    leg: Leg | None = None
    body: dict[str, Any] = {}


class Parser:
    """Takes pieces as they come; `place` is where to go on when the stream breaks."""

    def __init__(self, place: int | None = None) -> None:
        self.place = place
        self._waiting = b""

    def feed(self, piece: bytes) -> list[Event]:
        *blocks, self._waiting = (self._waiting + piece).split(b"\n\n")
        return [event for event in map(self._event, blocks) if event is not None]

    def restart(self) -> None:
        """Forget a half event: what comes next is a new stream."""
        self._waiting = b""

    def _event(self, block: bytes) -> Event | None:
        data = b""
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"id":
                self.place = int(value)
            elif name == b"data":
                data += value
        if not data:
            return None
        event = msgspec.json.decode(data, type=Event)
        event.body = msgspec.json.decode(data)
        return event
