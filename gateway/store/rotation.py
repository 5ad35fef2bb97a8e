"""A new master key for a stopped gateway's vault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.secrets.master_key import (
    FILE_VARIABLE,
    MasterKey,
    MasterKeyError,
    generate_master_key,
    load_master_key,
    write_key_file,
)
from gateway.secrets.passphrase import Stretching
from gateway.secrets.sealing import Keyring, SealError, WrongMasterKey
from gateway.store.store import Store


class VaultMissing(RuntimeError):
    """There is no journal, so nothing that could be put under a new key."""


def rotate_vault(
    journal: Path,
    keyring: Keyring,
    new_key: Callable[[], MasterKey],
    stretching: Stretching | None = None,
) -> int:
    """Re-wrap every data key in one transaction and return how many there were.

    The caller holds the data directory's lock. `new_key` is asked once the old one has proven to
    be right, and has its key on disk when it returns. `stretching`: how it was made from a
    passphrase. Raises: `VaultMissing`, `SealError`.
    """
    if not journal.exists():
        raise VaultMissing(f"{journal} does not exist: there is no vault to rotate")
    store = Store(journal, keyring)
    try:
        successor = Keyring(new_key())
        if successor.key_id == keyring.key_id:
            raise WrongMasterKey("the new key file holds the key that the vault has already")
        return asyncio.run(_rotate(store, successor, stretching))
    finally:
        store.close()


def successor_key(path: Path) -> MasterKey:
    """Write a new key file, or take up that of an interrupted rotation. Raises: `SealError`."""
    if not path.exists():
        key = generate_master_key(str(path))
        write_key_file(path, key)
        return key
    try:
        return load_master_key({FILE_VARIABLE: str(path)})
    except MasterKeyError as error:
        raise SealError(f"{path} exists and holds no usable key: {error}") from error


async def _rotate(store: Store, successor: Keyring, stretching: Stretching | None) -> int:
    return await store.rotate_master_key(successor, {"client": "control"}, stretching)
