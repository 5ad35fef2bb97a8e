"""Ids of orders and legs, and the tag that a timed-out order is found again by."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TAG_EPOCH_S = 1_577_836_800  # 2020-01-01T00:00:00Z
_TAG_RANDOM = 1_000_000
# Ids must be unique, not secret: nobody may do more for knowing one. The system's source would be
# a call to the kernel for each, in which other threads take their turn before the order's.
_random = random.Random(secrets.randbits(256))
TAG_MIN = 10**14
TAG_MAX = 10**15 - 1


def new_order_id(now_ms: int | None = None) -> str:
    """Return `ord_` and 26 characters that sort by creation time."""
    ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return "ord_" + _base32(ms, 10) + _base32(_random.getrandbits(80), 16)


def new_request_id() -> str:
    return f"req_{_random.getrandbits(64):016x}"


def leg_id_of(order_id: str, n: int) -> str:
    """The id of an order's leg number `n` (from 1)."""
    return f"leg_{order_id[4:]}_{n}"


def order_of_leg(leg_id: str) -> tuple[str, int] | None:
    """Split a leg id into its order's id and its number, or None when it is not a leg id."""
    body, _, n = leg_id.removeprefix("leg_").rpartition("_")
    if not leg_id.startswith("leg_") or not body or not n.isdigit():
        return None
    return "ord_" + body, int(n)


class TagMint:
    """Mints `broker_tag`s: 15 digits, seconds since 2020 (9 digits until 2051) and 6 random ones.

    The time part never steps back, not even with the clock or across a restart (`last` is the
    highest tag in the journal), so a tag whose row is long gone is still never minted again.
    The journal's unique index is the proof; this makes a clash rare.
    """

    def __init__(self, last: int = 0, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # Tags of the second in which the last run ended are unknown here, so start after it.
        self._second = last // _TAG_RANDOM + 1 if last else 0
        self._used: set[int] = set()

    def mint(self) -> int:
        now = int(self._clock()) - _TAG_EPOCH_S
        if now > self._second:
            self._second = now
            self._used.clear()
        elif len(self._used) > _TAG_RANDOM // 2:
            self._second += 1
            self._used.clear()
        while True:
            tail = _random.randrange(_TAG_RANDOM)
            if tail not in self._used:
                self._used.add(tail)
                return self._second * _TAG_RANDOM + tail


def _base32(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, rest = divmod(value, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
