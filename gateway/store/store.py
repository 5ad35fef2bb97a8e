"""The store as the rest of the gateway sees it: awaitable reads and writes, nothing of SQLite.

Writes go through the one writer thread; reads use a connection and a thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from gateway.orders.basket import Basket
from gateway.orders.close import Close, CloseOutcome
from gateway.orders.records import Leg, Order
from gateway.orders.states import LegState
from gateway.orders.times import now_us
from gateway.secrets.api_keys import ApiKey
from gateway.secrets.passphrase import Stretching
from gateway.secrets.sealing import Keyring
from gateway.store import api_keys, baskets, closes, journal, kill, sealed
from gateway.store.audit import (
    AuditChain,
    AuditRow,
    Checkpoint,
    RowFilter,
    Verdict,
    last_seq,
    rows_after,
    rows_from,
    seq_at,
)
from gateway.store.audit.anchors import Anchor
from gateway.store.audit.chain import CHECKPOINT_ROWS, last_checkpoint
from gateway.store.audit.check import check_log
from gateway.store.audit.checkpoint import parse_public_key
from gateway.store.audit.export import Selection, export_file
from gateway.store.audit.records import ExportFormat
from gateway.store.audit.retention import Removal, removable, remove
from gateway.store.emergency import EmergencyLog
from gateway.store.journal import Existing, LegEvent, OrderFilter
from gateway.store.kill import KillRow
from gateway.store.schema import prepare
from gateway.store.writer import Writer

T = TypeVar("T")

LegSteps = Sequence[tuple[LegState | None, LegState, LegEvent]]
OnLeg = Callable[[Leg, LegState | None, LegState], None]


class Store:
    """The journal of one data directory. Open it only while holding the directory's lock."""

    def __init__(
        self,
        path: Path,
        keyring: Keyring,
        *,
        on_broken: Callable[[BaseException], None] | None = None,
        on_commit: Callable[[float, int], None] | None = None,
        on_leg: OnLeg | None = None,
        checkpoint_rows: int = CHECKPOINT_ROWS,
    ) -> None:
        """Open (or make) the journal.

        `on_commit` and `on_leg` are called on the writer's thread: with the time and the number
        of writes of a transaction, and with every change of a leg, just before it is committed.

        Raises: `StoreTooNew`, `WrongMasterKey`, `SealBroken`, `apsw.Error`.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self.path = path
        self.emergency = EmergencyLog(path.parent)
        self._keyring = keyring
        self._on_leg = on_leg or _no_leg
        connection = apsw.Connection(str(path))
        prepare(connection)
        sealed.check_master_key(connection, keyring)
        self._audit_key = sealed.audit_key(connection, keyring)
        signer = sealed.audit_signer(connection, keyring)
        self.audit_public_key = signer.public_key
        self._chain = AuditChain(self._audit_key, signer, connection, checkpoint_rows)
        self._connection = connection
        self._watchers: set[asyncio.Event] = set()
        self._closing = threading.Event()
        self._reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._reader.set_busy_timeout(5000)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._writer = Writer(
            connection,
            on_broken=on_broken,
            checkpoint_head=lambda: self._chain.head,
            restore_head=self._chain.restore,
            on_delivered=self.wake_watchers,
            on_commit=on_commit,
        )

    def close(self) -> None:
        """Finish queued writes, sign what came last, and close. Blocks meanwhile."""
        self._closing.set()
        self._writer.close()
        self._last_checkpoint()
        self._pool.shutdown()
        self._reader.close()
        self._connection.close()

    def write(
        self, work: Callable[[apsw.Connection], T], points: tuple[str, ...] = ()
    ) -> asyncio.Future[T]:
        return self._writer.submit(work, points)

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, self._reader)

    def accept_order(
        self, order: Order, legs: Sequence[tuple[Leg, LegSteps]], actor: dict[str, Any]
    ) -> asyncio.Future[Existing | None]:
        """Write T1; the result is None, or who already has the idempotency key."""
        sends = any(new is LegState.SENDING for _, steps in legs for _, new, _ in steps)

        def work(connection: apsw.Connection) -> Existing | None:
            existing = journal.insert_order(connection, self._chain, order, legs, actor)
            if existing is None:
                for leg, steps in legs:
                    for old, new, _ in steps:
                        self._on_leg(leg, old, new)
            return existing

        return self.write(work, ("t1", "t2") if sends else ("t1",))

    def insert_basket(
        self, basket: Basket, actor: dict[str, Any]
    ) -> asyncio.Future[Existing | None]:
        """Write a basket and claim its key; the result is None, or who already has the key."""
        return self.write(lambda c: baskets.insert_basket(c, self._chain, basket, actor))

    async def load_basket(self, basket_id: str) -> Basket | None:
        return await self.read(lambda c: baskets.load_basket(c, basket_id))

    def insert_close(self, close: Close, actor: dict[str, Any]) -> asyncio.Future[Existing | None]:
        """Write a request to close and claim its key; as `insert_basket`."""
        return self.write(lambda c: closes.insert_close(c, self._chain, close, actor))

    def finish_close(self, close_id: str, outcome: CloseOutcome) -> asyncio.Future[None]:
        at = now_us()
        return self.write(lambda c: closes.finish_close(c, self._chain, close_id, outcome, at))

    async def load_close(
        self, close_id: str
    ) -> tuple[Close, CloseOutcome | None, list[str]] | None:
        return await self.read(lambda c: closes.load_close(c, close_id))

    def update_leg(self, leg: Leg, old: LegState, event: LegEvent) -> asyncio.Future[None]:
        """Write a leg's change with its audit row.

        Raises (in the future): `IllegalTransition`, `StaleLeg`, `StoreBroken`.
        """
        points: tuple[str, ...] = ()
        if leg.state is LegState.SENDING:
            points = ("t2",)
        elif old is LegState.SENDING:
            points = ("t3",)

        def work(connection: apsw.Connection) -> None:
            journal.update_leg(connection, self._chain, leg, old, event)
            self._on_leg(leg, old, leg.state)

        return self.write(work, points)

    def audit(
        self, kind: str, body: dict[str, Any], *, account: str | None = None
    ) -> asyncio.Future[int]:
        """Append one audit row that belongs to no leg."""
        at = now_us()
        return self.write(lambda c: self._chain.append(c, kind, at, body, account=account))

    def write_audited(
        self,
        work: Callable[[apsw.Connection], T],
        kind: str,
        body: dict[str, Any],
        *,
        account: str | None = None,
    ) -> asyncio.Future[T]:
        """Write something that belongs to no leg, with its audit row in the same transaction."""
        at = now_us()

        def both(connection: apsw.Connection) -> T:
            result = work(connection)
            self._chain.append(connection, kind, at, body, account=account)
            return result

        return self.write(both)

    async def find_key(self, client: str, key: str) -> Existing | None:
        return await self.read(lambda c: journal.find_key(c, client, key))

    async def load_order(self, order_id: str) -> tuple[Order, list[Leg]] | None:
        return await self.read(lambda c: journal.load_order(c, order_id))

    async def load_open_orders(self) -> list[tuple[Order, list[Leg]]]:
        return await self.read(journal.load_open_orders)

    async def search_orders(self, wanted: OrderFilter) -> list[tuple[int, Order, list[Leg]]]:
        return await self.read(lambda c: journal.search_orders(c, wanted))

    async def leg_history(self, order_id: str) -> list[tuple[int, bytes]]:
        return await self.read(lambda c: journal.leg_history(c, order_id))

    async def sends_since(self, since_us: int) -> dict[str, list[int]]:
        """Return when each account's order messages since then were about to go out."""
        return await self.read(lambda c: journal.sends_since(c, since_us))

    async def find_tag(self, broker_tag: int) -> tuple[str, int] | None:
        return await self.read(lambda c: journal.find_tag(c, broker_tag))

    async def highest_tag(self) -> int:
        return await self.read(journal.highest_tag)

    async def audit_rows(self, wanted: RowFilter) -> tuple[list[AuditRow], int]:
        """Return rows, oldest first, and up to which row the log was looked through."""
        return await self.read(lambda c: rows_after(c, wanted))

    async def audit_seq_at(self, at_us: int) -> int:
        """Return the number of the first audit row at or after a time."""
        return await self.read(lambda c: seq_at(c, at_us))

    async def audit_rows_from(self, seq: int, limit: int) -> list[AuditRow]:
        """Return rows of the audit log from a number on, whatever they are of."""
        return await self.read(lambda c: rows_from(c, seq, limit))

    async def last_audit_seq(self) -> int:
        return await self.read(last_seq)

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """Give an event that is set after every commit; whoever waits clears it."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    def wake_watchers(self) -> None:
        for event in self._watchers:
            event.set()

    async def verify_audit(
        self,
        *,
        anchors: Iterable[Anchor] = (),
        after: int = 0,
        most: int | None = None,
        idle: float = 0.0,
    ) -> Verdict:
        """Check the log, on a connection and a thread of its own, since it takes its time.

        `idle`: how many times as long as it works it leaves the processor to the orders. See
        `gateway.store.audit.check`. Raises: `CheckStopped` where the store closes meanwhile.
        """

        def rest(took_s: float) -> bool:
            return not self._closing.wait(took_s * idle)

        def work() -> Verdict:
            connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                connection.set_busy_timeout(5000)
                key = parse_public_key(self.audit_public_key)
                verdict = check_log(
                    connection,
                    self._audit_key,
                    key,
                    anchors=anchors,
                    after=after,
                    most=most,
                    rest=rest,
                )
            finally:
                connection.close()
            verdict.public_key = self.audit_public_key
            return verdict

        return await asyncio.to_thread(work)

    def checkpoint(self, cause: str) -> asyncio.Future[Checkpoint | None]:
        """Sign the audit log as it stands. None where no row came since the last time."""
        at = now_us()
        return self.write(lambda c: self._chain.checkpoint(c, at, cause), ("signing",))

    async def last_checkpoint(self) -> tuple[int, Checkpoint] | None:
        """The newest checkpoint, with the number of its row."""
        return await self.read(last_checkpoint)

    async def removable_audit(self, before_us: int) -> list[Removal]:
        """Which of the oldest audit rows may go, in the steps in which they may."""
        return await self.read(lambda c: removable(c, before_us))

    def remove_audit(self, removal: Removal, archive: str | None) -> asyncio.Future[None]:
        """Take one step of `removable_audit`, in one transaction with the row that tells of it."""
        at = now_us()
        return self.write(lambda c: remove(c, self._chain, removal, at, archive), ("removal",))

    async def export_audit(self, path: Path, selection: Selection) -> None:
        """Write an export to a new file of mode 0600, on disk when this returns.

        Raises: `Damaged`, `OSError`.
        """
        await asyncio.to_thread(
            export_file, self.path, path, selection, self.audit_public_key, ExportFormat.JSONL
        )

    def _last_checkpoint(self) -> None:
        # A journal that cannot be written any more ends without one; the next start signs then.
        with contextlib.suppress(apsw.Error), self._connection:
            self._chain.checkpoint(self._connection, now_us(), "stop")

    def set_credentials(
        self, account: str, fields: dict[str, str], actor: dict[str, Any]
    ) -> asyncio.Future[None]:
        """Seal an account's credentials; the audit row names the fields, never a value."""

        def work(connection: apsw.Connection) -> None:
            sealed.set_credentials(connection, self._keyring, account, fields)
            body = {"actor": actor, "event": "credentials_set", "fields": sorted(fields)}
            self._chain.append(connection, "vault", now_us(), body, account=account)

        return self.write(work)

    async def get_credentials(self, account: str) -> dict[str, str]:
        return await self.read(lambda c: sealed.get_credentials(c, self._keyring, account))

    async def list_credentials(self) -> list[tuple[str, str, int]]:
        return await self.read(sealed.list_credentials)

    def rotate_master_key(
        self, successor: Keyring, actor: dict[str, Any], stretching: Stretching | None = None
    ) -> asyncio.Future[int]:
        """Put everything under `successor`, in one transaction; the result counts the data keys.

        The store seals nothing more under its own keyring afterwards: close it.
        """

        def work(connection: apsw.Connection) -> int:
            # What the old key opens must not stay behind in freed space.
            connection.execute("PRAGMA secure_delete=ON")
            count = sealed.rewrap(connection, self._keyring, successor)
            sealed.set_stretching(connection, stretching)
            body = {"actor": actor, "event": "master_key_rotated", "key_id": successor.key_id}
            self._chain.append(connection, "vault", now_us(), body)
            return count

        return self.write(work)

    def put_session(
        self,
        account: str,
        state: str,
        data: bytes,
        secret: bytes | None,
        audit: dict[str, Any],
    ) -> asyncio.Future[None]:
        """Write a session; the token that it replaces or ends is erased, from the WAL too."""

        def work(connection: apsw.Connection) -> None:
            if sealed.has_token(connection, account):
                self._writer.empty_wal()
            sealed.put_session(connection, self._keyring, account, state, data, secret)
            self._chain.append(connection, "session", now_us(), audit, account=account)

        return self.write(work)

    def note_session(
        self, account: str, state: str, data: bytes, audit: dict[str, Any]
    ) -> asyncio.Future[None]:
        """Write what happened to a session, and leave its token as it is."""

        def work(connection: apsw.Connection) -> None:
            sealed.note_session(connection, account, state, data)
            self._chain.append(connection, "session", now_us(), audit, account=account)

        return self.write(work)

    def finish_erasing(self) -> None:
        """Try again where a reader kept the WAL from being emptied of what was erased."""
        if self._writer.must_empty_wal:
            # Its end is of no interest: a broken journal says so itself.
            self.write(lambda _: None).add_done_callback(lambda done: done.exception())

    async def load_sessions(self) -> list[sealed.StoredSession]:
        return await self.read(lambda c: sealed.load_sessions(c, self._keyring))

    def add_key(self, key: ApiKey, actor: dict[str, Any]) -> asyncio.Future[None]:
        def work(connection: apsw.Connection) -> None:
            connection.execute(
                "INSERT INTO api_keys (id, name, data) VALUES (?,?,?)",
                (key.id, key.name, msgspec.json.encode(key)),
            )
            body = {
                "actor": actor,
                "event": "key_created",
                "key_id": key.id,
                "name": key.name,
                "scopes": sorted(key.scopes),
            }
            self._chain.append(connection, "key", now_us(), body)

        return self.write(work)

    def revoke_key(self, key_id: str, actor: dict[str, Any]) -> asyncio.Future[bool]:
        """Revoke a key; False when there is no such key that still works."""

        def work(connection: apsw.Connection) -> bool:
            connection.execute(
                "UPDATE api_keys SET revoked_us=? WHERE id=? AND revoked_us IS NULL",
                (now_us(), key_id),
            )
            if connection.changes() == 0:
                return False
            body = {"actor": actor, "event": "key_revoked", "key_id": key_id}
            self._chain.append(connection, "key", now_us(), body)
            return True

        return self.write(work)

    def rotate_key(
        self, key_id: str, successor: ApiKey, ending: ApiKey | None, actor: dict[str, Any]
    ) -> asyncio.Future[bool]:
        """Add `successor` and end the old key, in one transaction: `ending`, or None for at once.

        False, and nothing changed, when there is no such key that still works.
        """
        at = now_us()
        body = {
            "actor": actor,
            "event": "key_rotated",
            "key_id": key_id,
            "successor": successor.id,
            "name": successor.name,
            "old_ends": ending.expires_at if ending is not None else None,
        }

        def work(connection: apsw.Connection) -> bool:
            if not api_keys.rotate(connection, key_id, successor, ending, at):
                return False
            self._chain.append(connection, "key", at, body)
            return True

        return self.write(work)

    def save_key_use(self, used: dict[str, datetime]) -> asyncio.Future[None]:
        """Keep when keys were last used. Nothing rests on it, so it has no audit row."""
        return self.write(lambda c: api_keys.save_use(c, used))

    async def load_key_use(self) -> dict[str, datetime]:
        return await self.read(api_keys.load_use)

    def save_kill(
        self, row: KillRow, audit: dict[str, Any], *, account: str | None = None
    ) -> asyncio.Future[None]:
        """Keep an engagement of the kill switch, with its audit row."""

        def work(connection: apsw.Connection) -> None:
            kill.put_kill(connection, row)
            self._chain.append(connection, "kill", now_us(), audit, account=account)

        return self.write(work)

    def release_kill(
        self, rows: Sequence[tuple[str, str]], audit: dict[str, Any], *, account: str | None = None
    ) -> asyncio.Future[None]:
        """Delete the engagements of these (scope, target), with one audit row."""

        def work(connection: apsw.Connection) -> None:
            for scope, target in rows:
                kill.delete_kill(connection, scope, target)
            self._chain.append(connection, "kill", now_us(), audit, account=account)

        return self.write(work)

    async def load_kills(self) -> list[tuple[Any, Any, Any, Any]]:
        return await self.read(kill.load_kills)

    async def merge_emergency(self) -> list[dict[str, Any]]:
        """Take what was kept while the journal was broken into the audit log, each line once.

        Returns the lines, oldest first. Raises: `StoreBroken`; the file then stays.
        """
        lines = list(self.emergency.lines())
        if lines:
            await self.write(lambda c: kill.merge_emergency(c, self._chain, lines))
            self.emergency.clear()
        return lines

    async def load_meta(self, name: str) -> str | None:
        """Return a small fact that was kept, or None."""
        value = await self.read(lambda c: sealed.meta(c, name))
        return value.decode() if value is not None else None

    def save_meta(
        self, name: str, value: str, audit: dict[str, Any], *, account: str | None = None
    ) -> asyncio.Future[None]:
        """Keep a small fact, with its audit row of the kind that `name` begins with."""

        def work(connection: apsw.Connection) -> None:
            sealed.set_meta(connection, name, value.encode())
            kind = name.partition(":")[0]
            self._chain.append(connection, kind, now_us(), audit, account=account)

        return self.write(work)

    async def load_keys(self) -> list[ApiKey]:
        """Return every key that was not revoked."""

        def work(connection: apsw.Connection) -> list[ApiKey]:
            rows: Any = connection.execute("SELECT data FROM api_keys WHERE revoked_us IS NULL")
            return [msgspec.json.decode(data, type=ApiKey) for (data,) in rows]

        return await self.read(work)


def _no_leg(leg: Leg, old: LegState | None, new: LegState) -> None:
    """Stand in where nobody wants to hear of legs."""
