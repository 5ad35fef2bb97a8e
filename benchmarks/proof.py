"""Nothing lost, nothing doubled: every answer against the brokers' ledgers and the journal."""

from __future__ import annotations

from collections import Counter

import msgspec

from benchmarks.bed import Bed
from benchmarks.client import Answered
from benchmarks.fleet import direct_account
from benchmarks.plan import BROKERS
from gateway.cli.client import HttpApi, ask

_CREATED = 201
_PAGE = "500"


class Timing(msgspec.Struct):
    queue_ms: float
    broker_ms: float | None
    total_ms: float | None


class Reason(msgspec.Struct):
    code: str


class LegAnswer(msgspec.Struct):
    account: str
    broker_tag: str
    outcome: str
    timing: Timing
    reason: Reason | None = None


class OrderAnswer(msgspec.Struct):
    order_id: str
    legs: list[LegAnswer]


_decode = msgspec.json.Decoder(OrderAnswer).decode


class Proof(msgspec.Struct):
    """What became of the orders. All counts but the first two are to be zero.

    `not_accepted`: the answer was another than "every leg accepted"; `reasons` counts why.
    `lost`: an accepted leg that is not in its broker's ledger, or an order that is not in the
    journal. `doubled`: a tag more than once in a ledger or in the answers. `unasked`: in a
    ledger or in the journal, and in no answer.
    """

    orders: int = 0
    legs: int = 0
    not_accepted: int = 0
    lost: int = 0
    doubled: int = 0
    unasked: int = 0
    reasons: dict[str, int] = {}

    @property
    def is_clean(self) -> bool:
        return not (self.not_accepted or self.lost or self.doubled or self.unasked)

    def add(self, other: Proof) -> None:
        for field in ("orders", "legs", "not_accepted", "lost", "doubled", "unasked"):
            setattr(self, field, getattr(self, field) + getattr(other, field))
        self.reasons = dict(Counter(self.reasons) + Counter(other.reasons))


def order_in(answer: Answered) -> OrderAnswer | None:
    """Read the order out of an answer; None where the gateway refused the request."""
    return _decode(answer.body) if answer.status < 300 else None


def prove(bed: Bed, answers: list[Answered], before: set[str]) -> Proof:
    """Compare the answers with every ledger (emptied before them) and with the journal.

    `before`: ids of orders that the journal held already; those of the answers are added.
    """
    orders = [order for answer in answers if (order := order_in(answer)) is not None]
    legs = [leg for order in orders for leg in order.legs]
    asked = Counter(leg.broker_tag for leg in legs)
    accepted = {leg.broker_tag for leg in legs if leg.outcome == "accepted"}
    ledger: Counter[str] = Counter()
    for seat in bed.fleet.seats.values():
        if seat.account not in {direct_account(broker) for broker in BROKERS}:
            found = ask(HttpApi(seat.control_url), "GET", "/_sim/ledger")
            ledger.update(row["tag"] for row in found["orders"])
    journal = journalled(bed, before)
    ids = {order.order_id for order in orders}
    before |= ids
    return Proof(
        orders=len(answers),
        legs=len(legs),
        not_accepted=sum(answer.status != _CREATED for answer in answers),
        lost=len(accepted - ledger.keys()) + len(ids - journal),
        doubled=ledger.total() - len(ledger) + len(legs) - len(asked),
        unasked=len(ledger.keys() - asked.keys()) + len(journal - ids),
        reasons=_reasons(answers, legs),
    )


def journalled(bed: Bed, before: set[str]) -> set[str]:
    """Read the ids of the journal's orders, newest first, down to those known before."""
    found: set[str] = set()
    query = {"limit": _PAGE}
    while True:
        page = ask(bed.api, "GET", "/v1/orders", query=query)
        ids = {order["order_id"] for order in page["orders"]}
        found |= ids - before
        cursor = page["next_cursor"]
        if ids & before or cursor is None:
            return found
        query = {"limit": _PAGE, "cursor": cursor}


def _reasons(answers: list[Answered], legs: list[LegAnswer]) -> dict[str, int]:
    reasons = Counter(f"HTTP {answer.status}" for answer in answers if answer.status >= 300)
    for leg in legs:
        if leg.outcome != "accepted":
            reasons[f"{leg.outcome} {leg.reason.code if leg.reason else ''}".strip()] += 1
    return dict(reasons)
