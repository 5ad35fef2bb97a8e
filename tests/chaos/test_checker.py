"""The checker catches what it is there for: each test breaks one thing in a run that was good."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.sdk.models import OrderType, Product, Side, Validity
from gateway.orders.records import Leg, Order
from gateway.orders.request import OrderRequest
from gateway.orders.states import LegState, outcome_of
from tests.chaos.checker import INVARIANTS, judge
from tests.chaos.evidence import (
    AccountInfo,
    Arrival,
    AuditRow,
    ClientEvent,
    Crash,
    Did,
    Evidence,
    Journal,
    LedgerOrder,
    Message,
    Read,
    Struck,
)

T0 = 1_800_000_000_000_000
TAG = 200_000_000_000_001
S = LegState


def leg(state: LegState = S.FILLED, **changes: Any) -> Leg:
    fields: dict[str, Any] = {
        "order_id": "ord_1",
        "n": 1,
        "leg_id": "leg_1_1",
        "account": "fyers-a",
        "broker": "fyers",
        "broker_tag": TAG,
        "instrument": "NSE:SBIN",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 10,
        "price": Decimal("812.50"),
        "created_us": T0,
        "deadline_us": T0 + 5_000_000,
        "updated_us": T0,
        "state": state,
        "attempts": 1,
        "broker_order_id": "B1",
        "filled_quantity": 10,
    }
    return Leg(**fields | changes)


def ledger_order(**changes: Any) -> LedgerOrder:
    fields: dict[str, Any] = {
        "broker_order_id": "B1",
        "tag": str(TAG),
        "instrument": "NSE:SBIN",
        "exchange_token": 3045,
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 10,
        "status": "FILLED",
        "filled_quantity": 10,
        "price": Decimal("812.50"),
    }
    return LedgerOrder(**fields | changes)


def walk(*states: LegState, leg_id: str = "leg_1_1", gap_us: int = 1000) -> list[AuditRow]:
    rows: list[AuditRow] = []
    before: LegState | None = None
    for number, state in enumerate(states, 1):
        rows.append(
            AuditRow(
                seq=number,
                at_us=T0 + number * gap_us,
                leg_id=leg_id,
                from_=before,
                to=state,
                event="step",
                attempt=sum(1 for seen in states[:number] if seen is S.SENDING),
            )
        )
        before = state
    return rows


def view(of: Leg) -> dict[str, Any]:
    return {
        "leg_id": of.leg_id,
        "account": of.account,
        "broker_tag": str(of.broker_tag),
        "outcome": outcome_of(of.state).value,
        "state": of.state.value,
        "broker_order_id": of.broker_order_id,
    }


def answered(of: Leg, **changes: Any) -> ClientEvent:
    fields: dict[str, Any] = {
        "at_us": T0 + 10_000,
        "did": Did.ANSWERED,
        "client": "c1",
        "key": "k1",
        "status": 201,
        "order": {"order_id": of.order_id, "legs": [view(of)]},
        "request": {"accounts": [of.account]},
        "ms": 5.0,
    }
    return ClientEvent(**fields | changes)


def order() -> Order:
    request = OrderRequest(
        instrument="NSE:SBIN",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        product=Product.CNC,
        accounts=("fyers-a",),
        quantity=10,
        price=Decimal("812.50"),
    )
    return Order(
        order_id="ord_1",
        client="c1",
        idempotency_key="k1",
        fingerprint=b"f",
        created_us=T0,
        request=request,
    )


def good(record: Leg | None = None, *, rows: list[AuditRow] | None = None) -> Evidence:
    """A run of one order that went well."""
    record = record or leg()
    return Evidence(
        accounts=[AccountInfo(id="fyers-a", broker="fyers", echoes=True)],
        history=[answered(record)],
        ledgers={"fyers-a": [ledger_order()]},
        arrivals=[
            Arrival(
                at_us=T0 + 3000,
                account="fyers-a",
                broker_order_id="B1",
                tag=str(TAG),
                state=S.SENDING,
                attempts=1,
            )
        ],
        messages=[Message(at_us=T0 + 3000, since_us=T0 + 2900, account="fyers-a", kind="place")],
        journal=Journal(
            orders=[order()],
            legs=[record],
            keys=[("c1", "k1", "ord_1")],
            audit=rows or walk(S.READY, S.SENDING, S.ACKED, S.FILLED),
        ),
        crashes=[Crash(at_us=T0 + 20_000, point="random")],
        unresolved=[],
    )


def unproven(state: LegState) -> Evidence:
    """A run whose only order never reached the broker and was looked for in vain."""
    record = leg(state, broker_order_id=None, filled_quantity=0)
    steps = [S.READY, S.SENDING, S.UNKNOWN]
    rows = walk(*steps) if state is S.UNKNOWN else walk(*steps, state)
    evidence = good(record, rows=rows)
    evidence.ledgers, evidence.arrivals = {"fyers-a": []}, []
    evidence.unresolved = [record.leg_id]
    evidence.reads = [Read(at_us=T0 + 3100 + n, account="fyers-a", good=True) for n in range(3)]
    return evidence


def broken(evidence: Evidence) -> set[str]:
    return {violation.invariant for violation in judge(evidence)}


@pytest.mark.parametrize(
    "evidence", [good(), unproven(S.NOT_FOUND), unproven(S.NEEDS_OPERATOR)], ids=str
)
def test_good_run_breaks_nothing(evidence: Evidence) -> None:
    assert [] == judge(evidence)


def ledger_gets(**changes: Any) -> Callable[[Evidence], None]:
    return lambda e: e.ledgers["fyers-a"].append(ledger_order(**changes))


def ledger_becomes(**changes: Any) -> Callable[[Evidence], None]:
    return lambda e: e.ledgers.update({"fyers-a": [ledger_order(**changes)]})


def leg_becomes(state: LegState, rows: list[AuditRow]) -> Callable[[Evidence], None]:
    def change(e: Evidence) -> None:
        e.journal.legs[0] = leg(state)
        e.journal.audit = rows

    return change


def arrives(**changes: Any) -> Callable[[Evidence], None]:
    return lambda e: e.arrivals.append(msgspec.structs.replace(e.arrivals[0], **changes))


def is_told(of: Leg, **changes: Any) -> Callable[[Evidence], None]:
    return lambda e: e.history.append(answered(of, **changes))


def is_logged(*states: LegState, **changes: Any) -> Callable[[Evidence], None]:
    def change(e: Evidence) -> None:
        e.journal.audit = [msgspec.structs.replace(row, **changes) for row in walk(*states)]

    return change


def messages(count: int, over_us: int, *, unsure_us: int = 0) -> Callable[[Evidence], None]:
    def change(e: Evidence) -> None:
        gap = over_us // count
        e.messages = [
            Message(
                at_us=T0 + n * gap,
                since_us=T0 + n * gap - unsure_us,
                account="fyers-a",
                kind="place",
            )
            for n in range(count)
        ]

    return change


def latencies(calm_ms: float, faults_ms: float) -> Callable[[Evidence], None]:
    def change(e: Evidence) -> None:
        e.accounts = [AccountInfo(id="fyers-a", broker="fyers", calm=True, echoes=True)]
        e.crashes = []
        e.history = [
            answered(e.journal.legs[0], ms=ms, phase=phase)
            for phase, ms in (("calm", calm_ms), ("faults", faults_ms))
            for _ in range(50)
        ]

    return change


def engaged(at_us: int, **changes: Any) -> Callable[[Evidence], None]:
    fields: dict[str, Any] = {"scope": "global", "level": "HALT_NEW", "status": 200}
    event = ClientEvent(at_us=at_us, did=Did.ENGAGED, client="operator", **fields | changes)
    return lambda e: e.history.append(event)


REFUSED = walk(S.READY, S.SENDING, S.REFUSED)
LAPSED = walk(S.READY, S.LAPSED)
CASES: dict[str, list[Callable[[Evidence], None]]] = {
    "at_most_one_order_per_tag": [ledger_gets(broker_order_id="B2")],
    "every_broker_order_is_known": [
        ledger_gets(broker_order_id="B2", tag="200000000000009"),
        ledger_gets(broker_order_id="B2", tag=None),
    ],
    "failed_means_nothing_live": [
        leg_becomes(S.REFUSED, REFUSED),
        leg_becomes(S.LAPSED, LAPSED),
        is_told(leg(S.DENIED)),
        is_told(leg(S.ABSENT)),
    ],
    "accepted_is_that_order": [
        lambda e: e.ledgers.update({"fyers-a": []}),
        ledger_gets(broker_order_id="B2"),
        ledger_becomes(broker_order_id="B2"),
        ledger_becomes(quantity=11),
        ledger_becomes(side="SELL"),
        ledger_becomes(price=Decimal("812.55")),
        ledger_becomes(product="MIS"),
        ledger_becomes(instrument="NSE:INFY"),
        ledger_becomes(order_type="MARKET"),
    ],
    "accepted_was_placed": [is_told(leg(S.ACKED, broker_order_id="B7"))],
    "send_begin_before_arrival": [
        arrives(state=None),
        arrives(state=S.READY),
        arrives(attempts=0),
        arrives(state=S.RETRY_WAIT),
        arrives(state=S.LAPSED),
        arrives(state=S.REFUSED),
    ],
    "every_id_survives": [
        is_told(leg(order_id="ord_9")),
        is_told(leg(leg_id="leg_9_1")),
        is_told(leg(broker_tag=TAG + 1)),
        is_told(leg(broker_order_id="B3")),
        is_told(leg(S.ABSENT)),
    ],
    "one_key_is_one_order": [
        is_told(leg(order_id="ord_9")),
        is_told(leg(leg_id="leg_1_2")),
        is_told(leg(), key="k2"),
        lambda e: e.journal.keys.append(("c1", "k2", "ord_1")),
    ],
    "only_table_transitions": [
        is_logged(S.READY, S.ACKED, S.FILLED),
        is_logged(S.READY, S.SENDING, S.REFUSED, S.ACKED, S.FILLED),
        is_logged(S.SENDING, S.ACKED, S.FILLED),
        is_logged(S.READY, S.SENDING, S.ACKED),
        is_logged(S.READY, S.SENDING, S.ACKED, S.FILLED, from_=None),
        lambda e: e.journal.audit.clear(),
    ],
    "one_send_begin_per_attempt": [
        is_logged(S.READY, S.SENDING, S.ACKED, S.FILLED, attempt=2),
        is_logged(S.READY, S.SENDING, S.RETRY_WAIT, S.SENDING, S.ACKED, S.FILLED, attempt=1),
    ],
    "settled_after_faults": [
        leg_becomes(S.UNKNOWN, walk(S.READY, S.SENDING, S.UNKNOWN)),
        leg_becomes(S.SENDING, walk(S.READY, S.SENDING)),
        leg_becomes(S.READY, walk(S.READY)),
        leg_becomes(S.RETRY_WAIT, walk(S.READY, S.SENDING, S.RETRY_WAIT)),
    ],
    "unproven_is_declared": [
        leg_becomes(S.NEEDS_OPERATOR, walk(S.READY, S.SENDING, S.UNKNOWN, S.NEEDS_OPERATOR)),
        lambda e: e.unresolved.append("leg_1_1") if e.unresolved is not None else None,
    ],
    "found_when_it_is_there": [
        leg_becomes(S.NOT_FOUND, walk(S.READY, S.SENDING, S.UNKNOWN, S.NOT_FOUND))
    ],
    "duplicates_are_detected": [
        lambda e: (
            e.ledgers["fyers-a"].append(ledger_order(broker_order_id="B2")),
            e.struck.append(
                Struck(at_us=T0, account="fyers-a", kind="place", action="duplicate", tag=str(TAG))
            ),
        )[-1]
    ],
    "absence_needs_good_reads": [
        leg_becomes(S.NOT_FOUND, walk(S.READY, S.SENDING, S.UNKNOWN, S.NOT_FOUND))
    ],
    "paced": [messages(11, 900_000)],
    "audit_verifies": [
        lambda e: e.crashes.append(Crash(at_us=T0, point="after_t2", audit="row 3 was changed"))
    ],
    "fills_equal_the_ledger": [
        ledger_becomes(filled_quantity=9),
        ledger_becomes(status="CANCELLED"),
    ],
    "kill_holds": [
        engaged(T0 + 1500),
        engaged(T0 + 1500, scope="account", target="fyers-a"),
        lambda e: (engaged(T0 + 2500)(e), arrives(at_us=T0 + 900_000)(e))[-1],
    ],
    "nothing_unexpected": [lambda e: e.unexpected.append("StaleLeg: leg_1_1 is OPEN")],
    "others_are_left_alone": [
        latencies(5.0, 500.0),
        lambda e: (
            e.accounts.__setitem__(0, AccountInfo(id="fyers-a", broker="fyers", calm=True)),
            is_logged(S.READY, S.SENDING, S.UNKNOWN, S.ACKED, S.FILLED)(e),
        )[-1],
    ],
}


@pytest.mark.parametrize(
    ("invariant", "number"),
    [(name, number) for name, breaks in CASES.items() for number in range(len(breaks))],
)
def test_violation_is_caught_by_its_invariant(invariant: str, number: int) -> None:
    evidence = good()
    CASES[invariant][number](evidence)

    assert invariant in broken(evidence)


def test_every_invariant_has_a_run_that_breaks_it() -> None:
    assert set(INVARIANTS) == set(CASES)


@pytest.mark.parametrize(
    "allowed",
    [
        messages(10, 900_000),
        messages(11, 900_000, unsure_us=300_000),
        latencies(5.0, 20.0),
        engaged(T0 + 5000),
        lambda e: (engaged(T0 + 2500)(e), arrives(at_us=T0 + 100_000)(e))[-1],
        lambda e: (engaged(T0 + 2500)(e), arrives(at_us=T0 + 900_000, fault="slow")(e))[-1],
        engaged(T0 + 1500, scope="account", target="fyers-b"),
        engaged(T0 + 1500, status=404),
        arrives(state=S.UNKNOWN),
        is_told(leg(S.UNKNOWN, broker_order_id=None)),
    ],
)
def test_what_is_allowed_is_not_called_a_violation(allowed: Callable[[Evidence], None]) -> None:
    evidence = good()
    allowed(evidence)

    assert set() == broken(evidence)


def test_released_kill_lets_orders_through() -> None:
    evidence = good()
    engaged(T0 + 500)(evidence)
    released = ClientEvent(at_us=T0 + 1500, did=Did.RELEASED, client="operator", scope="global")
    evidence.history.append(released)

    assert [] == judge(evidence)
