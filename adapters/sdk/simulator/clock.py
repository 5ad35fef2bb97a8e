"""Simulated exchange time: an injectable clock, always aware and in IST."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the machine's time in IST."""
    return datetime.now(IST)


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("the clock needs an aware time")
        self._now = start.astimezone(IST)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, *, ms: int) -> None:
        """Move forward by `ms` milliseconds."""
        self._now += timedelta(milliseconds=ms)
