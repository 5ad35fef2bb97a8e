"""The practice broker itself: one trading day's orders, positions and money. No I/O, no waiting.

What changed since somebody last asked stands in `changed`, so that it can be made durable
before anybody is told of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal

from adapters.paper.account import Day, PaperAccount, next_day
from adapters.paper.config import STALE_S
from adapters.paper.contracts import contract_of
from adapters.paper.hours import closes_at, opens_at, trade_date
from adapters.sdk.errors import Denied, ReasonCode, Refused
from adapters.sdk.models import (
    BrokerOrderState,
    BrokerQuote,
    Instrument,
    MarginOrder,
    ModifyOrder,
    OrderType,
    PlaceOrder,
    Product,
    Side,
)
from adapters.sdk.simulator import (
    Contract,
    Engine,
    EngineRefusal,
    EngineSettings,
    NewOrder,
    SimOrder,
    Trade,
    Universe,
)
from adapters.sdk.simulator.clock import Clock

_PRICED = (OrderType.LIMIT, OrderType.SL)


class PaperBroker:
    """One account at the practice broker, on the trading day `day`.

    `borrowed`: prices come from another account, so a contract has none until `quote`, and
    loses it when that grows old. Otherwise they are those of the synthetic `universe`.
    """

    def __init__(
        self,
        day: Day,
        orders: Iterable[SimOrder],
        universe: Universe,
        *,
        borrowed: bool,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.day = day
        self.changed: dict[str, SimOrder] = {}
        self._universe = universe
        self._borrowed = borrowed
        self._clock = clock
        self._monotonic = monotonic
        self._quoted: dict[str, float] = {}
        self._contracts: dict[str, Contract] = {}
        self.engine = Engine(
            universe,
            mint=_mint,
            clock=clock,
            settings=EngineSettings(
                ack_delay_ms=0, fill_delay_ms=0, book_lag_ms=0, circuits=not borrowed
            ),
            on_change=self._note,
        )
        self.account = PaperAccount(day)
        self.engine.account = self.account
        self._restore(list(orders))

    # Orders

    def contract(self, item: Instrument) -> Contract:
        """Return what the engine trades for it. Raises `Denied` where the market has no such."""
        known = self._contracts.get(item.instrument)
        if known is None:
            found = (
                contract_of(item)
                if self._borrowed
                else self._universe.by_instrument(item.instrument)
            )
            if found is None:
                raise Denied(
                    f"{item.instrument} is not in the synthetic market; name an account whose"
                    " prices to use in quotes_from",
                    reason=ReasonCode.INSTRUMENT_UNKNOWN,
                )
            known = self._take_in(found)
        return known

    def place(self, order: PlaceOrder) -> SimOrder:
        """Take an order into the book, or raise `Refused`; then nothing of it was taken."""
        contract = self.contract(order.instrument)
        new = NewOrder(
            contract=contract,
            side=order.side,
            order_type=order.order_type,
            product=order.product,
            quantity=order.quantity,
            validity=order.validity,
            price=order.price,
            trigger_price=order.trigger_price,
            disclosed_quantity=order.disclosed_quantity,
            amo=order.amo,
            tag=f"{order.broker_tag:015d}",
        )
        if order.order_type is OrderType.MARKET and not self.engine.is_priced(contract):
            raise _refused(
                ReasonCode.PRICE_UNAVAILABLE, f"there is no price for {contract.instrument} now"
            )
        self._check_delivery(contract, order.product, order.side, order.quantity)
        refusal = self.engine.check(new)
        if refusal is not None:
            raise _refused(refusal.reason, refusal.message)
        return self.engine.place(new, hold=order.amo)

    def modify(self, change: ModifyOrder) -> None:
        """Change a live order, or raise `Refused`; then it is as it was."""
        order = self._order(change.broker_order_id)
        growth = change.quantity - order.quantity
        self._check_delivery(order.contract, order.product, order.side, growth)
        price = change.price if change.order_type in _PRICED else None
        worst = price or max(change.trigger_price or Decimal(0), self.engine.price(order.contract))
        opening = min(max(order.opening_quantity + growth, 0), order.pending_quantity + growth)
        needed = opening * worst - order.margin
        if needed > max(self.account.funds.available, Decimal(0)):
            raise _refused(
                ReasonCode.MARGIN_SHORT,
                f"Margin Shortfall: {needed} more required,"
                f" available {self.account.funds.available}",
            )
        try:
            self.engine.modify(
                order,
                quantity=change.quantity,
                price=change.price,
                trigger_price=change.trigger_price,
                order_type=change.order_type,
                validity=change.validity,
                disclosed_quantity=change.disclosed_quantity,
            )
        except EngineRefusal as refusal:
            raise _refused(refusal.reason, refusal.message) from refusal

    def cancel(self, broker_order_id: str) -> None:
        """Take an order out of the market, or raise `Refused`."""
        order = self._order(broker_order_id)
        try:
            self.engine.cancel(order)
        except EngineRefusal as refusal:
            raise _refused(refusal.reason, refusal.message) from refusal

    def margin(self, order: MarginOrder) -> Decimal | None:
        """Say what an order would block, None where no price is known to say it by."""
        contract = self.contract(order.instrument)
        limit = order.price if order.order_type in _PRICED else None
        worst = limit or max(order.trigger_price or Decimal(0), self.engine.price(contract))
        closing = self.account.closing_quantity(contract, order.product, order.side)
        opening = max(order.quantity - closing, 0)
        return opening * worst if worst or not opening else None

    @property
    def orders(self) -> list[SimOrder]:
        """The day's order book, oldest first."""
        return self.engine.orders

    @property
    def trades(self) -> list[Trade]:
        """The day's fills, in order of time."""
        before = self.day.serials[1]
        today = [one for one in self.engine.trades if int(one.fill.trade_id) > before]
        return sorted(today, key=lambda one: one.fill.trade_id)

    # Prices

    def quote(self, quote: BrokerQuote) -> None:
        """Take in a borrowed price: what it triggers or crosses trades."""
        contract = self._contracts.get(quote.instrument)
        if contract is None or quote.last_price <= 0:
            return
        self._quoted[quote.instrument] = self._monotonic()
        self.engine.set_quote(
            contract,
            quote.last_price,
            bid=quote.bid_price or None,
            ask=quote.ask_price or None,
        )

    def last_price(self, contract: Contract) -> Decimal | None:
        """Return the last price, None where none was seen since the start."""
        if self._borrowed and contract.instrument not in self._quoted:
            return None
        return self.engine.price(contract)

    def age_of_price(self, instrument: str) -> float:
        """How many seconds ago a borrowed price was taken in."""
        return self._monotonic() - self._quoted.get(instrument, float("-inf"))

    def wanted_prices(self) -> list[str] | None:
        """The instruments whose prices open orders wait for; None where no order is open."""
        live = [order for order in self.engine.orders if not order.is_final]
        if not live:
            return None
        if not self._borrowed:
            return []
        waiting = (order for order in live if order.state is not BrokerOrderState.PENDING)
        return sorted({order.contract.instrument for order in waiting})

    # The day

    def tidy(self) -> Day | None:
        """Let happen what is due: after-market orders go in, orders of past sessions end.

        Returns the day that begins, where one does: a new broker has to be made of it.
        """
        now = self._clock()
        for order in self.engine.orders:
            if not order.is_final:
                self._drop_stale(order.contract)
                day = _session_of(order)
                if now >= closes_at(day, order.contract.exchange):
                    self.engine.expire(order)
                elif order.amo and now >= opens_at(day, order.contract.exchange):
                    self.engine.release(order)
        if now.date() <= self.day.date:
            return None
        return next_day(self.account, now.date(), self.engine.serials, self.engine.price)

    def kept_on(self, day: date) -> list[SimOrder]:
        """The orders that the book of a later day still shows."""
        return [
            order
            for order in self.engine.orders
            if max(_session_of(order), order.updated_at.date()) >= day
        ]

    # Helpers

    def _restore(self, orders: list[SimOrder]) -> None:
        held = [one.contract for one in self.day.positions]
        held += [one.contract for one in self.day.holdings]
        for contract in (*held, *(order.contract for order in orders)):
            self._take_in(contract)
        trades = sorted(
            ((int(fill.trade_id), fill, order) for order in orders for fill in order.fills),
            key=lambda item: item[0],
        )
        if self._borrowed:
            # The last prices known: good for settling what is held, not for trading.
            for one in self.day.positions:
                self.engine.set_price(one.contract, one.last_price)
            for _, fill, order in trades:
                self.engine.set_price(order.contract, fill.price)
            for contract in self._contracts.values():
                self.engine.suspend_price(contract)
        for serial, fill, order in trades:
            if serial > self.day.serials[1]:
                self.account.trade(
                    order.contract, order.product, order.side, fill.quantity, fill.price
                )
        serials = (
            max([self.day.serials[0], *(order.number for order in orders)]),
            max([self.day.serials[1], *(serial for serial, _, _ in trades)]),
        )
        self.engine.restore(orders, serials)

    def _take_in(self, contract: Contract) -> Contract:
        known = self._contracts.setdefault(contract.instrument, contract)
        if self._borrowed and contract.instrument not in self._quoted:
            self.engine.suspend_price(known)
        return known

    def _drop_stale(self, contract: Contract) -> None:
        if self._borrowed and self.age_of_price(contract.instrument) > STALE_S:
            self.engine.suspend_price(contract)

    def _order(self, broker_order_id: str) -> SimOrder:
        order = self.engine.get(broker_order_id)
        if order is None:
            raise _refused(ReasonCode.BROKER_REJECTED, f"there is no order {broker_order_id}")
        return order

    def _check_delivery(
        self, contract: Contract, product: Product, side: Side, quantity: int
    ) -> None:
        """Refuse to sell shares that are not there: CNC has no short."""
        if product is not Product.CNC or side is not Side.SELL or quantity <= 0:
            return
        there = self.account.closing_quantity(contract, product, side)
        there -= sum(order.pending_quantity for order in self._open_sales(contract))
        if quantity > there:
            raise _refused(
                ReasonCode.BROKER_REJECTED,
                f"{max(there, 0)} shares of {contract.instrument} are there to be sold in CNC,"
                f" not {quantity}",
            )

    def _open_sales(self, contract: Contract) -> Iterator[SimOrder]:
        for order in self.engine.orders:
            same = order.contract.instrument == contract.instrument
            if same and order.product is Product.CNC and order.side is Side.SELL:
                yield order

    def _note(self, order: SimOrder) -> None:
        self.changed[order.broker_order_id] = order


def _session_of(order: SimOrder) -> date:
    return trade_date(order.accepted_at, order.contract.exchange, amo=order.amo)


def _mint(number: int, at: datetime) -> str:
    # To the second, so that a book begun anew repeats no id of the one before it.
    return f"{at:%y%m%d%H%M%S}{number:06d}"


def _refused(reason: ReasonCode, message: str) -> Refused:
    return Refused(message, reason=reason, broker_code=reason.value, broker_message=message)
