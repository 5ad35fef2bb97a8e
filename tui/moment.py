"""What time it is, for whatever the console shows of ages and of time left."""

from __future__ import annotations

import time


def monotonic() -> float:
    """Seconds that only ever grow."""
    return time.monotonic()


def wall() -> float:
    """Seconds since 1970."""
    return time.time()
