"""The simulated account's money: positions by first in, first out, and exact cash.

Every rupee is accounted for: opening cash + realised profit = available + blocked by open
orders + tied up in positions.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import msgspec

from adapters.sdk.models import Product, Side
from adapters.sdk.simulator.orders import ZERO
from adapters.sdk.simulator.universe import Contract


class Position(msgspec.Struct, kw_only=True, eq=False):
    """One contract in one product; flat ones stay with quantity 0.

    `carried` is what earlier days left, signed; the buys and sells are today's trades only.
    """

    contract: Contract
    product: Product
    carried: int = 0
    buy_quantity: int = 0
    buy_value: Decimal = ZERO
    sell_quantity: int = 0
    sell_value: Decimal = ZERO
    realised: Decimal = ZERO
    cost: Decimal = ZERO
    open_lots: deque[tuple[int, Decimal]] = msgspec.field(default_factory=deque)

    @property
    def quantity(self) -> int:
        """Net and signed."""
        return self.carried + self.buy_quantity - self.sell_quantity

    @property
    def buy_price(self) -> Decimal:
        """Average buy price, zero without a buy."""
        return self.buy_value / self.buy_quantity if self.buy_quantity else ZERO

    @property
    def sell_price(self) -> Decimal:
        """Average sell price, zero without a sell."""
        return self.sell_value / self.sell_quantity if self.sell_quantity else ZERO

    @property
    def average_price(self) -> Decimal:
        """Average entry price of what is open, zero when flat."""
        return self.cost / abs(self.quantity) if self.quantity else ZERO

    def unrealised(self, last_price: Decimal) -> Decimal:
        """Profit of what is open, at `last_price`."""
        value = last_price * abs(self.quantity)
        return value - self.cost if self.quantity > 0 else self.cost - value

    def trade(self, side: Side, quantity: int, price: Decimal) -> None:
        """Book a fill. `cost` stays the exact entry value of the open lots."""
        closes = self.quantity < 0 if side is Side.BUY else self.quantity > 0
        direction = 1 if side is Side.SELL else -1
        left = quantity
        while closes and left and self.open_lots:
            lot_quantity, entry = self.open_lots.popleft()
            closed = min(left, lot_quantity)
            if closed < lot_quantity:
                self.open_lots.appendleft((lot_quantity - closed, entry))
            self.realised += direction * (price - entry) * closed
            self.cost -= entry * closed
            left -= closed
        if left:
            self.open_lots.append((left, price))
            self.cost += price * left
        if side is Side.BUY:
            self.buy_quantity += quantity
            self.buy_value += price * quantity
        else:
            self.sell_quantity += quantity
            self.sell_value += price * quantity


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Shares in the demat account since before today; the engine never changes them."""

    contract: Contract
    quantity: int
    average_price: Decimal
    t1_quantity: int = 0


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """The account's cash in rupees. `used` is `blocked` (open orders) plus `invested`.

    `proceeds` is what shares sold out of the holdings brought in today.
    """

    opening: Decimal
    collateral: Decimal
    realised: Decimal
    blocked: Decimal
    invested: Decimal
    proceeds: Decimal = ZERO

    @property
    def used(self) -> Decimal:
        return self.blocked + self.invested

    @property
    def available(self) -> Decimal:
        return self.opening + self.collateral + self.realised + self.proceeds - self.used


class Account:
    """Cash, positions and holdings of the one client of a simulator."""

    def __init__(self, cash: Decimal, holdings: tuple[Holding, ...] = ()) -> None:
        self.opening = cash
        self.collateral = ZERO
        self.blocked = ZERO
        self.holdings = holdings
        self._positions: dict[tuple[str, Product], Position] = {}

    @property
    def positions(self) -> list[Position]:
        """Every position of the day, flat ones too, in order of first trade."""
        return list(self._positions.values())

    @property
    def funds(self) -> Funds:
        positions = self._positions.values()
        return Funds(
            opening=self.opening,
            collateral=self.collateral,
            realised=sum((position.realised for position in positions), ZERO),
            blocked=self.blocked,
            invested=sum((position.cost for position in positions), ZERO),
        )

    def carry(self, position: Position) -> None:
        """Take in a position that an earlier day left open."""
        self._positions[position.contract.instrument, position.product] = position

    def closing_quantity(self, contract: Contract, product: Product, side: Side) -> int:
        """Return how much an order of that side could trade without opening anything."""
        held = self.net_quantity(contract, product)
        return max(0, -held if side is Side.BUY else held)

    def net_quantity(self, contract: Contract, product: Product) -> int:
        """Return the net position, signed."""
        position = self._positions.get((contract.instrument, product))
        return position.quantity if position else 0

    def trade(
        self, contract: Contract, product: Product, side: Side, quantity: int, price: Decimal
    ) -> None:
        """Book one fill."""
        key = (contract.instrument, product)
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = Position(contract=contract, product=product)
        position.trade(side, quantity, price)
