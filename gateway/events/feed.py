"""Follows the audit log for whoever listens. Nothing is kept per listener but a place in it.

A listener that is slow or away misses nothing, since every row stays in the log; it only reads
later. The number of a row is the id that a listener comes back with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from gateway.store import Store
from gateway.store.audit import AuditRow, RowFilter

_HEARTBEAT_S = 15.0
_MOST = 64


class TooManyListeners(RuntimeError):
    """As many as the gateway serves listen already."""


class Feed:
    """One per process. `close` ends every listener, so that stopping need not wait for them."""

    def __init__(self, store: Store, *, heartbeat_s: float = _HEARTBEAT_S) -> None:
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._closing = asyncio.Event()
        self._listening = 0

    def close(self) -> None:
        self._closing.set()
        self._store.wake_watchers()

    def assert_room(self) -> None:
        """Raise `TooManyListeners` where one more may not begin."""
        if self._listening >= _MOST:
            raise TooManyListeners

    async def head(self) -> int:
        """The number of the newest row."""
        return await self._store.last_audit_seq()

    async def follow(self, wanted: RowFilter) -> AsyncIterator[list[AuditRow]]:
        """Yield rows after `wanted.after` as they come; an empty list is a sign of life."""
        self._listening += 1
        try:
            with self._store.watch() as changed:
                while not self._closing.is_set():
                    changed.clear()
                    rows, looked_to = await self._store.audit_rows(wanted)
                    wanted = msgspec.structs.replace(wanted, after=looked_to)
                    if rows:
                        yield rows
                    if len(rows) < wanted.limit and not await self._changed(changed):
                        yield []
        finally:
            self._listening -= 1

    async def _changed(self, changed: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await changed.wait()
        except TimeoutError:
            return False
        return True
