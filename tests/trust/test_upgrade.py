"""A newer format keeps a copy first, an older program refuses a newer one, modes are mended."""

from __future__ import annotations

import apsw
import pytest

from gateway.config import Settings
from gateway.data_dir import data_dir_of
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring
from gateway.store import Store
from gateway.store.schema import SCHEMA_VERSION, StoreTooNew


@pytest.fixture
def keyring():
    return Keyring(generate_master_key())


def one(path, statement):
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(statement).get
    finally:
        connection.close()


async def make(path, keyring):
    store = Store(path, keyring)
    await store.audit("test", {"n": 1})
    store.close()


async def test_a_change_of_format_keeps_the_journal_as_it_was(tmp_path, keyring):
    path = tmp_path / "journal.db"
    await make(path, keyring)
    one(path, "DROP INDEX audit_checkpoints")
    one(path, "PRAGMA user_version=3")

    store = Store(path, keyring)
    verdict = await store.verify_audit()
    store.close()

    kept = tmp_path / "journal-format-3.db"
    assert verdict.ok, verdict.problem
    assert (3, SCHEMA_VERSION) == (
        one(kept, "PRAGMA user_version"),
        one(path, "PRAGMA user_version"),
    )
    assert b"n" in one(kept, "SELECT body FROM audit WHERE seq=1")
    assert 0o600 == kept.stat().st_mode & 0o777
    assert [] == list(tmp_path.glob("*.part"))


async def test_a_new_or_current_journal_is_not_copied(tmp_path, keyring):
    await make(tmp_path / "journal.db", keyring)
    await make(tmp_path / "journal.db", keyring)

    assert [] == list(tmp_path.glob("journal-*"))


async def test_an_older_program_refuses_a_newer_journal_and_changes_nothing(tmp_path, keyring):
    path = tmp_path / "journal.db"
    await make(path, keyring)
    one(path, f"PRAGMA user_version={SCHEMA_VERSION + 1}")

    with pytest.raises(StoreTooNew, match="use the newer program"):
        Store(path, keyring)

    assert SCHEMA_VERSION + 1 == one(path, "PRAGMA user_version")


def test_modes_that_let_others_in_are_mended_at_start(tmp_path, caplog):
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o755)
    (data_dir / "journal.db").touch(mode=0o644)
    data_dir.chmod(0o755)

    data_dir_of(Settings(data_dir=data_dir))

    assert 0o700 == data_dir.stat().st_mode & 0o777
    assert 0o600 == (data_dir / "journal.db").stat().st_mode & 0o777
    assert "had mode 0755" in caplog.text
