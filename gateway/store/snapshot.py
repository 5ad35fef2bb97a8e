"""Consistent copies of SQLite files that may be written to meanwhile, for backups."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway.store.kill import KillRow, load_kills, put_kill
from gateway.store.schema import SCHEMA_VERSION

_TRIES = 100
_PAUSE_S = 0.1
_MAGIC = b"SQLite format 3\x00"


class LegsWaiting(RuntimeError):
    """The journal never stood without a leg that was about to be sent."""


class Facts(msgspec.Struct, frozen=True):
    version: int
    audit_seq: int
    audit_head: str


def copy_journal(source: Path, target: Path) -> Facts:
    """Copy the journal as it stood at one moment at which no leg waited to be sent.

    A leg that waits in the copy may have been sent since, and a program that starts on the copy
    would say that it was not. Blocks, for ten seconds at most beside the copying. Raises:
    `LegsWaiting`.
    """
    for _ in range(_TRIES):
        _copy(source, target)
        copy = apsw.Connection(str(target))
        try:
            waiting = copy.execute(
                "SELECT count(*) FROM legs WHERE state IN ('READY', 'RETRY_WAIT')"
            ).get
            version = copy.execute("PRAGMA user_version").get
            last: Any = copy.execute(
                "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1"
            ).fetchone()
        finally:
            copy.close()
        if not waiting:
            return Facts(version, last[0] if last else 0, last[1].hex() if last else "")
        target.unlink()
        time.sleep(_PAUSE_S)
    raise LegsWaiting(
        "there were always orders about to be sent; a backup of them could not tell later whether"
        " they were. Make it at a quieter time"
    )


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; a SQLite file as it stood at one moment."""
    with source.open("rb") as file:
        is_database = file.read(len(_MAGIC)) == _MAGIC
    if is_database:
        _copy(source, target)
    else:
        shutil.copyfile(source, target)


def unusable(journal: Path) -> str | None:
    """Say why this journal cannot be used, or None."""
    connection = apsw.Connection(str(journal))
    try:
        if connection.execute("PRAGMA integrity_check").get != "ok":
            return "is damaged; use another backup"
        version = connection.execute("PRAGMA user_version").get
    finally:
        connection.close()
    if not 1 <= version <= SCHEMA_VERSION:
        return f"has format {version}, this brokergate knows {SCHEMA_VERSION}; use the newer one"
    return None


def known_accounts(journal: Path) -> set[str]:
    """The accounts that a journal has legs or sessions of."""
    connection = apsw.Connection(str(journal))
    try:
        rows: Any = connection.execute(
            "SELECT DISTINCT account FROM legs UNION SELECT account FROM sessions"
        ).fetchall()
    finally:
        connection.close()
    return {account for (account,) in rows}


def engage(
    journal: Path,
    accounts: Iterable[str],
    decide: Callable[[str, KillRow | None], KillRow | None],
) -> None:
    """Put in what `decide` makes of each account and the engagement that stands there.

    None leaves it as it is.
    """
    connection = apsw.Connection(str(journal))
    try:
        standing = {
            target: KillRow(scope=scope, target=target, level=level, data=data)
            for scope, target, level, data in load_kills(connection)
            if scope == "account"
        }
        with connection:
            for account in accounts:
                row = decide(account, standing.get(account))
                if row is not None:
                    put_kill(connection, row)
    finally:
        connection.close()


def _copy(source: Path, target: Path) -> None:
    reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        reader.set_busy_timeout(5000)
        writer = apsw.Connection(str(target))
        try:
            # All pages in one step: one read transaction, so one moment.
            with writer.backup("main", reader, "main") as backup:
                while not backup.done:
                    backup.step(-1)
            writer.execute("PRAGMA journal_mode=DELETE")
        finally:
            writer.close()
    finally:
        reader.close()
