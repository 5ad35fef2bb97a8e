"""Sealing of secrets: AES-256-GCM under a data key per account, itself sealed by the master key.

SealError
+- WrongMasterKey  sealed under another master key: nothing is damaged, find the right key
+- SealBroken      changed, cut short, or moved from where it was sealed

A sealed blob is `version (1) | key id (8) | nonce (12) | ciphertext and tag`. The header and the
place (account, field) are authenticated with it, so a blob opens only where it was sealed.
Changing the master key re-wraps the data keys (`rewrap`) and touches no value.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway.secrets.master_key import KEY_BYTES, MasterKey

_VERSION = 1
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEADER_BYTES = 1 + _KEY_ID_BYTES
_SHORTEST = _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES
_VERIFIER_TEXT = b"brokergate master key verifier"


class SealError(Exception):
    """A sealed value could not be opened. The text never holds a secret."""


class WrongMasterKey(SealError):
    """The blob was sealed under another master key."""


class SealBroken(SealError):
    """The blob was changed, cut short, or moved from where it was sealed."""


class Keyring:
    """Seals and opens under one master key. Holds no data key and stores nothing."""

    def __init__(self, master_key: MasterKey) -> None:
        self._master = _Key(master_key.key)
        self._source = master_key.source

    def __repr__(self) -> str:
        return f"Keyring(key_id={self.key_id!r}, source={self._source!r})"

    @property
    def key_id(self) -> str:
        """Name the master key without telling anything of it."""
        return self._master.id.hex()

    def verifier(self) -> bytes:
        """Return a blob to store, by which `check` knows this master key again."""
        return self._master.seal(_place("verifier"), _VERIFIER_TEXT)

    def check(self, verifier: bytes) -> None:
        """Make sure that this is the master key that `verifier` was made with.

        Raises:
            WrongMasterKey: it is another one.
            SealBroken: the verifier itself is damaged.
        """
        text = self._open_with_master(_place("verifier"), verifier)
        if not hmac.compare_digest(text, _VERIFIER_TEXT):
            raise SealBroken("the master key verifier is damaged")

    def new_data_key(self) -> bytes:
        """Make a random data key and return it wrapped, which is the only form it is stored in."""
        return self._master.seal(_place("data key"), os.urandom(KEY_BYTES))

    def seal(self, wrapped_data_key: bytes, account: str, field: str, plaintext: bytes) -> bytes:
        """Seal `plaintext` so that it opens only as this `field` of this `account`.

        Raises:
            WrongMasterKey, SealBroken: the data key does not open.
        """
        return self._unwrap(wrapped_data_key).seal(_place("value", account, field), plaintext)

    def open(self, wrapped_data_key: bytes, account: str, field: str, sealed: bytes) -> bytes:
        """Return what `seal` was given.

        Raises:
            WrongMasterKey: the data key was wrapped by another master key.
            SealBroken: the data key or the value was changed, or is not from this place.
        """
        key = self._unwrap(wrapped_data_key)
        if _key_id_of(sealed) != key.id:
            raise SealBroken(
                f"{account} {field}: sealed under a data key that is not this account's"
            )
        try:
            return key.open(_place("value", account, field), sealed)
        except InvalidTag:
            raise SealBroken(f"{account} {field}: the sealed value was changed or moved") from None

    def rewrap(self, wrapped_data_key: bytes, successor: Keyring) -> bytes:
        """Return the data key wrapped by `successor` instead. Values sealed under it stay valid.

        A key already wrapped by `successor` is returned as it is, so an interrupted rotation
        can be run again.
        """
        if _key_id_of(wrapped_data_key) == successor._master.id:
            successor._unwrap(wrapped_data_key)
            return wrapped_data_key
        data_key = self._open_with_master(_place("data key"), wrapped_data_key)
        return successor._master.seal(_place("data key"), data_key)

    def _unwrap(self, wrapped_data_key: bytes) -> _Key:
        return _Key(self._open_with_master(_place("data key"), wrapped_data_key))

    def _open_with_master(self, place: bytes, sealed: bytes) -> bytes:
        if _key_id_of(sealed) != self._master.id:
            raise WrongMasterKey(
                f"sealed under another master key than the one from {self._source}; "
                "nothing was changed: start again with the key this data directory was made with"
            )
        try:
            return self._master.open(place, sealed)
        except InvalidTag:
            raise SealBroken("a key in the vault was changed: restore it from a backup") from None


class _Key:
    """One AES-256 key with the id that its blobs carry; the id is derived one way from the key."""

    def __init__(self, key: bytes) -> None:
        # Separate keys for naming and for sealing, so that the id in the open says nothing.
        self.id = _derive(key, b"brokergate 1 key id", _KEY_ID_BYTES)
        self._cipher = AESGCM(_derive(key, b"brokergate 1 aes-256-gcm", KEY_BYTES))

    def seal(self, place: bytes, plaintext: bytes) -> bytes:
        header = bytes([_VERSION]) + self.id
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._cipher.encrypt(nonce, plaintext, header + place)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        return self._cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header + place)


def _derive(key: bytes, purpose: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, purpose).derive(key)


def _key_id_of(sealed: bytes) -> bytes:
    if len(sealed) < _SHORTEST:
        raise SealBroken("a sealed value was cut short")
    if sealed[0] != _VERSION:
        raise SealBroken(
            f"sealed value of version {sealed[0]}; this program reads version {_VERSION}"
        )
    return sealed[1:_HEADER_BYTES]


def _place(*parts: str) -> bytes:
    # Lengths in front, so that ("ab", "c") and ("a", "bc") are different places.
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
