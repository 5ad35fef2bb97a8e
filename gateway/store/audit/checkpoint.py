"""Signed statements about the log: the hash of everything up to a row, under an Ed25519 key.

A checkpoint is a row of its own, so it is written, streamed, exported and kept like any other.
What is signed is its body without the signature.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.store.audit.hashes import SIZE

CHECKPOINT = "checkpoint"
RETENTION = "retention"
_DOMAIN = b"brokergate audit checkpoint 1\n"
_encode = msgspec.json.Encoder().encode


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a checkpoint row. `hash` and `mac` are those of row `through`, the one before.

    `previous` is the number of the checkpoint row before this one, 0 for the first. `cause`:
    rows, time, day, stop, retention or request.
    """

    through: int
    hash: str
    mac: str
    previous: int
    at_us: int
    cause: str
    signature: str = ""

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        try:
            key.verify(bytes.fromhex(self.signature), _signed(self))
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """Holds the signing key; only the process that writes the log has one."""

    def __init__(self, private_key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = public_text(self._key.public_key())

    def sign(self, checkpoint: Checkpoint) -> Checkpoint:
        signature = self._key.sign(_signed(checkpoint)).hex()
        return msgspec.structs.replace(checkpoint, signature=signature)


class BadPublicKey(ValueError):
    """A text is no Ed25519 public key. The message says what is wanted."""


def read_checkpoint(body: bytes) -> Checkpoint | None:
    """Return what the body of a checkpoint row says; None unless it is written as ours are."""
    try:
        found = msgspec.json.decode(body, type=Checkpoint)
        if len(bytes.fromhex(found.hash)) != SIZE or len(bytes.fromhex(found.mac)) != SIZE:
            return None
    except (msgspec.MsgspecError, ValueError):
        return None
    return found if _encode(found) == body else None


def public_text(key: Ed25519PublicKey) -> str:
    """The key as one word: its 32 bytes in base64url."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_pem(text: str) -> str:
    """The key in the form that OpenSSL reads."""
    pem = parse_public_key(text).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


def parse_public_key(text: str) -> Ed25519PublicKey:
    """Read a key from either form. Raises: `BadPublicKey`."""
    text = text.strip()
    try:
        if text.startswith("-----"):
            key = serialization.load_pem_public_key(text.encode())
            if isinstance(key, Ed25519PublicKey):
                return key
            raise ValueError
        raw = base64.b64decode(text.rstrip("=") + "=" * (-len(text) % 4), b"-_", validate=True)
        return Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, binascii.Error):
        raise BadPublicKey(
            "not the public key of an audit log: give the 43 characters or the PEM text that"
            " `brokergate audit public-key` prints"
        ) from None


def _signed(checkpoint: Checkpoint) -> bytes:
    return _DOMAIN + _encode(msgspec.structs.replace(checkpoint, signature=""))
