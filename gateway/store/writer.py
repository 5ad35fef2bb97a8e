"""The one thread that writes: group commit, so that the event loop never waits for a disk.

Callers hand in a function over the connection. Everything that is waiting when the thread
comes round shares one transaction and one sync; each function runs in a savepoint, so that one
which fails takes nothing else with it. A future is done only after the commit returned.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import apsw

from gateway import failpoints

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[apsw.Connection], Any]

_BATCH = 256
BUSY_MS = 5000


class StoreBroken(RuntimeError):
    """The journal cannot be written (disk full, I/O error). Nothing may be sent."""


class Writer:
    """Runs write functions one after another on their own thread, in shared transactions.

    `on_broken` is called on the writer's thread when a commit fails; `after_rollback` lets
    cached state (the audit chain's head) return to what is on disk. `on_delivered` is called on
    the loop once the results of a transaction are handed over. `on_commit` is called on the
    writer's thread with the seconds that a transaction took and the writes in it.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        on_broken: Callable[[BaseException], None] | None = None,
        checkpoint_head: Callable[[], Any] | None = None,
        restore_head: Callable[[Any], None] | None = None,
        on_delivered: Callable[[], None] | None = None,
        on_commit: Callable[[float, int], None] | None = None,
    ) -> None:
        self._connection = connection
        self._on_broken = on_broken
        self._checkpoint_head = checkpoint_head
        self._restore_head = restore_head
        self._on_delivered = on_delivered
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self.must_empty_wal = False
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[apsw.Connection], T], points: tuple[str, ...] = ()
    ) -> asyncio.Future[T]:
        """Queue a write; the future ends after the commit, or with the function's own error.

        `points`: the failpoints that its commit stands for (see `gateway.failpoints`).

        Raises (in the future): `StoreBroken` when the transaction could not be committed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._closed:
            future.set_exception(StoreBroken("the journal is closed"))
            return future
        self._queue.put(_Job(work, loop, future, points))
        return future

    def empty_wal(self) -> None:
        """Have the log emptied once the transaction that asks for it is committed.

        Called by a write: what it erases from the file must not stay readable in the log.
        """
        self.must_empty_wal = True

    def close(self) -> None:
        """Finish what is queued, then end the thread. Blocks; not for the event loop's hot path."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            jobs: list[_Job] = []
            job = self._queue.get()
            while True:
                if job is None:
                    running = False
                    break
                jobs.append(job)
                if len(jobs) >= _BATCH:
                    break
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
            if jobs:
                self._commit(jobs)
            if self.must_empty_wal:
                self._empty_wal()

    def _commit(self, jobs: list[_Job]) -> None:
        connection = self._connection
        head = self._checkpoint_head() if self._checkpoint_head else None
        begun = time.perf_counter()
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._run_job(job, alone=len(jobs) == 1)
            _hit("before_", jobs)
            connection.execute("COMMIT")
            _hit("after_", jobs)
            if self._on_commit is not None:
                self._on_commit(time.perf_counter() - begun, len(jobs))
        except BaseException as error:
            if not connection.getautocommit():
                connection.execute("ROLLBACK")
            if self._restore_head:
                self._restore_head(head)
            alone = len(jobs) == 1 and jobs[0].error is error
            if not alone and self._on_broken:
                self._on_broken(error)
            for job in jobs:
                if job.error is None:
                    job.error = StoreBroken(f"the journal could not be written: {error}")
        _deliver(jobs, self._on_delivered)

    def _empty_wal(self) -> None:
        """Copy the log into the file and cut it to nothing, unless a reader is in the way.

        Nothing waits for it: what it moves is committed already, and it is tried again.
        """
        connection = self._connection
        try:
            connection.set_busy_timeout(0)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self.must_empty_wal = False
        except apsw.BusyError:
            pass
        except apsw.Error as error:
            log.warning("the journal's log could not be emptied of erased tokens: %s", error)
        finally:
            connection.set_busy_timeout(BUSY_MS)

    def _run_job(self, job: _Job, *, alone: bool) -> None:
        if alone:
            # One job needs no savepoint: the transaction itself is its unit.
            try:
                job.result = job.work(self._connection)
            except apsw.IOError:
                raise
            except apsw.FullError:
                raise
            except Exception as error:
                job.error = error
                raise
            return
        head = self._checkpoint_head() if self._checkpoint_head else None
        self._connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(self._connection)
        except (apsw.IOError, apsw.FullError):
            raise
        except Exception as error:
            job.error = error
            self._connection.execute("ROLLBACK TO job")
            if self._restore_head:
                self._restore_head(head)
        self._connection.execute("RELEASE job")


class _Job:
    __slots__ = ("error", "future", "loop", "points", "result", "work")

    def __init__(
        self,
        work: Work,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        points: tuple[str, ...],
    ) -> None:
        self.work = work
        self.loop = loop
        self.future = future
        self.points = points
        self.result: Any = None
        self.error: BaseException | None = None


def _hit(when: str, jobs: list[_Job]) -> None:
    if failpoints.ARMED:
        for job in jobs:
            for point in job.points:
                failpoints.hit(when + point)


def _deliver(jobs: list[_Job], on_delivered: Callable[[], None] | None) -> None:
    """Hand the results over in one wake-up per loop: a thread switch costs more than a row."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, mine in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, mine, on_delivered)
        except RuntimeError:
            # The loop is closed: nobody waits any more, and what was committed stays committed.
            continue


def _settle(jobs: list[_Job], on_delivered: Callable[[], None] | None) -> None:
    for job in jobs:
        if job.future.cancelled():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
    if on_delivered is not None:
        on_delivered()
