"""A vault under a passphrase: its parameters stand beside it, and only the right words open it."""

from __future__ import annotations

import msgspec
import pytest

from gateway.secrets.master_key import MasterKeyError, generate_master_key
from gateway.secrets.passphrase import Stretching, key_from, new_stretching
from gateway.secrets.sealing import Keyring, SealBroken, WrongMasterKey
from gateway.store import Store
from gateway.store.rotation import rotate_vault, successor_key
from gateway.store.sealed import stretching_of

WORDS = "correct horse battery"


@pytest.fixture
async def journal(tmp_path):
    keyring = Keyring(generate_master_key())
    store = Store(tmp_path / "journal.db", keyring)
    await store.set_credentials("a", {"password": "pass"}, {"client": "test"})
    store.close()
    return tmp_path / "journal.db", keyring


def opened(path, keyring):
    Store(path, keyring).close()


def rotate_to(journal, words):
    path, keyring = journal
    stretching = new_stretching()
    rotate_vault(path, keyring, lambda: key_from(words, stretching), stretching)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_only_the_passphrase_opens_what_was_put_under_it(journal):
    path, keyring = journal
    assert stretching_of(path) is None
    rotate_to(journal, WORDS)

    stretching = stretching_of(path)
    assert stretching is not None
    assert ("argon2id", 65536, 3) == (stretching.kind, stretching.memory_kib, stretching.passes)
    opened(path, Keyring(key_from(WORDS, stretching)))
    for wrong in (keyring, Keyring(key_from(WORDS + "!", stretching))):
        with pytest.raises(WrongMasterKey, match="nothing was changed"):
            opened(path, wrong)


def test_a_key_file_takes_the_passphrase_away_again(journal, tmp_path):
    path, _ = journal
    rotate_to(journal, WORDS)
    keyring = Keyring(key_from(WORDS, stretching_of(path)))

    rotate_vault(path, keyring, lambda: successor_key(tmp_path / "new.key"))

    assert stretching_of(path) is None
    opened(path, Keyring(successor_key(tmp_path / "new.key")))


def test_a_short_passphrase_changes_nothing(journal):
    path, keyring = journal
    with pytest.raises(MasterKeyError, match="at least 12"):
        rotate_to(journal, "short")

    assert stretching_of(path) is None
    opened(path, keyring)


@pytest.mark.parametrize("changes", [{"memory_kib": 1}, {"memory_kib": 2**40}, {"salt": b""}])
def test_damaged_parameters_are_said_to_be_damaged(changes):
    spoilt = msgspec.structs.replace(Stretching(salt=b"s" * 16), **changes)

    with pytest.raises(MasterKeyError, match="damaged"):
        key_from(WORDS, spoilt)


def test_a_journal_whose_parameters_cannot_be_read_says_so(journal):
    import apsw

    path, _ = journal
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO meta (name, value) VALUES ('passphrase', x'00')")
    connection.close()

    with pytest.raises(SealBroken, match="damaged"):
        stretching_of(path)
