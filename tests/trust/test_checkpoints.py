"""Signed checkpoints of the audit log: when they are made, and what a killed process leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import msgspec
import pytest

from gateway.secrets.master_key import MasterKey, generate_master_key
from gateway.secrets.sealing import Keyring
from gateway.store import Store
from gateway.store.audit.anchors import BadAnchor, append_anchor, last_anchor, read_anchors

ROOT = Path(__file__).parents[2]
KILLED = """
import asyncio, sys
from pathlib import Path
from gateway.secrets.master_key import MasterKey
from gateway.secrets.sealing import Keyring
from gateway.store import Store
async def main():
    store = Store(Path(sys.argv[1]), Keyring(MasterKey(bytes.fromhex(sys.argv[2]), "test")))
    for n in range(5):
        await store.audit("test", {"n": n})
    await store.checkpoint("request")
asyncio.run(main())
"""


@pytest.fixture
def key():
    return generate_master_key()


@pytest.fixture
def open_store(tmp_path, key):
    opened = []

    def make(**options):
        opened.append(Store(tmp_path / "journal.db", Keyring(key), **options))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


async def checkpoints(store):
    rows = await store.read(
        lambda c: c.execute("SELECT seq, body FROM audit WHERE kind='checkpoint'").fetchall()
    )
    return [(seq, msgspec.json.decode(body)["cause"]) for seq, body in rows]


async def test_every_so_many_rows_and_at_the_end_the_log_is_signed(open_store, tmp_path, key):
    store = open_store(checkpoint_rows=4)
    for n in range(9):
        await store.audit("test", {"n": n})
    assert [(5, "rows"), (10, "rows")] == await checkpoints(store)
    store.close()

    again = Store(tmp_path / "journal.db", Keyring(key), checkpoint_rows=4)
    assert (12, "stop") == (await checkpoints(again))[-1]
    verdict = await again.verify_audit()
    again.close()
    assert (verdict.ok, verdict.checkpoints, verdict.unsigned) == (True, 3, 0)


async def test_nothing_new_is_not_signed_again(open_store):
    store = open_store()
    assert await store.checkpoint("request") is None
    await store.audit("test", {})
    signed = await store.checkpoint("request")

    assert signed is not None
    assert await store.checkpoint("request") is None
    assert (2, signed) == await store.last_checkpoint()


async def test_a_write_that_fails_takes_no_checkpoint_with_it(open_store):
    store = open_store(checkpoint_rows=2)
    await store.audit("test", {})

    def fails(connection):
        store._chain.append(connection, "test", 1, {})
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await store.write(fails)
    await store.audit("test", {})

    assert [(3, "rows")] == await checkpoints(store)
    assert (await store.verify_audit()).ok


@pytest.mark.parametrize(("point", "signed"), [("before_signing", 0), ("after_signing", 1)])
async def test_a_kill_at_a_checkpoint_leaves_a_whole_log(tmp_path, key, open_store, point, signed):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "journal.db"), key.key.hex()],
        cwd=ROOT,
        env={**os.environ, "BROKERGATE_FAILPOINTS": point},
        timeout=120,
        check=False,
    )

    assert -signal.SIGKILL == done.returncode
    store = open_store()
    verdict = await store.verify_audit()
    assert (verdict.ok, verdict.checkpoints, verdict.rows) == (True, signed, 5 + signed)
    await store.audit("test", {"n": 6})
    await store.checkpoint("request")
    assert (await store.verify_audit()).ok


async def test_a_log_of_before_the_signatures_is_taken_up_and_signed(open_store, tmp_path):
    store = open_store()
    for n in range(7):
        await store.audit("test", {"n": n})
    store.close()
    connection = apsw.Connection(str(tmp_path / "journal.db"))
    connection.execute("DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE kind='checkpoint'")
    connection.close()

    again = open_store(checkpoint_rows=5)
    await again.audit("test", {})
    verdict = await again.verify_audit()

    assert (verdict.ok, verdict.checkpoints, verdict.unsigned) == (True, 1, 0)


async def test_a_damaged_log_does_not_keep_the_gateway_from_starting(open_store, tmp_path):
    store = open_store(checkpoint_rows=3)
    for n in range(8):
        await store.audit("test", {"n": n})
    store.close()
    connection = apsw.Connection(str(tmp_path / "journal.db"))
    connection.execute("DROP TRIGGER audit_no_update")
    connection.execute("UPDATE audit SET body='text' WHERE kind='checkpoint'")
    connection.execute("UPDATE audit SET kind=CAST(x'ff' AS TEXT), mac=1 WHERE seq=8")
    connection.close()

    again = open_store()
    await again.audit("test", {})

    assert 4 == (await again.verify_audit()).first_bad_seq


async def test_an_anchor_file_is_only_appended_to_also_after_a_crash(open_store, tmp_path):
    store = open_store()
    path = tmp_path / "anchors.jsonl"
    assert last_anchor(path) is None
    made = []
    for n in range(3):
        await store.audit("test", {"n": n})
        made.append(await store.checkpoint("request"))
    append_anchor(path, made[0])
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert made[0] == last_anchor(path)
    assert 1 == len(list(read_anchors(path, None)))

    append_anchor(path, made[1])

    assert path.read_bytes().startswith(whole + whole[:40])
    assert made[1] == last_anchor(path)
    assert [made[0].through, made[1].through] == [each.seq for each in read_anchors(path, None)]
    assert 0o600 == path.stat().st_mode & 0o777


async def test_an_anchor_of_another_log_is_refused(open_store, tmp_path, key):
    store = open_store()
    await store.audit("test", {})
    other = Store(tmp_path / "other.db", Keyring(MasterKey(b"\1" * 32, "test")))
    await other.audit("test", {})
    append_anchor(tmp_path / "anchors", await other.checkpoint("request"))
    other.close()
    from gateway.store.audit.checkpoint import parse_public_key

    anchors = list(read_anchors(tmp_path / "anchors", None))
    assert 1 == len(anchors)
    with pytest.raises(BadAnchor, match="not signed by this log's key"):
        list(read_anchors(tmp_path / "anchors", parse_public_key(store.audit_public_key)))
