"""Keeps what brokers' books say, before they are gone: a look at the clock twice a minute.

A snapshot is of the calendar day on which it was read. The last good one stays, unless it lacks
orders that an earlier one of that day has: a book that lost rows has begun to be cleared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from adapters.sdk.models import Exchange, Session
from gateway.books.closes import (
    before_expiry,
    begins,
    belongs,
    closes_of,
    exchange_of,
    made_since,
)
from gateway.books.known import Book, KnownOrder, KnownPosition, is_of_day, packed, row_id, unpacked
from gateway.books.reader import BookReader, NotRead
from gateway.calendar import Calendar
from gateway.orchestrator.account import Account
from gateway.orchestrator.trading_day import CLOSE
from gateway.orders.times import ist, now_us, rfc3339, to_us
from gateway.store import Store, StoreBroken
from gateway.store.owners import OwnedLeg, legs_between
from gateway.store.snapshots import (
    Packed,
    SnapshotKind,
    load_snapshot,
    mark_missed,
    missed,
    put_snapshot,
    taken_us,
)

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
# While brokers fail: a minute, then more, so that the reads do not add to their trouble.
_AGAIN_US = (60_000_000, 120_000_000, 300_000_000)
_LEAVING_S = 5.0
# Of a closed day's books of many accounts, so that they do not stand in memory all at once.
_AT_ONCE = 4
_DAYS_BACK = 4
_DAY = timedelta(days=1)


class _Day:
    """What was done about one account's books on one day. `settled_us`: closes up to then."""

    def __init__(self, day: date, settled_us: int) -> None:
        self.day = day
        self.settled_us = settled_us
        self.failures = 0
        self.again_us = 0
        self.last_problem: str | None = None


class SnapshotKeeper:
    """One per process. `tick` looks once; `run` does so until it is cancelled."""

    def __init__(
        self,
        store: Store,
        accounts: Mapping[str, Account],
        reader: BookReader,
        calendar: Calendar,
        *,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._reader = reader
        self._calendar = calendar
        self._clock = clock
        self._days: dict[str, _Day] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.tick()

    async def tick(self) -> None:
        """Take every snapshot that is due now, and say which were missed."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(account: Account) -> None:
            async with room:
                await self._look_after(account)

        await asyncio.gather(*map(one, self._accounts.values()))

    async def take(self, account: Account, why: str) -> bool:
        """Read and keep an account's books now; False when not all of them could be.

        Raises: `StoreBroken`.
        """
        async with self._locks.setdefault(account.id, asyncio.Lock()):
            now = self._clock()
            day = ist(now).date()
            books: dict[SnapshotKind, Book[Any]] = {}
            failed: dict[str, str] = {}
            for kind in SnapshotKind:
                try:
                    books[kind] = await self._reader.read(account, kind)
                except NotRead as error:
                    if error.supported:
                        failed[kind] = error.reason.message
            kept, shrunk = await self._worth_keeping(account, day, books)
            if books:
                await self._keep(account, day, why, kept, failed, shrunk)
            state = self._days.get(account.id)
            if failed and state is not None and state.day == day:
                state.last_problem = "; ".join(failed.values())
            return not failed

    async def before_leaving(self, account: Account, why: str) -> None:
        """Keep the books before a session ends by our own doing, if the day has orders of ours.

        Bounded in time, and never in the way: what cannot be read then is only logged.
        """
        if account.session is None:
            return
        try:
            async with asyncio.timeout(_LEAVING_S):
                day = ist(self._clock()).date()
                if await self._sent_on(account, day):
                    await self.take(account, why)
        except (TimeoutError, StoreBroken) as error:
            log.warning("%s: books not kept before the %s: %s", account.id, why, error)

    async def _look_after(self, account: Account) -> None:
        with contextlib.suppress(StoreBroken):
            state = await self._state_of(account)
            now = self._clock()
            if now < state.again_us:
                return
            session = account.session
            if session is None or to_us(session.expires_at) <= now:
                # Not failed: an account that nobody uses has no books to miss.
                return
            due = await self._due(account, session, state, now)
            if due is None:
                return
            if await self.take(account, due):
                state.settled_us, state.failures, state.again_us = now, 0, 0
                state.last_problem = None
                return
            if state.failures == 0:
                log.warning("%s: books not kept (%s): %s", account.id, due, state.last_problem)
            state.again_us = now + _AGAIN_US[min(state.failures, len(_AGAIN_US) - 1)]
            state.failures += 1

    async def _state_of(self, account: Account) -> _Day:
        """Return today's state; on a new day, first see what the days before it lack."""
        day = ist(self._clock()).date()
        state = self._days.get(account.id)
        if state is not None and state.day == day:
            return state
        await self._note_missed(account, state, day)
        state = self._days[account.id] = _Day(day, await self._taken(account, day))
        return state

    async def _due(self, account: Account, session: Session, state: _Day, now: int) -> str | None:
        """Why a snapshot is due now, or None."""
        day = state.day
        expiry = before_expiry(day, session.expires_at)
        if expiry is not None and state.settled_us < expiry <= now:
            return "session_ends"
        if not any(state.settled_us < at <= now for at in closes_of(day, CLOSE)):
            # Whatever was used, nothing has closed since: the day's legs need not be read.
            return None
        sent = await self._sent_on(account, day)
        used = {exchange_of(owned.leg.instrument) for owned in sent}
        used |= await self._shown_on(account, day)
        passed = [at for at in closes_of(day, {item for item in used if item}) if at <= now]
        if passed and passed[-1] > state.settled_us and (sent or self._trades(day)):
            return "close"
        return None

    async def _sent_on(self, account: Account, day: date) -> list[OwnedLeg]:
        """The legs of a day that may be at the broker."""
        legs = await self._store.read(
            lambda c: legs_between(c, account.id, made_since(day), begins(day + _DAY))
        )
        calendar = self._calendar
        return [owned for owned in legs if owned.leg.attempts and belongs(owned.leg, day, calendar)]

    def _trades(self, day: date) -> bool:
        return self._calendar.trades_on(day, Exchange.NSE)

    async def _shown_on(self, account: Account, day: date) -> set[Any]:
        """The exchanges that the day's kept books name."""
        names: set[Any] = set()
        for kind in (SnapshotKind.ORDERBOOK, SnapshotKind.POSITIONS):
            book = await self.load(account.id, day, kind)
            rows: list[KnownOrder | KnownPosition] = book.rows if book else []
            names |= {exchange_of(known.instrument) for known in rows}
        return names

    async def load(self, account_id: str, day: date, kind: SnapshotKind) -> Book[Any] | None:
        """Return what was kept of a day, or None."""
        stored = await self._store.read(lambda c: load_snapshot(c, account_id, day, kind))
        return unpacked(kind, stored) if stored else None

    async def why_missing(self, account_id: str, day: date) -> str | None:
        return await self._store.read(lambda c: missed(c, account_id, day))

    async def _worth_keeping(
        self, account: Account, day: date, books: Mapping[SnapshotKind, Book[Any]]
    ) -> tuple[dict[SnapshotKind, Book[Any]], list[str]]:
        """Leave out the kinds that lost rows since an earlier snapshot of the day."""
        shrunk = []
        for kind in (SnapshotKind.ORDERBOOK, SnapshotKind.TRADES):
            before = await self.load(account.id, day, kind) if kind in books else None
            if before is None:
                continue
            ids = {row_id(known) for known in books[kind].rows}
            lost = [row for row in before.rows if is_of_day(row, day) and row_id(row) not in ids]
            if lost:
                shrunk.append(kind.value)
                log.warning("%s: %s lost %d rows; kept the older", account.id, kind, len(lost))
        if shrunk:
            return {}, shrunk
        return dict(books), shrunk

    async def _keep(
        self,
        account: Account,
        day: date,
        why: str,
        books: Mapping[SnapshotKind, Book[Any]],
        failed: Mapping[str, str],
        shrunk: list[str],
    ) -> None:
        parts: dict[SnapshotKind, Packed] = {}
        for kind, book in books.items():
            parts[kind] = await asyncio.to_thread(packed, book.rows)
        begun = min((book.begun_us for book in books.values()), default=self._clock())
        body: dict[str, Any] = {
            "event": "kept_older" if shrunk else "taken",
            "day": day.isoformat(),
            "why": why,
            "as_of": rfc3339(begun),
            "rows": {kind.value: part.rows for kind, part in parts.items()},
        }
        if failed or shrunk:
            body |= {"failed": sorted(failed), "lost_rows": shrunk}
        await self._store.write_audited(
            lambda c: put_snapshot(c, account.id, day, begun, parts),
            "snapshot",
            body,
            account=account.id,
        )

    async def _note_missed(self, account: Account, state: _Day | None, today: date) -> None:
        """Say of each of the last days with orders of ours whether its last books are lacking."""
        for back in range(_DAYS_BACK, 0, -1):
            day = today - timedelta(days=back)
            sent = await self._sent_on(account, day)
            asked = state is not None and state.day == day and state.last_problem is not None
            if not sent and not asked:
                continue
            used = {exchange_of(owned.leg.instrument) for owned in sent}
            last_close = closes_of(day, {item for item in used if item})[-1]
            taken = await self._taken(account, day)
            known = await self.why_missing(account.id, day)
            if taken >= last_close or known is not None:
                continue
            problem = state.last_problem if state is not None and asked else None
            await self._mark_missed(account, day, _why(taken, problem))

    async def _mark_missed(self, account: Account, day: date, why: str) -> None:
        log.warning("%s: the books of %s were not kept: %s", account.id, day, why)
        await self._store.write_audited(
            lambda c: mark_missed(c, account.id, day, why),
            "snapshot",
            {"event": "missed", "day": day.isoformat(), "why": why},
            account=account.id,
        )

    async def _taken(self, account: Account, day: date) -> int:
        return await self._store.read(lambda c: taken_us(c, account.id, day))


def _why(taken: int, problem: str | None) -> str:
    if taken:
        at: datetime = ist(taken)
        return f"the last ones are of {at:%H:%M}, before the close"
    return problem or "nobody was logged in after the close, or the gateway was not running"
