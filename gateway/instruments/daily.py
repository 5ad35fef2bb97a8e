"""Fetches the masters anew every trading morning, and again where that failed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, time, timedelta

from gateway.instruments.service import InstrumentService
from gateway.orders.times import IST, ist, now_us, to_us

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
# After a failure; some brokers give their master only to a session, which also comes later.
_AGAIN_S = (300.0, 900.0, 1800.0)
_JITTER_S = 120.0
_DAY = timedelta(days=1)


def last_due(now: datetime, at: time) -> datetime:
    """The newest moment at which masters were to be fetched: `at` in India, Monday to Friday."""
    due = datetime.combine(now.astimezone(IST).date(), at, IST)
    while due > now or due.weekday() >= 5:
        due -= _DAY
    return due


def is_stale(loaded_us: int, now_us: int, at: time) -> bool:
    """Whether a copy is of an earlier trading morning than the newest."""
    return ist(loaded_us) < last_due(ist(now_us), at)


class DailyRefresh:
    """One per process. `tick` looks once; `run` does so until it is cancelled.

    A broker of which there is no copy at all is left to its first login. Where all brokers have
    one morning's masters ready at the same second, gateways must not all come then: each waits
    up to two minutes more.
    """

    def __init__(
        self,
        instruments: InstrumentService,
        at: time,
        *,
        clock: Callable[[], int] = now_us,
        jitter_s: float = _JITTER_S,
    ) -> None:
        self._instruments = instruments
        self._at = at
        self._clock = clock
        self._jitter = timedelta(seconds=random.uniform(0, jitter_s))
        self._began = clock()
        self._failures: dict[str, int] = {}
        self._again_us: dict[str, int] = {}
        self._ensuring: dict[str, asyncio.Lock] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.tick()
            except Exception:
                log.exception("the instrument masters were not looked after")
            await asyncio.sleep(LOOK_EVERY_S)

    async def tick(self) -> None:
        """Fetch what is stale and may be tried now."""
        now = self._clock()
        stale = [broker for broker in await self.stale() if now >= self._again_us.get(broker, 0)]
        if not stale or not self._is_time(now):
            return
        for broker, result in (await self._instruments.refresh(stale)).items():
            if isinstance(result, dict) and result["ok"]:
                self._failures.pop(broker, None)
                self._again_us.pop(broker, None)
                continue
            failures = self._failures.get(broker, 0)
            self._failures[broker] = failures + 1
            wait_s = _AGAIN_S[min(failures, len(_AGAIN_S) - 1)]
            self._again_us[broker] = self._clock() + int(wait_s * 1_000_000)

    async def ensure(self, broker: str) -> None:
        """Fetch a broker's master now where there is none, or a stale one: its login is here.

        Many logins at once cause one load.
        """
        async with self._ensuring.setdefault(broker, asyncio.Lock()):
            if broker in await self._instruments.missing() or broker in await self.stale():
                await self._instruments.refresh([broker])

    async def stale(self) -> list[str]:
        """The brokers whose copy is of an earlier trading morning than the newest."""
        return [
            info.broker
            for info in await self._instruments.info()
            if is_stale(info.loaded_us, self._clock(), self._at)
            and self._instruments.is_configured(info.broker)
        ]

    def _is_time(self, now: int) -> bool:
        """False during the jitter after the hour; a start after the hour waits for nothing."""
        due = last_due(ist(now), self._at)
        return self._began >= to_us(due) or ist(now) >= due + self._jitter
