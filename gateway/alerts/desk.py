"""Makes alerts, keeps them, and tells them: one task follows, one per receiver delivers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from gateway.alerts.alert import Alert, AuditHead, Rule, Severity, make_alert, new_id
from gateway.alerts.filter import Repeats
from gateway.alerts.receivers import SECRET, NotDelivered, Receiver
from gateway.alerts.rules import KINDS, alert_of
from gateway.orders.times import ist, now_us
from gateway.store import Store
from gateway.store.alerts import AlertQueue, QueueBroken, Waiting
from gateway.store.audit import RowFilter

if TYPE_CHECKING:
    from gateway.config.settings import Alerts

log = logging.getLogger(__name__)

ReadSecret = Callable[[str], Awaitable[Mapping[str, str]]]
_GATHER_S = 0.2
_PAGE = 200
_KEEP_PLACE_EVERY = 2000
_LOOK_S = 30.0
_FIRST_RETRY_S = 5.0
_LONGEST_RETRY_S = 1800.0
_MOST_UNKEPT = 100
_SECOND_US = 1_000_000


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt at one receiver ended."""

    receiver: str
    ok: bool
    error: str | None = None


class ReceiverState(msgspec.Struct, kw_only=True):
    """What became of a receiver's alerts since the gateway started; times in microseconds."""

    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    delivered_us: int | None = None
    failed_us: int | None = None
    last_error: str | None = None
    paused_until_us: int = 0


class AlertDesk:
    """Lives on the event loop. Without receivers it does nothing at all.

    Nothing of an order waits for it: rows are read after they were committed, on the reader's
    thread and a fifth of a second later, and the queue is a file of its own.
    """

    def __init__(
        self,
        settings: Alerts,
        receivers: Mapping[str, Receiver],
        store: Store,
        open_queue: Callable[[], AlertQueue],
        read_secret: ReadSecret,
        *,
        first_retry_s: float = _FIRST_RETRY_S,
    ) -> None:
        self._settings = settings
        self.receivers = receivers
        self.states = {name: ReceiverState() for name in receivers}
        self._store = store
        self._open_queue = open_queue
        self._read_secret = read_secret
        self._first_retry_s = first_retry_s
        self._queue: AlertQueue | None = None
        self._at = 0
        self._repeats = Repeats(
            repeat_after_us=settings.repeat_after_s * _SECOND_US,
            most_per_hour=settings.most_per_hour,
        )
        self._given: deque[Alert] = deque(maxlen=_MOST_UNKEPT)
        self._given_new = asyncio.Event()
        self._unkept: dict[str, deque[Waiting]] = {
            name: deque(maxlen=_MOST_UNKEPT) for name in receivers
        }
        self._new = {name: asyncio.Event() for name in receivers}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up what an earlier run left, and begin to follow."""
        if not self.receivers:
            return
        self._queue = await asyncio.to_thread(self._open_queue)
        head, at = await self._store.last_audit_seq(), None
        try:
            at = await self._queue.cursor()
            self._repeats.restore(await self._queue.told())
            await self._queue.keep_only(self.receivers)
        except QueueBroken as error:
            log.error("what an earlier run left of alerts cannot be taken up: %s", error)
        # A journal that was restored from a backup is shorter than it was.
        at = head if at is None or at > head else at
        self._at = at
        await self._put([], at)
        self._spawn(self._follow, "following the audit log")
        self._spawn(self._take_given, "taking alerts")
        for receiver in self.receivers.values():
            self._spawn(partial(self._serve, receiver), f"the receiver {receiver.name}")
        if any(receiver.takes_heads() for receiver in self.receivers.values()):
            self._spawn(self._tell_heads, "telling the audit head")

    async def stop(self) -> None:
        """End at once; what was not told stays in the queue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for receiver in self.receivers.values():
            await receiver.close()
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def tell(self, alert: Alert) -> None:
        """Take an alert that no row of the audit log tells of. Never waits, never raises."""
        if self.receivers:
            self._given.append(alert)
            self._given_new.set()

    def wake(self, name: str) -> None:
        """Try again now what waits for a receiver whose secret was just set."""
        self.states[name].paused_until_us = 0
        self._new[name].set()

    async def test(self, names: list[str]) -> list[Delivery]:
        """Send a test alert to each receiver now, past the queue, and say how it went."""
        alert = make_alert(
            Rule.TEST, Severity.INFO, "a test alert of brokergate: nothing is wrong", "test"
        )
        body = msgspec.json.encode(alert)
        return list(await asyncio.gather(*(self._test(name, alert.id, body) for name in names)))

    async def waiting(self) -> dict[str, int]:
        """How many alerts wait, by receiver."""
        counts: dict[str, int] = {}
        if self._queue is not None:
            with contextlib.suppress(QueueBroken):
                counts = await self._queue.counts()
        return {name: counts.get(name, 0) + len(self._unkept[name]) for name in self.receivers}

    async def has_secret(self, receiver: Receiver) -> bool:
        return not receiver.needs_secret or bool(
            (await self._read_secret(receiver.name)).get(SECRET)
        )

    async def _test(self, name: str, alert: str, body: bytes) -> Delivery:
        try:
            await self._deliver(self.receivers[name], alert, body)
        except NotDelivered as error:
            return Delivery(receiver=name, ok=False, error=str(error))
        return Delivery(receiver=name, ok=True)

    async def _follow(self) -> None:
        """Turn the rows of the audit log after the place that was reached into alerts."""
        kept = self._at
        with self._store.watch() as changed:
            while True:
                changed.clear()
                wanted = RowFilter(after=self._at, kinds=KINDS, limit=_PAGE)
                rows, at = await self._store.audit_rows(wanted)
                oldest_us = now_us() - self._oldest_us()
                found = [alert_of(row) for row in rows if row.at_us >= oldest_us]
                alerts = [alert for alert in found if alert is not None]
                if alerts or at - kept >= _KEEP_PLACE_EVERY:
                    await self._keep(alerts, at)
                    kept = at
                self._at = at
                if len(rows) == _PAGE:
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await changed.wait()
                # One look for a burst of orders, not one for each of their rows.
                await asyncio.sleep(_GATHER_S)

    async def _take_given(self) -> None:
        while True:
            await self._given_new.wait()
            self._given_new.clear()
            alerts = list(self._given)
            self._given.clear()
            await self._keep(alerts, None)

    async def _keep(self, alerts: list[Alert], cursor: int | None) -> None:
        """Put alerts into the queue of every receiver that wants them."""
        now = now_us()
        told: list[Alert] = []
        for alert in alerts:
            told += self._repeats.pass_on(alert, now)
        waiting = [
            Waiting(0, receiver.name, alert.id, now, now, 0, msgspec.json.encode(alert))
            for alert in told
            for receiver in self.receivers.values()
            if not receiver.rules or alert.rule in receiver.rules
        ]
        await self._put(waiting, cursor)

    async def _put(self, waiting: list[Waiting], cursor: int | None) -> None:
        assert self._queue is not None  # noqa: S101
        changed = self._repeats.changed()
        forget_us = now_us() - 2 * max(self._oldest_us(), self._repeats.repeat_after_us)
        try:
            dropped = await self._queue.add(waiting, changed, cursor, forget_us)
        except QueueBroken as error:
            # A full disk is what an alert must be able to tell of.
            log.error("alerts cannot be kept and are told from memory: %s", error)
            for item in waiting:
                self._unkept[item.receiver].append(item)
        else:
            if dropped:
                log.warning("%s alerts were dropped: too many wait", dropped)
                for name in {item.receiver for item in waiting}:
                    self.states[name].dropped += dropped
        for item in waiting:
            self._new[item.receiver].set()

    async def _serve(self, receiver: Receiver) -> None:
        """Tell one receiver what waits for it, one at a time, for as long as the gateway runs."""
        state, new = self.states[receiver.name], self._new[receiver.name]
        while True:
            new.clear()
            item = await self._next(receiver.name)
            due_us = max(item.due_us, state.paused_until_us) if item is not None else None
            if item is None or due_us is None or due_us > now_us():
                wait_s = _LOOK_S if due_us is None else (due_us - now_us()) / _SECOND_US
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(min(wait_s, _LOOK_S), 0.01)):
                        await new.wait()
                continue
            await self._attempt(receiver, item)

    async def _next(self, name: str) -> Waiting | None:
        if self._unkept[name]:
            return self._unkept[name][0]
        assert self._queue is not None  # noqa: S101
        try:
            return await self._queue.next(name)
        except QueueBroken:
            return None

    async def _attempt(self, receiver: Receiver, item: Waiting) -> None:
        state = self.states[receiver.name]
        if now_us() - item.made_us > self._oldest_us():
            log.warning("an alert for %s was dropped: nobody took it in time", receiver.name)
            state.dropped += 1
            await self._forget(item)
            return
        try:
            await self._deliver(receiver, item.alert, item.body)
        except NotDelivered as error:
            wait_s = self._wait_s(item.attempts)
            if item.attempts == 0 or state.last_error != str(error):
                log.warning("the alert receiver %s: %s", receiver.name, error)
            state.failed += 1
            state.failed_us, state.last_error = now_us(), str(error)
            due_us = now_us() + int(wait_s * _SECOND_US)
            if error.is_down:
                state.paused_until_us = due_us
            await self._put_off(item, due_us)
        else:
            state.delivered += 1
            state.delivered_us, state.paused_until_us, state.last_error = now_us(), 0, None
            await self._forget(item)

    async def _deliver(self, receiver: Receiver, alert: str, body: bytes) -> None:
        secret = (await self._read_secret(receiver.name)).get(SECRET)
        if receiver.needs_secret and not secret:
            raise NotDelivered(
                f"the vault holds no secret for {receiver.name}; run: brokergate alerts secret"
                f" {receiver.name}"
            )
        await receiver.deliver(alert, body, secret)

    def _wait_s(self, attempts: int) -> float:
        """Twice as long each time, with jitter, so that receivers are not met by a wave."""
        longest = min(self._first_retry_s * 2.0 ** min(attempts, 20), _LONGEST_RETRY_S)
        return longest * (0.5 + random.random() / 2)

    async def _forget(self, item: Waiting) -> None:
        await self._settle(item, lambda queue: queue.done(item.id))

    async def _put_off(self, item: Waiting, due_us: int) -> None:
        kept = await self._settle(item, lambda queue: queue.put_off(item.id, due_us))
        if not kept:
            again = msgspec.structs.replace(item, attempts=item.attempts + 1, due_us=due_us)
            self._unkept[item.receiver].append(again)

    async def _settle(self, item: Waiting, work: Callable[[AlertQueue], Awaitable[None]]) -> bool:
        """Change what is kept of an item; False when it is, or was, only in memory."""
        unkept = self._unkept[item.receiver]
        if unkept and unkept[0] == item:
            unkept.popleft()
            return False
        assert self._queue is not None  # noqa: S101
        try:
            await work(self._queue)
        except QueueBroken as error:
            log.error("the queue of alerts cannot be written: %s", error)
            # It would be found and told again at once.
            await asyncio.sleep(self._first_retry_s)
        return True

    async def _tell_heads(self) -> None:
        while True:
            seq = await self._store.last_audit_seq()
            rows, _ = await self._store.audit_rows(RowFilter(after=max(seq - 1, 0), limit=1))
            now = now_us()
            waiting = [
                Waiting(0, receiver.name, told.id, now, now, 0, msgspec.json.encode(told))
                for row in rows
                for told in [AuditHead(id=new_id(), at=ist(now), seq=row.seq, mac=row.mac.hex())]
                for receiver in self.receivers.values()
                if receiver.takes_heads()
            ]
            await self._put(waiting, None)
            # A new journal gets its first row soon.
            await asyncio.sleep(self._settings.audit_head_every_s if rows else 1.0)

    def _oldest_us(self) -> int:
        return self._settings.max_age_hours * 3600 * _SECOND_US

    def _spawn(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        async def kept_alive() -> None:
            while True:
                try:
                    await work()
                except Exception:
                    log.exception("alerts: %s met an error and goes on", what)
                await asyncio.sleep(self._first_retry_s)

        self._tasks.add(asyncio.get_running_loop().create_task(kept_alive()))
