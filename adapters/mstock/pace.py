"""Limits of m.Stock's that are a few routes' own, so that no window of the gateway knows them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from adapters.sdk.errors import Denied, ReasonCode

_MOST_WAIT_S: Final = 3.0


class Pace:
    """Lets at most `count` calls begin in any `per_s` seconds; later ones wait for their turn."""

    def __init__(
        self, count: int, per_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._clock = clock
        self._turns: deque[float] = deque(maxlen=count)

    async def turn(self) -> None:
        """Wait for a turn.

        Raises:
            Denied: so many wait already that a caller with a few seconds would give up first.
        """
        now = self._clock()
        full = len(self._turns) == self._turns.maxlen
        at = max(now, self._turns[0] + self._per_s) if full else now
        if at - now > _MOST_WAIT_S:
            raise Denied(
                "too many calls wait for m.Stock's rate limit on market data",
                reason=ReasonCode.RATE_LIMITED,
            )
        self._turns.append(at)
        if at > now:
            await asyncio.sleep(at - now)
