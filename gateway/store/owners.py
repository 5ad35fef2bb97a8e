"""Whose order is this? Legs looked up by what a broker's rows say, and by day."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import apsw
import msgspec

from gateway.orders.ids import new_order_id
from gateway.orders.records import Leg

_decode_leg = msgspec.json.Decoder(Leg).decode
_AT_ONCE = 400
# Brokers may begin their order numbers anew; books live for a day, or over a long weekend.
_SAME_NUMBER_US = 7 * 86_400 * 1_000_000


class OwnedLeg(msgspec.Struct, frozen=True):
    """A leg of the journal, with the strategy of its order."""

    leg: Leg
    strategy: str | None


class Owners(msgspec.Struct, frozen=True):
    """The legs that an account's rows belong to."""

    by_tag: dict[int, OwnedLeg]
    by_broker_order_id: dict[str, OwnedLeg]

    def of(self, broker_order_id: str, broker_tag: int | None) -> OwnedLeg | None:
        """The leg of one row: a tag is never reused, so it goes before the broker's own number."""
        owner = self.by_tag.get(broker_tag) if broker_tag is not None else None
        return owner or self.by_broker_order_id.get(broker_order_id)


def find_owners(
    connection: apsw.Connection,
    account: str,
    tags: Collection[int],
    broker_order_ids: Collection[str],
    at_us: int,
) -> Owners:
    """Look up the legs that rows of an account belong to, read at about `at_us`."""
    by_tag = {
        owned.leg.broker_tag: owned
        for part in _parts(tags)
        for owned in _select(
            connection, f"l.broker_tag IN ({_marks(part)}) AND l.account = ?", (*part, account)
        )
    }
    since = id_bound(at_us - _SAME_NUMBER_US)
    by_id: dict[str, OwnedLeg] = {}
    for part in _parts(broker_order_ids):
        where = f"l.account = ? AND l.broker_order_id IN ({_marks(part)}) AND l.order_id >= ?"
        for owned in _select(connection, where, (account, *part, since)):
            # Ordered by order id, which is by time: the newest leg of a number stays.
            by_id[owned.leg.broker_order_id or ""] = owned
    return Owners(by_tag, by_id)


def legs_between(
    connection: apsw.Connection, account: str, from_us: int, to_us: int
) -> list[OwnedLeg]:
    """Every leg of an account whose order was made in [from_us, to_us), oldest first."""
    where = "l.order_id >= ? AND l.order_id < ? AND +l.account = ?"
    return list(_select(connection, where, (id_bound(from_us), id_bound(to_us), account)))


def _select(connection: apsw.Connection, where: str, values: tuple[Any, ...]) -> Iterator[OwnedLeg]:
    rows: Any = connection.execute(
        "SELECT l.data, o.strategy FROM legs l JOIN orders o ON o.order_id = l.order_id"  # noqa: S608
        f" WHERE {where} ORDER BY l.order_id, l.n",
        values,
    )
    for data, strategy in rows:
        yield OwnedLeg(_decode_leg(data), strategy)


def id_bound(at_us: int) -> str:
    """Order ids begin with their time, so a range of times is a range of ids."""
    return new_order_id(max(at_us, 0) // 1000)[:14]


def _parts(items: Collection[Any]) -> Iterator[tuple[Any, ...]]:
    everything = tuple(items)
    for start in range(0, len(everything), _AT_ONCE):
        yield everything[start : start + _AT_ONCE]


def _marks(items: tuple[Any, ...]) -> str:
    return ",".join("?" * len(items))
