"""Backups made under load and restored elsewhere: whole, halted, and never over anything."""

from __future__ import annotations

import asyncio
import tarfile

import msgspec
import pytest

from gateway.backup import BackupError, make_backup, restore_backup
from gateway.store.audit import RowFilter
from tests.gateway.rig import Rig


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "other").mkdir()
    return tmp_path


FYERS = {"accounts": ["fyers-main"]}
NO_BOOK = {"call": "book", "action": "book_fail", "count": None, "params": {"status": 503}}


async def restored(rig, file, other):
    """Go on with what a backup holds, in a folder of its own."""
    await rig.stop_gateway()
    manifest = restore_backup(file, other, rig.gateway.accounts)
    rig.data_dir = other
    await rig.start_gateway()
    return manifest


async def placed_until_taken(rig, key):
    async with asyncio.timeout(60):
        number = 0
        while True:
            reply = await rig.place(f"{key}-{number}", **FYERS)
            if reply.json["legs"][0]["state"] != "DENIED":
                return reply
            number += 1
            await asyncio.sleep(0.02)


async def rows_of(rig, kind):
    rows, _ = await rig.gateway.store.audit_rows(RowFilter(kinds=frozenset({kind})))
    return [msgspec.json.decode(row.body) for row in rows]


async def test_a_backup_under_load_restores_whole_and_halted_until_its_book_was_read(folder):
    file = folder / "backup.tar"
    async with Rig(folder / "data", brokers=("fyers",)) as rig:
        (folder / "data/adapters/p").mkdir(parents=True)
        (folder / "data/adapters/p/book.json").write_text("book")
        first = await rig.place("before", **FYERS)
        assert first.status in (200, 201, 202), first.content
        load = asyncio.gather(*(rig.place(f"load-{n}", **FYERS) for n in range(20)))
        manifest = await asyncio.to_thread(make_backup, folder / "data", file)
        placed = [first, *await load]
        assert {reply.status for reply in placed} <= {200, 201, 202, 429}
        rig.sims["fyers"].faults.add([NO_BOOK])
        await restored(rig, file, folder / "other")
        await rig.masters_loaded()

        assert (await rig.gateway.store.verify_audit()).ok
        assert manifest.audit_seq <= await rig.gateway.store.last_audit_seq()
        assert (await rig.call("GET", f"/v1/orders/{first.json['order_id']}")).status == 200
        assert "book" == (folder / "other/adapters/p/book.json").read_text()
        ledger = len(rig.ledger("fyers"))
        refused = await rig.place("afterwards", **FYERS)
        assert "kill_switch" == refused.json["legs"][0]["reason"]["code"], refused.content
        assert "restored from the backup" in refused.json["legs"][0]["reason"]["message"]
        assert ledger == len(rig.ledger("fyers"))

        rig.sims["fyers"].faults.clear()
        taken = await placed_until_taken(rig, "again")
        assert taken.status in (200, 201, 202), taken.content
        assert ledger + 1 == len(rig.ledger("fyers"))
        released = [row for row in await rows_of(rig, "kill") if row["event"] == "released"]
        assert [("account", "fyers-main")] == [(r["scope"], r["target"]) for r in released]
        assert {"client": "gateway"} == released[0]["actor"]
    assert 0o600 == file.stat().st_mode & 0o777
    assert not list(folder.glob(".backup-*"))
    assert not list((folder / "other").glob(".restore-*"))


async def test_orders_that_the_backup_lacks_are_told_of(folder):
    file = folder / "backup.tar"
    async with Rig(folder / "data", brokers=("fyers",)) as rig:
        await asyncio.to_thread(make_backup, folder / "data", file)
        lost = await rig.place("lost", **FYERS)
        number = lost.json["legs"][0]["broker_order_id"]
        await restored(rig, file, folder / "other")
        await rig.masters_loaded()
        await placed_until_taken(rig, "new")

        async with asyncio.timeout(60):
            while not (alarms := await rows_of(rig, "alarm")):
                await asyncio.sleep(0.02)
    assert [("not_in_backup", [number])] == [(a["event"], a["broker_order_ids"]) for a in alarms]


async def test_each_account_waits_for_its_own_book(folder):
    file = folder / "backup.tar"
    async with Rig(folder / "data", brokers=("fyers", "hdfc")) as rig:
        await asyncio.to_thread(make_backup, folder / "data", file)
        rig.sims["hdfc"].faults.add([NO_BOOK])
        await restored(rig, file, folder / "other")
        await rig.masters_loaded()
        await placed_until_taken(rig, "first")

        both = await rig.place("both", accounts=["fyers-main", "hdfc-main"])
        assert "DENIED" != both.leg("fyers-main")["state"], both.content
        assert "kill_switch" == both.leg("hdfc-main")["reason"]["code"], both.content


async def test_a_level_that_an_operator_set_meanwhile_stays(folder):
    file = folder / "backup.tar"
    async with Rig(folder / "data", brokers=("fyers",)) as rig:
        await asyncio.to_thread(make_backup, folder / "data", file)
        rig.sims["fyers"].faults.add([NO_BOOK])
        await restored(rig, file, folder / "other")
        stop = {"scope": "account", "target": "fyers-main", "level": "HALT_NEW", "reason": "mine"}
        assert (await rig.call("POST", "/v1/kill-switch/engage", stop)).status in (200, 202)
        await rig.masters_loaded()
        rig.sims["fyers"].faults.clear()
        await rig.gateway.orders._look_now(rig.gateway.accounts["fyers-main"])

        refused = await rig.place("x", **FYERS)
        assert "mine" in refused.json["legs"][0]["reason"]["message"]


@pytest.mark.parametrize("level", ["REDUCE_ONLY", "HALT_NEW"])
async def test_what_an_operator_had_engaged_before_the_backup_outlasts_the_book(folder, level):
    file = folder / "backup.tar"
    stop = {"scope": "account", "target": "fyers-main", "level": level, "reason": "mine"}
    async with Rig(folder / "data", brokers=("fyers",)) as rig:
        assert (await rig.call("POST", "/v1/kill-switch/engage", stop)).status in (200, 202)
        await asyncio.to_thread(make_backup, folder / "data", file)
        await restored(rig, file, folder / "other")
        await rig.masters_loaded()
        await rig.gateway.orders._look_now(rig.gateway.accounts["fyers-main"])

        refused = await rig.place("x", **FYERS)
        assert "mine" in refused.json["legs"][0]["reason"]["message"]


async def test_a_stop_that_the_journal_could_not_take_is_in_the_backup(folder):
    file = folder / "backup.tar"
    stop = {"scope": "global", "level": "HALT_NEW", "reason": "mine"}
    async with Rig(folder / "data", brokers=("fyers",)) as rig:
        rig.gateway.store._connection.execute("PRAGMA query_only=1")
        engaged = await rig.call("POST", "/v1/kill-switch/engage", stop)
        assert not engaged.json["persisted"]
        await asyncio.to_thread(make_backup, folder / "data", file)
        rig.gateway.store._connection.execute("PRAGMA query_only=0")
        await restored(rig, file, folder / "other")
        await rig.masters_loaded()
        await rig.gateway.orders._look_now(rig.gateway.accounts["fyers-main"])

        refused = await rig.place("x", **FYERS)
        assert "mine" in refused.json["legs"][0]["reason"]["message"]


async def test_the_kill_file_is_in_the_backup_and_one_that_is_there_stays(folder, backup):
    (folder / "data/KILL").write_text("theirs")
    make_backup(folder / "data", folder / "killed.tar")
    for name, own, expected in (("a", None, "theirs"), ("b", "own", "own")):
        (folder / name).mkdir()
        if own:
            (folder / name / "KILL").write_text(own)
        restore_backup(folder / "killed.tar", folder / name)
        assert expected == (folder / name / "KILL").read_text()


async def test_reducing_that_an_operator_asks_for_meanwhile_is_not_ended_by_the_book(folder):
    file = folder / "backup.tar"
    async with Rig(folder / "data", brokers=("fyers",)) as rig:
        await asyncio.to_thread(make_backup, folder / "data", file)
        rig.sims["fyers"].faults.add([NO_BOOK])
        await restored(rig, file, folder / "other")
        stop = {"scope": "account", "target": "fyers-main", "level": "REDUCE_ONLY"}
        stop["reason"] = "mine"
        assert (await rig.call("POST", "/v1/kill-switch/engage", stop)).status in (200, 202)
        await rig.masters_loaded()
        rig.sims["fyers"].faults.clear()
        await rig.gateway.orders._look_now(rig.gateway.accounts["fyers-main"])

        refused = await rig.place("x", **FYERS)
        assert "mine" in refused.json["legs"][0]["reason"]["message"]


async def test_without_a_session_an_account_stays_halted_also_after_a_restart(folder):
    file = folder / "backup.tar"
    async with Rig(folder / "data", brokers=("fyers",), log_in=False) as rig:
        await asyncio.to_thread(make_backup, folder / "data", file)
        await restored(rig, file, folder / "other")
        await rig.restart_gateway()
        switch = (await rig.call("GET", "/v1/kill-switch")).content.decode()
        assert "restored from the backup" in switch
        await rig.log_in("fyers-main")
        await rig.masters_loaded()

        await placed_until_taken(rig, "k")


@pytest.fixture
async def backup(folder):
    async with Rig(folder / "data", brokers=("fyers",), log_in=False):
        make_backup(folder / "data", folder / "backup.tar")
    return folder / "backup.tar"


async def test_nothing_is_overwritten(folder, backup):
    before = (folder / "data/journal.db").read_bytes()
    with pytest.raises(BackupError, match="never overwrites"):
        make_backup(folder / "data", backup)
    with pytest.raises(BackupError, match="never overwrites"):
        restore_backup(backup, folder / "data")

    assert before == (folder / "data/journal.db").read_bytes()


async def test_a_changed_or_cut_backup_is_refused_and_leaves_nothing(folder, backup):
    whole = backup.read_bytes()
    middle = len(whole) // 2
    for spoilt in (
        whole[:middle],
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        b"not a tar file",
        b"",
    ):
        backup.write_bytes(spoilt)
        with pytest.raises(BackupError):
            restore_backup(backup, folder / "other")
        assert [] == list((folder / "other").iterdir())


async def test_a_name_that_leads_out_is_refused(folder, backup):
    with tarfile.open(backup) as tar:
        tar.extractall(folder / "out", filter="data")
    manifest = folder / "out/brokergate-backup.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"journal.db", b"../evil.db"))
    with tarfile.open(backup, "w") as tar:
        tar.add(manifest, "brokergate-backup.json")
        tar.add(folder / "out/journal.db", "../evil.db")

    with pytest.raises(BackupError, match="does not belong"):
        restore_backup(backup, folder / "other")
    assert not (folder / "evil.db").exists()
