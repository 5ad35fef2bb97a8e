"""One minute of a running gateway: what each account's time was spent in, and what it cost."""

from __future__ import annotations

from enum import StrEnum

import msgspec

MINUTE_US = 60_000_000


class Condition(StrEnum):
    """What an account is in; the first that applies.

    OUTAGE: its broker does not answer, told by the breaker of orders or of books. HELD: somebody,
    or a safety net, stopped it. LOGGED_OUT: nobody logged it in. RECOVERING: the gateway itself is
    not ready for it. UP: none of these.
    """

    OUTAGE = "outage"
    HELD = "held"
    LOGGED_OUT = "logged_out"
    RECOVERING = "recovering"
    UP = "up"


class Minute(msgspec.Struct, kw_only=True):
    """`at_us`: its begin. `since_us`: when in it the gateway was first looked at. `seconds`: how
    much of it the gateway ran; `accounts` splits them.

    `rss` (bytes) and `lag_ms` are the highest seen. `repeats`: requests that were answered with
    the order which their key had already made.
    """

    at_us: int
    since_us: int = 0
    seconds: float = 0.0
    rss: int = 0
    lag_ms: float = 0.0
    repeats: int = 0
    accounts: dict[str, dict[Condition, float]] = {}
