"""Orders and legs as the journal keeps them: money `Decimal`, times microseconds since 1970."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import OrderType, Product, Side, Validity
from gateway.orders.checks import Check
from gateway.orders.request import OrderRequest
from gateway.orders.states import TERMINAL, LegState


class Reason(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a leg is not simply working. `retryable`: a new key, this account only."""

    code: ReasonCode
    message: str
    broker_code: str | None = None
    broker_message: str | None = None
    details: dict[str, Any] = {}
    retryable: bool = False


class Sent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What really went to the broker, where policy changed what was asked for."""

    order_type: OrderType
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class Timing(msgspec.Struct, kw_only=True, gc=False):
    """Milliseconds: from acceptance to the first byte, at the broker, and in all."""

    queue_ms: float = 0.0
    broker_ms: float | None = None
    total_ms: float | None = None


class ActionKind(StrEnum):
    CANCEL = "cancel"
    MODIFY = "modify"


class ActionState(StrEnum):
    """`UNKNOWN`: it may have reached the broker; only the book can tell whether it worked."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    APPLIED = "applied"
    DROPPED = "dropped"


class Action(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The last modify or cancel of a leg, with its own attempts and outcome.

    Of a modify, the other fields are what the order is to become.
    """

    kind: ActionKind
    state: ActionState
    requested_us: int
    attempts: int = 0
    quantity: int | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    order_type: OrderType | None = None
    message: str | None = None


class Leg(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The part of an order that goes to one account. Only the orchestrator changes it.

    `send_boot` is the process that wrote SEND_BEGIN; `unknown_since_us` is when the connection
    of an unanswered request was known closed, the start of the evidence clock.
    """

    order_id: str
    n: int
    leg_id: str
    account: str
    broker: str
    broker_tag: int
    instrument: str
    side: Side
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    created_us: int
    deadline_us: int
    updated_us: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: int = 0
    amo: bool = False
    state: LegState = LegState.READY
    sent: Sent | None = None
    attempts: int = 0
    send_boot: str | None = None
    send_begin_us: int | None = None
    unknown_since_us: int | None = None
    broker_order_id: str | None = None
    exchange_order_id: str | None = None
    filled_quantity: int = 0
    cancelled_quantity: int = 0
    average_price: Decimal | None = None
    reason: Reason | None = None
    precheck: str = "skipped"
    checks: tuple[Check, ...] = ()
    cancel_requested: bool = False
    action: Action | None = None
    as_of_us: int | None = None
    timing: Timing = msgspec.field(default_factory=Timing)
    slice: dict[str, int] | None = None

    @property
    def pending_quantity(self) -> int:
        """What may still trade: nothing once the leg is over, all while its fate is unknown."""
        if self.state in TERMINAL:
            return 0
        return max(self.quantity - self.filled_quantity - self.cancelled_quantity, 0)


class Purpose(StrEnum):
    """Who an order is for: a client, or the kill switch that closes positions."""

    CLIENT = "client"
    SQUARE_OFF = "square_off"


class Order(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One intent of one client under one idempotency key."""

    order_id: str
    client: str
    idempotency_key: str
    fingerprint: bytes
    created_us: int
    request: OrderRequest
    request_id: str | None = None
    traceparent: str | None = None
    key_id: str | None = None
    purpose: Purpose = Purpose.CLIENT


def digits(tag: int) -> str:
    """Render a tag as brokers get it."""
    return f"{tag:015d}"
