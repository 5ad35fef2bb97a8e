"""Borrowed prices for the practice book: asked for when needed, and while orders wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from adapters.paper.book import Book
from adapters.paper.broker import PaperBroker
from adapters.paper.config import FRESH_S, POLL_S, QUOTE_WAIT_S, SLOWEST_POLL_S
from adapters.sdk.errors import GatewayError
from adapters.sdk.interface import BorrowedMarket
from adapters.sdk.models import BrokerQuote

log = logging.getLogger(__name__)


class Feed:
    """Brings prices into one book. Without a market to borrow from there are none to bring."""

    def __init__(
        self, account: str, book: Book, market: BorrowedMarket | None, poll_s: float = POLL_S
    ) -> None:
        self._account = account
        self._book = book
        self._market = market
        self._poll_s = poll_s
        self._task: asyncio.Task[None] | None = None
        self._woken = False
        self._failing = False

    async def refresh(self, instruments: Sequence[str]) -> None:
        """Bring in the prices of these that are not fresh. What cannot be had stays as it is."""
        if self._market is None or not instruments:
            return
        old = await self._book.run(
            lambda broker: [one for one in instruments if broker.age_of_price(one) > FRESH_S]
        )
        if old:
            await self._fetch(old)

    def watch(self) -> None:
        """See to it that open orders meet the prices to come."""
        self._woken = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            self._woken = False
            pause = self._poll_s
            try:
                wanted = await self._book.run(PaperBroker.wanted_prices)
                if wanted is None and not self._woken:
                    return
                if wanted and not await self._fetch(wanted):
                    pause = max(SLOWEST_POLL_S, self._poll_s)
            except GatewayError as error:
                log.warning("%s: practice orders stand still: %s", self._account, error.message)
                pause = max(SLOWEST_POLL_S, self._poll_s)
            await asyncio.sleep(pause)

    async def _fetch(self, instruments: Sequence[str]) -> bool:
        """Take in what the lender says; False, and said once, where it says nothing."""
        if self._market is None:
            return True
        try:
            async with asyncio.timeout(QUOTE_WAIT_S):
                quotes = await self._market.quotes(instruments)
        except (GatewayError, TimeoutError) as error:
            if not self._failing:
                log.warning("%s: no prices to practise with: %s", self._account, error)
            self._failing = True
            return False
        if self._failing:
            log.warning("%s: there are prices to practise with again", self._account)
        self._failing = False
        await self._book.run(lambda broker: _take_in(broker, list(quotes.values())))
        return True


def _take_in(broker: PaperBroker, quotes: Sequence[BrokerQuote]) -> None:
    for quote in quotes:
        broker.quote(quote)
