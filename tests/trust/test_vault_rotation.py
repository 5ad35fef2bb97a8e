"""A new master key: what opens afterwards, and what a process killed on the way leaves."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.secrets.master_key import generate_master_key, write_key_file
from gateway.secrets.sealing import Keyring, SealError, WrongMasterKey
from gateway.store import Store
from gateway.store.rotation import VaultMissing, rotate_vault, successor_key

ROOT = Path(__file__).parents[2]
ACCOUNTS = {f"acc-{n}": {"password": f"pass-{n}", "api_key": f"key-{n}"} for n in range(5)}
# Ends itself by SIGKILL at the commit of the rotation, before or after it.
KILLED = """
import os, sys
from pathlib import Path
from gateway.secrets.master_key import load_master_key, FILE_VARIABLE
from gateway.store.rotation import rotate_vault, successor_key
from gateway.secrets.sealing import Keyring
from gateway.store import writer
folder, place = Path(sys.argv[1]), sys.argv[2]
def hit(prefix, jobs):
    if prefix == place:
        os.kill(os.getpid(), 9)
writer._hit = hit
keyring = Keyring(load_master_key({FILE_VARIABLE: str(folder / "old.key")}))
rotate_vault(folder / "journal.db", keyring, lambda: successor_key(folder / "new.key"))
"""


@pytest.fixture
def old(tmp_path):
    key = generate_master_key()
    write_key_file(tmp_path / "old.key", key)
    keyring = Keyring(key)
    store = Store(tmp_path / "journal.db", keyring)

    async def fill():
        for account, fields in ACCOUNTS.items():
            await store.set_credentials(account, fields, {"client": "test"})
            await store.put_session(account, "active", b"{}", b"token", {"event": "active"})

    asyncio.run(fill())
    store.close()
    return keyring


def contents(path, keyring):
    """Everything sealed, with the verdict on the audit chain."""
    store = Store(path / "journal.db", keyring)

    async def read():
        credentials = {name: await store.get_credentials(name) for name in ACCOUNTS}
        tokens = {row.secret for row in await store.load_sessions()}
        return credentials, tokens, (await store.verify_audit()).ok

    try:
        return asyncio.run(read())
    finally:
        store.close()


WHOLE = (ACCOUNTS, {b"token"}, True)


def test_the_new_key_opens_everything_and_the_audit_chain_holds(tmp_path, old):
    count = rotate_vault(tmp_path / "journal.db", old, lambda: successor_key(tmp_path / "new.key"))

    assert len(ACCOUNTS) + 1 == count
    assert WHOLE == contents(tmp_path, Keyring(successor_key(tmp_path / "new.key")))
    with pytest.raises(WrongMasterKey, match="another master key"):
        Store(tmp_path / "journal.db", old)
    assert 0o600 == (tmp_path / "new.key").stat().st_mode & 0o777


@pytest.mark.parametrize(("place", "opens"), [("before_", "old.key"), ("after_", "new.key")])
def test_a_kill_at_the_commit_leaves_one_key_that_opens_everything(tmp_path, old, place, opens):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), place],
        cwd=ROOT,
        timeout=60,
        check=False,
    )

    assert -signal.SIGKILL == done.returncode
    both = {name: Keyring(successor_key(tmp_path / name)) for name in ("old.key", "new.key")}
    assert WHOLE == contents(tmp_path, both.pop(opens))
    [other] = both.values()
    with pytest.raises(WrongMasterKey):
        Store(tmp_path / "journal.db", other)
    if opens == "old.key":
        rotate_vault(tmp_path / "journal.db", old, lambda: successor_key(tmp_path / "new.key"))
        assert WHOLE == contents(tmp_path, other)


def test_a_wrong_key_rotates_nothing_and_writes_no_key_file(tmp_path, old):
    wrong = Keyring(generate_master_key())

    with pytest.raises(WrongMasterKey, match="nothing was changed"):
        rotate_vault(tmp_path / "journal.db", wrong, lambda: successor_key(tmp_path / "new.key"))

    assert not (tmp_path / "new.key").exists()
    assert WHOLE == contents(tmp_path, old)


def test_the_same_key_or_a_spoilt_key_file_is_refused(tmp_path, old):
    with pytest.raises(WrongMasterKey, match="already"):
        rotate_vault(tmp_path / "journal.db", old, lambda: successor_key(tmp_path / "old.key"))
    (tmp_path / "new.key").write_text("short")
    (tmp_path / "new.key").chmod(0o600)
    with pytest.raises(SealError, match="no usable key"):
        rotate_vault(tmp_path / "journal.db", old, lambda: successor_key(tmp_path / "new.key"))

    assert WHOLE == contents(tmp_path, old)


def test_without_a_journal_there_is_nothing_to_rotate(tmp_path):
    with pytest.raises(VaultMissing):
        rotate_vault(tmp_path / "journal.db", Keyring(generate_master_key()), generate_master_key)

    assert not (tmp_path / "journal.db").exists()
