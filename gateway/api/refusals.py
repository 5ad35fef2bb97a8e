"""Counts refused API keys by the address they came from: slows a guesser, spares the disk.

A right key is never slowed: several scripts share an address, and one that is set up wrongly must
not stop the others from trading.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

_WINDOW_S = 60.0
_FREE = 10
_MOST_ADDRESSES = 1024
_REPORT_EVERY_S = 600.0
_MOST_NAMED = 10


class Refusals:
    """Lives on the event loop. `report` gets a summary, at most one in ten minutes."""

    def __init__(
        self, report: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._unreported: dict[str, int] = {}
        self._reported_at: float | None = None

    def count(self, source: str | None) -> float:
        """Count one refused key; return for how many seconds its sender is to wait, or 0."""
        now, address = self._clock(), source or "unknown"
        begun, count = self._seen.pop(address, (now, 0))
        if now - begun >= _WINDOW_S:
            begun, count = now, 0
        self._seen[address] = (begun, count + 1)
        if len(self._seen) > _MOST_ADDRESSES:
            self._seen.popitem(last=False)
        if address not in self._unreported and len(self._unreported) >= _MOST_NAMED:
            address = "others"
        self._unreported[address] = self._unreported.get(address, 0) + 1
        if self._reported_at is None or now - self._reported_at >= _REPORT_EVERY_S:
            self._reported_at = now
            self.flush()
        return begun + _WINDOW_S - now if count >= _FREE else 0.0

    def flush(self) -> None:
        """Report what was counted since the last report, if anything was."""
        if self._unreported:
            self._report({"event": "keys_refused", "refused": self._unreported})
            self._unreported = {}
