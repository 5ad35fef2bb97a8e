"""`ETag` and `If-Match`: so that no operator overwrites unseen what another has just put there."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from gateway.api.routing import Call, encode
from gateway.orders.problems import Problem

IF_MATCH = "if-match"


def tag_of(shown: Any) -> str:
    """A strong tag of what would be put: the same where, and only where, that is the same."""
    return f'"{sha256(encode(shown)).hexdigest()[:32]}"'


def etag(shown: Any) -> list[tuple[bytes, bytes]]:
    return [(b"ETag", tag_of(shown).encode())]


def assert_unchanged(call: Call, shown: Any) -> None:
    """Compare `If-Match`, where it was sent, with what is there now. Raises `Problem` 412."""
    wanted = call.headers.get(IF_MATCH)
    if wanted is None:
        return
    tags = [each.strip() for each in wanted.split(",")]
    if "*" not in tags and tag_of(shown) not in tags:
        raise Problem(
            412,
            "changed_meanwhile",
            "it is no longer what your If-Match names; nothing was changed. Read it again, and"
            " repeat with the ETag of that answer",
        )
