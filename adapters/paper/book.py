"""The practice broker made safe to use: one at a time, and durable before it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import TypeVar

from adapters.paper.account import Day
from adapters.paper.broker import PaperBroker
from adapters.paper.ledger import Ledger, LedgerDamaged, lines_of
from adapters.sdk.errors import NotSent, OutcomeUnknown, Phase, Progress
from adapters.sdk.simulator import SimOrder, Universe
from adapters.sdk.simulator.clock import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")


class Book:
    """One account's book. Without a ledger it lives in memory and ends with the process."""

    def __init__(self, ledger: Ledger | None, cash: Decimal, *, borrowed: bool, clock: Clock):
        self._ledger = ledger
        self._cash = cash
        self._borrowed = borrowed
        self._clock = clock
        self._broker: PaperBroker | None = None
        self._lock = asyncio.Lock()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="paper")
        self._writing: set[asyncio.Task[None]] = set()

    async def run(self, work: Callable[[PaperBroker], T]) -> T:
        """Do something with the broker while nobody else does; return once it is durable.

        `work` is called without anything awaited in between. Whoever is cancelled while it is
        being written changes nothing about that.

        Raises:
            NotSent: the ledger cannot be read; `work` was not called.
            OutcomeUnknown: what `work` did may or may not be on disk. The next call goes by
                what is.
        """
        await self._lock.acquire()
        writing: asyncio.Task[None] | None = None
        try:
            broker = await self._current()
            try:
                result = work(broker)
            finally:
                writing = self._save(broker)
        finally:
            if writing is None:
                self._lock.release()
            else:
                writing.add_done_callback(self._written)
        if writing is not None:
            await asyncio.shield(writing)
        return result

    async def close(self) -> None:
        """Wait for what is being written. The book is not used again."""
        if self._writing:
            await asyncio.wait(self._writing)
        self._disk.shutdown()

    async def _current(self) -> PaperBroker:
        """Return the broker of today, its due affairs done."""
        if self._broker is None:
            self._broker = await self._load()
        fresh = self._broker.tidy()
        if fresh is None:
            return self._broker
        kept = self._broker.kept_on(fresh.date)
        await self._rewrite(fresh, kept)
        self._broker = self._made(fresh, kept)
        return self._broker

    async def _load(self) -> PaperBroker:
        day: Day | None = None
        orders: list[SimOrder] = []
        if self._ledger is not None:
            try:
                day, orders = await self._on_disk(self._ledger.load)
            except (LedgerDamaged, OSError) as error:
                raise _unreadable(error) from error
        if day is None:
            day = Day(date=self._clock().date(), cash=self._cash)
        await self._rewrite(day, orders)
        return self._made(day, orders)

    def _made(self, day: Day, orders: list[SimOrder]) -> PaperBroker:
        universe = Universe(self._clock().date())
        return PaperBroker(day, orders, universe, borrowed=self._borrowed, clock=self._clock)

    async def _rewrite(self, day: Day, orders: list[SimOrder]) -> None:
        if self._ledger is None:
            return
        try:
            await self._on_disk(partial(self._ledger.rewrite, lines_of(orders, day)))
        except OSError as error:
            # What was settled in memory is settled again from the file.
            self._broker = None
            raise _unreadable(error) from error

    def _save(self, broker: PaperBroker) -> asyncio.Task[None] | None:
        changed = list(broker.changed.values())
        broker.changed.clear()
        if not changed or self._ledger is None:
            return None
        # Encoded now, as they are: the broker goes on changing them.
        task = asyncio.get_running_loop().create_task(self._append(lines_of(changed)))
        self._writing.add(task)
        return task

    async def _append(self, lines: bytes) -> None:
        assert self._ledger is not None  # noqa: S101
        try:
            await self._on_disk(partial(self._ledger.append, lines))
        except OSError as error:
            self._broker = None
            log.error("the practice book cannot be written: %s", error)
            raise OutcomeUnknown(
                f"the practice book could not be written: {error}",
                progress=Progress.MAYBE_SENT,
                phase=Phase.WRITE,
            ) from error

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        self._lock.release()
        if not task.cancelled():
            # Whoever waited has it too; nobody may be left.
            task.exception()

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)


def _unreadable(error: Exception) -> NotSent:
    return NotSent(f"the practice book cannot be used: {error}", phase=Phase.CONNECT)
