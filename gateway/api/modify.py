"""The body of a modify, checked against the order it is for."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from adapters.sdk.models import OrderType
from gateway.api.views import LegView, OrderView
from gateway.orchestrator.actions import Change
from gateway.orchestrator.live import LiveOrder
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.request import FieldError, Quantity, price_problems


class ModifyRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to change; a field left out stays. `quantity` is the new total, filled included."""

    quantity: Quantity | None = None
    quantities: dict[str, Quantity] = {}
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    order_type: OrderType | None = None


class ModifiedLeg(LegView, kw_only=True):
    """`modify`: applied, refused, unknown or not_live; null for a leg that was not meant.

    `modify_reason`: why it was refused before anything was sent.
    """

    modify: str | None
    modify_reason: Reason | None


class ModifiedOrder(OrderView, kw_only=True):
    legs: list[ModifiedLeg]  # type: ignore[assignment]


def changes_of(
    request: ModifyRequest, live: LiveOrder, accounts: Sequence[str]
) -> dict[str, Change]:
    """Return each account's change. Raises `Problem` that names every wrong field."""
    errors: list[FieldError] = []
    for field, price in (("price", request.price), ("trigger_price", request.trigger_price)):
        errors.extend(price_problems(field, price))
    errors.extend(
        FieldError(f"quantities.{account}", "is not among this order's accounts")
        for account in request.quantities
        if account not in accounts
    )
    legs = [leg.record for leg in live.legs if leg.record.account in accounts]
    if request.quantity is not None and len({leg.quantity for leg in legs}) > 1:
        errors.append(
            FieldError("quantity", "the legs have different quantities; give quantities instead")
        )
    wanted = (request.quantity, request.price, request.trigger_price, request.order_type)
    if not request.quantities and all(value is None for value in wanted):
        errors.append(
            FieldError("body", "names no change; give quantity, price, trigger_price or order_type")
        )
    sliced = [leg.account for leg in legs if leg.slice is not None]
    if sliced and (request.quantity is not None or any(a in request.quantities for a in sliced)):
        errors.append(
            FieldError(
                "quantity",
                f"the order goes in slices at {sliced[0]}; change one slice by its"
                " broker_order_id: PATCH /v1/orderbook",
            )
        )
    for leg in legs if not errors else ():
        quantity = request.quantities.get(leg.account, request.quantity)
        if quantity is not None and quantity <= leg.filled_quantity:
            errors.append(
                FieldError(
                    "quantity",
                    f"is the new total and must be above the {leg.filled_quantity} already filled"
                    f" at {leg.account}; cancel the rest instead",
                )
            )
    if errors:
        text = "; ".join(f"{error.field} {error.message}" for error in errors)
        raise Problem(422, "invalid_order", text, errors=errors)
    return {
        leg.account: Change(
            quantity=request.quantities.get(leg.account, request.quantity),
            price=request.price,
            trigger_price=request.trigger_price,
            order_type=request.order_type,
        )
        for leg in legs
    }
