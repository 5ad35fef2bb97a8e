"""A master key made from a passphrase, for those who would rather remember than keep a file."""

from __future__ import annotations

import os
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from gateway.secrets.master_key import KEY_BYTES, MasterKey, MasterKeyError

SHORTEST = 12
_MOST_MEMORY_KIB = 4 * 1024 * 1024


class Stretching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a passphrase becomes a key. Stored in the open beside what the key seals.

    The defaults are RFC 9106's second recommended choice: Argon2id over 64 MiB, three passes.
    """

    salt: bytes
    kind: Literal["argon2id"] = "argon2id"
    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


def new_stretching() -> Stretching:
    return Stretching(salt=os.urandom(16))


def key_from(passphrase: str, stretching: Stretching) -> MasterKey:
    """Raises: `MasterKeyError` for one that is too short, or for parameters that cannot be."""
    if len(passphrase) < SHORTEST:
        raise MasterKeyError(f"a passphrase has at least {SHORTEST} characters")
    if not 8 * stretching.lanes <= stretching.memory_kib <= _MOST_MEMORY_KIB:
        raise MasterKeyError("the parameters stored for the passphrase are damaged")
    try:
        derived = Argon2id(
            salt=stretching.salt,
            length=KEY_BYTES,
            iterations=stretching.passes,
            lanes=stretching.lanes,
            memory_cost=stretching.memory_kib,
        ).derive(passphrase.encode())
    except (ValueError, UnicodeError) as error:
        raise MasterKeyError("the parameters stored for the passphrase are damaged") from error
    return MasterKey(derived, "the passphrase")
