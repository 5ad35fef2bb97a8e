"""What of a row goes into its seal and into the hash chain. Pure.

A row's `mac` is the HMAC over the row before it and the row itself. Its `digest` is the SHA-256
of the row with its mac; the chain's hash after a row is the SHA-256 of the hash before it and
that digest. So a digest can stand for a row whose content is not shown.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

import msgspec

GENESIS = b"\0" * 32
SIZE = 32

_encode = msgspec.json.Encoder().encode


def head_of(seq: int, at_us: int, kind: str, account: str | None, order_id: str | None) -> bytes:
    """A row but for its body, as JSON, so that no two different rows share their bytes."""
    return _encode((seq, at_us, kind, account, order_id))


def mac_of(key: bytes, previous: bytes, head: bytes, body: bytes) -> bytes:
    return hmac.digest(key, previous + head + b"\n" + body, "sha256")


def digest_of(head: bytes, body: bytes, mac: bytes) -> bytes:
    return sha256(mac + head + b"\n" + body).digest()


def next_hash(previous: bytes, digest: bytes) -> bytes:
    return sha256(previous + digest).digest()
