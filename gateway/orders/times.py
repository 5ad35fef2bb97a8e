"""Times: microseconds since 1970 inside, aware IST datetimes at the edge."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")


def now_us() -> int:
    return time.time_ns() // 1000


def ist(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, IST)


def rfc3339(us: int | None) -> str | None:
    """Render with milliseconds and the IST offset, as every answer shows times."""
    if us is None:
        return None
    return ist(us).isoformat(timespec="milliseconds")


def to_us(at: datetime) -> int:
    """Convert an aware datetime; a naive one is a bug and raises."""
    if at.tzinfo is None:
        raise ValueError("a time without an offset cannot be placed")
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
