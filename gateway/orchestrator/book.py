"""What one good read of a broker's order book says about a leg. Pure: it decides, others write."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import BrokerOrder, BrokerOrderState
from gateway.orders.records import ActionKind, ActionState, Leg, Reason, Sent
from gateway.orders.states import AT_BROKER, BROKER_FINAL, LegState

# PENDING is an order that the exchange has not acknowledged: for a leg that is still ACKED.
_STATES: dict[BrokerOrderState, LegState] = {
    BrokerOrderState.PENDING: LegState.ACKED,
    BrokerOrderState.OPEN: LegState.OPEN,
    BrokerOrderState.TRIGGER_PENDING: LegState.TRIGGER_PENDING,
    BrokerOrderState.PARTIALLY_FILLED: LegState.PARTIALLY_FILLED,
    BrokerOrderState.FILLED: LegState.FILLED,
    BrokerOrderState.CANCELLED: LegState.CANCELLED,
    BrokerOrderState.REJECTED: LegState.REJECTED,
    BrokerOrderState.EXPIRED: LegState.EXPIRED,
}


class BookView:
    """One good read of an account's order book, begun at `begun_us`.

    `missing`: orders of the day that it should show and does not. What it shows is true all the
    same, and what else it does not show proves nothing.
    """

    def __init__(
        self, rows: list[BrokerOrder], begun_us: int, missing: Collection[str] = ()
    ) -> None:
        self.rows = rows
        self.missing = missing
        self.begun_us = begun_us
        self._by_id = {row.broker_order_id: row for row in rows}
        self._by_tag: dict[int, list[BrokerOrder]] = {}
        for row in rows:
            if row.broker_tag is not None:
                self._by_tag.setdefault(row.broker_tag, []).append(row)

    def order(self, broker_order_id: str | None) -> BrokerOrder | None:
        return self._by_id.get(broker_order_id) if broker_order_id else None

    def tagged(self, broker_tag: int) -> list[BrokerOrder]:
        return self._by_tag.get(broker_tag, [])


def final_state(row: BrokerOrder) -> LegState | None:
    """The leg state that a row's status stands for, None when the status is not known."""
    return _STATES[row.state] if row.state is not None else None


class LegChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a book row asks for."""

    state: LegState
    event: str
    fields: dict[str, Any]


def change_from_row(leg: Leg, row: BrokerOrder, as_of_us: int) -> LegChange | None:
    """Return what `row` changes about an acknowledged leg, or None when it says nothing new.

    A row whose status the adapter does not know changes no state; its fills still count.
    """
    state = final_state(row) or leg.state
    if state is LegState.ACKED and leg.state in AT_BROKER | BROKER_FINAL:
        state = leg.state
    filled = max(row.filled_quantity, 0)
    cancelled = leg.cancelled_quantity
    if state in (LegState.CANCELLED, LegState.EXPIRED):
        cancelled = max(leg.quantity - filled, 0)
    fields: dict[str, Any] = {
        "filled_quantity": filled,
        "cancelled_quantity": cancelled,
        "average_price": _plain(row.average_price) or leg.average_price,
        "exchange_order_id": row.exchange_order_id or leg.exchange_order_id,
    }
    fields.update(_applied_modify(leg, row))
    if state is LegState.REJECTED and leg.state is not LegState.REJECTED:
        fields["reason"] = Reason(
            code=row.reason or ReasonCode.EXCHANGE_REJECTED,
            message=row.message or "rejected after the broker had taken it",
            broker_message=row.message,
        )
    if state is leg.state and all(getattr(leg, name) == value for name, value in fields.items()):
        return None
    return LegChange(
        state=state,
        event="book" if state is not leg.state else "book_fill",
        fields={**fields, "as_of_us": as_of_us},
    )


def _plain(price: Decimal | None) -> Decimal | None:
    """Spell a price with the decimals it has, two at least, whatever zeros the broker adds."""
    if not price:
        return None
    exponent = price.normalize().as_tuple().exponent
    decimals = max(-exponent if isinstance(exponent, int) else 0, 2)
    return price.quantize(Decimal(1).scaleb(-decimals))


def _applied_modify(leg: Leg, row: BrokerOrder) -> dict[str, Any]:
    """The fields of a modify that the book now shows; empty when it does not (yet)."""
    action = leg.action
    if action is None or action.kind is not ActionKind.MODIFY or action.state not in _UNPROVEN:
        return {}
    was = leg.sent.order_type if leg.sent else leg.order_type
    # Only a type that was to change has to be shown: brokers show some types in their own way.
    type_shown = action.order_type in (None, was) or row.order_type is action.order_type
    shown = (
        type_shown
        and row.quantity == action.quantity
        and (action.price is None or row.price == action.price)
        and (action.trigger_price is None or row.trigger_price == action.trigger_price)
    )
    if not shown or action.quantity is None:
        return {}
    return {
        "action": msgspec.structs.replace(action, state=ActionState.APPLIED),
        "quantity": action.quantity,
        "price": action.price,
        "trigger_price": action.trigger_price,
        # What the order is from now on, and what the next modify has to start from.
        "sent": Sent(
            order_type=action.order_type or was,
            price=action.price,
            trigger_price=action.trigger_price,
        ),
    }


_UNPROVEN = frozenset({ActionState.SENDING, ActionState.SENT, ActionState.UNKNOWN})
