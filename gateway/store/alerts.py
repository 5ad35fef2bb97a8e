"""Alerts that wait to be told, and up to which row of the audit log they were made.

A file of its own: the journal's writer, which orders wait for, never hears of alerts, and alerts
must not keep a gateway from starting: a full disk is what they are to tell of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from gateway.store.beside import SideFile

T = TypeVar("T")
_CACHE_KIB = 512
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, alert TEXT NOT NULL,
    made_us INTEGER NOT NULL, due_us INTEGER NOT NULL, attempts INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS waiting_due ON waiting (receiver, due_us, id);
CREATE TABLE IF NOT EXISTS told (
    subject TEXT PRIMARY KEY, at_us INTEGER NOT NULL, held INTEGER NOT NULL
) WITHOUT ROWID;
"""


class QueueBroken(RuntimeError):
    """The queue cannot be written: a full disk, mostly."""


class Waiting(msgspec.Struct, frozen=True):
    """One alert for one receiver. `body` is the JSON that goes out."""

    id: int
    receiver: str
    alert: str
    made_us: int
    due_us: int
    attempts: int
    body: bytes


class Told(msgspec.Struct, frozen=True):
    """When a subject was last told, and how many more were held back since."""

    subject: str
    at_us: int
    held: int


class AlertQueue:
    """`most` alerts wait per receiver; of more, the oldest are dropped."""

    def __init__(self, path: Path, *, most: int) -> None:
        self._most = most
        self._file = SideFile(
            path, _TABLES, name="alerts", cache_kib=_CACHE_KIB, synchronous="FULL", checked=True
        )
        self._connection = self._file.connection

    def close(self) -> None:
        self._file.close()

    async def cursor(self) -> int | None:
        """The row of the audit log up to which alerts were made, None before the first."""
        return await self._run(lambda c: c.execute("SELECT value FROM facts").get)

    async def told(self) -> list[Told]:
        return await self._run(
            lambda c: [Told(*row) for row in c.execute("SELECT subject, at_us, held FROM told")]
        )

    async def add(
        self, waiting: Sequence[Waiting], told: Iterable[Told], cursor: int | None, forget_us: int
    ) -> int:
        """Keep alerts and the place they were read up to, as one; return how many were dropped.

        Subjects that were last told before `forget_us` are forgotten. Raises: `QueueBroken`.
        """

        def work(connection: apsw.Connection) -> int:
            dropped = 0
            with connection:
                connection.executemany(
                    "INSERT INTO waiting (receiver, alert, made_us, due_us, attempts, body)"
                    " VALUES (?,?,?,?,?,?)",
                    [
                        (w.receiver, w.alert, w.made_us, w.due_us, w.attempts, w.body)
                        for w in waiting
                    ],
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO told (subject, at_us, held) VALUES (?,?,?)",
                    [(each.subject, each.at_us, each.held) for each in told],
                )
                connection.execute("DELETE FROM told WHERE at_us < ?", (forget_us,))
                if cursor is not None:
                    connection.execute(
                        "INSERT OR REPLACE INTO facts (name, value) VALUES ('cursor', ?)", (cursor,)
                    )
                for receiver in {each.receiver for each in waiting}:
                    connection.execute(
                        "DELETE FROM waiting WHERE receiver = ?1 AND id NOT IN (SELECT id FROM"
                        " waiting WHERE receiver = ?1 ORDER BY id DESC LIMIT ?2)",
                        (receiver, self._most),
                    )
                    dropped += connection.changes()
            return dropped

        return await self._run(work)

    async def next(self, receiver: str) -> Waiting | None:
        """Return what is due first for a receiver, whether it is due yet or not."""

        def work(connection: apsw.Connection) -> Waiting | None:
            row: Any = connection.execute(
                "SELECT id, receiver, alert, made_us, due_us, attempts, body FROM waiting"
                " WHERE receiver = ? ORDER BY due_us, id LIMIT 1",
                (receiver,),
            ).fetchone()
            return Waiting(*row) if row else None

        return await self._run(work)

    async def done(self, waiting_id: int) -> None:
        """Forget an alert that was told, or is too old to be. Raises: `QueueBroken`."""
        await self._run(lambda c: c.execute("DELETE FROM waiting WHERE id = ?", (waiting_id,)))

    async def put_off(self, waiting_id: int, due_us: int) -> None:
        """Note a failed attempt and when the next is due. Raises: `QueueBroken`."""
        await self._run(
            lambda c: c.execute(
                "UPDATE waiting SET attempts = attempts + 1, due_us = ? WHERE id = ?",
                (due_us, waiting_id),
            )
        )

    async def keep_only(self, receivers: Iterable[str]) -> None:
        """Forget what waits for receivers that are configured no more."""
        names = sorted(receivers)
        marks = ",".join("?" * len(names)) or "NULL"
        sql = f"DELETE FROM waiting WHERE receiver NOT IN ({marks})"  # noqa: S608
        await self._run(lambda c: c.execute(sql, names))

    async def counts(self) -> dict[str, int]:
        """How many alerts wait, by receiver."""
        sql = "SELECT receiver, count(*) FROM waiting GROUP BY receiver"
        return await self._run(lambda c: dict(c.execute(sql).fetchall()))  # type: ignore[arg-type]

    async def _run(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            return await self._file.run(lambda: work(self._connection))
        except apsw.Error as error:
            raise QueueBroken(str(error)) from error
