"""Orders as the gateway answers them. Members that a newer gateway adds are passed over."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

_SESSION = ("session_missing", "session_expired")


class Next(StrEnum):
    """What a program may do about a leg."""

    FOLLOW = "follow"
    WAIT = "wait"
    RETRY = "retry"
    FIX = "fix"
    LOG_IN = "log_in"
    LOOK = "look"


class Reason(msgspec.Struct, kw_only=True):
    """Why a leg is where it is; `code` is one vocabulary for all brokers (docs/api.md)."""

    code: str
    message: str
    broker_code: str | None = None
    broker_message: str | None = None
    details: dict[str, Any] = {}
    retryable: bool = False


class Sent(msgspec.Struct, kw_only=True):
    """What went to the broker, which for a protected MARKET is a LIMIT."""

    order_type: str
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class Timing(msgspec.Struct, kw_only=True):
    """Milliseconds: before the first byte, at the broker, in all."""

    queue_ms: float
    broker_ms: float | None = None
    total_ms: float | None = None


class Leg(msgspec.Struct, kw_only=True):
    """An order's part at one account. Quantities are units, prices rupees."""

    leg_id: str
    account: str
    broker: str
    quantity: int
    outcome: str
    state: str
    broker_tag: str
    broker_order_id: str | None = None
    filled_quantity: int = 0
    pending_quantity: int = 0
    cancelled_quantity: int = 0
    average_price: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    sent: Sent | None = None
    attempts: int = 0
    reason: Reason | None = None
    precheck: str | None = None
    cancel_requested: bool = False
    slice: dict[str, int] | None = None
    updated_at: datetime | None = None
    as_of: datetime | None = None
    timing: Timing | None = None

    @property
    def next(self) -> Next:
        """What may be done now. LOOK and WAIT: count the whole quantity as placed."""
        if self.outcome == "accepted":
            return Next.FOLLOW
        if self.outcome == "pending":
            return Next.WAIT
        if self.outcome == "unknown":
            return Next.LOOK
        if self.reason is None:
            return Next.RETRY if self.outcome == "absent" else Next.FIX
        if self.outcome == "not_sent" and self.reason.code in _SESSION:
            return Next.LOG_IN
        return Next.RETRY if self.reason.retryable else Next.FIX


class Order(msgspec.Struct, kw_only=True):
    """One order over its accounts. `request` is what was asked for, as the gateway took it."""

    order_id: str
    summary: str
    legs: list[Leg]
    created_at: datetime | None = None
    strategy: str | None = None
    request: dict[str, Any] = {}

    @property
    def is_pending(self) -> bool:
        """Whether a leg is being sent or its fate is not proven."""
        return self.summary == "pending"

    @property
    def accepted(self) -> list[Leg]:
        return [leg for leg in self.legs if leg.outcome == "accepted"]

    @property
    def failed(self) -> list[Leg]:
        """Legs that are settled and not at the broker."""
        return [leg for leg in self.legs if leg.outcome in ("rejected", "not_sent", "absent")]

    @property
    def unknown(self) -> list[Leg]:
        """Legs that count as placed in full until their fate is proven."""
        return [leg for leg in self.legs if leg.outcome in ("unknown", "pending")]

    def leg(self, account: str) -> Leg:
        """Return the first leg at an account. Raises `KeyError` where there is none."""
        for leg in self.legs:
            if leg.account == account:
                return leg
        raise KeyError(account)


class ModifiedLeg(Leg, kw_only=True):
    """`modify`: `applied`, `refused`, `unknown`, `not_live`, or None where it was not meant."""

    modify: str | None = None
    modify_reason: Reason | None = None


class ModifiedOrder(Order, kw_only=True):
    legs: list[ModifiedLeg]  # type: ignore[assignment]


class OrderPage(msgspec.Struct, kw_only=True):
    orders: list[Order]
    next_cursor: str | None = None


class Basket(msgspec.Struct, kw_only=True):
    """Orders in the order asked for; None where an order's turn has not come yet."""

    basket_id: str
    summary: str
    sequence: str
    stop_on: str
    orders: list[Order | None]

    @property
    def is_pending(self) -> bool:
        return self.summary == "pending"


class CancelledOrder(msgspec.Struct, kw_only=True):
    """One cancel of many. `ended`: how the order ended, by the broker's book."""

    account: str
    broker_order_id: str | None = None
    order_id: str | None = None
    leg_id: str | None = None
    instrument: str | None = None
    state: str | None = None
    ended: str | None = None
    message: str | None = None


class CancelledAll(msgspec.Struct, kw_only=True):
    """`confirmed` of `total` are over by the brokers' books; `problems` is by account."""

    confirmed: int
    total: int
    unresolved: int
    done: bool
    orders: list[CancelledOrder]
    problems: dict[str, str]


class Remaining(msgspec.Struct, kw_only=True):
    """What was to be closed and is not; `quantity` is signed."""

    account: str
    reason: Reason
    instrument: str | None = None
    product: str | None = None
    quantity: int | None = None


class Closed(msgspec.Struct, kw_only=True):
    """`done` only when nothing is under way, remaining or unresolved."""

    close_id: str
    done: bool
    orders: list[Order]
    cancelled: list[CancelledOrder]
    remaining: list[Remaining]
    unresolved: list[dict[str, Any]]
    rounded: list[dict[str, Any]]


class TriedLeg(msgspec.Struct, kw_only=True):
    """What would happen at one account; `required` is the margin by `source`."""

    account: str
    broker: str
    ok: bool
    quantity: int
    sent: Sent
    required: Decimal | None = None
    source: str | None = None
    left: Decimal | None = None
    reason: Reason | None = None
    checks: list[dict[str, Any]] = []
    slice: dict[str, int] | None = None


class Trial(msgspec.Struct, kw_only=True):
    ok: bool
    legs: list[TriedLeg]


class HistoryEvent(msgspec.Struct, kw_only=True):
    at: datetime | None
    leg_id: str
    from_: str | None = msgspec.field(name="from", default=None)
    to: str
    event: str
    attempt: int
    broker_code: str | None = None
    broker_message: str | None = None
    ms: float | None = None
    details: dict[str, Any] | None = None


class History(msgspec.Struct, kw_only=True):
    order_id: str
    events: list[HistoryEvent]


class UnresolvedLeg(msgspec.Struct, kw_only=True):
    """A leg whose fate is not proven; `exposure` is the worst case."""

    order_id: str
    leg: Leg
    age_s: float
    exposure: dict[str, Any]
    evidence: list[dict[str, Any]]
    suspects: list[dict[str, Any]]


class UnresolvedList(msgspec.Struct, kw_only=True):
    unresolved: list[UnresolvedLeg]
