"""The clients' history: a file of JSON lines, each written before anything depends on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.evidence import ClientEvent, Did

_KEPT_OF_A_LEG = (
    "leg_id",
    "account",
    "broker_tag",
    "outcome",
    "state",
    "broker_order_id",
    "filled_quantity",
    "reason",
)


class History:
    """`phase` is what the run is doing now; every line carries it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._encode = msgspec.json.Encoder().encode
        self.events: list[ClientEvent] = []
        self.phase = "calm"

    def note(
        self, did: Did, client: str, *, at_us: int | None = None, **fields: Any
    ) -> ClientEvent:
        event = ClientEvent(
            at_us=at_us or now_us(), did=did, client=client, phase=self.phase, **fields
        )
        self.events.append(event)
        self._file.write(self._encode(event) + b"\n")
        return event

    def close(self) -> None:
        self._file.close()


def shortened(order: dict[str, Any]) -> dict[str, Any]:
    """Keep of an order's answer what the checker reads."""
    legs = [{name: leg.get(name) for name in _KEPT_OF_A_LEG} for leg in order["legs"]]
    return {"order_id": order["order_id"], "summary": order["summary"], "legs": legs}


def now_us() -> int:
    return time.time_ns() // 1000
