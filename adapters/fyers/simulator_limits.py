"""The simulated Fyers' rate limits (dossier 10)."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Final

PER_SECOND: Final = 10
PER_MINUTE: Final = 200
MOST_BREACHES: Final = 3
"""Breaches of the minute in one day; the next one blocks the user until midnight."""

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)


class RateLimits:
    """Counts the calls of one user, whatever they are for."""

    def __init__(self) -> None:
        self.breaches = 0
        self._taken: deque[datetime] = deque()
        self._over_minute = False
        self._blocked_on: datetime | None = None

    def take(self, now: datetime) -> bool:
        """Count a call, and say whether it is still within the limits."""
        if self._blocked_on is not None and self._blocked_on.date() == now.date():
            return False
        if self._taken and self._taken[-1].date() != now.date():
            self.breaches = 0
        while self._taken and now - self._taken[0] >= _MINUTE:
            self._taken.popleft()
        if len(self._taken) >= PER_MINUTE:
            # One breach is one minute that was overrun, however many calls ran into it.
            if not self._over_minute:
                self._over_minute = True
                self.breaches += 1
                if self.breaches > MOST_BREACHES:
                    self._blocked_on = now
            return False
        self._over_minute = False
        if len(self._taken) >= PER_SECOND and now - self._taken[-PER_SECOND] < _SECOND:
            return False
        self._taken.append(now)
        return True
