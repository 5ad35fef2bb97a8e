"""The kill switch at work: thrown, kept, released, and what its harder levels set going."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from gateway.kill import (
    Engagement,
    KillFile,
    KillSwitch,
    Level,
    Progress,
    Scope,
    Subject,
)
from gateway.kill.switch import JOURNAL, KILL_FILE_SOURCE, RESTORED, UNREADABLE
from gateway.orchestrator.account import Account
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.stopping import StopRun
from gateway.orders.problems import Problem
from gateway.orders.states import UNPROVEN
from gateway.orders.times import now_us
from gateway.store import KillRow, Store, StoreBroken

log = logging.getLogger(__name__)

_ENDLESS = "kill-endless"
_EMERGENCY_EVENT = "kill_engaged"
StartRun = Callable[[Engagement, Callable[[], bool]], StopRun]


class Engaged(msgspec.Struct, kw_only=True):
    """What an engagement did. `on_wire` are legs of which a write was already on its way."""

    engagement: Engagement
    blocked_us: int
    blocked_in_ms: float
    persisted: bool
    on_wire: list[tuple[LiveLeg, str]]
    run: StopRun | None


class KillService:
    """Owns the switch. One per process; every change of it goes through here.

    `start_run` begins what CANCEL_ALL and SQUARE_OFF ask for; it gets the engagement and a way to
    ask whether that still stands.
    """

    def __init__(
        self,
        store: Store,
        switch: KillSwitch,
        file: KillFile,
        accounts: Mapping[str, Account],
        start_run: StartRun,
    ) -> None:
        self.switch = switch
        self.file = file
        self._store = store
        self._accounts = accounts
        self._start_run = start_run
        self._runs: dict[str, StopRun] = {}
        self._unkept: dict[tuple[Scope, str | None], Engagement] = {}
        self._unreadable: list[tuple[str, str]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changing = asyncio.Lock()
        self._loaded = asyncio.Event()

    async def load(self) -> None:
        """Take up what earlier runs kept. Whatever cannot be read counts as engaged, globally."""
        try:
            await self._load()
        finally:
            self._loaded.set()

    async def _load(self) -> None:
        if self.file.look():
            await self._audit_file(True, "")
        try:
            rows = await self._store.load_kills()
        except Exception as error:
            log.exception("the kill switch's rows cannot be read")
            self.switch.set_condition(UNREADABLE, f"its state cannot be read ({error})")
            return
        good = []
        for row in rows:
            engagement = _read(row)
            if engagement is None:
                self._unreadable.append((row[0], row[1]))
            else:
                good.append(engagement)
        self.switch.restore(good)
        if self._unreadable:
            count = len(self._unreadable)
            log.error("%d rows of the kill switch cannot be read: engaged globally", count)
            self.switch.set_condition(UNREADABLE, f"{count} of its rows cannot be read")

    def start(self) -> None:
        """Watch the KILL file, and go on with cancels that a restart cut short."""
        self._spawn(self.file.watch(), name=_ENDLESS)
        for engagement in self.switch.all():
            if engagement.progress is Progress.RUNNING:
                self._run(engagement)

    async def stop(self) -> None:
        """End the watching and the sweeps; what is being written still is."""
        for task in self._tasks:
            if task.get_name() == _ENDLESS:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def engage(
        self,
        scope: Scope,
        target: str | None,
        level: Level,
        reason: str,
        actor: dict[str, Any],
        source: str = "api",
        began: float | None = None,
    ) -> Engaged:
        """Throw the switch: in force when this is first awaited, durable when it returns.

        Never lowers a level: what stands higher at this scope and target stays as it is. `began`
        is when it was asked for (`time.perf_counter`).
        """
        thrown = self._throw(scope, target, level, reason, actor, source, began)
        # Shielded: a client that hangs up must not leave the switch thrown but not kept.
        thrown.persisted = await asyncio.shield(self._spawn(self._keep(thrown, level, reason)))
        return thrown

    def engage_soon(
        self,
        scope: Scope,
        target: str | None,
        reason: str,
        actor: dict[str, Any],
        source: str,
    ) -> None:
        """Engage HALT_NEW where nobody can wait: in force at once, kept as soon as possible."""
        thrown = self._throw(scope, target, Level.HALT_NEW, reason, actor, source)
        self._spawn(self._keep(thrown, Level.HALT_NEW, reason))

    async def release(
        self,
        scope: Scope,
        target: str | None,
        reason: str,
        actor: dict[str, Any],
        *,
        only: str | None = None,
    ) -> None:
        """Take back what is engaged at exactly this scope and target, once that is on disk.

        `only`: the id of the engagement that is meant; another one stays.

        Raises: `Problem` while the KILL file exists, when nothing is engaged there, or when the
        release cannot be written.
        """
        if self.file.look():
            await self._audit_file(self.switch.condition(KILL_FILE_SOURCE) is not None, "")
        if self.switch.condition(KILL_FILE_SOURCE) is not None:
            raise Problem(
                409, "kill_file_present", f"remove the file {self.file.path} first, then release"
            )
        async with self._changing:
            await asyncio.shield(self._spawn(self._release(scope, target, reason, actor, only)))
        log.warning("the kill switch was released for %s %s: %s", scope, target or "", reason)

    async def book_read(self, account: Account) -> None:
        """Let an account go on whose journal was restored, now that its book was read whole."""
        standing = self.switch.at(Scope.ACCOUNT, account.id)
        if standing is None or standing.source != RESTORED:
            return
        reason, actor = "its order book was read since the restore", {"client": "gateway"}
        try:
            await self.release(Scope.ACCOUNT, account.id, reason, actor, only=standing.id)
        except Problem as problem:
            log.warning("%s stays stopped after the restore: %s", account.id, problem.detail)

    async def _release(
        self,
        scope: Scope,
        target: str | None,
        reason: str,
        actor: dict[str, Any],
        only: str | None,
    ) -> None:
        standing = self.switch.at(scope, target)
        if only is not None and (standing is None or standing.id != only):
            return
        causes = []
        if scope is Scope.GLOBAL:
            causes = [c for s in (JOURNAL, UNREADABLE) if (c := self.switch.condition(s))]
        if standing is None and not causes:
            where = scope if target is None else f"{scope} {target}"
            raise Problem(409, "not_engaged", f"nothing is engaged for exactly this: {where}")
        rows = [(str(scope), target or "")]
        if scope is Scope.GLOBAL:
            rows += self._unreadable
        audit = {
            "event": "released",
            "actor": actor,
            "scope": scope,
            "target": target,
            "level": standing.level if standing else Level.HALT_NEW,
            "causes": [cause.source for cause in causes],
            "reason": reason,
        }
        account = target if scope is Scope.ACCOUNT else None
        try:
            await self._store.release_kill(rows, audit, account=account)
        except StoreBroken as error:
            raise Problem(
                503, "journal_broken", f"the release cannot be written, so all stays: {error}"
            ) from error
        # Whatever was engaged while that was written is newer than the release and stands.
        if standing is not None and self._stands(standing):
            self.switch.release(scope, target)
        for cause in causes:
            if self.switch.condition(cause.source) is cause:
                self.switch.clear_condition(cause.source)
        self._unreadable = [row for row in self._unreadable if row not in rows]
        if self._unkept or causes:
            await self._catch_up()

    def run_of(self, engagement: Engagement) -> StopRun | None:
        return self._runs.get(engagement.id)

    def unresolved(self, engagement: Engagement) -> list[LiveLeg]:
        """The legs in scope of which nobody knows whether they live at their broker."""
        return [leg for leg in self._legs(engagement) if leg.state in UNPROVEN]

    def on(self, account: Account) -> Engagement | None:
        """What stops the account as a whole, or None."""
        return self.switch.on(Subject(account=account.id, broker=account.broker))

    def _throw(
        self,
        scope: Scope,
        target: str | None,
        level: Level,
        reason: str,
        actor: dict[str, Any],
        source: str,
        began: float | None = None,
    ) -> Engaged:
        began = time.perf_counter() if began is None else began
        standing = self.switch.at(scope, target)
        is_lower = standing is not None and standing.level.rank > level.rank
        if standing is not None and standing.source == RESTORED and is_lower:
            # That one ends by itself, and what is asked for now may not end with it.
            level, is_lower = standing.level, False
        if standing is not None and is_lower:
            engagement = standing
        else:
            engagement = Engagement(
                id="kill_" + secrets.token_hex(8),
                scope=scope,
                target=target,
                level=level,
                reason=reason,
                source=source,
                engaged_us=now_us(),
                actor=actor,
                progress=Progress.RUNNING if _must_cancel(level) else Progress.NONE,
            )
        self.switch.engage(engagement)
        thrown = Engaged(
            engagement=engagement,
            blocked_us=now_us(),
            blocked_in_ms=round((time.perf_counter() - began) * 1000, 3),
            persisted=False,
            on_wire=[(leg, leg.on_wire) for leg in self._legs(engagement) if leg.on_wire],
            run=None,
        )
        log.warning("%s", engagement.words())
        if engagement is not standing and engagement.progress is Progress.RUNNING:
            self._run(engagement)
        thrown.run = self._runs.get(engagement.id)
        return thrown

    def _legs(self, engagement: Engagement) -> list[LiveLeg]:
        return [
            leg
            for account in self._accounts.values()
            for leg in account.moving.values()
            if engagement.covers(leg.subject)
        ]

    async def _keep(self, thrown: Engaged, level: Level, reason: str) -> bool:
        """Write the engagement; False when only memory and the emergency log have it."""
        # A signal may come before it is known what is on disk, and that may stand higher.
        await self._loaded.wait()
        place = thrown.engagement.place
        engagement = self.switch.at(*place) or thrown.engagement
        audit = {
            "event": "engaged",
            "id": engagement.id,
            "actor": engagement.actor,
            "scope": engagement.scope,
            "target": engagement.target,
            "level": engagement.level,
            "asked": level,
            "reason": reason,
            "source": engagement.source,
            "on_the_wire": [leg.record.leg_id for leg, _ in thrown.on_wire],
        }
        return await self._save(engagement, audit)

    async def _save(self, engagement: Engagement, audit: dict[str, Any]) -> bool:
        account = engagement.target if engagement.scope is Scope.ACCOUNT else None
        try:
            await self._store.save_kill(_row(engagement), audit, account=account)
        except StoreBroken:
            self._unkept[engagement.place] = engagement
            kept = {**audit, "engagement": engagement}
            self._store.emergency.append(f"kill_{kept.pop('event')}", kept)
            return False
        self._unkept.pop(engagement.place, None)
        return True

    async def take_over(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Engage again what an earlier run could only keep in the emergency log."""
        for line in lines:
            if line.get("event") != _EMERGENCY_EVENT:
                continue
            try:
                engagement = msgspec.convert(line.get("engagement"), Engagement)
            except msgspec.ValidationError:
                self.switch.set_condition(UNREADABLE, "an emergency line of it cannot be read")
                continue
            self.switch.restore([engagement])
            if self._stands(engagement):
                await self._save(engagement, {"event": "engaged", "id": engagement.id})

    async def _catch_up(self) -> None:
        """Write what only memory held, now that the journal can be written again."""
        for engagement in list(self._unkept.values()):
            if self._stands(engagement):
                await self._save(engagement, {"event": "engaged", "id": engagement.id})
        self._unkept.clear()
        await self._store.merge_emergency()

    def _run(self, engagement: Engagement) -> None:
        run = self._start_run(engagement, lambda: self._stands(engagement))
        self._runs[engagement.id] = run
        self._spawn(self._follow(engagement, run), name=_ENDLESS)

    async def _follow(self, engagement: Engagement, run: StopRun) -> None:
        """See a run through, and keep that it is done, so that no restart does it again."""
        await run.finished()
        async with self._changing:
            if self._stands(engagement):
                done = msgspec.structs.replace(engagement, progress=Progress.DONE)
                self.switch.update(done)
                audit = {"event": "seen_through", "id": engagement.id, **run.counts()}
                await self._save(done, audit)

    def _stands(self, engagement: Engagement) -> bool:
        standing = self.switch.at(engagement.scope, engagement.target)
        return standing is not None and standing.id == engagement.id

    async def file_changed(self, there: bool, reason: str) -> None:
        await self._audit_file(there, reason)

    async def _audit_file(self, there: bool, reason: str) -> None:
        event = "file_appeared" if there else "file_gone"
        try:
            await self._store.audit("kill", {"event": event, "reason": reason})
        except StoreBroken:
            self._store.emergency.append(f"kill_{event}", {"reason": reason})

    def _spawn(
        self, work: Coroutine[Any, Any, Any], *, name: str | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _must_cancel(level: Level) -> bool:
    return level in (Level.CANCEL_ALL, Level.SQUARE_OFF)


def _row(engagement: Engagement) -> KillRow:
    return KillRow(
        scope=engagement.scope,
        target=engagement.target or "",
        level=engagement.level,
        data=msgspec.json.encode(engagement),
    )


def _read(row: Sequence[Any]) -> Engagement | None:
    """Return what a row says, or None when it contradicts itself or says nothing known."""
    scope, target, level, data = row
    try:
        engagement = msgspec.json.decode(data, type=Engagement)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        return None
    kept = (engagement.scope, engagement.target or "", engagement.level)
    return engagement if kept == (scope, target, level) else None
