"""The shapes of the simulated exchange: orders, fills and refusals."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import BrokerOrderState, OrderType, Product, Side, Validity
from adapters.sdk.simulator.universe import Contract

ZERO = Decimal(0)
_PAISA_OF_PAISA = Decimal("0.0001")


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker simulator understood from a place request, in our terms.

    `tag` is the client reference exactly as received, or None. `extra` is kept with the order
    for the broker simulator's own use (its spelling of the order type, say).
    """

    contract: Contract
    side: Side
    order_type: OrderType
    product: Product
    quantity: int
    validity: Validity = Validity.DAY
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: int = 0
    amo: bool = False
    tag: str | None = None
    extra: dict[str, Any] = {}


class Fill(msgspec.Struct, frozen=True):
    """One trade of an order."""

    trade_id: str
    at: datetime
    quantity: int
    price: Decimal


class StateChange(msgspec.Struct, frozen=True):
    """One entry of an order's life."""

    at: datetime
    state: BrokerOrderState
    filled_quantity: int
    message: str


class Refusal(msgspec.Struct, frozen=True):
    """Why the broker's risk check or the exchange would not have it."""

    reason: ReasonCode
    message: str


class EngineRefusal(Exception):
    """A modify or cancel that the exchange cannot carry out."""

    def __init__(self, reason: ReasonCode, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SimOrder(msgspec.Struct, kw_only=True, eq=False):
    """One order at the simulated exchange; the engine alone changes it.

    `number` counts orders from 1. `exchange_order_id` is empty until the exchange acknowledged.
    `triggered`: a stop order whose trigger was reached (it then lives as its limit or market
    half, in state OPEN). `margin` is the cash it blocks.
    """

    number: int
    broker_order_id: str
    contract: Contract
    side: Side
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    price: Decimal | None
    trigger_price: Decimal | None
    disclosed_quantity: int
    amo: bool
    tag: str | None
    extra: dict[str, Any]
    accepted_at: datetime
    updated_at: datetime
    state: BrokerOrderState = BrokerOrderState.PENDING
    message: str = ""
    exchange_order_id: str = ""
    filled_quantity: int = 0
    cancelled_quantity: int = 0
    traded_value: Decimal = ZERO
    triggered: bool = False
    modified: bool = False
    opening_quantity: int = 0
    margin: Decimal = ZERO
    history: list[StateChange] = []
    fills: list[Fill] = []

    @property
    def is_final(self) -> bool:
        return self.state.is_final

    @property
    def pending_quantity(self) -> int:
        """What can still fill: zero once the order is final."""
        return 0 if self.is_final else self.quantity - self.filled_quantity

    @property
    def average_price(self) -> Decimal | None:
        """The average fill price to four decimals, or None without a fill."""
        if not self.filled_quantity:
            return None
        return (self.traded_value / self.filled_quantity).quantize(_PAISA_OF_PAISA)


class Trade(msgspec.Struct, frozen=True):
    """One fill together with its order, as trade books list them."""

    order: SimOrder
    fill: Fill
