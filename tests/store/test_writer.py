"""Group commit with real SQLite files."""

from __future__ import annotations

import asyncio
import threading

import apsw
import pytest

from gateway.store.schema import prepare
from gateway.store.writer import StoreBroken, Writer


@pytest.fixture
def connection(tmp_path):
    connection = apsw.Connection(str(tmp_path / "journal.db"))
    prepare(connection)
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    yield connection
    connection.close()


@pytest.fixture
def writer(connection):
    writer = Writer(connection)
    yield writer
    writer.close()


def insert(n):
    return lambda c: c.execute("INSERT INTO t VALUES (?)", (n,)) and n


def rows(connection):
    return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]


async def test_a_write_is_on_disk_when_its_future_ends(tmp_path, writer):
    await writer.submit(insert(1))

    assert rows(apsw.Connection(str(tmp_path / "journal.db"))) == [1]


async def test_waiting_writes_share_one_commit(connection, writer):
    commits = []
    connection.set_commit_hook(lambda: commits.append(1) or False)
    gate = threading.Event()
    first = writer.submit(lambda c: gate.wait(5))
    others = [writer.submit(insert(n)) for n in range(50)]
    gate.set()

    await asyncio.gather(first, *others)

    assert len(commits) <= 2
    assert rows(connection) == list(range(50))


async def test_a_write_that_fails_takes_nothing_else_with_it(connection, writer):
    gate = threading.Event()
    first = writer.submit(lambda c: gate.wait(5))
    good = writer.submit(insert(1))
    bad = writer.submit(insert(1))
    after = writer.submit(insert(2))
    gate.set()

    results = await asyncio.gather(first, good, bad, after, return_exceptions=True)

    assert isinstance(results[2], apsw.ConstraintError)
    assert rows(connection) == [1, 2]


async def test_a_failed_write_alone_leaves_nothing(connection, writer):
    def half(c):
        c.execute("INSERT INTO t VALUES (7)")
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await writer.submit(half)

    assert rows(connection) == []
    await writer.submit(insert(8))
    assert rows(connection) == [8]


async def test_a_full_disk_is_reported_and_nothing_is_claimed(connection):
    broken = []
    writer = Writer(connection, on_broken=broken.append)
    pages = connection.execute("PRAGMA page_count").get
    connection.execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StoreBroken):
        await writer.submit(
            lambda c: c.execute("INSERT INTO meta VALUES ('big', zeroblob(1000000))")
        )

    assert isinstance(broken[0], apsw.FullError)
    assert connection.execute("SELECT count(*) FROM meta").get == 0
    writer.close()


async def test_a_closed_writer_refuses(connection):
    writer = Writer(connection)
    writer.close()

    with pytest.raises(StoreBroken):
        await writer.submit(insert(1))
