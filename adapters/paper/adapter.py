"""The practice broker behind the standard adapter interface. There is no wire in between."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from adapters.paper import checks
from adapters.paper.book import Book
from adapters.paper.broker import PaperBroker
from adapters.paper.config import CAPABILITIES, DEFAULT_CASH
from adapters.paper.feed import Feed
from adapters.paper.hours import next_midnight
from adapters.paper.ledger import Ledger
from adapters.paper.market import Market, SyntheticMarket
from adapters.paper.master import read_master
from adapters.paper.views import funds_row, holding_row, order_row, position_row, trade_row
from adapters.sdk.base import BaseAdapter
from adapters.sdk.errors import LoginExpired
from adapters.sdk.interface import AdapterContext, Capabilities, SendGate
from adapters.sdk.models import (
    BrokerDepth,
    BrokerFunds,
    BrokerHolding,
    BrokerMargin,
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    BrokerTrade,
    CancelRequested,
    Candle,
    Instrument,
    Interval,
    LoginStep,
    MarginOrder,
    Modified,
    ModifyOrder,
    OrderRef,
    Placed,
    PlaceOrder,
    Session,
)
from adapters.sdk.simulator.clock import Clock, system_clock

T = TypeVar("T")
_LEDGER = "book.jsonl"


class PaperAdapter(BaseAdapter):
    """One practice account. Implements `adapters.sdk.interface.Adapter`.

    `rows`: the size of the synthetic market, where that is the one traded on.
    """

    title = "the practice broker"

    def __init__(
        self, context: AdapterContext, *, clock: Clock = system_clock, rows: int = 0
    ) -> None:
        self._context = context
        self._clock = clock
        folder = context.state_dir
        self.book = Book(
            Ledger(folder / _LEDGER) if folder is not None else None,
            context.practice_cash or DEFAULT_CASH,
            borrowed=context.market is not None,
            clock=clock,
        )
        self._market: Market = context.market or SyntheticMarket(clock, rows)
        self._ended: set[str] = set()
        self._feed = Feed(context.account, self.book, context.market)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def close(self) -> None:
        """Stop asking for prices; what is being written is written."""
        await self._feed.close()
        await self.book.close()

    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        """Open a session that lasts until midnight. There is nothing to prove."""
        now = self._clock()
        return Session(
            token=secrets.token_urlsafe(24),
            client_id=self._client_id,
            logged_in_at=now,
            expires_at=next_midnight(now),
        )

    async def prove_session(self, session: Session) -> str:
        """Read the book and return the account's client code."""
        await self._read(session, lambda broker: None)
        return self._client_id

    async def logout(self, session: Session) -> None:
        """End the session. The book goes on, and its open orders with it, as at a broker."""
        self._ended.add(session.token)

    async def warm(self, session: Session) -> None:
        """Open the book, and follow the orders that an earlier run left open."""
        await self._read(session, lambda broker: None)
        self._feed.watch()

    def is_warm(self) -> bool:
        return True

    # Orders

    def check_order(self, order: PlaceOrder) -> None:
        """Raise `Denied` for what cannot be an order."""
        checks.check_order(order)
        self._check_listed(order.instrument)

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        """Take the order into the book, once, and answer when that is on disk.

        Raises: `Refused` for what a broker's own checks refuse: nothing was taken then.
        """
        self.check_order(order)
        self._check_session(session)
        await self._bring_price(order.instrument)
        await gate.ready()

        def enter(broker: PaperBroker) -> str:
            gate.check()
            return broker.place(order).broker_order_id

        broker_order_id = await self.book.run(enter)
        self._feed.watch()
        return Placed(broker_order_id=broker_order_id)

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        """Take an order out of the market."""
        self._check_session(session)
        if gate is not None:
            await gate.ready()

        def leave(broker: PaperBroker) -> None:
            if gate is not None:
                gate.check()
            broker.cancel(ref.broker_order_id)

        await self.book.run(leave)
        return CancelRequested(broker_order_id=ref.broker_order_id)

    def check_modify(self, change: ModifyOrder) -> None:
        """Raise `Denied` for a change that cannot be an order. Part-filled ones may change."""
        checks.check_modify(change)
        self._check_listed(change.instrument)

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        """Change an order. It meets the price at once, and may trade by it."""
        self.check_modify(change)
        self._check_session(session)
        await self._bring_price(change.instrument)
        if gate is not None:
            await gate.ready()

        def alter(broker: PaperBroker) -> None:
            if gate is not None:
                gate.check()
            broker.modify(change)

        await self.book.run(alter)
        self._feed.watch()
        return Modified(broker_order_id=change.broker_order_id)

    # Books

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the day's whole book."""
        rows = await self._read(session, lambda broker: [order_row(one) for one in broker.orders])
        self._feed.watch()
        return rows

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        """Read one order, or None where the book has none of that id."""
        wanted = ref.broker_order_id
        book = await self.order_book(session)
        return next((row for row in book if row.broker_order_id == wanted), None)

    async def find_by_tag(self, session: Session, broker_tag: int) -> list[BrokerOrder]:
        """Read the orders that carry a tag."""
        return [row for row in await self.order_book(session) if row.broker_tag == broker_tag]

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        """Read every fill of the day."""
        return await self._read(session, lambda broker: [trade_row(one) for one in broker.trades])

    async def positions(self, session: Session) -> list[BrokerPosition]:
        """Read the positions, closed ones of the day included, at prices as fresh as can be."""
        held = await self._read(
            session,
            lambda broker: [p.contract.instrument for p in broker.account.positions if p.quantity],
        )
        await self._feed.refresh(held)
        return await self._read(
            session,
            lambda broker: [
                position_row(one, broker.last_price) for one in broker.account.positions
            ],
        )

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        """Read what earlier days left in the holdings; today's sales are positions."""
        owned = await self._read(
            session, lambda broker: [one.contract.instrument for one in broker.account.holdings]
        )
        await self._feed.refresh(owned)
        return await self._read(
            session,
            lambda broker: [holding_row(one, broker.last_price) for one in broker.account.holdings],
        )

    async def funds(self, session: Session) -> BrokerFunds:
        """Read the practice money."""
        return await self._read(session, lambda broker: funds_row(broker.account.funds))

    async def margins(self, session: Session, orders: Sequence[MarginOrder]) -> BrokerMargin:
        """Work out what the orders would block, by the rule that blocks it.

        Each is counted against today's positions, and none against another of them.
        """
        checks.check_margin(orders)
        self._check_session(session)
        await self._feed.refresh([order.instrument.instrument for order in orders])
        needed, available = await self.book.run(
            lambda broker: (
                [broker.margin(order) for order in orders],
                broker.account.funds.available,
            )
        )
        total = sum((one for one in needed if one is not None), Decimal(0))
        return BrokerMargin(required=total, orders=needed, available=available)

    # The market

    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Read the prices of whoever lends them, or the synthetic ones."""
        self._check_session(session)
        return await self._market.quotes([item.instrument for item in instruments])

    async def depth(self, session: Session, instrument: Instrument) -> BrokerDepth | None:
        """Read the lender's depth, or that of the synthetic market: one price, bid and asked."""
        self._check_session(session)
        return await self._market.depth(instrument.instrument)

    async def candles(
        self,
        session: Session,
        instrument: Instrument,
        interval: Interval,
        start: datetime,
        end: datetime,
    ) -> list[Candle]:
        """Read the lender's candles, or the synthetic ones."""
        self._check_session(session)
        return await self._market.candles(instrument.instrument, interval, start, end)

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        """Copy the lender's instruments, or write down the synthetic ones. Needs no session."""
        path = folder / f"{self._context.account}.jsonl"
        await self._market.copy_instruments(path)
        return [path]

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        """Parse copied files row by row, merged into one list."""
        return read_master(files)

    # Helpers

    @property
    def _client_id(self) -> str:
        return f"PAPER-{self._context.account}"

    def _check_session(self, session: Session) -> None:
        if session.expires_at <= self._clock():
            raise LoginExpired("the practice session ended at midnight", created_nothing=True)
        if session.token in self._ended:
            raise LoginExpired("the practice session was logged out", created_nothing=True)

    def _check_listed(self, item: Instrument) -> None:
        if isinstance(self._market, SyntheticMarket):
            self._market.contract(item.instrument)

    async def _bring_price(self, item: Instrument) -> None:
        """Have the price at hand by which the order will be judged."""
        await self.book.run(lambda broker: broker.contract(item))
        await self._feed.refresh([item.instrument])

    async def _read(self, session: Session, look: Callable[[PaperBroker], T]) -> T:
        self._check_session(session)
        return await self.book.run(look)
