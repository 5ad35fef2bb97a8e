"""Sealed values open where they were sealed, under the key they were sealed with, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring, SealBroken, WrongMasterKey


def keyring() -> Keyring:
    return Keyring(generate_master_key())


RING = keyring()
DATA_KEY = RING.new_data_key()


@given(st.binary(max_size=300), st.text(max_size=20), st.text(max_size=20))
def test_any_bytes_come_back_as_they_were(plaintext: bytes, account: str, field: str) -> None:
    sealed = RING.seal(DATA_KEY, account, field, plaintext)
    assert plaintext == RING.open(DATA_KEY, account, field, sealed)


def test_sealing_twice_gives_different_blobs_that_hide_the_text() -> None:
    first, second = (RING.seal(DATA_KEY, "a", "token", b"canary-7731") for _ in range(2))
    assert first != second
    assert b"canary" not in first


@pytest.mark.parametrize(
    ("account", "field"), [("b", "token"), ("a", "password"), ("at", "oken"), ("", "atoken")]
)
def test_value_does_not_open_in_another_place(account: str, field: str) -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"x")
    with pytest.raises(SealBroken, match="changed or moved"):
        RING.open(DATA_KEY, account, field, sealed)


def test_value_of_one_account_does_not_open_with_the_data_key_of_another() -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"x")
    with pytest.raises(SealBroken, match="not this account's"):
        RING.open(RING.new_data_key(), "a", "token", sealed)


def test_every_changed_byte_of_a_value_is_noticed() -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"secret")
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(SealBroken):
            RING.open(DATA_KEY, "a", "token", bytes(changed))


def test_every_shortened_value_is_noticed() -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"secret")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            RING.open(DATA_KEY, "a", "token", sealed[:length])


def test_every_changed_byte_of_a_data_key_is_noticed() -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"secret")
    for index in range(len(DATA_KEY)):
        changed = bytearray(DATA_KEY)
        changed[index] ^= 1
        with pytest.raises((SealBroken, WrongMasterKey)):
            RING.open(bytes(changed), "a", "token", sealed)


def test_other_master_key_is_called_that_and_not_damage() -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"x")
    with pytest.raises(WrongMasterKey, match="another master key"):
        keyring().open(DATA_KEY, "a", "token", sealed)


def test_verifier_knows_its_master_key_from_another() -> None:
    verifier = RING.verifier()
    RING.check(verifier)
    with pytest.raises(WrongMasterKey):
        keyring().check(verifier)


def test_damaged_verifier_is_not_called_a_wrong_key() -> None:
    verifier = RING.verifier()
    with pytest.raises(SealBroken):
        RING.check(verifier[:-1] + bytes([verifier[-1] ^ 1]))
    with pytest.raises(SealBroken):
        RING.check(b"")


def test_data_key_does_not_pass_as_verifier() -> None:
    with pytest.raises(SealBroken):
        RING.check(DATA_KEY)


def test_newer_version_is_refused_by_its_number() -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"x")
    with pytest.raises(SealBroken, match="version 9"):
        RING.open(DATA_KEY, "a", "token", b"\x09" + sealed[1:])


def test_rewrapped_data_key_opens_old_values_under_the_new_master_key_only() -> None:
    sealed = RING.seal(DATA_KEY, "a", "token", b"kept")
    successor = keyring()
    rewrapped = RING.rewrap(DATA_KEY, successor)
    assert b"kept" == successor.open(rewrapped, "a", "token", sealed)
    with pytest.raises(WrongMasterKey):
        RING.open(rewrapped, "a", "token", sealed)


def test_rewrapping_can_be_run_again_after_an_interruption() -> None:
    successor = keyring()
    rewrapped = RING.rewrap(DATA_KEY, successor)
    assert rewrapped == RING.rewrap(rewrapped, successor)


def test_rewrapping_a_damaged_data_key_is_refused() -> None:
    successor = keyring()
    rewrapped = RING.rewrap(DATA_KEY, successor)
    for wrapped in (DATA_KEY, rewrapped):
        with pytest.raises(SealBroken):
            RING.rewrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), successor)


def test_repr_of_a_keyring_names_the_key_by_id_only() -> None:
    key = generate_master_key()
    shown = repr(Keyring(key))
    assert key.text() not in shown
    assert Keyring(key).key_id in shown
    assert Keyring(key).key_id not in key.key.hex()
