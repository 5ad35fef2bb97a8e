"""Order books, trades and net positions of several accounts at once."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from gateway.api.reads import (
    ACCOUNTS,
    AccountReads,
    ReadSummary,
    Result,
    invalid,
    summary_of,
)
from gateway.api.routing import Answer, Call, Route
from gateway.books.desk import BookDesk
from gateway.books.rows import (
    OrderRow,
    PositionRow,
    TradeRow,
    order_row,
    position_row,
    trade_row,
)
from gateway.orchestrator.account import Account
from gateway.orders.times import rfc3339
from gateway.secrets.api_keys import Scope
from gateway.store.snapshots import SnapshotKind

DATE = {"date": "a day, YYYY-MM-DD; earlier days come from snapshots"}


class OrderBookResult(Result, kw_only=True):
    data: list[OrderRow] | UnsetType = UNSET


class TradesResult(Result, kw_only=True):
    data: list[TradeRow] | UnsetType = UNSET


class PositionsResult(Result, kw_only=True):
    data: list[PositionRow] | UnsetType = UNSET


class OrderBookRead(msgspec.Struct):
    summary: ReadSummary
    results: list[OrderBookResult]


class TradesRead(msgspec.Struct):
    summary: ReadSummary
    results: list[TradesResult]


class PositionsRead(msgspec.Struct):
    summary: ReadSummary
    results: list[PositionsResult]


class BookRoutes:
    def __init__(self, desk: BookDesk, reads: AccountReads) -> None:
        self._desk = desk
        self._reads = reads

    def routes(self) -> list[Route]:
        dated = ACCOUNTS | DATE
        return [
            read_route(
                "/v1/orderbook", self.orderbook, "Every order of the day", OrderBookRead, dated
            ),
            read_route("/v1/trades", self.trades, "Every fill of the day", TradesRead, dated),
            read_route("/v1/positions", self.positions, "Net positions", PositionsRead, ACCOUNTS),
        ]

    async def orderbook(self, call: Call) -> Answer:
        day = day_of(call, self._desk)

        async def one(account: Account) -> OrderBookResult:
            book = await self._desk.show(account, SnapshotKind.ORDERBOOK, day)
            owners = await self._desk.owners(account, book.rows, book.begun_us)
            return OrderBookResult(
                **good(account, book),
                data=[order_row(known, owners) for known in book.rows],
            )

        results = await self._reads.fan_out(call, one, OrderBookResult)
        return Answer(body=OrderBookRead(summary_of(results), results))

    async def trades(self, call: Call) -> Answer:
        day = day_of(call, self._desk)

        async def one(account: Account) -> TradesResult:
            book = await self._desk.show(account, SnapshotKind.TRADES, day)
            owners = await self._desk.owners(account, book.rows, book.begun_us)
            return TradesResult(
                **good(account, book),
                data=[trade_row(known, owners) for known in book.rows],
            )

        results = await self._reads.fan_out(call, one, TradesResult)
        return Answer(body=TradesRead(summary_of(results), results))

    async def positions(self, call: Call) -> Answer:
        async def one(account: Account) -> PositionsResult:
            book = await self._desk.show(account, SnapshotKind.POSITIONS, None)
            return PositionsResult(
                **good(account, book), data=[position_row(known) for known in book.rows]
            )

        results = await self._reads.fan_out(call, one, PositionsResult)
        return Answer(body=PositionsRead(summary_of(results), results))


def read_route(
    path: str, handler: Any, summary: str, response: Any, query: dict[str, str]
) -> Route:
    """A route of this family: a read with the scope `read`."""
    return Route(
        method="GET",
        path=path,
        scope=Scope.READ,
        handler=handler,
        summary=summary,
        tag="books",
        response=response,
        query=query,
    )


def day_of(call: Call, desk: BookDesk) -> date | None:
    """The day that is asked for, None for now. Raises `Problem`."""
    text = call.query.get("date")
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise invalid("date", "must be a day such as 2026-11-22") from None
    if day > desk.today():
        raise invalid("date", "is in the future")
    return day


def good(account: Account, book: Any) -> dict[str, Any]:
    """What every account's good result begins with."""
    unlisted = {
        str(place): known.row.codes
        for place, known in enumerate(book.rows)
        if known.instrument is None and known.row.codes
    }
    return {
        "account": account.id,
        "broker": account.broker,
        "ok": True,
        "as_of": rfc3339(book.begun_us),
        "unlisted": unlisted or UNSET,
    }
