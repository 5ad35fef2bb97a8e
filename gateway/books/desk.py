"""An account's books of a day, live or kept, with the legs that their rows belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode
from gateway.books.closes import begins, belongs, closes_of, exchange_of, is_due_in_book, made_since
from gateway.books.compare import Comparison, compare
from gateway.books.keeper import SnapshotKeeper
from gateway.books.known import Book, KnownOrder, KnownTrade, asked_of
from gateway.books.reader import BookReader, LiveKind, NotRead
from gateway.calendar import Calendar
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason
from gateway.orders.times import ist, now_us
from gateway.store import Store
from gateway.store.owners import OwnedLeg, Owners, find_owners, legs_between
from gateway.store.snapshots import SnapshotKind

# How many reads of the book the journal may be behind it.
_SETTLE_READS = 2


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One account's comparison, of books begun at `begun_us`.

    `covers_close`: they were read after the last close of the day. `trades` None: this broker
    offers no trade book.
    """

    comparison: Comparison
    begun_us: int
    kept: bool
    covers_close: bool
    legs: int
    orders: int
    trades: int | None


class BookDesk:
    """Reads, keeps and compares; nothing of HTTP."""

    def __init__(
        self,
        store: Store,
        reader: BookReader,
        keeper: SnapshotKeeper,
        calendar: Calendar,
        *,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._store = store
        self._reader = reader
        self._keeper = keeper
        self._calendar = calendar
        self._clock = clock

    def today(self) -> date:
        return ist(self._clock()).date()

    async def show(self, account: Account, kind: SnapshotKind, day: date | None) -> Book[Any]:
        """Return the live book, or what was kept of an earlier day.

        Today's book is read live, and what was kept of it stands in where that fails.

        Raises: `NotRead`.
        """
        if day is None:
            return await self._reader.read(account, kind)
        if day < self.today():
            return await self._kept(account, kind, day)
        try:
            return await self._reader.read(account, kind)
        except NotRead:
            kept = await self._keeper.load(account.id, day, kind)
            if kept is None:
                raise
            return kept

    async def live(self, account: Account, kind: LiveKind) -> Book[Any]:
        """Return what is never kept. Raises: `NotRead`."""
        return await self._reader.read(account, kind)

    async def owners(
        self, account: Account, rows: Sequence[KnownOrder | KnownTrade], at_us: int
    ) -> Owners:
        """Look up whose orders these rows are."""
        tags, ids = asked_of(rows)
        return await self._store.read(lambda c: find_owners(c, account.id, tags, ids, at_us))

    async def legs_of(self, account: Account, day: date) -> list[OwnedLeg]:
        """Every leg that is for a day's session or was made on that day, sent or not."""
        to_us = begins(day + timedelta(days=1))
        legs = await self._store.read(lambda c: legs_between(c, account.id, made_since(day), to_us))
        return [owned for owned in legs if belongs(owned.leg, day, self._calendar)]

    async def check(self, account: Account, day: date) -> Checked:
        """Compare the journal with the book and the trades of a day.

        What differs on a live book is looked at once more before it is believed: an order may
        have moved between the two reads.

        Raises: `NotRead`.
        """
        checked = await self._check(account, day)
        if checked.kept or checked.comparison.matches:
            return checked
        await asyncio.sleep(_SETTLE_READS * account.pace().book_s)
        return await self._check(account, day)

    async def _check(self, account: Account, day: date) -> Checked:
        orders: Book[KnownOrder] = await self.show(account, SnapshotKind.ORDERBOOK, day)
        trades = await self._trades(account, day, kept=orders.kept)
        begun_us = orders.begun_us
        legs = [
            owned
            for owned in await self.legs_of(account, day)
            if is_due_in_book(owned.leg, day, begun_us, self._calendar)
        ]
        rows: list[KnownOrder | KnownTrade] = [*orders.rows, *(trades.rows if trades else ())]
        owners = await self.owners(account, rows, begun_us)
        used = {exchange_of(known.instrument) for known in orders.rows}
        return Checked(
            comparison=compare(legs, orders.rows, trades.rows if trades else None, owners),
            begun_us=begun_us,
            kept=orders.kept,
            covers_close=begun_us >= closes_of(day, {item for item in used if item})[-1],
            legs=sum(1 for owned in legs if owned.leg.attempts),
            orders=len(orders.rows),
            trades=len(trades.rows) if trades else None,
        )

    async def _trades(self, account: Account, day: date, *, kept: bool) -> Book[KnownTrade] | None:
        """Read the trades from where the orders came; None where the broker offers none."""
        if kept:
            return await self._keeper.load(account.id, day, SnapshotKind.TRADES)
        try:
            return await self._reader.read(account, SnapshotKind.TRADES)
        except NotRead as error:
            if error.supported:
                raise
            return None

    async def _kept(self, account: Account, kind: SnapshotKind, day: date) -> Book[Any]:
        kept = await self._keeper.load(account.id, day, kind)
        if kept is not None:
            return kept
        why = await self._keeper.why_missing(account.id, day)
        raise NotRead(
            Reason(
                code=ReasonCode.BOOK_GONE,
                message=f"nothing was kept of {account.id} on {day}" + (f": {why}" if why else ""),
            )
        )
