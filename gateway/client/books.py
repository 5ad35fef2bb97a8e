"""What is read of accounts and markets, as the gateway answers it. What a broker does not give is
None, never a made-up zero."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from gateway.client.models import Reason

T = TypeVar("T")


class BookOrder(msgspec.Struct, kw_only=True):
    """An order as the broker's book has it; `order_id` is None where it was placed elsewhere."""

    broker_order_id: str
    quantity: int
    filled_quantity: int
    exchange_order_id: str | None = None
    order_id: str | None = None
    leg_id: str | None = None
    strategy: str | None = None
    broker_tag: str | None = None
    instrument: str | None = None
    side: str | None = None
    order_type: str | None = None
    product: str | None = None
    validity: str | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    state: str | None = None
    message: str | None = None
    placed_at: datetime | None = None


class Trade(msgspec.Struct, kw_only=True):
    trade_id: str
    broker_order_id: str
    quantity: int
    price: Decimal
    order_id: str | None = None
    leg_id: str | None = None
    strategy: str | None = None
    instrument: str | None = None
    side: str | None = None
    product: str | None = None
    traded_at: datetime | None = None


class Position(msgspec.Struct, kw_only=True):
    """`quantity` is net and signed."""

    quantity: int
    instrument: str | None = None
    product: str | None = None
    lots: int | None = None
    lot_size: int | None = None
    multiplier: Decimal | None = None
    buy_quantity: int | None = None
    sell_quantity: int | None = None
    buy_price: Decimal | None = None
    sell_price: Decimal | None = None
    average_price: Decimal | None = None
    last_price: Decimal | None = None
    realised_pnl: Decimal | None = None
    unrealised_pnl: Decimal | None = None


class Holding(msgspec.Struct, kw_only=True):
    quantity: int
    instrument: str | None = None
    isin: str | None = None
    t1_quantity: int | None = None
    pledged_quantity: int | None = None
    average_price: Decimal | None = None
    last_price: Decimal | None = None
    pnl: Decimal | None = None


class Funds(msgspec.Struct, kw_only=True):
    available: Decimal | None = None
    used: Decimal | None = None
    opening: Decimal | None = None
    collateral: Decimal | None = None


class Margin(msgspec.Struct, kw_only=True):
    """`source` is `broker`, or `estimate` where the broker has no calculator."""

    required: Decimal
    source: str
    available: Decimal | None = None
    orders: list[dict[str, Any]] = []


class AccountRead(msgspec.Struct, Generic[T], kw_only=True):
    """One account's part of a read: `data`, or the `reason` why there is none."""

    account: str
    broker: str
    ok: bool
    as_of: datetime | None = None
    data: T | None = None
    reason: Reason | None = None


class Read(msgspec.Struct, Generic[T], kw_only=True):
    """`summary`: `complete`, `partial` or `failed`. Look before taking silence for nothing."""

    summary: str
    results: list[AccountRead[T]]

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Account and data of those that could be read."""
        for each in self.results:
            if each.ok and each.data is not None:
                yield each.account, each.data

    @property
    def failed(self) -> dict[str, Reason | None]:
        """Accounts that could not be read, and why."""
        return {each.account: each.reason for each in self.results if not each.ok}


class Quote(msgspec.Struct, kw_only=True):
    instrument: str
    last_price: Decimal
    account: str
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    close: Decimal | None = None
    volume: int | None = None
    bid_price: Decimal | None = None
    bid_quantity: int | None = None
    ask_price: Decimal | None = None
    ask_quantity: int | None = None
    open_interest: int | None = None
    as_of: datetime | None = None


class QuoteError(msgspec.Struct, kw_only=True):
    instrument: str
    reason: Reason


class Quotes(msgspec.Struct, kw_only=True):
    quotes: list[Quote]
    errors: list[QuoteError]


class DepthLevel(msgspec.Struct, kw_only=True):
    price: Decimal
    quantity: int
    orders: int | None = None


class Depth(msgspec.Struct, kw_only=True):
    instrument: str
    account: str
    bids: list[DepthLevel]
    asks: list[DepthLevel]
    as_of: datetime | None = None


class Candle(msgspec.Struct, kw_only=True):
    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int | None = None
    open_interest: int | None = None


class Candles(msgspec.Struct, kw_only=True):
    instrument: str
    interval: str
    account: str
    candles: list[Candle]


class Instrument(msgspec.Struct, kw_only=True):
    instrument: str
    exchange: str
    symbol: str
    name: str
    type: str
    lot_size: int
    tick_size: Decimal
    underlying: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    option_type: str | None = None
    freeze_quantity: int | None = None
    isin: str | None = None
    brokers: dict[str, Any] = {}
    disagreements: dict[str, Any] = {}


class InstrumentList(msgspec.Struct, kw_only=True):
    instruments: list[Instrument]


class Expiry(msgspec.Struct, kw_only=True):
    expiry: date
    exchange: str
    type: str
    nearest: bool
    next: bool
    monthly: bool
    brokers: list[str] = []


class ExpiryList(msgspec.Struct, kw_only=True):
    expiries: list[Expiry]
