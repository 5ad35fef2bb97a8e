"""What a chaos run leaves behind, in one shape: who asked for what, who saw what, who wrote what.

Three witnesses that do not know each other: the clients (`ClientEvent`), the simulated brokers
(`LedgerOrder`, `Arrival`, `Message`, `Read`, `Struck`) and the journal (`Journal`). Times are
microseconds since 1970 of the one machine that all of them run on.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec

from gateway.orders.records import Leg, Order
from gateway.orders.states import LegState


class Did(StrEnum):
    """What a client or the operator lived through."""

    SENT = "sent"
    ANSWERED = "answered"
    FAILED = "failed"
    HUNG_UP = "hung_up"
    CANCELLED = "cancelled"
    MODIFIED = "modified"
    ENGAGED = "engaged"
    RELEASED = "released"
    FINAL = "final"


class ClientEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the clients' history.

    `order` is the body of a good answer; `request` what was asked for. `phase` names what the
    run was doing: calm, faults, settling.
    """

    at_us: int
    did: Did
    client: str
    phase: str = ""
    key: str | None = None
    intent: str | None = None
    request: dict[str, Any] | None = None
    status: int | None = None
    order: dict[str, Any] | None = None
    code: str | None = None
    ms: float | None = None
    replayed: bool = False
    scope: str | None = None
    target: str | None = None
    level: str | None = None
    error: str | None = None


class LedgerOrder(msgspec.Struct, kw_only=True):
    """One order that the simulated exchange took, as `GET /_sim/ledger` shows it."""

    broker_order_id: str
    tag: str | None
    instrument: str
    exchange_token: int
    side: str
    order_type: str
    product: str
    quantity: int
    status: str
    filled_quantity: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    cancelled_quantity: int = 0
    message: str = ""


class Arrival(msgspec.Struct, kw_only=True):
    """What the journal held at the moment in which a broker took an order.

    `state` None: the journal knew no such tag. `fault` is what the broker then did to the call.
    """

    at_us: int
    account: str
    broker_order_id: str
    tag: str | None
    state: LegState | None
    attempts: int
    fault: str | None = None


class Message(msgspec.Struct, kw_only=True):
    """One place, modify or cancel that a broker read, whatever it then did with it.

    It came between `since_us`, when the broker's process last looked, and `at_us`.
    """

    at_us: int
    since_us: int
    account: str
    kind: str


class Read(msgspec.Struct, kw_only=True):
    """One read of a book. `good`: nothing was done to it."""

    at_us: int
    account: str
    good: bool


class Struck(msgspec.Struct, kw_only=True):
    """A fault and the call that met it; `tag` where the call was a place that was read."""

    at_us: int
    account: str
    kind: str
    action: str
    tag: str | None = None


class AuditRow(msgspec.Struct, kw_only=True):
    """One audit row of a leg."""

    seq: int
    at_us: int
    leg_id: str
    to: LegState
    event: str
    attempt: int = 0
    from_: LegState | None = msgspec.field(name="from", default=None)
    details: dict[str, Any] | None = None


class Journal(msgspec.Struct, kw_only=True):
    """The journal at the end: orders, legs, keys and the legs' audit rows, oldest first.

    `alarms` are the audit log's, as (event, leg id).
    """

    orders: list[Order] = []
    legs: list[Leg] = []
    keys: list[tuple[str, str, str]] = []
    audit: list[AuditRow] = []
    alarms: list[tuple[str, str]] = []


class Crash(msgspec.Struct, kw_only=True):
    """One SIGKILL, how it came, and what verifying the audit chain then said (None: it holds)."""

    at_us: int
    point: str
    back_us: int | None = None
    audit: str | None = None


class AccountInfo(msgspec.Struct, kw_only=True, frozen=True):
    """One account of the run. `calm`: its broker has no faults. `echoes`: its tag comes back."""

    id: str
    broker: str
    calm: bool = False
    echoes: bool = False


class Evidence(msgspec.Struct, kw_only=True, dict=True):
    """Everything that the checker judges by. `unresolved` None: the route was not there.

    `unexpected` are the exceptions in the gateway's log that nobody had foreseen.
    `in_flight_us` is how long a write may take from its first byte to the broker's desk.
    """

    accounts: list[AccountInfo] = []
    history: list[ClientEvent] = []
    ledgers: dict[str, list[LedgerOrder]] = {}
    arrivals: list[Arrival] = []
    messages: list[Message] = []
    reads: list[Read] = []
    struck: list[Struck] = []
    journal: Journal = msgspec.field(default_factory=Journal)
    crashes: list[Crash] = []
    unresolved: list[str] | None = None
    in_flight_us: int = 250_000
    unexpected: list[str] = []

    @cached_property
    def legs_by_tag(self) -> dict[str, Leg]:
        return {f"{leg.broker_tag:015d}": leg for leg in self.journal.legs}

    @cached_property
    def legs_by_id(self) -> dict[str, Leg]:
        return {leg.leg_id: leg for leg in self.journal.legs}

    @cached_property
    def ledger_by_tag(self) -> dict[tuple[str, str], list[LedgerOrder]]:
        found: dict[tuple[str, str], list[LedgerOrder]] = defaultdict(list)
        for account, rows in self.ledgers.items():
            for row in rows:
                if row.tag is not None:
                    found[account, row.tag].append(row)
        return dict(found)

    @cached_property
    def audit_by_leg(self) -> dict[str, list[AuditRow]]:
        found: dict[str, list[AuditRow]] = defaultdict(list)
        for row in self.journal.audit:
            found[row.leg_id].append(row)
        return dict(found)

    @cached_property
    def doubled_by_broker(self) -> set[tuple[str, str]]:
        """Tags of which the broker itself made two orders out of one request."""
        return {(s.account, s.tag) for s in self.struck if s.action == "duplicate" and s.tag}

    def at_broker(self, leg: Leg) -> list[LedgerOrder]:
        """The orders in the ledger that carry a leg's tag."""
        return self.ledger_by_tag.get((leg.account, f"{leg.broker_tag:015d}"), [])
