"""A practice account whose clock and whose lender do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from adapters.paper.adapter import PaperAdapter
from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.interface import AdapterContext
from adapters.sdk.models import (
    BrokerDepth,
    BrokerOrder,
    BrokerQuote,
    Candle,
    Exchange,
    Instrument,
    InstrumentType,
    Interval,
    ModifyOrder,
    OrderType,
    PlaceOrder,
    Product,
    Session,
    Side,
    Validity,
)
from adapters.sdk.simulator import IST, ManualClock

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
SBIN = Instrument(
    instrument="NSE:SBIN",
    exchange=Exchange.NSE,
    symbol="SBIN",
    name="STATE BANK OF INDIA",
    type=InstrumentType.EQ,
    lot_size=1,
    tick_size=Decimal("0.05"),
    codes={"symbol": "NSE:SBIN-EQ", "instrument": "NSE:SBIN"},
    isin="INE062A01020",
)
_tags = count(202611010000001)


class Gate:
    """Lets through, and remembers when; `ready` and `check` may be told to say no."""

    def __init__(self, no_at: str = "") -> None:
        self.calls: list[str] = []
        self._no_at = no_at

    async def ready(self) -> None:
        self._passed("ready")

    def check(self) -> None:
        self._passed("check")

    def _passed(self, name: str) -> None:
        self.calls.append(name)
        if self._no_at == name:
            raise Denied("the gate is shut", reason=ReasonCode.KILL_SWITCH)


class Lender:
    """A borrowed market: prices by hand, each reading counted."""

    def __init__(self, **prices: str) -> None:
        self.quoted: dict[str, BrokerQuote] = {}
        self.readings: list[list[str]] = []
        self.problem: Exception | None = None
        for name, price in prices.items():
            self.say(f"NSE:{name}", price)

    def say(self, name: str, last: str, bid: str | None = None, ask: str | None = None) -> None:
        self.quoted[name] = BrokerQuote(
            instrument=name,
            last_price=Decimal(last),
            as_of=MONDAY,
            bid_price=Decimal(bid) if bid else None,
            ask_price=Decimal(ask) if ask else None,
        )

    async def quotes(self, instruments: Sequence[str]) -> dict[str, BrokerQuote]:
        self.readings.append(list(instruments))
        if self.problem is not None:
            raise self.problem
        return {name: self.quoted[name] for name in instruments if name in self.quoted}

    async def depth(self, instrument: str) -> BrokerDepth | None:
        return None

    async def candles(
        self, instrument: str, interval: Interval, start: datetime, end: datetime
    ) -> list[Candle]:
        return []

    async def copy_instruments(self, path: Path) -> int:
        raise NotImplementedError


class Desk:
    """One practice account at work. `restart` makes it anew from what is on disk."""

    def __init__(
        self, folder: Path | None, lender: Lender | None = None, cash: str | None = None
    ) -> None:
        self.clock = ManualClock(MONDAY)
        self.lender = lender
        self._context = AdapterContext(
            account="paper",
            base_urls={},
            login="none",
            state_dir=folder,
            market=lender,
            practice_cash=Decimal(cash) if cash else None,
        )
        self.adapter = PaperAdapter(self._context, clock=self.clock)

    async def restart(self) -> None:
        await self.adapter.close()
        self.adapter = PaperAdapter(self._context, clock=self.clock)

    async def session(self) -> Session:
        step = await self.adapter.begin_login({})
        assert isinstance(step, Session)
        return step

    async def place(self, gate: Gate | None = None, **changes: Any) -> str:
        placed = await self.adapter.place_order(
            await self.session(), order(**changes), gate or Gate()
        )
        return placed.broker_order_id

    async def row(self, broker_order_id: str) -> BrokerOrder:
        rows = await self.book()
        return next(row for row in rows if row.broker_order_id == broker_order_id)

    async def book(self) -> list[BrokerOrder]:
        return await self.adapter.order_book(await self.session())

    async def settled(self, broker_order_id: str) -> BrokerOrder:
        """Wait, bounded, for an order that prices to come have to end."""
        for _ in range(3000):
            row = await self.row(broker_order_id)
            if row.state is not None and row.state.is_final:
                return row
            await asyncio.sleep(0.01)
        raise TimeoutError(f"{row} did not end")


def order(**changes: Any) -> PlaceOrder:
    fields: dict[str, Any] = {
        "broker_tag": next(_tags),
        "instrument": SBIN,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 10,
        "price": Decimal("800.00"),
    }
    merged = fields | changes
    if merged["order_type"] in (OrderType.MARKET, OrderType.SL_M):
        merged["price"] = None
    return PlaceOrder(**merged)


def change(row: BrokerOrder, **changes: Any) -> ModifyOrder:
    fields: dict[str, Any] = {
        "broker_order_id": row.broker_order_id,
        "instrument": SBIN,
        "side": row.side,
        "order_type": row.order_type,
        "product": row.product,
        "validity": row.validity,
        "quantity": row.quantity,
        "previous_quantity": row.quantity,
        "filled_quantity": row.filled_quantity,
        "price": row.price,
        "trigger_price": row.trigger_price,
    }
    return ModifyOrder(**fields | changes)
