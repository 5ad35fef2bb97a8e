"""Orders and legs as answers show them (design section 4)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.models import OrderType
from gateway.api.redaction import hidden_of, shown_leg, shown_request
from gateway.orchestrator.live import LiveOrder
from gateway.orders.checks import Check
from gateway.orders.records import Leg, Reason, Sent, Timing, digits
from gateway.orders.request import OrderRequest
from gateway.orders.states import LegState, Outcome, Summary, outcome_of, summarise
from gateway.orders.times import rfc3339


class LegView(msgspec.Struct, kw_only=True):
    leg_id: str
    account: str
    broker: str
    broker_tag: str
    quantity: int
    outcome: Outcome
    state: LegState
    broker_order_id: str | None
    filled_quantity: int
    pending_quantity: int
    cancelled_quantity: int
    average_price: Decimal | None
    price: Decimal | None
    trigger_price: Decimal | None
    sent: Sent
    attempts: int
    reason: Reason | None
    precheck: str
    checks: tuple[Check, ...]
    cancel_requested: bool
    slice: dict[str, int] | None
    updated_at: str | None
    as_of: str | None
    timing: Timing


class OrderView(msgspec.Struct, kw_only=True):
    order_id: str
    summary: Summary
    created_at: str | None
    strategy: str | None
    request: OrderRequest
    legs: list[LegView]


class OrderList(msgspec.Struct, kw_only=True):
    orders: list[OrderView]
    next_cursor: str | None


class HistoryEvent(msgspec.Struct, kw_only=True):
    at: str | None
    leg_id: str
    from_: LegState | None = msgspec.field(name="from")
    to: LegState
    event: str
    attempt: int
    broker_code: str | None
    broker_message: str | None
    ms: float | None
    details: dict[str, Any] | None = None


class History(msgspec.Struct, kw_only=True):
    order_id: str
    events: list[HistoryEvent]


_STATUS = {
    Summary.ACCEPTED: 201,
    Summary.PARTIAL: 200,
    Summary.REJECTED: 200,
    Summary.NOT_SENT: 200,
    Summary.PENDING: 202,
}


def leg_view(leg: Leg) -> LegView:
    return LegView(
        leg_id=leg.leg_id,
        account=leg.account,
        broker=leg.broker,
        broker_tag=digits(leg.broker_tag),
        quantity=leg.quantity,
        outcome=outcome_of(leg.state),
        state=leg.state,
        broker_order_id=leg.broker_order_id,
        filled_quantity=leg.filled_quantity,
        pending_quantity=leg.pending_quantity,
        cancelled_quantity=leg.cancelled_quantity,
        average_price=leg.average_price,
        price=leg.price,
        trigger_price=leg.trigger_price,
        sent=leg.sent or _as_asked(leg),
        attempts=leg.attempts,
        reason=leg.reason,
        precheck=leg.precheck,
        checks=leg.checks,
        cancel_requested=leg.cancel_requested,
        slice=leg.slice,
        updated_at=rfc3339(leg.updated_us),
        as_of=rfc3339(leg.as_of_us),
        timing=leg.timing,
    )


def order_view(live: LiveOrder, allowed: Callable[[str], bool]) -> OrderView:
    """Show an order with the legs that the caller's key may see."""
    order, records = live.order, [leg.record for leg in live.legs]
    hidden = hidden_of(order.request, records, allowed)
    legs = [shown_leg(leg, hidden) for leg in records if leg.account not in hidden]
    return OrderView(
        order_id=order.order_id,
        summary=summarise(leg.state for leg in legs),
        created_at=rfc3339(order.created_us),
        strategy=order.request.strategy,
        request=shown_request(order.request, records, hidden),
        legs=[leg_view(leg) for leg in legs],
    )


def order_status(view: OrderView) -> int:
    """The HTTP status of an order answer; never an error once anything may have been sent."""
    return _STATUS[view.summary]


def server_timing(view: OrderView) -> bytes:
    """`Server-Timing`: the slowest leg's time before the first byte, at the broker, and in all."""
    queue = max((leg.timing.queue_ms for leg in view.legs), default=0.0)
    broker = max((leg.timing.broker_ms or 0.0 for leg in view.legs), default=0.0)
    total = max((leg.timing.total_ms or 0.0 for leg in view.legs), default=0.0)
    return f"queue;dur={queue:.3f}, broker;dur={broker:.3f}, total;dur={total:.3f}".encode()


def _as_asked(leg: Leg) -> Sent:
    has_price = leg.order_type in (OrderType.LIMIT, OrderType.SL)
    return Sent(
        order_type=leg.order_type,
        price=leg.price if has_price else None,
        trigger_price=leg.trigger_price,
    )
