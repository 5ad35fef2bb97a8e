"""Lists that are read again and again, of which few rows change between two reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

from adapters.sdk.errors import BadAnswer

T = TypeVar("T")

_DIGEST_BYTES = 16


class RowCache(Generic[T]):
    """What the rows of the last list came to, by a digest of their bytes.

    One for each list of one account, and only where a row's meaning is in its bytes alone.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, T] = {}

    def read(
        self, rows: Sequence[msgspec.Raw], read_new: Callable[[msgspec.Raw], Sequence[T]]
    ) -> list[T]:
        """Return what each row says; the last list's rows are not read again.

        `read_new` gets the other rows as a JSON array and returns one value for each. What it
        raises goes to the caller, and the rows count as never read.

        Raises: `BadAnswer` where it returned more or fewer.
        """
        digests = [blake2b(row, digest_size=_DIGEST_BYTES).digest() for row in rows]
        known = self._known
        new = {
            digest: row for digest, row in zip(digests, rows, strict=True) if digest not in known
        }
        if new:
            array = msgspec.Raw(b"[" + b",".join(new.values()) + b"]")
            read = read_new(array)
            if len(read) != len(new):
                raise BadAnswer(f"of {len(new)} rows {len(read)} were read")
            known = known | dict(zip(new, read, strict=True))
        self._known = {digest: known[digest] for digest in digests}
        return [known[digest] for digest in digests]
