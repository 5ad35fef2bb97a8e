"""The practice account's money over days: what a day begins with and what it leaves behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import msgspec

from adapters.sdk.models import Product, Side
from adapters.sdk.simulator import Contract, Funds, Holding, Position
from adapters.sdk.simulator.account import Account
from adapters.sdk.simulator.orders import ZERO

_PAISA_OF_PAISA = Decimal("0.0001")


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """A position that was open when the day began: its lots as bought or sold, oldest first."""

    contract: Contract
    product: Product
    quantity: int
    lots: list[tuple[int, Decimal]]
    last_price: Decimal


class Day(msgspec.Struct, frozen=True, kw_only=True, tag="day"):
    """What a trading day begins with. `serials` counts the orders and the trades before it."""

    date: date
    cash: Decimal
    serials: tuple[int, int] = (0, 0)
    positions: list[Carried] = []
    holdings: list[Holding] = []


class PaperAccount(Account):
    """The engine's account, which may also sell the shares that it owns.

    What such a sale brings in can be used at once. Nothing else is sold short in CNC: the
    broker refuses it before it gets here.
    """

    def __init__(self, day: Day) -> None:
        super().__init__(day.cash, tuple(day.holdings))
        for carried in day.positions:
            self.carry(
                Position(
                    contract=carried.contract,
                    product=carried.product,
                    carried=carried.quantity,
                    cost=sum((count * price for count, price in carried.lots), ZERO),
                    open_lots=deque(carried.lots),
                )
            )

    @property
    def funds(self) -> Funds:
        sold = [position.cost for position in self.positions if _is_delivery_sale(position)]
        funds, proceeds = super().funds, sum(sold, ZERO)
        return msgspec.structs.replace(funds, invested=funds.invested - proceeds, proceeds=proceeds)

    def closing_quantity(self, contract: Contract, product: Product, side: Side) -> int:
        if product is Product.CNC and side is Side.SELL:
            return max(0, self.owned(contract) + self.net_quantity(contract, product))
        return super().closing_quantity(contract, product, side)

    def owned(self, contract: Contract) -> int:
        """How many shares earlier days left in the holdings."""
        name = contract.instrument
        return sum(one.quantity for one in self.holdings if one.contract.instrument == name)


def next_day(
    account: Account,
    to: date,
    serials: tuple[int, int],
    last_price: Callable[[Contract], Decimal],
) -> Day:
    """Settle what is open as it goes over into the day `to`.

    CNC is delivered: bought into the holdings, sold out of them. MIS is squared off and an
    expired contract settled, both at the last price known here. The rest is carried.
    """
    funds = account.funds
    cash = funds.opening + funds.realised
    owned = {one.contract.instrument: _settled(one) for one in account.holdings}
    carried = []
    for position in account.positions:
        contract, quantity = position.contract, position.quantity
        last = last_price(contract)
        expired = contract.expiry is not None and contract.expiry < to
        if not quantity:
            continue
        if position.product is Product.CNC:
            cash += -position.cost if quantity > 0 else position.cost
            _deliver(owned, position)
        elif position.product is Product.MIS or expired:
            cash += position.unrealised(last)
        else:
            lots = list(position.open_lots)
            carried.append(
                Carried(
                    contract=contract,
                    product=position.product,
                    quantity=quantity,
                    lots=lots,
                    last_price=last,
                )
            )
    return Day(
        date=to,
        cash=cash,
        serials=serials,
        positions=carried,
        holdings=[one for one in owned.values() if one.quantity > 0],
    )


def _is_delivery_sale(position: Position) -> bool:
    return position.product is Product.CNC and position.quantity < 0


def _settled(holding: Holding) -> Holding:
    return msgspec.structs.replace(holding, t1_quantity=0)


def _deliver(owned: dict[str, Holding], position: Position) -> None:
    name, quantity = position.contract.instrument, position.quantity
    before = owned.get(name)
    if before is None:
        before = Holding(contract=position.contract, quantity=0, average_price=ZERO)
    if quantity < 0:
        owned[name] = msgspec.structs.replace(before, quantity=before.quantity + quantity)
        return
    total = before.quantity + quantity
    value = before.average_price * before.quantity + position.cost
    owned[name] = msgspec.structs.replace(
        before,
        quantity=total,
        average_price=(value / total).quantize(_PAISA_OF_PAISA),
        t1_quantity=quantity,
    )
