"""The journal against a broker's book against its trades, for one account and day. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.models import BrokerOrder, BrokerOrderState, Side
from gateway.books.known import KnownOrder, KnownTrade
from gateway.books.rows import OrderRow, TradeRow, money, order_row, price, trade_row
from gateway.orchestrator.book import final_state
from gateway.orders.records import Leg, digits
from gateway.orders.states import AT_BROKER, BROKER_FINAL, UNPROVEN, LegState
from gateway.store.owners import OwnedLeg, Owners

# Brokers round the average of an order's trades, each in its own way.
_AVERAGE_TOLERANCE = Decimal("0.01")
_EXPECTED = AT_BROKER | BROKER_FINAL | UNPROVEN
_UNEXPECTED = frozenset(
    {LegState.DENIED, LegState.LAPSED, LegState.REFUSED, LegState.ABSENT, LegState.RETRY_WAIT}
)


class MissingLeg(msgspec.Struct, kw_only=True):
    """A leg that the journal believes, or cannot rule out, at the broker; its book lacks it."""

    leg_id: str
    order_id: str
    broker_order_id: str | None
    broker_tag: str
    instrument: str
    side: Side
    quantity: int
    state: LegState


class Difference(msgspec.Struct, kw_only=True):
    """One thing said three ways; `trades` is null where trades do not tell it."""

    field: str
    journal: str | None
    book: str | None
    trades: str | None = None


class DifferingLeg(msgspec.Struct, kw_only=True):
    leg_id: str
    order_id: str
    broker_order_id: str
    instrument: str
    side: Side
    differences: list[Difference]


class DoubledTag(msgspec.Struct, kw_only=True):
    broker_tag: str
    leg_id: str | None
    broker_order_ids: list[str]


class Comparison(msgspec.Struct, kw_only=True):
    """`elsewhere` is no mismatch; anything in the other lists is."""

    missing: list[MissingLeg]
    elsewhere: list[OrderRow]
    differing: list[DifferingLeg]
    trades_without_order: list[TradeRow]
    tags_doubled: list[DoubledTag]

    @property
    def matches(self) -> bool:
        return not (
            self.missing or self.differing or self.trades_without_order or self.tags_doubled
        )


def compare(
    legs: Sequence[OwnedLeg],
    orders: Sequence[KnownOrder],
    trades: Sequence[KnownTrade] | None,
    owners: Owners,
) -> Comparison:
    """Compare a day's legs with the rows of one book; `trades` None where they were not read.

    `owners` are the legs of all rows, those of other days too.
    """
    rows = {known.row.broker_order_id: known for known in orders}
    tagged = _by_tag(orders)
    fills = _fills(trades)
    missing, differing = [], []
    for owned in legs:
        leg = owned.leg
        known = _row_of(leg, rows, tagged)
        if known is None:
            if leg.state in _EXPECTED:
                missing.append(_missing(leg))
            continue
        fill = fills.get(known.row.broker_order_id, _Fill()) if trades is not None else None
        differences = _differences(leg, known.row, fill)
        if differences:
            differing.append(_differing(leg, known.row, differences))
    return Comparison(
        missing=missing,
        elsewhere=[
            order_row(known, owners)
            for known in orders
            if owners.of(known.row.broker_order_id, known.row.broker_tag) is None
        ],
        differing=differing,
        trades_without_order=[
            trade_row(trade, owners)
            for trade in trades or ()
            if trade.row.broker_order_id not in rows
        ],
        tags_doubled=[
            DoubledTag(
                broker_tag=digits(tag),
                leg_id=owners.by_tag[tag].leg.leg_id,
                broker_order_ids=[known.row.broker_order_id for known in same],
            )
            for tag, same in tagged.items()
            if len(same) > 1 and tag in owners.by_tag
        ],
    )


class _Fill(msgspec.Struct):
    quantity: int = 0
    value: Decimal = Decimal(0)

    @property
    def average(self) -> Decimal | None:
        return self.value / self.quantity if self.quantity else None


def _by_tag(orders: Iterable[KnownOrder]) -> dict[int, list[KnownOrder]]:
    tagged: dict[int, list[KnownOrder]] = defaultdict(list)
    for known in orders:
        if known.row.broker_tag is not None:
            tagged[known.row.broker_tag].append(known)
    return tagged


def _fills(trades: Sequence[KnownTrade] | None) -> dict[str, _Fill]:
    fills: dict[str, _Fill] = defaultdict(_Fill)
    for known in trades or ():
        fill = fills[known.row.broker_order_id]
        fill.quantity += known.row.quantity
        fill.value += known.row.price * known.row.quantity
    return dict(fills)


def _row_of(
    leg: Leg, rows: Mapping[str, KnownOrder], tagged: Mapping[int, list[KnownOrder]]
) -> KnownOrder | None:
    by_id = rows.get(leg.broker_order_id or "")
    if by_id is not None:
        return by_id
    return next(iter(tagged.get(leg.broker_tag, ())), None)


def _differences(leg: Leg, row: BrokerOrder, fill: _Fill | None) -> list[Difference]:
    found = []
    if not _same_state(leg, row):
        found.append(_difference("state", leg.state, row.state or row.raw_state))
    if leg.state in _UNEXPECTED or leg.state in UNPROVEN:
        return found
    if row.quantity != leg.quantity:
        found.append(_difference("quantity", leg.quantity, row.quantity))
    filled = max(row.filled_quantity, 0)
    traded = fill.quantity if fill is not None else filled
    if not leg.filled_quantity == filled == traded:
        found.append(
            _difference("filled_quantity", leg.filled_quantity, filled, fill and fill.quantity)
        )
    average = price(row.average_price)
    paid = fill.average if fill is not None else None
    differs = average is not None and average != leg.average_price
    if differs or _far_apart(leg.average_price, paid):
        found.append(_difference("average_price", leg.average_price, average, _spelt(paid)))
    return found


def _same_state(leg: Leg, row: BrokerOrder) -> bool:
    """Whether the two say the same; a word of the broker's that is not known says nothing."""
    if leg.state is LegState.REFUSED:
        return row.state is BrokerOrderState.REJECTED
    if leg.state in _UNEXPECTED or leg.state in UNPROVEN:
        return False
    told = final_state(row)
    if told is None or leg.state in (LegState.READY, LegState.SENDING):
        return True
    if told is LegState.ACKED:
        return leg.state in AT_BROKER
    return told is leg.state


def _far_apart(one: Decimal | None, other: Decimal | None) -> bool:
    return one is not None and other is not None and abs(one - other) > _AVERAGE_TOLERANCE


def _difference(field: str, journal: Any, book: Any, trades: Any = None) -> Difference:
    said = [None if value is None else str(value) for value in (journal, book, trades)]
    return Difference(field=field, journal=said[0], book=said[1], trades=said[2])


def _spelt(value: Decimal | None) -> Decimal | None:
    return money(round(value, 4)) if value is not None else None


def _missing(leg: Leg) -> MissingLeg:
    return MissingLeg(
        leg_id=leg.leg_id,
        order_id=leg.order_id,
        broker_order_id=leg.broker_order_id,
        broker_tag=digits(leg.broker_tag),
        instrument=leg.instrument,
        side=leg.side,
        quantity=leg.quantity,
        state=leg.state,
    )


def _differing(leg: Leg, row: BrokerOrder, differences: list[Difference]) -> DifferingLeg:
    return DifferingLeg(
        leg_id=leg.leg_id,
        order_id=leg.order_id,
        broker_order_id=row.broker_order_id,
        instrument=leg.instrument,
        side=leg.side,
        differences=differences,
    )
