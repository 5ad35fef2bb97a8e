"""What earlier runs placed today, counted again: for the limits, and for the day's fills."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import partial

from gateway.books.closes import begins
from gateway.observability.fills import DayFills
from gateway.orders.times import ist, now_us
from gateway.prechecks.desk import PrecheckDesk
from gateway.store import Store
from gateway.store.day import Page, read_page
from gateway.store.owners import id_bound

_DAY_US = 86_400_000_000


class DayUse:
    """A start waits for this with every leg of the day, so the journal is gone through once."""

    def __init__(self, store: Store, prechecks: PrecheckDesk, fills: DayFills) -> None:
        self._store = store
        self._prechecks = prechecks
        self._fills = fills

    async def restore(self) -> None:
        """Count the legs of all accounts, page by page: they need not all be in memory."""
        async for page in self._pages(None):
            self.count([page])

    async def read(self, account_id: str) -> list[Page]:
        """Read the legs of one account, for `count`."""
        return [page async for page in self._pages(account_id)]

    def count(self, pages: Iterable[Page]) -> None:
        restoring = self._prechecks.restoring()
        for page in pages:
            restoring.take_filled(page.filled)
            restoring.take(page.others)
            self._fills.legs(page.filled)
            self._fills.legs(page.others)

    async def _pages(self, account_id: str | None) -> AsyncIterator[Page]:
        midnight = begins(ist(now_us()).date())
        after: tuple[str, int] | None = (id_bound(midnight), 0)
        until = id_bound(midnight + _DAY_US)
        while after is not None:
            look = partial(read_page, after=after, until=until, account=account_id)
            page = await self._store.read(look)
            yield page
            after = page.after
