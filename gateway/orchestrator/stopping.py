"""What CANCEL_ALL and SQUARE_OFF set going: cancels at every account in scope, then closing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gateway.kill import Engagement, Level, Scope
from gateway.orchestrator.account import Account
from gateway.orchestrator.cancelling import Canceller, CancelRun, Selection
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.squaring import KILL_CLIENT, SquareOff, SquareRun
from gateway.orders.records import Purpose


class StopRun:
    """One engagement being seen through, observable while it works. Starts at once."""

    def __init__(
        self,
        engagement: Engagement,
        accounts: Iterable[Account],
        canceller: Canceller,
        square_off: SquareOff,
        stands: Callable[[], bool],
    ) -> None:
        self._engagement = engagement
        self._canceller = canceller
        self._square_off = square_off
        self._stands = stands
        self.cancels = CancelRun()
        self.squares = SquareRun() if engagement.level is Level.SQUARE_OFF else None
        self.accounts = [account for account in accounts if self._reaches(account)]
        self._task = asyncio.get_running_loop().create_task(self._work())

    @property
    def done(self) -> bool:
        return self._task.done()

    async def finished(self) -> None:
        """Wait for the end; cancelling this ends the work."""
        try:
            await asyncio.shield(self._task)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            raise

    async def wait(self, timeout_s: float) -> None:
        """Wait for the end, at most so long. An ended wait changes nothing."""
        await asyncio.wait([self._task], timeout=timeout_s)

    def counts(self) -> dict[str, int]:
        counts = self.cancels.counts()
        if self.squares is not None:
            counts["closing_orders"] = len(self.squares.orders)
            counts["skipped"] = len(self.squares.skipped)
        return counts

    async def _work(self) -> None:
        await asyncio.gather(*(self._stop(account) for account in self.accounts))

    async def _stop(self, account: Account) -> None:
        engagement = self._engagement
        actor = {"client": KILL_CLIENT, "engagement": engagement.id, **engagement.actor}
        selection = Selection(
            ours=self._is_meant, elsewhere=engagement.scope not in (Scope.STRATEGY, Scope.KEY)
        )
        await self._canceller.sweep(account, selection, self.cancels, actor, self._stands)
        if self.squares is not None and self._stands():
            await self._square_off.close(
                account, engagement, self.cancels, self.squares, self._stands
            )

    def _is_meant(self, leg: LiveLeg) -> bool:
        """A leg in scope; the orders that this engagement itself closes positions with stay."""
        order = leg.order.order
        closes = order.purpose is Purpose.SQUARE_OFF
        mine = closes and order.idempotency_key.startswith(self._engagement.id)
        return not mine and self._engagement.covers(leg.subject)

    def _reaches(self, account: Account) -> bool:
        scope, target = self._engagement.scope, self._engagement.target
        if scope is Scope.BROKER:
            return account.broker == target
        return scope is not Scope.ACCOUNT or account.id == target
