"""What outlives the process: breakers held by the operator, and how much was sent lately.

Order messages are counted from the audit log, where each stands before it is sent. Reads leave
no row there; a small file, rewritten once a second while there are any, says how many there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.calls.account_calls import AccountCalls
from gateway.calls.breaker import BreakerState, CallClass, Change
from gateway.calls.limits import DAY_S
from gateway.store import Store, StoreBroken

log = logging.getLogger(__name__)

_HELD = "breaker:{}"
_SAVE_EVERY_S = 1.0

# Between SEND_BEGIN and the write lie at most a wait for a connection and two connects, so what
# is older than this was sent when its row says, and what is younger counts as sent just now.
_LINGER_S = 15.0
_IST_S = 19_800
_FORGOTTEN_S = 120.0


class BreakerJournal:
    """Writes every change of a breaker's state into the audit log, and keeps what is held."""

    def __init__(self, store: Store, calls: Mapping[str, AccountCalls]) -> None:
        self._store = store
        self._calls = calls
        self._writing: set[asyncio.Future[Any]] = set()
        for account_id, each in calls.items():
            self._listen(account_id, each)

    async def load(self) -> None:
        """Hold the breakers that were held before the restart."""
        for account_id, calls in self._calls.items():
            await self._hold(account_id, calls)

    async def take_in(self, account_id: str, calls: AccountCalls) -> None:
        """Do for an account what was done for the others at the start."""
        await self._hold(account_id, calls)
        self._listen(account_id, calls)

    async def _hold(self, account_id: str, calls: AccountCalls) -> None:
        held = await self._store.load_meta(_HELD.format(account_id))
        for name, reason in (msgspec.json.decode(held) if held else {}).items():
            calls.health.breakers[CallClass(name)].restore_hold(reason)

    async def written(self) -> None:
        """Wait until every change so far is durable, or cannot be."""
        if self._writing:
            await asyncio.wait(list(self._writing))

    def _listen(self, account_id: str, calls: AccountCalls) -> None:
        calls.health.on_change = lambda change: self._write(account_id, calls, change)

    def _write(self, account_id: str, calls: AccountCalls, change: Change) -> None:
        body: dict[str, Any] = {
            "event": "breaker",
            "class": change.call_class,
            "from": change.old,
            "to": change.new,
            "reason": change.reason,
        }
        if change.actor is not None:
            body["actor"] = change.actor
        if BreakerState.ISOLATED in (change.old, change.new):
            held = {
                breaker.call_class: breaker.reason
                for breaker in calls.health.breakers.values()
                if breaker.state is BreakerState.ISOLATED
            }
            text = msgspec.json.encode(held).decode()
            writing: asyncio.Future[Any] = self._store.save_meta(
                _HELD.format(account_id), text, body, account=account_id
            )
        else:
            writing = self._store.audit("breaker", body, account=account_id)
        self._writing.add(writing)
        writing.add_done_callback(self._wrote)

    def _wrote(self, writing: asyncio.Future[Any]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled() and isinstance(writing.exception(), StoreBroken):
            log.error("a breaker's change could not be written to the journal")


class RecentCalls:
    """Carries the windows of every account over a restart."""

    def __init__(self, store: Store, path: Path, calls: Mapping[str, AccountCalls]) -> None:
        self._store = store
        self._path = path
        self._calls = calls
        self._saved: dict[str, float] = {}
        self._newest = 0
        self._writing = threading.Lock()

    async def load(self) -> None:
        """Fill the windows with what the run before this one sent."""
        now, wall = time.monotonic(), time.time()
        orders = await self._store.sends_since(int(_earliest(wall) * 1_000_000))
        kept, at, is_whole = self._read()
        for account_id, calls in self._calls.items():
            sends = _sends(orders.get(account_id, ()), now, wall)
            calls.limits.seed_orders(sends)
            reads = [now - max(wall - sent, 0.0) for sent in kept.get(account_id, ())]
            # What came after the file: order messages are known, reads at most what a second may.
            reads += [send for send in sends if now - send <= wall - at]
            if kept and not is_whole and wall - at < _FORGOTTEN_S:
                reads += [now] * calls.limits.busiest_second()
            calls.limits.seed_calls(sorted(reads))

    async def take_in(
        self, account_id: str, calls: AccountCalls, replaced: AccountCalls | None
    ) -> None:
        """Fill the windows of an account with what was sent today, and by whom it replaces."""
        now, wall = time.monotonic(), time.time()
        orders = await self._store.sends_since(int(_earliest(wall) * 1_000_000))
        calls.limits.seed_orders(_sends(orders.get(account_id, ()), now, wall))
        if replaced is not None:
            calls.limits.seed_calls(replaced.limits.recent_calls())

    async def keep(self) -> None:
        """Keep the file up to date. Ends only by cancellation."""
        try:
            while True:
                await asyncio.sleep(_SAVE_EVERY_S)
                text = self._news(is_whole=False)
                if text is not None:
                    self._newest += 1
                    await asyncio.to_thread(self._write, text, self._newest)
        finally:
            self.save(is_whole=True)

    def save(self, *, is_whole: bool = False) -> None:
        """Write the file if anything was called. `is_whole`: nothing is called after it."""
        text = self._news(is_whole=is_whole)
        if text is not None:
            self._newest += 1
            self._write(text, self._newest)

    def _news(self, *, is_whole: bool) -> bytes | None:
        """What the file is to hold; None where it holds that already."""
        now, wall = time.monotonic(), time.time()
        held = {
            account_id: times
            for account_id, calls in self._calls.items()
            if (times := calls.limits.recent_calls())
        }
        newest = {account_id: times[-1] for account_id, times in held.items()}
        if newest == self._saved and not (is_whole and held):
            return None
        self._saved = newest
        ago = wall - now
        file = _File(
            at=wall,
            whole=is_whole,
            calls={key: [round(at + ago, 3) for at in times] for key, times in held.items()},
        )
        return msgspec.json.encode(file)

    def _write(self, text: bytes, number: int) -> None:
        """Write the file, unless a newer one has been. Called on any thread."""
        beside = self._path.with_suffix(".new")
        # Without a sync: a killed process loses nothing that was written, and a machine that
        # lost power is longer away than the window lasts.
        with self._writing, contextlib.suppress(OSError):
            if number >= self._newest:
                beside.write_bytes(text)
                beside.replace(self._path)

    def _read(self) -> tuple[dict[str, list[float]], float, bool]:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return {}, 0.0, True
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s cannot be read: %s", self._path.name, error)
            return {}, 0.0, True
        return found.calls, found.at, found.whole


class _File(msgspec.Struct):
    at: float
    whole: bool
    calls: dict[str, list[float]]


def _sends(sent_us: Iterable[int], now: float, wall: float) -> list[float]:
    """Return when messages were sent, on the monotonic clock; the newest may still linger."""
    ages = (wall - at / 1e6 for at in sent_us)
    return sorted(now if age < _LINGER_S else now - age for age in ages)


def _earliest(wall: float) -> float:
    """The begin of the longest window: today's midnight in IST, or an hour ago."""
    return min(wall - (wall + _IST_S) % DAY_S, wall - 3600)
