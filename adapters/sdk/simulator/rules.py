"""How the simulated exchange is set up, and what of an order its contract alone forbids."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import OrderType
from adapters.sdk.simulator.orders import NewOrder, Refusal, SimOrder


class EngineSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the exchange behaves. Delays in milliseconds, cash in rupees.

    `book_lag_ms`: how long a new order stays out of every read. `strict_reference`: refuse what
    a broker's checks would (tick, lot, freeze quantity, circuit). `circuits` False: any price is
    inside, where the circuits of a contract are not known.
    """

    ack_delay_ms: int = 1
    fill_delay_ms: int = 5
    cancel_delay_ms: int = 0
    book_lag_ms: int = 50
    cash: Decimal = Decimal(1_000_000_000)
    strict_reference: bool = True
    circuits: bool = True


def limit_of(order: SimOrder) -> Decimal | None:
    """The limit that an order trades at now, or None when it takes any price."""
    return order.price if order.order_type in (OrderType.LIMIT, OrderType.SL) else None


def check_reference(new: NewOrder, *, circuits: bool) -> Refusal | None:
    """Say what a broker that knows the contract would not let pass, or None."""
    contract = new.contract
    if new.quantity % contract.lot_size:
        return Refusal(
            ReasonCode.LOT_SIZE, f"Quantity is not a multiple of lot size {contract.lot_size}"
        )
    if contract.freeze_quantity is not None and new.quantity > contract.freeze_quantity:
        return Refusal(
            ReasonCode.FREEZE_QUANTITY,
            f"Quantity exceeds freeze quantity {contract.freeze_quantity}",
        )
    limit = new.price if new.order_type in (OrderType.LIMIT, OrderType.SL) else None
    stop = new.trigger_price if new.order_type in (OrderType.SL, OrderType.SL_M) else None
    for price in (limit, stop):
        if price is not None and price % contract.tick_size:
            return Refusal(
                ReasonCode.TICK_SIZE, f"Price is not a multiple of tick size {contract.tick_size}"
            )
    if not circuits:
        return None
    if limit is not None and not contract.lower_price <= limit <= contract.upper_price:
        return Refusal(
            ReasonCode.PRICE_BAND,
            f"Price is outside the circuit {contract.lower_price} to {contract.upper_price}",
        )
    return None
