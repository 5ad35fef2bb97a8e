"""Looks after sessions by the clock: ends, warnings, and the login of the day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from gateway.orchestrator.account import Account
from gateway.orders.times import IST
from gateway.sessions.manager import SessionManager
from gateway.sessions.standing import LoginPlan, close_of

log = logging.getLogger(__name__)

LOOK_S = 5.0


class SessionKeeper:
    """One per process. `tick` looks once; `run` does so until it is cancelled.

    A day's login is begun once, whatever becomes of it: what failed is the owner's to repeat.
    `trades_on` says whether the exchanges trade on a day.
    """

    def __init__(
        self,
        sessions: SessionManager,
        accounts: Mapping[str, Account],
        plan_of: Callable[[str], LoginPlan],
        trades_on: Callable[[date], bool],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sessions = sessions
        self._accounts = accounts
        self._plan_of = plan_of
        self._trades_on = trades_on
        self._clock = clock
        self._done: dict[str, date] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.tick()
            except Exception:
                log.exception("the sessions were not looked after")
            await asyncio.sleep(LOOK_S)

    async def tick(self) -> None:
        """Tell of what ends, and begin what is due."""
        self._sessions.views()
        self._sessions.finish_erasing()
        now = self._clock().astimezone(IST)
        due = [
            account
            for account in self._accounts.values()
            if self._is_due(account, self._plan_of(account.id), now)
        ]
        # All at once: one broker that answers slowly must not keep the others waiting.
        await asyncio.gather(*(self._sessions.login_of_day(each, now.date()) for each in due))

    def _is_due(self, account: Account, plan: LoginPlan, now: datetime) -> bool:
        today = now.date()
        if plan.login_at is None or self._done.get(account.id) == today:
            return False
        if not plan.login_at <= now.time() or now >= close_of(today):
            return False
        self._done[account.id] = today
        session = account.session
        lasts = session is not None and session.expires_at >= close_of(today)
        return not lasts and self._trades_on(today)
