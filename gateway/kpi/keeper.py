"""Looks at the accounts once a second and keeps a line a minute, while the gateway runs."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from adapters.sdk.errors import ReasonCode
from gateway.calls.breaker import BreakerState
from gateway.kill import KillSwitch
from gateway.kill.levels import Subject
from gateway.kpi.minutes import MINUTE_US, Condition, Minute
from gateway.orchestrator.account import Account
from gateway.orders.times import now_us
from gateway.store.figures import FigureStore

_LOOK_EVERY_S = 1.0
# A look that comes later than this says nothing of the time before it: the machine slept.
_LATEST_S = 10.0
_AWAY = frozenset({BreakerState.OPEN, BreakerState.HALF_OPEN})
_NO_SESSION = frozenset({ReasonCode.SESSION_MISSING, ReasonCode.SESSION_EXPIRED})


class MinuteKeeper:
    """`repeats` gives how many requests were answered for a used key since the process began."""

    def __init__(
        self,
        store: FigureStore,
        accounts: Mapping[str, Account],
        switch: KillSwitch,
        repeats: Callable[[], int],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._switch = switch
        self._repeats = repeats
        self._counted = 0
        self._minute = _empty(now_us())
        self._looked = time.monotonic()
        self.running = False

    async def run(self) -> None:
        """MinuteKeeper until cancelled; what is left over is kept then."""
        self.running = True
        self._looked = time.monotonic()
        try:
            while True:
                due = time.monotonic() + _LOOK_EVERY_S
                await asyncio.sleep(_LOOK_EVERY_S)
                late_ms = (time.monotonic() - due) * 1000
                self._minute.lag_ms = max(self._minute.lag_ms, round(late_ms, 1))
                self.look()
                if now_us() >= self._minute.at_us + MINUTE_US:
                    await self.keep()
        finally:
            await self.keep()
            self.running = False

    def look(self) -> None:
        """Count the time since the last look for what each account is in now."""
        now, minute = time.monotonic(), self._minute
        seconds, self._looked = now - self._looked, now
        if seconds > _LATEST_S:
            return
        minute.seconds += seconds
        minute.rss = max(minute.rss, resident_bytes())
        for account in self._accounts.values():
            spent = minute.accounts.setdefault(account.id, {})
            condition = condition_of(account, self._switch)
            spent[condition] = spent.get(condition, 0.0) + seconds

    async def keep(self) -> None:
        """Write the minute so far and begin another."""
        if self.running:
            self.look()
        minute, self._minute = self._minute, _empty(now_us())
        repeats = self._repeats()
        minute.repeats, self._counted = repeats - self._counted, repeats
        for spent in minute.accounts.values():
            for condition, seconds in spent.items():
                spent[condition] = round(seconds, 2)
        minute.seconds = round(minute.seconds, 2)
        if minute.seconds or minute.repeats:
            await self._store.add(minute)


def condition_of(account: Account, switch: KillSwitch) -> Condition:
    """Say what an account's time counts as now."""
    health = account.calls.health
    states = {health.place.state, health.read.state}
    if states & _AWAY:
        return Condition.OUTAGE
    if BreakerState.ISOLATED in states or switch.on(
        Subject(account=account.id, broker=account.broker)
    ):
        return Condition.HELD
    obstacle = account.obstacle()
    if obstacle is None:
        return Condition.UP
    if account.session is None or obstacle.code in _NO_SESSION:
        return Condition.LOGGED_OUT
    return Condition.RECOVERING


def resident_bytes() -> int:
    """The process' memory that is in use, shared pages included; 0 where nobody says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()
    return 0


def _empty(at_us: int) -> Minute:
    return Minute(at_us=at_us - at_us % MINUTE_US, since_us=at_us)
