"""The audit log looked after: signed in time, published, checked at night, shortened in time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import msgspec
import pytest

from gateway.audit import AuditKeeper
from gateway.config.settings import Audit
from gateway.orders.times import now_us
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring
from gateway.store import Store
from gateway.store.audit import Fault, RowFilter
from gateway.store.audit.anchors import last_anchor, read_anchors
from gateway.store.audit.check import CheckStopped
from gateway.store.audit.checkpoint import parse_public_key
from gateway.store.audit.export import Selection
from gateway.store.audit.imported import check_export

ROOT = Path(__file__).parents[2]
DAY_US = 86_400_000_000
# 2026-11-23 00:30 in India.
NIGHT_US = 1_795_374_600_000_000
KILLED = """
import asyncio, sys
from pathlib import Path
from gateway.secrets.master_key import MasterKey
from gateway.secrets.sealing import Keyring
from gateway.store import Store
async def main():
    store = Store(Path(sys.argv[1]), Keyring(MasterKey(bytes.fromhex(sys.argv[2]), "test")))
    for step in await store.removable_audit(2**62):
        await store.remove_audit(step, None)
asyncio.run(main())
"""


@pytest.fixture
def key():
    return generate_master_key()


@pytest.fixture
def store(tmp_path, key):
    store = Store(tmp_path / "journal.db", Keyring(key), checkpoint_rows=5)
    yield store
    store.close()


async def fill(store, count):
    for n in range(count):
        await store.audit("test", {"n": n})


async def rows_of(store, kind):
    rows, _ = await store.audit_rows(RowFilter(kinds=frozenset({kind})))
    return [msgspec.json.decode(row.body) for row in rows]


class Clock:
    def __init__(self, at_us=None):
        self.at_us = at_us if at_us is not None else now_us()

    def __call__(self):
        return self.at_us


async def test_a_check_ends_when_the_store_closes(tmp_path, key):
    store = Store(tmp_path / "journal.db", Keyring(key))
    await asyncio.gather(*(store.audit("test", {"n": n}) for n in range(1200)))
    checking = asyncio.create_task(store.verify_audit(idle=1e6))
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)

    with pytest.raises(CheckStopped):
        await asyncio.wait_for(checking, 60)


async def test_the_log_is_signed_after_a_time_and_at_the_end_of_a_day(store):
    clock = Clock(NIGHT_US + 12 * 3_600_000_000)
    keeper = AuditKeeper(store, Audit(checkpoint_minutes=10), clock=clock)
    await fill(store, 2)
    await store.checkpoint("request")
    at = (await store.last_checkpoint())[1].at_us
    await fill(store, 1)

    clock.at_us = max(clock.at_us, at)
    await keeper.look()
    clock.at_us += 11 * 60_000_000
    await keeper.look()
    await fill(store, 1)
    clock.at_us += DAY_US
    await keeper.look()
    await keeper.look()

    causes = [body["cause"] for body in await rows_of(store, "checkpoint")]
    assert "day" == causes[-1]
    assert {"request", "time", "day"} <= set(causes)


async def test_each_checkpoint_is_published_once_and_after_a_restart_too(store, tmp_path, key):
    path = tmp_path / "anchors.jsonl"
    settings = Audit(anchor_file=path)
    keeper = AuditKeeper(store, settings)
    await keeper.start()
    assert not path.exists()
    await fill(store, 5)
    await keeper.look()
    await keeper.look()
    assert 1 == len(path.read_bytes().splitlines())
    await fill(store, 2)
    await keeper.stop()
    assert 2 == len(path.read_bytes().splitlines())
    await fill(store, 5)
    store.close()

    again = Store(tmp_path / "journal.db", Keyring(key))
    keeper = AuditKeeper(again, settings)
    await keeper.start()
    assert (await again.last_checkpoint())[1] == last_anchor(path)
    public_key = parse_public_key(again.audit_public_key)
    verdict = await again.verify_audit(anchors=read_anchors(path, public_key))
    alarms = await rows_of(again, "alarm")
    again.close()
    assert (True, 3) == (verdict.ok, verdict.anchors)
    assert [] == alarms


def tampered(path, statement):
    connection = apsw.Connection(str(path))
    connection.execute("DROP TRIGGER IF EXISTS audit_no_delete")
    connection.execute("DROP TRIGGER IF EXISTS audit_no_update")
    connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit WHERE seq > 6",
        "UPDATE audit SET body=replace(CAST(body AS TEXT), 'signature\":\"', 'signature\":\"0')"
        " WHERE kind='checkpoint'",
    ],
)
async def test_a_log_that_was_cut_or_replaced_is_told_of_at_the_next_start(
    store, tmp_path, key, statement
):
    path = tmp_path / "anchors.jsonl"
    keeper = AuditKeeper(store, Audit(anchor_file=path))
    await keeper.start()
    await fill(store, 12)
    await keeper.stop()
    store.close()
    tampered(tmp_path / "journal.db", statement)

    again = Store(tmp_path / "journal.db", Keyring(key))
    await AuditKeeper(again, Audit(anchor_file=path)).start()
    alarms = await rows_of(again, "alarm")
    again.close()

    assert ["audit_anchor"] == [body["event"] for body in alarms]


async def test_an_anchor_file_that_cannot_be_written_is_told_of_once(store, tmp_path):
    keeper = AuditKeeper(store, Audit(anchor_file=tmp_path / "no" / "anchors"))
    await keeper.start()
    for _ in range(3):
        await fill(store, 5)
        await keeper.look()
    assert 1 == len(await rows_of(store, "alarm"))

    (tmp_path / "no").mkdir()
    await keeper.look()
    assert (await store.last_checkpoint())[1] == last_anchor(tmp_path / "no" / "anchors")


async def test_the_nightly_check_finds_what_was_changed_and_removes_nothing_then(store, tmp_path):
    clock = Clock(NIGHT_US)
    keeper = AuditKeeper(store, Audit(keep_days=1), clock=clock)
    await fill(store, 20)
    tampered(tmp_path / "journal.db", "UPDATE audit SET at_us=1 WHERE seq=3")

    clock.at_us = now_us() + 10 * DAY_US
    await keeper.check_and_shorten()

    [alarm] = await rows_of(store, "alarm")
    assert "audit_damaged" == alarm["event"]
    assert "row 3" in alarm["text"]
    assert 1 == (await store.audit_rows(RowFilter(limit=1)))[0][0].seq


async def test_old_rows_go_into_an_archive_and_both_halves_still_prove_themselves(store, tmp_path):
    (tmp_path / "archive").mkdir()
    clock = Clock()
    settings = Audit(keep_days=30, archive_dir=tmp_path / "archive")
    keeper = AuditKeeper(store, settings, clock=clock)
    await fill(store, 23)
    await keeper.check_and_shorten()
    assert [] == list((tmp_path / "archive").iterdir())

    clock.at_us += 31 * DAY_US
    await keeper.check_and_shorten()
    await fill(store, 3)
    await keeper.check_and_shorten()

    verdict = await store.verify_audit()
    assert verdict.ok, verdict.problem
    removed = await rows_of(store, "retention")
    assert verdict.first_seq == removed[-1]["through"] + 1
    assert 10 < verdict.first_seq
    public_key = parse_public_key(store.audit_public_key)
    archived = []
    for path in sorted((tmp_path / "archive").iterdir(), key=lambda p: p.stat().st_mtime_ns):
        kept = check_export(path, public_key)
        assert kept.ok, kept.problem
        assert 0 == kept.unsigned
        archived.append((kept.first_seq, kept.checked_to))
    assert 1 == archived[0][0]
    assert verdict.first_seq == archived[-1][1]
    await store.export_audit(tmp_path / "rest.jsonl", Selection())
    rest = check_export(tmp_path / "rest.jsonl", public_key)
    assert rest.ok, rest.problem
    assert verdict.first_seq == rest.first_seq


async def test_a_beginning_that_went_without_a_word_is_missed(store, tmp_path):
    await fill(store, 23)
    [first, *_] = await store.removable_audit(now_us() + DAY_US)
    tampered(tmp_path / "journal.db", f"DELETE FROM audit WHERE seq <= {first.through}")

    verdict = await store.verify_audit()

    assert (Fault.MISSING, 1) == (verdict.fault, verdict.first_bad_seq)


async def test_rows_of_an_order_that_is_not_over_stay(store, tmp_path):
    from tests.store.test_journal import accept, make_order

    order, leg = make_order()
    order.created_us = now_us()
    await accept(store, order, leg)
    await fill(store, 20)

    assert [] == await store.removable_audit(now_us() + DAY_US)


@pytest.mark.parametrize(("point", "gone"), [("before_removal:2", 1), ("after_removal:2", 2)])
async def test_a_kill_while_rows_go_leaves_a_whole_log(tmp_path, key, store, point, gone):
    await fill(store, 23)
    steps = await store.removable_audit(now_us() + DAY_US)
    assert 3 <= len(steps)
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "journal.db"), key.key.hex()],
        cwd=ROOT,
        env={**os.environ, "BROKERGATE_FAILPOINTS": point},
        timeout=120,
        check=False,
    )

    assert -signal.SIGKILL == done.returncode
    again = Store(tmp_path / "journal.db", Keyring(key))
    verdict = await again.verify_audit()
    again.close()
    assert verdict.ok, verdict.problem
    assert steps[gone - 1].through + 1 == verdict.first_seq


async def test_rows_that_have_to_stay_cannot_be_deleted_by_accident(store, tmp_path):
    await fill(store, 23)
    [first, *_] = await store.removable_audit(now_us() + DAY_US)
    await store.remove_audit(first, None)
    connection = apsw.Connection(str(tmp_path / "journal.db"))

    with pytest.raises(apsw.ConstraintError, match="append-only"):
        connection.execute("DELETE FROM audit WHERE seq = ?", (first.through + 2,))
    connection.close()
