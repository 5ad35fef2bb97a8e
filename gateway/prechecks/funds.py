"""Each account's money, read now and then, and what its orders have taken since."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired
from adapters.sdk.interface import Feature
from adapters.sdk.models import BrokerFunds, BrokerMargin, MarginOrder, Session
from gateway.orchestrator.account import Account

# Read anew in the background from this age on, and no longer believed from the other on.
_FRESH_S = 15.0
_BELIEVED_S = 120.0


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker said, and when the asking began (monotonic seconds)."""

    funds: BrokerFunds
    begun_s: float


class FundsBook:
    """One per process. A read is shared by all who wait for it, and outlives them."""

    def __init__(
        self,
        on_session_expired: Callable[[Account, LoginExpired], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_session_expired = on_session_expired
        self._clock = clock
        self._known: dict[str, Funds] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, float] = {}

    async def get(self, account: Account, within_s: float) -> Funds | None:
        """Return the account's funds, or None where they are not known within the time."""
        if not account.plugin.capabilities.has(Feature.FUNDS):
            return None
        known, now = self.known(account), self._clock()
        if known is None or now - known.begun_s > _FRESH_S:
            task = self._read(account)
            # A broker that hangs makes the first order wait, not every one after it too.
            waits_s = within_s - (now - self._begun.get(account.id, now))
            if known is None and waits_s > 0:
                await asyncio.wait({task}, timeout=waits_s)
        return self.known(account)

    async def margin(
        self, account: Account, session: Session, order: MarginOrder, within_s: float
    ) -> BrokerMargin | None:
        """Ask the broker's calculator, or return None when it takes too long.

        Raises: `GatewayError`.
        """
        try:
            async with asyncio.timeout(within_s):
                return await account.calls.margins(session, [order])
        except TimeoutError:
            return None

    def age_s(self, funds: Funds) -> float:
        return self._clock() - funds.begun_s

    def forget(self, account: Account) -> None:
        """Believe nothing that another session was told."""
        self._known.pop(account.id, None)

    async def close(self) -> None:
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def known(self, account: Account) -> Funds | None:
        """Return what is believed now, without asking."""
        known = self._known.get(account.id)
        if known is None or self._clock() - known.begun_s > _BELIEVED_S:
            return None
        return known

    def _read(self, account: Account) -> asyncio.Task[None]:
        task = self._reading.get(account.id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(account))
            self._reading[account.id] = task
            self._begun[account.id] = self._clock()
            task.add_done_callback(lambda _: self._reading.pop(account.id, None))
        return task

    async def _fetch(self, account: Account) -> None:
        session, begun = account.session, self._clock()
        if session is None:
            return
        try:
            funds = await account.calls.funds(session)
        except LoginExpired as error:
            self._on_session_expired(account, error)
        except GatewayError:
            # What is known grows old by itself, and then nothing is known.
            return
        else:
            self._known[account.id] = Funds(funds=funds, begun_s=begun)


def left(funds: Funds, taken: Decimal) -> Decimal | None:
    """Rupees left of what the broker said, after what our orders took since, or None."""
    available = funds.funds.available
    return None if available is None else available - taken
