"""Tells the audit log by which configuration the gateway runs, a change between starts included."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.config.changes import Kept, changes, kept_of
from gateway.config.settings import Settings
from gateway.store import Store, StoreBroken
from gateway.store.sealed import set_meta

log = logging.getLogger(__name__)

# The part before the colon is the kind of the rows.
_NAME = "config:running"


class ConfigurationRecord:
    """`running` gives the configuration in effect. The last one told of is kept in the journal."""

    def __init__(self, store: Store, running: Callable[[], Settings]) -> None:
        self._store = store
        self._running = running

    async def started(self) -> None:
        """Write what was changed since the last start or reload. The very first one is kept only.

        A journal that cannot be written stops orders, not this.
        """
        now = kept_of(self._running())
        text = await self._store.load_meta(_NAME)
        try:
            if text is None:
                await self._store.write(lambda c: set_meta(c, _NAME, _encoded(now).encode()))
                return
            found = changes(_decoded(text), now)
            if found:
                body = {"event": "changed_between_starts", "actor": {"client": "gateway"}}
                await self._save(now, {**body, "changes": found})
                log.info("the configuration was changed: %s", ", ".join(c.key for c in found))
        except StoreBroken as error:
            log.error("a changed configuration could not be written to the journal: %s", error)

    async def reloaded(self, wanted: Settings, body: dict[str, Any]) -> None:
        """Write a reload's row, with what it changes. Raises: `StoreBroken`."""
        before, after = kept_of(self._running()), kept_of(wanted)
        await self._save(after, {**body, "changes": changes(before, after)})

    async def _save(self, kept: Kept, body: dict[str, Any]) -> None:
        await self._store.save_meta(_NAME, _encoded(kept), msgspec.to_builtins(body))


def _encoded(kept: Kept) -> str:
    return msgspec.json.encode(kept).decode()


def _decoded(text: str) -> Kept:
    try:
        return msgspec.json.decode(text, type=Kept)
    except msgspec.DecodeError:
        log.error("what was kept of the last configuration is damaged")
        return Kept({}, {})
