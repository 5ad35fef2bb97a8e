"""The signature of a webhook: HMAC-SHA256 over the time of sending and the body.

The time is signed with it, so that whoever listens in cannot send an old alert again later.
"""

from __future__ import annotations

import hmac
import secrets

HEADER = "Brokergate-Signature"
_SECRET_BYTES = 32


def new_secret() -> str:
    return "bgwh_" + secrets.token_urlsafe(_SECRET_BYTES)


def signature(secret: str, at_s: int, body: bytes) -> str:
    """Return the header's value, as in `t=1763801100,v1=5257a8...`."""
    signed = hmac.digest(secret.encode(), b"%d." % at_s + body, "sha256")
    return f"t={at_s},v1={signed.hex()}"
