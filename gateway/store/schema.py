"""The journal's tables, and how an older file is brought up to date."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import apsw

log = logging.getLogger(__name__)

SCHEMA_VERSION = 4

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE orders (
    seq INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    strategy TEXT,
    instrument TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    data BLOB NOT NULL
);

CREATE TABLE idempotency (
    client TEXT NOT NULL,
    key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (client, key)
) WITHOUT ROWID;

CREATE TABLE baskets (
    basket_id TEXT PRIMARY KEY, client TEXT NOT NULL, created_us INTEGER NOT NULL,
    data BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE legs (
    order_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    account TEXT NOT NULL,
    broker_tag INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL,
    terminal INTEGER NOT NULL,
    broker_order_id TEXT,
    data BLOB NOT NULL,
    PRIMARY KEY (order_id, n)
) WITHOUT ROWID;
CREATE INDEX legs_open ON legs (account, order_id) WHERE terminal = 0;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account TEXT,
    order_id TEXT,
    body BLOB NOT NULL,
    mac BLOB NOT NULL
);
CREATE INDEX audit_order ON audit (order_id) WHERE order_id IS NOT NULL;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE data_keys (account TEXT PRIMARY KEY, wrapped BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE vault (
    account TEXT NOT NULL, field TEXT NOT NULL, blob BLOB NOT NULL, updated_us INTEGER NOT NULL,
    PRIMARY KEY (account, field)
) WITHOUT ROWID;
CREATE TABLE sessions (
    account TEXT PRIMARY KEY, state TEXT NOT NULL, blob BLOB, data BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, data BLOB NOT NULL, revoked_us INTEGER
) WITHOUT ROWID;

CREATE TABLE kill_switch (
    scope TEXT NOT NULL, target TEXT NOT NULL, level TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (scope, target)
) WITHOUT ROWID;
"""

# What each later version adds to the one before it.
_ADDED = {
    2: """
CREATE INDEX legs_at_broker ON legs (account, broker_order_id)
    WHERE broker_order_id IS NOT NULL;
CREATE TABLE snapshots (
    account TEXT NOT NULL,
    day TEXT NOT NULL,
    kind TEXT NOT NULL,
    taken_us INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (account, day, kind)
) WITHOUT ROWID;
CREATE TABLE snapshots_missed (
    account TEXT NOT NULL, day TEXT NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (account, day)
) WITHOUT ROWID;
""",
    3: """
CREATE TABLE closes (
    close_id TEXT PRIMARY KEY, client TEXT NOT NULL, created_us INTEGER NOT NULL,
    data BLOB NOT NULL, outcome BLOB
) WITHOUT ROWID;
""",
    # Rows up to `audit_removed` may go: they were kept as long as they had to be.
    4: """
CREATE INDEX audit_checkpoints ON audit (seq) WHERE kind = 'checkpoint';
DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    WHEN old.seq > coalesce(
        (SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = 'audit_removed'), 0)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
""",
}


StoreError = apsw.Error
"""What opening or reading a damaged journal raises, for callers that must not know SQLite."""


class StoreTooNew(RuntimeError):
    """The data directory was written by a newer brokergate; this one must not touch it."""


def prepare(connection: apsw.Connection) -> None:
    """Set the durability that the order path rests on, and create or check the tables.

    WAL with `synchronous=FULL`: a commit that returned survives power loss.
    """
    connection.set_busy_timeout(5000)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-4096")
    version = connection.execute("PRAGMA user_version").get
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"the journal has format {version}, this brokergate knows {SCHEMA_VERSION};"
            " use the newer program that wrote it"
        )
    if version < SCHEMA_VERSION:
        if version > 0:
            _keep_copy(connection, version)
        with connection:
            if version == 0:
                connection.execute(_TABLES)
            for step in range(max(version, 1) + 1, SCHEMA_VERSION + 1):
                connection.execute(_ADDED[step])
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _keep_copy(connection: apsw.Connection, version: int) -> None:
    """Keep the journal as it is beside itself before its format changes: the way back.

    A copy of an earlier try stays, since that one was made of the untouched journal.
    """
    journal = Path(connection.filename)
    kept = journal.with_name(f"{journal.stem}-format-{version}.db")
    if kept.exists():
        return
    unfinished = kept.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    copy = apsw.Connection(str(unfinished))
    try:
        with copy.backup("main", connection, "main") as backup:
            while not backup.done:
                backup.step(-1)
        copy.execute("PRAGMA journal_mode=DELETE")
    finally:
        copy.close()
    for path in (unfinished, journal.parent):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path is unfinished:
            unfinished.rename(kept)
    log.warning("the journal's format changes; as it was it is kept in %s", kept)
