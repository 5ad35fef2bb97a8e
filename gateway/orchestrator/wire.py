"""What of an order message stands in the audit log: named fields, nothing as it went over the wire.

An allow-list: what is not named here is not told, so no header, token or raw body ever is.
"""

from __future__ import annotations

from typing import Any

from adapters.sdk.errors import GatewayError, OutcomeUnknown
from adapters.sdk.models import PlaceOrder
from gateway.orders.records import Action, digits


def sent_order(place: PlaceOrder) -> dict[str, Any]:
    """A new order, as the adapter was given it."""
    return _said(
        instrument=place.instrument.instrument,
        side=place.side,
        order_type=place.order_type,
        product=place.product,
        validity=place.validity,
        quantity=place.quantity,
        price=place.price,
        trigger_price=place.trigger_price,
        disclosed_quantity=place.disclosed_quantity or None,
        amo=place.amo or None,
        broker_tag=digits(place.broker_tag),
    )


def sent_action(action: Action, broker_order_id: str | None) -> dict[str, Any]:
    """A modify or a cancel. Of a modify, what the order is to become."""
    return _said(
        kind=action.kind,
        broker_order_id=broker_order_id,
        quantity=action.quantity,
        order_type=action.order_type,
        price=action.price,
        trigger_price=action.trigger_price,
    )


def answered(error: GatewayError | None, broker_order_id: str | None) -> dict[str, Any]:
    """What came back beside the broker's code and words, which the row has of its own."""
    found: dict[str, Any] = {"broker_order_id": broker_order_id}
    if isinstance(error, OutcomeUnknown):
        found |= {"progress": error.progress, "phase": error.phase, "status": error.status}
    said = {name: value for name, value in found.items() if value is not None}
    return {"answer": said} if said else {}


def _said(**fields: Any) -> dict[str, Any]:
    return {"sent": {name: value for name, value in fields.items() if value is not None}}
