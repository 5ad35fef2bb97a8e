"""m.Stock's order book as it was last read: of the next one only what changed is decoded anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from adapters.mstock import parse
from adapters.mstock.rows import ORDERS, OrderRow
from adapters.sdk.models import BrokerOrder

_DIGEST_BYTES: Final = 16

# A row as an answer keeps it: the bytes that came, or an object that was decoded the slow way.
Kept = msgspec.Raw | Mapping[str, Any]


class OrderBook:
    """One account's. Of a row it remembers what it came to, and with which fills."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Row] = {}

    def read(self, rows: Sequence[Kept]) -> Reading:
        """Look at a book's rows. Raises `BadAnswer` for one that cannot be read."""
        digests = [_digest(row) for row in rows]
        decoded: dict[bytes, OrderRow] = {}
        now: dict[bytes, _Row] = {}
        for digest, row in zip(digests, rows, strict=True):
            known = self._known.get(digest)
            if known is None and digest not in now:
                new = decoded[digest] = ORDERS.row(row)
                known = _Row(parse.own_id(new), parse.may_have_fills(new))
            if known is not None:
                now[digest] = known
        return Reading(self, digests, dict(zip(digests, rows, strict=True)), decoded, now)

    def keep(self, rows: dict[bytes, _Row]) -> None:
        """Remember these rows and no others: they were all told."""
        self._known = rows


class Reading:
    """A book whose rows were looked at; what they say waits for the trade book."""

    def __init__(
        self,
        book: OrderBook,
        digests: list[bytes],
        rows: Mapping[bytes, Kept],
        decoded: Mapping[bytes, OrderRow],
        known: dict[bytes, _Row],
    ) -> None:
        self._book = book
        self._digests = digests
        self._rows = rows
        self._decoded = decoded
        self._known = known

    @property
    def may_have_fills(self) -> bool:
        """Whether the trade book must be read before these orders can be told."""
        return any(row.may_have_fills for row in self._known.values())

    def orders(self, fills: Mapping[str, parse.Fills]) -> list[BrokerOrder]:
        """Tell the orders. Raises `BadAnswer` for a row that cannot be read."""
        for digest, known in self._known.items():
            filled = fills.get(known.order_id, parse.NO_FILLS)
            if known.order is None or known.fills != filled:
                row = self._decoded.get(digest) or ORDERS.row(self._rows[digest])
                known.order = parse.order(row, known.order_id, filled)
                known.fills = filled
        self._book.keep(self._known)
        return [order for digest in self._digests if (order := self._known[digest].order)]


class _Row(msgspec.Struct, gc=False):
    order_id: str
    may_have_fills: bool
    fills: parse.Fills = parse.NO_FILLS
    order: BrokerOrder | None = None


def _digest(row: Kept) -> bytes:
    said = row if isinstance(row, msgspec.Raw) else repr(row).encode()
    return blake2b(said, digest_size=_DIGEST_BYTES).digest()
