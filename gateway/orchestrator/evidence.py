"""What good reads prove about a leg of which nobody knows whether it exists. Pure decisions.

Absence is concluded only from whole, good reads that began after the request's connection
closed, and only where the tag is known to come back or nothing in the book looks like the leg.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from adapters.sdk.models import BrokerOrder
from gateway.orchestrator.book import BookView
from gateway.orchestrator.pace import GOOD_READS, GOOD_READS_FOR_LOOK
from gateway.orders.records import Leg
from gateway.orders.states import LegState
from gateway.orders.times import rfc3339, to_us

_CLOCK_SKEW_US = 5_000_000
_SHOWN = 5
_REMEMBERED = 20


class Echo(StrEnum):
    """What was learned of an account: does the tag come back, and where?"""

    UNPROVEN = "unproven"
    DETAILS = "details"
    BOOK = "book"


class Verdict(StrEnum):
    WAIT = "wait"
    ADOPT = "adopt"
    ADOPT_BY_LOOK = "adopt_by_look"
    DUPLICATE = "duplicate"
    NOT_FOUND = "not_found"
    NEEDS_OPERATOR = "needs_operator"
    ABSENT = "absent"


class Finding(msgspec.Struct, frozen=True):
    verdict: Verdict
    rows: tuple[BrokerOrder, ...] = ()


class Evidence:
    """What was seen of one unproven leg since this process looks for it.

    It is kept in memory only: after a restart the count begins again, which can only delay a
    conclusion.
    """

    def __init__(self) -> None:
        self.good_reads = 0
        self.first_good_us = 0
        self.looks = 0
        self.next_look_us = 0
        self.sightings: dict[str, int] = {}
        self.suspects: tuple[BrokerOrder, ...] = ()
        self.log: list[dict[str, Any]] = []

    def note(self, at_us: int, what: str, **more: Any) -> None:
        self.log.append({"at": rfc3339(at_us), "what": what, **more})
        del self.log[:-_REMEMBERED]

    def count(self, view: BookView, suspects: Collection[BrokerOrder]) -> None:
        """Take one more good read into account."""
        self.good_reads += 1
        if self.good_reads == 1:
            self.first_good_us = view.begun_us
        self.suspects = tuple(suspects)
        ids = {row.broker_order_id for row in suspects}
        self.sightings = {key: self.sightings.get(key, 0) + 1 for key in ids}
        self.note(view.begun_us, "good_read", rows=len(view.rows), suspects=sorted(ids))

    def enough(self, view: BookView, horizon_s: float) -> bool:
        spanned_us = view.begun_us - self.first_good_us
        return self.good_reads >= GOOD_READS and spanned_us >= horizon_s * 1_000_000


def suspects_of(
    leg: Leg,
    codes: Mapping[str, str] | None,
    view: BookView,
    *,
    claimed: Collection[str],
    seen_before: Mapping[str, int],
    fields: Collection[str],
) -> list[BrokerOrder]:
    """The orders in the book that could be this leg: not another leg's, not older than it.

    `codes` are the instrument's, None when the master no longer has it (then any contract may
    be meant). `seen_before` maps broker order ids to the begin of the first read that showed
    them. `fields` is what the adapter calls comparable.
    """
    begun = leg.send_begin_us or leg.created_us
    found = []
    for row in view.rows:
        if row.broker_order_id in claimed:
            continue
        if seen_before.get(row.broker_order_id, view.begun_us) < begun:
            continue
        if row.placed_at is not None and to_us(row.placed_at) < begun - _CLOCK_SKEW_US:
            continue
        if _looks_like(leg, codes, row, fields):
            found.append(row)
    return found


def judge(
    leg: Leg,
    view: BookView,
    tagged: Collection[BrokerOrder],
    suspects: Collection[BrokerOrder],
    evidence: Evidence,
    *,
    echo: Echo,
    exclusive: bool,
    horizon_s: float,
    day_over: bool,
) -> Finding:
    """Decide what one more good read means; counts it into `evidence`.

    `tagged` are the rows that carry the leg's tag, wherever the tag was read.
    """
    if len(tagged) > 1:
        return Finding(Verdict.DUPLICATE, tuple(tagged))
    if tagged:
        return Finding(Verdict.ADOPT, tuple(tagged))
    if view.begun_us <= (leg.unknown_since_us or leg.updated_us):
        return Finding(Verdict.WAIT)
    if view.missing:
        evidence.note(view.begun_us, "partial_read", missing=sorted(view.missing)[:_SHOWN])
        return Finding(Verdict.WAIT)
    if echo is Echo.BOOK:
        suspects = ()
    evidence.count(view, suspects)
    if suspects:
        return _judge_suspects(leg, suspects, evidence, exclusive=exclusive)
    if not evidence.enough(view, horizon_s):
        return Finding(Verdict.WAIT)
    if leg.state is LegState.UNKNOWN:
        return Finding(Verdict.NOT_FOUND)
    if leg.state is LegState.NOT_FOUND and day_over:
        return Finding(Verdict.ABSENT)
    return Finding(Verdict.WAIT)


def _judge_suspects(
    leg: Leg, suspects: Collection[BrokerOrder], evidence: Evidence, *, exclusive: bool
) -> Finding:
    rows = tuple(suspects)
    if exclusive and len(rows) == 1 and rows[0].broker_tag is None:
        seen = evidence.sightings[rows[0].broker_order_id]
        verdict = Verdict.ADOPT_BY_LOOK if seen >= GOOD_READS_FOR_LOOK else Verdict.WAIT
        return Finding(verdict, rows)
    if leg.state is not LegState.NEEDS_OPERATOR and evidence.good_reads >= GOOD_READS:
        return Finding(Verdict.NEEDS_OPERATOR, rows)
    return Finding(Verdict.WAIT, rows)


def _looks_like(
    leg: Leg, codes: Mapping[str, str] | None, row: BrokerOrder, fields: Collection[str]
) -> bool:
    sent = leg.sent
    wanted: dict[str, Any] = {
        "side": leg.side,
        "quantity": leg.quantity,
        "order_type": sent.order_type if sent else leg.order_type,
        "product": leg.product,
        "validity": leg.validity,
        "price": sent.price if sent else leg.price,
        "trigger_price": sent.trigger_price if sent else leg.trigger_price,
    }
    for name in fields:
        if name == "codes":
            if codes is not None and any(codes.get(k, v) != v for k, v in row.codes.items()):
                return False
            continue
        mine, theirs = wanted.get(name), getattr(row, name)
        # What the row does not tell cannot clear it, and brokers show 0 for an unused price.
        if theirs is None or not mine:
            continue
        if mine != theirs:
            return False
    return True
