"""The master key, sealing under it, and API keys: pure functions over bytes, no storage."""

from gateway.secrets.api_keys import ApiKey, ApiKeyError, Minted, PresentedKey, Scope, mint, parse
from gateway.secrets.master_key import (
    MasterKey,
    MasterKeyError,
    generate_master_key,
    load_master_key,
    write_key_file,
)
from gateway.secrets.sealing import Keyring, SealBroken, SealError, WrongMasterKey

__all__ = [
    "ApiKey",
    "ApiKeyError",
    "Keyring",
    "MasterKey",
    "MasterKeyError",
    "Minted",
    "PresentedKey",
    "Scope",
    "SealBroken",
    "SealError",
    "WrongMasterKey",
    "generate_master_key",
    "load_master_key",
    "mint",
    "parse",
    "write_key_file",
]
