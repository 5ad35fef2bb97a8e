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


class LegAnswer(msgspec.Struct):
    account: str
    broker_tag: str
    outcome: str
    timing: Timing


class OrderAnswer(msgspec.Struct):
    order_id: str
    legs: list[LegAnswer]


_decode = msgspec.json.Decoder(OrderAnswer).decode


class Proof(msgspec.Struct):
    """What became of the orders. All but the first two are to be zero.

    `not_accepted`: the gateway answered, but a leg was not accepted. `lost`: accepted, and not
    in the broker's ledger or the journal. `doubled`: more than once in a ledger. `unasked`: in
    a ledger, and in no answer.
    """

    orders: int = 0
    legs: int = 0
    not_accepted: int = 0
    lost: int = 0
    doubled: int = 0
    unasked: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.not_accepted or self.lost or self.doubled or self.unasked)

    def add(self, other: Proof) -> None:
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))


def order_in(answer: Answered) -> OrderAnswer | None:
    """Read the order out of an answer; None where the gateway refused the request."""
    return _decode(answer.body) if answer.status < 300 else None


def prove(bed: Bed, answers: list[Answered], before: set[str]) -> Proof:
    """Compare the answers with every ledger (emptied before them) and with the journal.

    `before`: ids of orders that the journal held already; those of the answers are added.
    """
    orders = [order for answer in answers if (order := order_in(answer)) is not None]
    asked = Counter(leg.broker_tag for order in orders for leg in order.legs)
    ledger: Counter[str] = Counter()
    for seat in bed.fleet.seats.values():
        if seat.account not in {direct_account(broker) for broker in BROKERS}:
            found = ask(HttpApi(seat.control_url), "GET", "/_sim/ledger")
            ledger.update(row["tag"] for row in found["orders"])
    journal = accepted_orders(bed, before)
    ids = {order.order_id for order in orders}
    before |= ids
    return Proof(
        orders=len(answers),
        legs=asked.total(),
        not_accepted=sum(answer.status != _CREATED for answer in answers),
        lost=len(asked.keys() - ledger.keys()) + len(ids - journal),
        doubled=sum(count - 1 for count in ledger.values()) + sum(asked.values()) - len(asked),
        unasked=len(ledger.keys() - asked.keys()) + len(journal - ids),
    )


def accepted_orders(bed: Bed, before: set[str]) -> set[str]:
    """Read the ids of the journal's accepted orders, newest first, down to those known before."""
    found: set[str] = set()
    query = {"limit": _PAGE}
    while True:
        page = ask(bed.api, "GET", "/v1/orders", query=query)
        ids = {
            order["order_id"]
            for order in page["orders"]
            if all(leg["outcome"] == "accepted" for leg in order["legs"])
        }
        found |= ids - before
        cursor = page["next_cursor"]
        if ids & before or cursor is None:
            return found
        query = {"limit": _PAGE, "cursor": cursor}
