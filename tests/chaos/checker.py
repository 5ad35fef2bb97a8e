"""The invariants that no fault and no kill may break, each a function over the evidence.

`judge` runs them all. Each yields what breaks it, in words that name the leg, so that the run's
files can be searched for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

from gateway.orders.records import Leg
from gateway.orders.states import (
    AT_BROKER,
    BROKER_FINAL,
    TERMINAL,
    TRANSITIONS,
    LegState,
    Outcome,
    outcome_of,
)
from tests.chaos.evidence import ClientEvent, Did, Evidence, LedgerOrder, Message

MOST_MESSAGES_PER_SECOND = 10
GOOD_READS_FOR_ABSENCE = 3
# A settled world: proven, still watched, or handed to the operator with its evidence.
DECLARED = (
    TERMINAL
    | AT_BROKER
    | {LegState.NOT_FOUND, LegState.NEEDS_OPERATOR, LegState.DUPLICATE_DETECTED}
)
_FAILED = frozenset({Outcome.NOT_SENT, Outcome.REJECTED, Outcome.ABSENT})
_SECOND_US = 1_000_000


class Violation(msgspec.Struct, frozen=True):
    invariant: str
    what: str


def judge(evidence: Evidence) -> list[Violation]:
    """Run every invariant over the evidence; empty when all hold."""
    return [Violation(name, what) for name, check in INVARIANTS.items() for what in check(evidence)]


def at_most_one_order_per_tag(e: Evidence) -> Iterator[str]:
    for (account, tag), rows in e.ledger_by_tag.items():
        if len(rows) > 1 and (account, tag) not in e.doubled_by_broker:
            ids = ", ".join(row.broker_order_id for row in rows)
            yield f"{account}: tag {tag} was placed {len(rows)} times ({ids})"


def every_broker_order_is_known(e: Evidence) -> Iterator[str]:
    """An order at the broker that the journal does not know of is lost."""
    for account, rows in e.ledgers.items():
        for row in rows:
            leg = e.legs_by_tag.get(row.tag or "")
            if leg is None or leg.account != account:
                yield f"{account}: {row.broker_order_id} (tag {row.tag}) belongs to no leg"


def failed_means_nothing_live(e: Evidence) -> Iterator[str]:
    """A leg called not_sent or absent has no order; one called rejected at most a rejected one."""
    for leg in e.journal.legs:
        if outcome_of(leg.state) in _FAILED:
            yield from _placed(e, leg, outcome_of(leg.state), f"is {leg.state} in the journal")
    for event, view in _views(e):
        outcome = Outcome(view["outcome"])
        told = e.legs_by_id.get(view["leg_id"])
        if outcome in _FAILED and told is not None:
            yield from _placed(e, told, outcome, f"was reported {view['state']} to {event.client}")


def accepted_is_that_order(e: Evidence) -> Iterator[str]:
    """A leg that was called accepted has exactly its order, equal in every field."""
    for leg in e.journal.legs:
        if outcome_of(leg.state) is not Outcome.ACCEPTED:
            continue
        rows = e.at_broker(leg)
        mine = [row for row in rows if row.broker_order_id == leg.broker_order_id]
        doubled = (leg.account, f"{leg.broker_tag:015d}") in e.doubled_by_broker
        if not mine or (len(rows) != 1 and not doubled):
            ids = [row.broker_order_id for row in rows]
            yield f"{leg.leg_id} is {leg.state} as {leg.broker_order_id}, the broker has {ids}"
            continue
        for name, (asked, is_) in _differences(e, leg, mine[0]).items():
            yield f"{leg.leg_id}: {name} is {is_} at the broker, {asked} was asked for"


def accepted_was_placed(e: Evidence) -> Iterator[str]:
    """A broker's order id that a client was ever told stands in that broker's ledger."""
    known = {(account, row.broker_order_id) for account, rows in e.ledgers.items() for row in rows}
    for event, view in _views(e):
        number = view["broker_order_id"]
        if view["outcome"] == Outcome.ACCEPTED and (view["account"], number) not in known:
            yield f"{view['leg_id']} was reported accepted as {number} to {event.client}: no order"


def send_begin_before_arrival(e: Evidence) -> Iterator[str]:
    """When a broker took an order, its SEND_BEGIN was committed and nobody had given it up."""
    for arrival in e.arrivals:
        where = f"{arrival.account}: {arrival.broker_order_id} (tag {arrival.tag}) arrived"
        if arrival.state is None:
            yield f"{where} before the journal knew its tag"
        elif arrival.attempts < 1 or arrival.state is LegState.READY:
            yield f"{where} before its SEND_BEGIN was committed"
        elif outcome_of(arrival.state) in _FAILED or arrival.state is LegState.RETRY_WAIT:
            yield f"{where} when the journal already called it {arrival.state}"


def every_id_survives(e: Evidence) -> Iterator[str]:
    """What a client was told exists at the end, in a state that can follow the one reported."""
    orders = {order.order_id for order in e.journal.orders}
    reachable = _reachable()
    for event in e.history:
        if event.order is None:
            continue
        if event.order["order_id"] not in orders:
            yield f"{event.order['order_id']}, returned to {event.client}, is gone"
    for event, view in _views(e):
        leg = e.legs_by_id.get(view["leg_id"])
        if leg is None:
            yield f"{view['leg_id']}, returned to {event.client}, is gone"
            continue
        if view["broker_tag"] != f"{leg.broker_tag:015d}":
            yield f"{leg.leg_id}: its tag changed from {view['broker_tag']}"
        told, now = view["broker_order_id"], leg.broker_order_id
        if told is not None and told != now and not operated(e, leg):
            yield f"{leg.leg_id}: its broker order id changed from {told} to {now}"
        if leg.state not in reachable[LegState(view["state"])]:
            yield f"{leg.leg_id} was reported {view['state']} and is now {leg.state}"


def one_key_is_one_order(e: Evidence) -> Iterator[str]:
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    legs: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for client, key, order_id in e.journal.keys:
        seen[client, key].add(order_id)
    for event in e.history:
        if event.order is not None and event.key is not None:
            seen[event.client, event.key].add(event.order["order_id"])
            ids = tuple(sorted(leg["leg_id"] for leg in event.order["legs"]))
            legs[event.client, event.key].add(ids)
    for (client, key), ids in seen.items():
        if len(ids) != 1:
            yield f"key {key} of {client} stands for {sorted(ids)}"
    for (client, key), sets in legs.items():
        if len(sets) != 1:
            yield f"key {key} of {client} was answered with different legs: {sorted(sets)}"
    owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for name, ids in seen.items():
        for order_id in ids:
            owners[order_id].add(name)
    for order_id, names in owners.items():
        if len(names) > 1:
            yield f"{order_id} belongs to several keys: {sorted(names)}"


def only_table_transitions(e: Evidence) -> Iterator[str]:
    """Walk the audit rows of every leg: an unbroken chain of changes that the table holds."""
    for leg in e.journal.legs:
        rows = e.audit_by_leg.get(leg.leg_id, [])
        if not rows or rows[0].from_ is not None or rows[0].to is not LegState.READY:
            yield f"{leg.leg_id}: its history does not begin with READY"
            continue
        for before, row in pairwise(rows):
            if row.from_ is not before.to:
                yield f"{leg.leg_id}: row {row.seq} leaves {row.from_}, the leg was {before.to}"
            elif row.to is not row.from_ and row.to not in TRANSITIONS[row.from_]:
                yield f"{leg.leg_id}: row {row.seq} goes from {row.from_} to {row.to}"
        if rows[-1].to is not leg.state:
            yield f"{leg.leg_id} is {leg.state}, its history ends with {rows[-1].to}"


def one_send_begin_per_attempt(e: Evidence) -> Iterator[str]:
    """A leg is sent again only after RETRY_WAIT, and its attempts are counted."""
    for leg_id, rows in e.audit_by_leg.items():
        begun = [row for row in rows if row.to is LegState.SENDING and row.from_ is not row.to]
        if [row.attempt for row in begun] != list(range(1, len(begun) + 1)):
            yield f"{leg_id}: its attempts are numbered {[row.attempt for row in begun]}"


def settled_after_faults(e: Evidence) -> Iterator[str]:
    """With the faults over and time to look, every leg is proven, watched or with the operator."""
    for leg in e.journal.legs:
        if leg.state not in DECLARED:
            yield f"{leg.leg_id} is still {leg.state}"


def unproven_is_declared(e: Evidence) -> Iterator[str]:
    """Every leg whose fate is not proven is on the operator's list, and no other."""
    if e.unresolved is None:
        return
    listed = set(e.unresolved)
    for leg in e.journal.legs:
        unknown = outcome_of(leg.state) is Outcome.UNKNOWN
        if unknown and leg.leg_id not in listed:
            yield f"{leg.leg_id} is {leg.state} and not on the list of unresolved legs"
        if not unknown and leg.leg_id in listed:
            yield f"{leg.leg_id} is {leg.state} and still on the list of unresolved legs"


def found_when_it_is_there(e: Evidence) -> Iterator[str]:
    """A leg that is called not found has no order at the broker once its book can be read."""
    for leg in e.journal.legs:
        if leg.state is LegState.NOT_FOUND and e.at_broker(leg):
            yield f"{leg.leg_id} is NOT_FOUND, and {leg.account} has {_ids(e.at_broker(leg))}"


def duplicates_are_detected(e: Evidence) -> Iterator[str]:
    """Where the broker itself made two orders of one, an alarm says so."""
    echoing = {account.id for account in e.accounts if account.echoes}
    told = {leg_id for event, leg_id in e.journal.alarms if event == "duplicate_detected"}
    for account, tag in e.doubled_by_broker:
        leg = e.legs_by_tag.get(tag)
        if leg is None or account not in echoing or len(e.at_broker(leg)) < 2:
            continue
        if leg.leg_id not in told:
            yield f"{leg.leg_id}: the broker doubled it, and nobody noticed"


def absence_needs_good_reads(e: Evidence) -> Iterator[str]:
    """NOT_FOUND only after enough good book reads that began after the leg became unknown."""
    good: dict[str, list[int]] = defaultdict(list)
    for read in e.reads:
        if read.good:
            good[read.account].append(read.at_us)
    for leg_id, rows in e.audit_by_leg.items():
        leg = e.legs_by_id.get(leg_id)
        unknown_at: int | None = None
        for row in rows:
            if row.to is LegState.UNKNOWN and unknown_at is None:
                unknown_at = row.at_us
            if row.to is LegState.NOT_FOUND and row.from_ is not row.to and leg is not None:
                since = unknown_at or row.at_us
                count = sum(1 for at in good[leg.account] if since <= at <= row.at_us)
                if count < GOOD_READS_FOR_ABSENCE:
                    yield f"{leg_id} was called NOT_FOUND after {count} good reads"


def paced(e: Evidence) -> Iterator[str]:
    """No second holds more than ten order messages of an account.

    Proven only where eleven came within a second however early the first and late the last came.
    """
    came: dict[str, list[Message]] = defaultdict(list)
    for message in sorted(e.messages, key=lambda message: message.at_us):
        came[message.account].append(message)
    most = MOST_MESSAGES_PER_SECOND
    for account, found in came.items():
        for first in range(len(found) - most):
            group = found[first : first + most + 1]
            since, until = min(message.since_us for message in group), group[-1].at_us
            if until - since < _SECOND_US:
                yield f"{account} got {len(group)} order messages from {since} to {until}"
                break


def audit_verifies(e: Evidence) -> Iterator[str]:
    for crash in e.crashes:
        if crash.audit is not None:
            yield f"after the kill at {crash.at_us} ({crash.point}): {crash.audit}"


def fills_equal_the_ledger(e: Evidence) -> Iterator[str]:
    """With the faults over, state and fills are those of the broker's book."""
    for leg in e.journal.legs:
        if leg.state not in AT_BROKER | BROKER_FINAL:
            continue
        for row in e.at_broker(leg):
            if row.broker_order_id != leg.broker_order_id:
                continue
            if row.filled_quantity != leg.filled_quantity:
                yield (
                    f"{leg.leg_id} has {leg.filled_quantity} filled,"
                    f" the broker {row.filled_quantity}"
                )
            if row.status != leg.state and row.status != "PENDING":
                yield f"{leg.leg_id} is {leg.state}, the broker says {row.status}"


def kill_holds(e: Evidence) -> Iterator[str]:
    """After a kill was answered nothing new begins in its scope, and nothing new arrives.

    What was on the wire may still arrive, within the time that a write takes.
    """
    for since, until, scope, target in _killed(e):
        for leg_id, rows in e.audit_by_leg.items():
            leg = e.legs_by_id.get(leg_id)
            if leg is None or not _in_scope(leg, scope, target):
                continue
            for row in rows:
                begun = row.to is LegState.SENDING and row.from_ is not LegState.SENDING
                if begun and since < row.at_us < until:
                    yield f"{leg_id} was sent {row.at_us - since} us after {scope} {target} stopped"
        for arrival in e.arrivals:
            leg = e.legs_by_tag.get(arrival.tag or "")
            if leg is None or not _in_scope(leg, scope, target) or arrival.fault in _HELD_BACK:
                continue
            if since + e.in_flight_us < arrival.at_us < until:
                late = arrival.at_us - since
                yield f"{leg.leg_id} arrived {late} us after {scope} {target} was stopped"


def others_are_left_alone(e: Evidence) -> Iterator[str]:
    """Accounts whose brokers are well stay fast and certain, whatever happens to the others."""
    calm = {account.id for account in e.accounts if account.calm}
    quiet: list[float] = []
    stormy: list[float] = []
    for event in e.history:
        accounts = set((event.request or {}).get("accounts", ()))
        if event.did is not Did.ANSWERED or event.ms is None or event.replayed:
            continue
        if not accounts or accounts - calm or _during_crash(e, event):
            continue
        (stormy if event.phase == "faults" else quiet).append(event.ms)
    if len(quiet) >= _ENOUGH and len(stormy) >= _ENOUGH:
        before, during = _p95(quiet), _p95(stormy)
        if during > before * _FACTOR + _SLACK_MS:
            yield f"p95 of healthy accounts went from {before:.1f} ms to {during:.1f} ms"
    for leg in e.journal.legs:
        if leg.account not in calm:
            continue
        for row in e.audit_by_leg.get(leg.leg_id, []):
            if row.to is LegState.UNKNOWN and row.event not in ("restart", "abandoned"):
                yield f"{leg.leg_id} at the healthy {leg.account} became UNKNOWN ({row.event})"


def nothing_unexpected(e: Evidence) -> Iterator[str]:
    """No task of the gateway died of an exception, and none was caught as a last resort."""
    yield from e.unexpected


# The broker itself took these later than they came.
_HELD_BACK = frozenset({"slow", "accept_late"})
_ENOUGH = 30
_FACTOR = 5.0
_SLACK_MS = 150.0

INVARIANTS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    check.__name__: check
    for check in (
        at_most_one_order_per_tag,
        every_broker_order_is_known,
        failed_means_nothing_live,
        accepted_is_that_order,
        accepted_was_placed,
        send_begin_before_arrival,
        every_id_survives,
        one_key_is_one_order,
        only_table_transitions,
        one_send_begin_per_attempt,
        settled_after_faults,
        unproven_is_declared,
        found_when_it_is_there,
        duplicates_are_detected,
        absence_needs_good_reads,
        paced,
        audit_verifies,
        fills_equal_the_ledger,
        kill_holds,
        others_are_left_alone,
        nothing_unexpected,
    )
}


def _views(e: Evidence) -> Iterator[tuple[ClientEvent, dict[str, Any]]]:
    """Every leg as it was ever shown to a client."""
    for event in e.history:
        if event.order is not None:
            for view in event.order["legs"]:
                yield event, view


def _placed(e: Evidence, leg: Leg, outcome: Outcome, claim: str) -> Iterator[str]:
    for row in e.at_broker(leg):
        if outcome is not Outcome.REJECTED or row.status != "REJECTED" or row.filled_quantity:
            yield (
                f"{leg.leg_id} {claim}, but {leg.account} has {row.broker_order_id}"
                f" {row.status}, {row.filled_quantity} filled"
            )


def _differences(e: Evidence, leg: Leg, row: LedgerOrder) -> dict[str, tuple[Any, Any]]:
    order_type = leg.sent.order_type if leg.sent else leg.order_type
    price = leg.sent.price if leg.sent else leg.price
    asked: dict[str, Any] = {
        "instrument": leg.instrument,
        "side": leg.side.value,
        "product": leg.product.value,
        "order_type": order_type.value,
    }
    # A modify that nobody proved may or may not have changed these two.
    if not _modified(e, leg):
        asked |= {"quantity": leg.quantity, "price": price}
    return {
        name: (value, getattr(row, name))
        for name, value in asked.items()
        if getattr(row, name) != value
    }


def _modified(e: Evidence, leg: Leg) -> bool:
    return any("modify" in row.event for row in e.audit_by_leg.get(leg.leg_id, []))


def operated(e: Evidence, leg: Leg) -> bool:
    """Whether a person settled the leg."""
    rows = e.audit_by_leg.get(leg.leg_id, [])
    return any(row.event in ("adopted_by_operator", "declared_absent") for row in rows)


def _ids(rows: list[LedgerOrder]) -> str:
    return ", ".join(row.broker_order_id for row in rows)


def _reachable() -> dict[LegState, set[LegState]]:
    """Which states can ever follow which, by the table."""
    found = {state: {state} | set(TRANSITIONS[state]) for state in LegState}
    for _ in LegState:
        for reach in found.values():
            reach |= {far for near in list(reach) for far in TRANSITIONS[near]}
    return found


def _killed(e: Evidence) -> Iterator[tuple[int, int, str, str | None]]:
    """Every span in which a kill was in force: its answer, its release or the end."""
    events = sorted(e.history, key=lambda event: event.at_us)
    for index, event in enumerate(events):
        if event.did is not Did.ENGAGED or event.status not in (200, 201):
            continue
        until = next(
            (
                later.at_us
                for later in events[index:]
                if later.did is Did.RELEASED
                and (later.scope, later.target) == (event.scope, event.target)
            ),
            1 << 62,
        )
        yield event.at_us, until, event.scope or "global", event.target


def _in_scope(leg: Leg, scope: str, target: str | None) -> bool:
    if scope == "global":
        return True
    return {"account": leg.account, "broker": leg.broker}.get(scope) == target


def _during_crash(e: Evidence, event: ClientEvent) -> bool:
    begun = event.at_us - int((event.ms or 0) * 1000)
    return any(
        begun - _SECOND_US <= (crash.back_us or crash.at_us) and crash.at_us <= event.at_us
        for crash in e.crashes
    )


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]
