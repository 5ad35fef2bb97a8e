"""Time-based one-time passwords, as a broker that offers them would check them."""

from __future__ import annotations

import base64
import hmac
from datetime import datetime


def totp_code(secret: str, at: datetime, *, digits: int = 6, step_s: int = 30) -> str:
    """Compute the code of a base32 `secret` at a moment (RFC 6238, SHA-1)."""
    padded = secret.upper().replace(" ", "") + "=" * (-len(secret.replace(" ", "")) % 8)
    counter = int(at.timestamp()) // step_s
    digest = hmac.digest(base64.b32decode(padded), counter.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)
