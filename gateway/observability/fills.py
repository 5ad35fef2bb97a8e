"""What the day's orders have filled, account by account. Counted as it is written, asked often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gateway.orders.records import Leg
from gateway.orders.times import now_us
from gateway.store.day import FilledLeg

_DAY_US = 86_400 * 1_000_000
_IST_AHEAD_US = (5 * 60 + 30) * 60 * 1_000_000


class DayFills:
    """Orders made today, in India. Added to by one thread at a time and read without a lock."""

    def __init__(self) -> None:
        self._day = -1
        self._filled: dict[str, int] = {}
        self._legs: Counter[str] = Counter()
        self._quantity: Counter[str] = Counter()

    def leg(self, leg: Leg) -> None:
        """Take a leg as it is now. One that was taken before counts by the difference."""
        self.legs((leg,))

    def legs(self, legs: Iterable[Leg | FilledLeg]) -> None:
        """As `leg`, for many."""
        today = _day_of(now_us())
        if today != self._day:
            self._filled, self._legs, self._quantity = {}, Counter(), Counter()
            self._day = today
        begun_us = today * _DAY_US - _IST_AHEAD_US
        for leg in legs:
            before = self._filled.get(leg.leg_id, 0)
            if leg.filled_quantity == before or not 0 <= leg.created_us - begun_us < _DAY_US:
                continue
            self._filled[leg.leg_id] = leg.filled_quantity
            self._legs[leg.account] += (leg.filled_quantity > 0) - (before > 0)
            self._quantity[leg.account] += leg.filled_quantity - before

    def of(self, account: str) -> tuple[int, int]:
        """How many legs of today have filled, at least in part, and how many units in all."""
        if self._day != _day_of(now_us()):
            return 0, 0
        return self._legs[account], self._quantity[account]


def _day_of(at_us: int) -> int:
    return (at_us + _IST_AHEAD_US) // _DAY_US
