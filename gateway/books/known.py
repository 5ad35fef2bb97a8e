"""A broker's rows with what is known of their contracts, and how they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Generic, TypeVar

import msgspec

from adapters.sdk.models import BrokerHolding, BrokerOrder, BrokerPosition, BrokerTrade
from gateway.orders.times import ist
from gateway.store.snapshots import Packed, SnapshotKind, Stored, pack


class KnownOrder(msgspec.Struct, frozen=True):
    """`instrument` is the canonical id, None where the broker's master lacks the contract."""

    row: BrokerOrder
    instrument: str | None = None


class KnownTrade(msgspec.Struct, frozen=True):
    row: BrokerTrade
    instrument: str | None = None


class KnownPosition(msgspec.Struct, frozen=True):
    row: BrokerPosition
    instrument: str | None = None
    lot_size: int | None = None


class KnownHolding(msgspec.Struct, frozen=True):
    row: BrokerHolding
    instrument: str | None = None


T = TypeVar("T")
Known = KnownOrder | KnownTrade | KnownPosition


class Book(msgspec.Struct, Generic[T], frozen=True):
    """One whole, good read of a kind of rows, begun at `begun_us`. `kept`: from a snapshot."""

    begun_us: int
    rows: list[T]
    kept: bool = False


_TYPES: dict[SnapshotKind, Any] = {
    SnapshotKind.ORDERBOOK: list[KnownOrder],
    SnapshotKind.TRADES: list[KnownTrade],
    SnapshotKind.POSITIONS: list[KnownPosition],
}


def packed(rows: Sequence[Known]) -> Packed:
    return pack(len(rows), msgspec.json.encode(rows))


def unpacked(kind: SnapshotKind, stored: Stored) -> Book[Any]:
    return Book(stored.taken_us, msgspec.json.decode(stored.json, type=_TYPES[kind]), kept=True)


def row_id(known: Known) -> str | None:
    """What a row is told apart by, of those that a day's book only ever gains."""
    if isinstance(known, KnownOrder):
        return known.row.broker_order_id
    if isinstance(known, KnownTrade):
        return f"{known.row.broker_order_id}/{known.row.trade_id}"
    return None


def is_of_day(known: Known, day: date) -> bool:
    """Whether a row is of that day, as far as it says: some books still show the day before."""
    at = None
    if isinstance(known, KnownOrder):
        at = known.row.placed_at
    elif isinstance(known, KnownTrade):
        at = known.row.traded_at
    return at is None or ist(int(at.timestamp() * 1_000_000)).date() == day


def asked_of(rows: Sequence[KnownOrder | KnownTrade]) -> tuple[set[int], set[str]]:
    """The tags and the broker's numbers by which rows find their legs."""
    tags = {known.row.broker_tag for known in rows if known.row.broker_tag is not None}
    return tags, {known.row.broker_order_id for known in rows}
