"""How often books are read and how long evidence takes: product values, in seconds.

`BROKERGATE_TEST_TIME_SCALE` divides them all, for tests that cannot wait a minute. It shortens
waits only: how many good reads are needed never changes.
"""

from __future__ import annotations

import os

import msgspec

GOOD_READS = 3
GOOD_READS_FOR_LOOK = 2


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """`unresolved_s` is the wait before the first, second, ... look-up of an unproven leg.

    `aftermath_s`: how long books are read on, every `aftermath_gap_s`, after an order ended with
    something unfilled, because a fill may show late.
    `polls_per_minute` bounds book reads of one account, since brokers count every call.
    """

    book_s: float = 1.0
    book_min_gap_s: float = 0.4
    polls_per_minute: int = 100
    unresolved_s: tuple[float, ...] = (2.0, 5.0, 10.0, 30.0, 60.0)
    after_failure_s: float = 3.0
    aftermath_s: float = 30.0
    aftermath_gap_s: float = 3.0
    horizon_s: float = 60.0

    def scaled(self, scale: float, horizon_s: float, book_min_gap_s: float) -> Pace:
        """These values divided by `scale`, with an adapter's own where those are longer."""
        return Pace(
            book_s=self.book_s / scale,
            book_min_gap_s=max(self.book_min_gap_s, book_min_gap_s) / scale,
            polls_per_minute=int(self.polls_per_minute * scale),
            unresolved_s=tuple(wait / scale for wait in self.unresolved_s),
            after_failure_s=self.after_failure_s / scale,
            aftermath_s=self.aftermath_s / scale,
            aftermath_gap_s=max(self.aftermath_gap_s, book_min_gap_s) / scale,
            horizon_s=max(self.horizon_s, horizon_s) / scale,
        )


def pace_for(absence_horizon_s: float, book_min_gap_s: float) -> Pace:
    """The pace of an account whose adapter declares this horizon and gap between book reads."""
    scale = float(os.environ.get("BROKERGATE_TEST_TIME_SCALE", "1"))
    return Pace().scaled(max(scale, 1.0), absence_horizon_s, book_min_gap_s)
