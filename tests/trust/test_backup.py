"""Backups made under load and restored elsewhere: whole, halted, and never over anything."""

from __future__ import annotations

import asyncio
import tarfile

import pytest

from gateway.backup import BackupError, make_backup, restore_backup
from tests.gateway.rig import Rig


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "other").mkdir()
    return tmp_path


async def test_a_backup_under_load_restores_whole_and_halted(folder):
    file = folder / "backup.tar"
    async with Rig(folder / "data", brokers=("fyers",)) as rig:
        (folder / "data/adapters/p").mkdir(parents=True)
        (folder / "data/adapters/p/book.json").write_text("book")
        first = await rig.place("before", accounts=["fyers-main"])
        assert first.status in (200, 201, 202), first.content
        load = asyncio.gather(*(rig.place(f"load-{n}", accounts=["fyers-main"]) for n in range(20)))
        manifest = await asyncio.to_thread(make_backup, folder / "data", file)
        placed = [first, *await load]
        await rig.stop_gateway()
        restore_backup(file, folder / "other")
        rig.data_dir = folder / "other"
        await rig.start_gateway()
        await rig.masters_loaded()

        assert (await rig.gateway.store.verify_audit()).ok
        assert manifest.audit_seq <= await rig.gateway.store.last_audit_seq()
        assert (await rig.call("GET", f"/v1/orders/{first.json['order_id']}")).status == 200
        assert "book" == (folder / "other/adapters/p/book.json").read_text()
        ledger = len(rig.ledger("fyers"))
        assert {reply.status for reply in placed} <= {200, 201, 202, 429}
        refused = await rig.place("afterwards", accounts=["fyers-main"])
        assert "kill_switch" == refused.json["legs"][0]["reason"]["code"], refused.content
        switch = await rig.call("GET", "/v1/kill-switch")
        assert "restored from the backup" in switch.content.decode()
        assert ledger == len(rig.ledger("fyers"))
    assert 0o600 == file.stat().st_mode & 0o777
    assert not list(folder.glob(".backup-*"))
    assert not list((folder / "other").glob(".restore-*"))


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
