"""The simulated exchange behind every broker simulator: orders, matching, fills, money.

Nothing runs by itself. What falls due (acknowledgements, fills, late cancels) waits in a heap
and happens, at its own due time, when somebody next looks: `advance` is called by every public
method. With a `ManualClock` a whole day is therefore deterministic.

Life of an order: PENDING, after `ack_delay_ms` OPEN or TRIGGER_PENDING with an exchange order
id, after `fill_delay_ms` more FILLED at the reference price if it crosses it. An order that
rests fills at its own limit once `set_price` crosses it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import BrokerOrderState, Exchange, OrderType, Side, Validity
from adapters.sdk.simulator.account import Account, Holding
from adapters.sdk.simulator.clock import Clock
from adapters.sdk.simulator.orders import (
    ZERO,
    EngineRefusal,
    Fill,
    NewOrder,
    Refusal,
    SimOrder,
    StateChange,
    Trade,
)
from adapters.sdk.simulator.rules import EngineSettings, check_reference, limit_of
from adapters.sdk.simulator.universe import Contract, Universe

MintOrderId = Callable[[int, datetime], str]


class Engine:
    """One account's orders at one simulated exchange.

    `on_change` hears of an order each time its state or its fills changed.
    """

    def __init__(
        self,
        universe: Universe,
        *,
        mint: MintOrderId,
        clock: Clock,
        settings: EngineSettings | None = None,
        holdings: tuple[Holding, ...] = (),
        on_change: Callable[[SimOrder], None] | None = None,
    ) -> None:
        self.universe = universe
        self.settings = settings or EngineSettings()
        self.market_open = True
        self._mint = mint
        self._clock = clock
        self._holdings = holdings
        self._on_change = on_change
        self._serial = 0
        self._trade_serial = 0
        self._event_serial = 0
        self._advancing = False
        self._clear()

    def _clear(self) -> None:
        self.account = Account(self.settings.cash, self._holdings)
        self._orders: dict[str, SimOrder] = {}
        self._live: dict[tuple[Exchange, int], dict[int, SimOrder]] = {}
        self._prices: dict[tuple[Exchange, int], Decimal] = {}
        self._sides: dict[tuple[Exchange, int], tuple[Decimal | None, Decimal | None]] = {}
        self._unpriced: set[tuple[Exchange, int]] = set()
        self._available: dict[tuple[Exchange, int], int] = {}
        self._events: list[tuple[datetime, int, Callable[[datetime], None]]] = []

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings by name. Raises `ValueError` for one that is unknown or unfit."""
        merged = msgspec.to_builtins(self.settings) | dict(changes)
        self.settings = msgspec.convert(merged, EngineSettings)
        self.account.opening = self.settings.cash

    def reset(self) -> None:
        """Forget orders, positions, prices and liquidity; order numbers go on, never repeated."""
        self.market_open = True
        self._clear()

    @property
    def serials(self) -> tuple[int, int]:
        """How many orders and trades there have been; their ids are counted by it."""
        return self._serial, self._trade_serial

    def restore(self, orders: Iterable[SimOrder], serials: tuple[int, int]) -> None:
        """Take up orders of an earlier run, after `reset`; nothing happens to them by it.

        Their margin is blocked again. Positions are the account's affair.
        """
        self._serial, self._trade_serial = serials
        for order in orders:
            self._orders[order.broker_order_id] = order
            if not order.is_final:
                self._live.setdefault(order.contract.key, {})[order.number] = order
                self.account.blocked += order.margin

    # Orders

    def check(self, new: NewOrder) -> Refusal | None:
        """Say why the broker's risk check would refuse this order, or None.

        A broker that refuses in the answer calls this before `place`; a broker that accepts
        first and rejects in the book calls only `place`.
        """
        self.advance()
        contract = new.contract
        if not contract.is_tradable:
            return Refusal(ReasonCode.INSTRUMENT_BLOCKED, "Index is not tradable")
        if new.quantity <= 0:
            return Refusal(ReasonCode.INVALID_ORDER, "Quantity must be positive")
        if not self.market_open and not new.amo:
            return Refusal(ReasonCode.MARKET_CLOSED, "Markets are closed right now")
        if self.settings.strict_reference:
            refusal = check_reference(new, circuits=self.settings.circuits)
            if refusal is not None:
                return refusal
        needed = self._opening_quantity(new) * self._worst_price(new)
        available = self.account.funds.available
        if needed > available:
            text = f"Margin Shortfall: required {needed}, available {available}"
            return Refusal(ReasonCode.MARGIN_SHORT, text)
        return None

    def place(self, new: NewOrder, *, hold: bool = False) -> SimOrder:
        """Accept an order into the ledger. One that fails `check` ends REJECTED in the book.

        `hold` keeps it PENDING, market open or not, until `release`.
        """
        refusal = self.check(new)
        now = self._clock()
        self._serial += 1
        order = SimOrder(
            number=self._serial,
            broker_order_id=self._mint(self._serial, now),
            contract=new.contract,
            side=new.side,
            order_type=new.order_type,
            product=new.product,
            validity=new.validity,
            quantity=new.quantity,
            price=new.price,
            trigger_price=new.trigger_price,
            disclosed_quantity=new.disclosed_quantity,
            amo=new.amo,
            tag=new.tag,
            extra=dict(new.extra),
            accepted_at=now,
            updated_at=now,
        )
        self._orders[order.broker_order_id] = order
        self._change(order, BrokerOrderState.PENDING, now)
        if refusal is not None:
            message = refusal.message
            self._after(self.settings.ack_delay_ms, lambda at: self._reject(order, message, at))
        else:
            order.opening_quantity = self._opening_quantity(new)
            self._block_margin(order)
            self._live.setdefault(order.contract.key, {})[order.number] = order
            if not hold and (not order.amo or self.market_open):
                self._after(self.settings.ack_delay_ms, lambda at: self._acknowledge(order, at))
        return order

    def release(self, order: SimOrder) -> None:
        """Let an order that was held go to the exchange."""
        self.advance()
        self._acknowledge(order, self._clock())

    def expire(self, order: SimOrder) -> None:
        """End a live order because its validity is over."""
        self.advance()
        if not order.is_final:
            self._finish(order, BrokerOrderState.EXPIRED, self._clock(), "")

    def modify(
        self,
        order: SimOrder,
        *,
        quantity: int | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
        order_type: OrderType | None = None,
        validity: Validity | None = None,
        disclosed_quantity: int | None = None,
    ) -> None:
        """Change a live order; None keeps a value. `quantity` is the new total, fills included.

        Raises:
            EngineRefusal: the order is final, the quantity is not above what has filled, or
                the changed order breaks tick, lot, freeze quantity or circuit.
        """
        self.advance()
        if order.is_final:
            raise EngineRefusal(ReasonCode.BROKER_REJECTED, f"Order is {order.state.value}")
        changed = NewOrder(
            contract=order.contract,
            side=order.side,
            order_type=order_type or order.order_type,
            product=order.product,
            quantity=order.quantity if quantity is None else quantity,
            validity=validity or order.validity,
            price=order.price if price is None else price,
            trigger_price=order.trigger_price if trigger_price is None else trigger_price,
        )
        if changed.quantity <= order.filled_quantity:
            raise EngineRefusal(ReasonCode.INVALID_ORDER, "Quantity is not above the traded one")
        strict, circuits = self.settings.strict_reference, self.settings.circuits
        refusal = check_reference(changed, circuits=circuits) if strict else None
        if refusal is not None:
            raise EngineRefusal(refusal.reason, refusal.message)
        growth = changed.quantity - order.quantity
        order.opening_quantity = max(0, order.opening_quantity + growth)
        order.quantity, order.order_type = changed.quantity, changed.order_type
        order.validity = changed.validity
        order.price, order.trigger_price = changed.price, changed.trigger_price
        if disclosed_quantity is not None:
            order.disclosed_quantity = disclosed_quantity
        order.modified = True
        self._block_margin(order)
        now = self._clock()
        if order.state is BrokerOrderState.PENDING:
            self._change(order, order.state, now, "modified")
        else:
            self._change(order, self._resting_state(order), now, "modified")
            self._consider(order, now)

    def cancel(self, order: SimOrder) -> None:
        """Ask for a cancel; it happens after `cancel_delay_ms`, unless the order fills first.

        Raises:
            EngineRefusal: the order is already final.
        """
        self.advance()
        if order.is_final:
            raise EngineRefusal(ReasonCode.BROKER_REJECTED, f"Order is {order.state.value}")
        if self.settings.cancel_delay_ms:
            self._after(self.settings.cancel_delay_ms, lambda at: self._cancel(order, at))
        else:
            self._cancel(order, self._clock())

    def get(self, broker_order_id: str) -> SimOrder | None:
        """Return an order as it is now, book lag or not."""
        self.advance()
        return self._orders.get(broker_order_id)

    @property
    def orders(self) -> list[SimOrder]:
        """The whole ledger, oldest first, book lag or not."""
        self.advance()
        return list(self._orders.values())

    @property
    def trades(self) -> list[Trade]:
        """Every fill, in order of its order's age and then of time."""
        return [Trade(order, fill) for order in self.orders for fill in order.fills]

    def visible_orders(self, *, lag_ms: int | None = None) -> list[SimOrder]:
        """Return what a book read shows: orders at least `lag_ms` (default: the setting) old."""
        lag = self.settings.book_lag_ms if lag_ms is None else lag_ms
        orders = self.orders
        horizon = self._clock() - timedelta(milliseconds=lag)
        while lag and orders and orders[-1].accepted_at > horizon:
            orders.pop()
        return orders

    def visible_order(self, broker_order_id: str, *, lag_ms: int | None = None) -> SimOrder | None:
        """Return one order as `visible_orders` would show it, or None."""
        lag = self.settings.book_lag_ms if lag_ms is None else lag_ms
        order = self.get(broker_order_id)
        if order is None or self._clock() - order.accepted_at < timedelta(milliseconds=lag):
            return None
        return order

    # The market

    def price(self, contract: Contract) -> Decimal:
        """Return the reference (last) price."""
        return self._prices.get(contract.key, contract.price)

    def set_price(self, contract: Contract, price: Decimal) -> None:
        """Move the reference price: stops trigger, and resting orders that it crosses fill."""
        self.set_quote(contract, price)

    def set_quote(
        self,
        contract: Contract,
        last: Decimal,
        *,
        bid: Decimal | None = None,
        ask: Decimal | None = None,
    ) -> None:
        """As `set_price`; what buys then trades at `ask` and what sells at `bid`, where known.

        Stops still trigger by `last`.
        """
        self.advance()
        self._prices[contract.key] = last
        self._sides[contract.key] = (bid, ask)
        self._unpriced.discard(contract.key)
        self._cross(contract)

    def suspend_price(self, contract: Contract) -> None:
        """Let nothing trigger or trade in this contract until its next price."""
        self._unpriced.add(contract.key)

    def is_priced(self, contract: Contract) -> bool:
        """Whether orders in this contract can trade now, as far as its price goes."""
        return contract.key not in self._unpriced

    def set_available(self, contract: Contract, quantity: int | None) -> None:
        """Limit how much may still trade in this contract; None lifts the limit."""
        self.advance()
        if quantity is None:
            self._available.pop(contract.key, None)
        else:
            self._available[contract.key] = quantity
        self._cross(contract)

    def fill(
        self, order: SimOrder, quantity: int | None = None, price: Decimal | None = None
    ) -> None:
        """Trade an order by decree: `quantity` (default: all that is left) at `price`.

        Raises:
            EngineRefusal: the order is final, or has less than that left.
        """
        self.advance()
        wanted = order.pending_quantity if quantity is None else quantity
        if order.is_final or not 0 < wanted <= order.pending_quantity:
            raise EngineRefusal(
                ReasonCode.INVALID_ORDER, f"{order.pending_quantity} left to fill, not {wanted}"
            )
        now = self._clock()
        at = price if price is not None else order.price or self.price(order.contract)
        # Acknowledged without a look at the price: what crosses would trade besides.
        early = order.state is BrokerOrderState.PENDING
        if early:
            self._enter(order, now)
        self._trade(order, wanted, at, now)
        if early and not order.is_final:
            self._consider(order, now)

    def set_market(self, *, is_open: bool) -> None:
        """Open or close the market; opening releases the AMO orders that wait for it."""
        self.advance()
        was_open, self.market_open = self.market_open, is_open
        if is_open and not was_open:
            now = self._clock()
            for order in self._live_orders():
                if order.amo and order.state is BrokerOrderState.PENDING:
                    self._acknowledge(order, now)

    def end_of_day(self) -> None:
        """Close the market and expire every order that is still live."""
        self.set_market(is_open=False)
        now = self._clock()
        for order in self._live_orders():
            self._finish(order, BrokerOrderState.EXPIRED, now, "")

    def advance(self) -> None:
        """Let everything that is due by now happen, in order."""
        if self._advancing or not self._events:
            return
        now = self._clock()
        self._advancing = True
        try:
            while self._events and self._events[0][0] <= now:
                at, _, happen = heapq.heappop(self._events)
                happen(at)
        finally:
            self._advancing = False

    # What happens to one order

    def _after(self, delay_ms: int, happen: Callable[[datetime], None]) -> None:
        self._schedule(self._clock() + timedelta(milliseconds=delay_ms), happen)

    def _schedule(self, due: datetime, happen: Callable[[datetime], None]) -> None:
        self._event_serial += 1
        heapq.heappush(self._events, (due, self._event_serial, happen))
        self.advance()

    def _live_orders(self) -> Iterator[SimOrder]:
        yield from [order for book in self._live.values() for order in book.values()]

    def _change(
        self, order: SimOrder, state: BrokerOrderState, at: datetime, message: str = ""
    ) -> None:
        order.state = state
        order.updated_at = at
        order.history.append(StateChange(at, state, order.filled_quantity, message))
        if self._on_change is not None:
            self._on_change(order)

    def _acknowledge(self, order: SimOrder, at: datetime) -> None:
        if order.state is BrokerOrderState.PENDING:
            self._enter(order, at)
            self._consider(order, at)

    def _enter(self, order: SimOrder, at: datetime) -> None:
        order.exchange_order_id = f"{at:%Y%m%d}{order.number:08d}"
        self._change(order, self._resting_state(order), at)

    def _resting_state(self, order: SimOrder) -> BrokerOrderState:
        if order.filled_quantity:
            return BrokerOrderState.PARTIALLY_FILLED
        if order.order_type in (OrderType.SL, OrderType.SL_M) and not order.triggered:
            return BrokerOrderState.TRIGGER_PENDING
        return BrokerOrderState.OPEN

    def _consider(self, order: SimOrder, at: datetime) -> None:
        """Trigger a stop that is reached; send what crosses to its fill, and end an IOC."""
        if order.state is BrokerOrderState.TRIGGER_PENDING and self._is_triggered(order):
            order.triggered = True
            self._change(order, BrokerOrderState.OPEN, at, "triggered")
        if order.state is BrokerOrderState.TRIGGER_PENDING:
            return
        if order.validity is Validity.IOC or self._crosses(order):
            due = at + timedelta(milliseconds=self.settings.fill_delay_ms)
            self._schedule(due, lambda then: self._match(order, then))

    def _is_triggered(self, order: SimOrder) -> bool:
        if not self.is_priced(order.contract):
            return False
        last, trigger = self.price(order.contract), order.trigger_price or ZERO
        return last >= trigger if order.side is Side.BUY else last <= trigger

    def _crosses(self, order: SimOrder) -> bool:
        if not self.is_priced(order.contract):
            return False
        limit = limit_of(order)
        if limit is None:
            return True
        offered = self._offered(order)
        return limit >= offered if order.side is Side.BUY else limit <= offered

    def _offered(self, order: SimOrder) -> Decimal:
        """The price at which an order could trade at once."""
        bid, ask = self._sides.get(order.contract.key, (None, None))
        return (ask if order.side is Side.BUY else bid) or self.price(order.contract)

    def _match(self, order: SimOrder, at: datetime, *, resting: bool = False) -> None:
        """Trade what crosses now, as far as there is liquidity."""
        if order.is_final or order.state is BrokerOrderState.TRIGGER_PENDING:
            return
        if self._crosses(order):
            key = order.contract.key
            quantity = order.pending_quantity
            if key in self._available:
                quantity = min(quantity, self._available[key])
                self._available[key] -= quantity
            if quantity:
                limit = limit_of(order)
                price = limit if resting and limit else self._offered(order)
                self._trade(order, quantity, price, at)
        if order.validity is Validity.IOC and not order.is_final:
            self._cancel(order, at)

    def _cross(self, contract: Contract) -> None:
        """Run resting orders of one contract against its new price, oldest first."""
        now = self._clock()
        for order in list(self._live.get(contract.key, {}).values()):
            if order.state is BrokerOrderState.TRIGGER_PENDING:
                self._consider(order, now)
            elif order.state is not BrokerOrderState.PENDING:
                self._match(order, now, resting=True)

    def _trade(self, order: SimOrder, quantity: int, price: Decimal, at: datetime) -> None:
        self._trade_serial += 1
        order.fills.append(Fill(f"{self._trade_serial:08d}", at, quantity, price))
        order.filled_quantity += quantity
        order.opening_quantity = min(order.opening_quantity, order.quantity - order.filled_quantity)
        order.traded_value += price * quantity
        self.account.trade(order.contract, order.product, order.side, quantity, price)
        if order.filled_quantity == order.quantity:
            self._finish(order, BrokerOrderState.FILLED, at, "")
        else:
            self._change(order, BrokerOrderState.PARTIALLY_FILLED, at)
            self._block_margin(order)

    def _reject(self, order: SimOrder, message: str, at: datetime) -> None:
        if not order.is_final:
            self._finish(order, BrokerOrderState.REJECTED, at, message)

    def _cancel(self, order: SimOrder, at: datetime) -> None:
        if not order.is_final:
            self._finish(order, BrokerOrderState.CANCELLED, at, "")

    def _finish(self, order: SimOrder, state: BrokerOrderState, at: datetime, message: str) -> None:
        order.cancelled_quantity = (
            order.quantity - order.filled_quantity if state is not BrokerOrderState.FILLED else 0
        )
        order.message = message
        self._change(order, state, at, message)
        self._block_margin(order)
        self._live.get(order.contract.key, {}).pop(order.number, None)

    # Money

    def _opening_quantity(self, new: NewOrder) -> int:
        """How much of an order would add to the position rather than close it."""
        closing = self.account.closing_quantity(new.contract, new.product, new.side)
        return max(0, new.quantity - closing)

    def _worst_price(self, order: NewOrder | SimOrder) -> Decimal:
        limit = order.price if order.order_type in (OrderType.LIMIT, OrderType.SL) else None
        return limit or max(order.trigger_price or ZERO, self.price(order.contract))

    def _block_margin(self, order: SimOrder) -> None:
        quantity = min(order.opening_quantity, order.pending_quantity)
        margin = quantity * self._worst_price(order) if quantity else ZERO
        self.account.blocked += margin - order.margin
        order.margin = margin
