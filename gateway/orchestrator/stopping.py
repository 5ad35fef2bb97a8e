"""What CANCEL_ALL and SQUARE_OFF set going: cancels at every account in scope, then closing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from gateway.kill import Engagement, Level, Scope
from gateway.orchestrator.account import Account
from gateway.orchestrator.actions import CANCEL_ATTEMPTS
from gateway.orchestrator.cancelling import Canceller, CancelRun, Selection
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.squaring import KILL_CLIENT, SquareOff, SquareRun
from gateway.orders.records import Purpose

log = logging.getLogger(__name__)

_AFTER_FAILURE_S = 5.0
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0


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
        """See one account through, whatever gets in the way, for as long as this stands."""
        while self._stands():
            try:
                await self._stop_once(account)
                return
            except Exception:
                log.exception("%s: the kill switch met an unexpected failure", account.id)
                await asyncio.sleep(_AFTER_FAILURE_S)

    async def _stop_once(self, account: Account) -> None:
        most = CANCEL_ATTEMPTS
        pause_s = _FIRST_PAUSE_S
        clean = await self._sweep(account, most)
        await self._close(account)
        while not (clean and self._is_closed(account)) and self._stands():
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            most += 1
            clean = clean or await self._sweep(account, most)
            if clean:
                # Positions that were left alone for want of a confirmed cancel, or because the
                # broker could not be asked just then.
                await self._close(account)

    async def _sweep(self, account: Account, most: int) -> bool:
        engagement = self._engagement
        actor = {"client": KILL_CLIENT, "engagement": engagement.id, **engagement.actor}
        selection = Selection(
            ours=self._is_meant, elsewhere=engagement.scope not in (Scope.STRATEGY, Scope.KEY)
        )
        return await self._canceller.sweep(
            account, selection, self.cancels, actor, self._stands, most
        )

    async def _close(self, account: Account) -> None:
        if self.squares is not None and self._stands():
            await self._square_off.close(
                account, self._engagement, self.cancels, self.squares, self._stands
            )

    def _is_closed(self, account: Account) -> bool:
        """Whether nothing is left that may be closed a little later."""
        return self.squares is None or account.id not in self.squares.again

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
