"""Looks after the audit log while the gateway runs; nothing here is on an order's way.

Checkpoints after a time and at the end of each day, anchors to a file, and once a night a check
of the whole log, after which the rows that were kept long enough go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.orders.times import ist, now_us
from gateway.store import Store, StoreBroken
from gateway.store.audit import CHECKPOINT, Checkpoint, RowFilter
from gateway.store.audit.anchors import Anchor, append_anchor, last_anchor, read_anchors
from gateway.store.audit.checkpoint import parse_public_key, read_checkpoint
from gateway.store.audit.export import Damaged, Selection

if TYPE_CHECKING:
    from gateway.config.settings import Audit

log = logging.getLogger(__name__)

_LOOK_S = 15.0
# No exchange trades then, and a gateway that was stopped at midnight comes to it in the morning.
_NIGHT_ENDS = 8
_DAY_US = 86_400_000_000
# A tenth of a processor: nobody waits for the night's check.
_CHECK_IDLE = 9.0
_STEP_PAUSE_S = 0.05


class AuditKeeper:
    """One per gateway: `start`, then `run` until cancelled, and `stop` before the store closes."""

    def __init__(
        self,
        store: Store,
        settings: Audit,
        *,
        clock: Callable[[], int] = now_us,
        look_s: float = _LOOK_S,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._look_s = look_s
        self._day = ist(clock()).date()
        self._checked: date | None = None
        self._anchored = 0
        self._anchor_fails = False
        self._started = False

    async def start(self) -> None:
        """Compare the log with what was published of it, and publish what was not yet."""
        self._started = True
        if self._settings.anchor_file is not None:
            await self._compare(self._settings.anchor_file)
            await self._publish()

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            await asyncio.sleep(self._look_s)
            try:
                await self.look()
            except StoreBroken:
                log.debug("the journal cannot be written; the audit log waits")
            except Exception:
                log.exception("looking after the audit log failed")

    async def look(self) -> None:
        """Do what is due: a checkpoint, an anchor, the night's work."""
        now = self._clock()
        today = ist(now).date()
        if today != self._day:
            await self._store.checkpoint("day")
            self._day = today
        elif await self._is_time(now):
            await self._store.checkpoint("time")
        await self._publish()
        if self._checked != today and ist(now).hour < _NIGHT_ENDS:
            self._checked = today
            await self.check_and_shorten()

    async def stop(self) -> None:
        """Sign and publish what came last. The journal may be broken: then the next start does."""
        if self._started:
            with contextlib.suppress(StoreBroken):
                await self._store.checkpoint("stop")
            await self._publish()

    async def check_and_shorten(self) -> None:
        """Check the whole log; where it holds, let the rows go that were kept long enough."""
        path = self._settings.anchor_file
        anchors: Iterable[Anchor] = ()
        if path is not None and path.exists():
            anchors = read_anchors(path, parse_public_key(self._store.audit_public_key))
        verdict = await self._store.verify_audit(anchors=anchors, idle=_CHECK_IDLE)
        if not verdict.ok:
            await self._alarm(
                "audit_damaged",
                f"{verdict.problem}; keep a copy of the data directory and run"
                " `brokergate audit verify`; nothing is removed until it holds",
            )
            return
        await self._shorten()

    async def _is_time(self, now: int) -> bool:
        found = await self._store.last_checkpoint()
        since = found[1].at_us if found is not None else 0
        return now - since >= self._settings.checkpoint_minutes * 60_000_000

    async def _publish(self) -> None:
        path = self._settings.anchor_file
        found = await self._store.last_checkpoint() if path is not None else None
        if path is None or found is None or found[0] <= self._anchored:
            return
        try:
            await asyncio.to_thread(append_anchor, path, found[1])
        except OSError as error:
            if not self._anchor_fails:
                self._anchor_fails = True
                await self._alarm("audit_anchor", f"{path} cannot be written: {error}")
            return
        self._anchor_fails = False
        self._anchored = found[0]

    async def _compare(self, path: Path) -> None:
        """Hold the log against the newest anchor: a log that was cut or replaced lacks it."""
        try:
            anchor = await asyncio.to_thread(last_anchor, path)
        except OSError as error:
            await self._alarm("audit_anchor", f"{path} cannot be read: {error}")
            return
        if anchor is None:
            return
        problem = await self._lacks(anchor)
        if problem is None:
            self._anchored = anchor.through + 1
            return
        await self._alarm(
            "audit_anchor",
            f"{problem}: rows were cut off or written anew, or an older copy was restored; compare"
            f" with `brokergate audit verify --anchor {path}`, then name a new anchor_file",
        )

    async def _lacks(self, anchor: Checkpoint) -> str | None:
        if not anchor.is_signed_by(parse_public_key(self._store.audit_public_key)):
            return "the newest anchor is not signed by this log's key"
        rows, _ = await self._store.audit_rows(RowFilter(after=anchor.through, limit=1))
        if not rows:
            return f"the audit log lacks row {anchor.through + 1}, which an anchor tells of"
        if rows[0].seq != anchor.through + 1 or rows[0].kind != CHECKPOINT:
            first, _ = await self._store.audit_rows(RowFilter(limit=1))
            if first and first[0].seq > anchor.through + 1:
                return None  # it was removed in its time
            return f"row {anchor.through + 1} of the audit log is not the one that was published"
        if read_checkpoint(rows[0].body) != anchor:
            return f"row {anchor.through + 1} of the audit log is not the one that was published"
        return None

    async def _shorten(self) -> None:
        before_us = self._clock() - self._settings.keep_days * _DAY_US
        steps = await self._store.removable_audit(before_us)
        if not steps:
            return
        archive = None
        if self._settings.archive_dir is not None:
            first, through = steps[0].first, steps[-1].through
            archive = f"audit-{first}-{through}.jsonl"
            # With the checkpoint after it, which signs the last of them.
            part = Selection(after=first - 1, until=through + 1)
            try:
                await self._store.export_audit(self._settings.archive_dir / archive, part)
            except FileExistsError:
                log.info("%s is there already, from a run that was interrupted", archive)
            except (OSError, Damaged) as error:
                await self._alarm("audit_archive", f"old rows stay, {archive} failed: {error}")
                return
        for step in steps:
            await self._store.remove_audit(step, archive)
            await asyncio.sleep(_STEP_PAUSE_S)
        log.info("audit rows %d to %d were kept long enough", steps[0].first, steps[-1].through)

    async def _alarm(self, event: str, text: str) -> None:
        log.error("audit log: %s", text)
        with contextlib.suppress(StoreBroken):
            await self._store.audit("alarm", {"event": event, "text": text})
