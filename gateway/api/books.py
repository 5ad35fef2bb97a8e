"""Reads that go to several accounts at once, and the comparison of the journal with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from gateway.api.routing import Answer, Call, Route
from gateway.books.compare import DifferingLeg, DoubledTag, MissingLeg
from gateway.books.desk import BookDesk, Checked
from gateway.books.reader import NotRead
from gateway.books.rows import (
    OrderRow,
    PositionRow,
    TradeRow,
    order_row,
    position_row,
    trade_row,
)
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.request import FieldError
from gateway.orders.times import rfc3339
from gateway.secrets.api_keys import Scope
from gateway.store.snapshots import SnapshotKind


class ReadSummary(StrEnum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class _Result(msgspec.Struct, kw_only=True):
    """One account's part of a fan-out read: `as_of` and `data`, or the `reason` why not.

    `unlisted`: the broker's own codes of rows whose contract its master does not list, by the
    row's place in `data`.
    """

    account: str
    broker: str
    ok: bool
    as_of: str | UnsetType | None = UNSET
    reason: Reason | UnsetType = UNSET
    unlisted: dict[str, dict[str, str]] | UnsetType = UNSET


class OrderBookResult(_Result, kw_only=True):
    data: list[OrderRow] | UnsetType = UNSET


class TradesResult(_Result, kw_only=True):
    data: list[TradeRow] | UnsetType = UNSET


class PositionsResult(_Result, kw_only=True):
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


class CheckSummary(StrEnum):
    """`incomplete`: no mismatch was found, but not everything could be compared."""

    MATCH = "match"
    MISMATCH = "mismatch"
    INCOMPLETE = "incomplete"


class CheckResult(msgspec.Struct, kw_only=True):
    """One account's comparison; `legs` are those that were sent. `elsewhere` is no mismatch."""

    account: str
    broker: str
    ok: bool
    matches: bool | None
    legs: int
    reason: Reason | UnsetType = UNSET
    source: str | UnsetType = UNSET
    as_of: str | UnsetType | None = UNSET
    covers_close: bool | UnsetType = UNSET
    orders: int | UnsetType = UNSET
    trades: int | UnsetType | None = UNSET
    missing: list[MissingLeg] | UnsetType = UNSET
    elsewhere: list[OrderRow] | UnsetType = UNSET
    differing: list[DifferingLeg] | UnsetType = UNSET
    trades_without_order: list[TradeRow] | UnsetType = UNSET
    tags_doubled: list[DoubledTag] | UnsetType = UNSET


class Check(msgspec.Struct, kw_only=True):
    date: str
    summary: CheckSummary
    results: list[CheckResult]


_ACCOUNTS = {"accounts": "ids and @groups, separated by commas; all that the key may see"}
_DATE = {"date": "a day, YYYY-MM-DD; earlier days come from snapshots"}


class BookRoutes:
    def __init__(
        self,
        desk: BookDesk,
        accounts: Mapping[str, Account],
        groups: Mapping[str, Mapping[str, Decimal]],
    ) -> None:
        self._desk = desk
        self._accounts = accounts
        self._groups = groups

    def routes(self) -> list[Route]:
        def read(
            path: str, handler: Any, summary: str, response: Any, query: dict[str, str]
        ) -> Route:
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

        dated = _ACCOUNTS | _DATE
        return [
            read("/v1/orderbook", self.orderbook, "Every order of the day", OrderBookRead, dated),
            read("/v1/trades", self.trades, "Every fill of the day", TradesRead, dated),
            read("/v1/positions", self.positions, "Net positions", PositionsRead, _ACCOUNTS),
            read(
                "/v1/reconcile",
                self.reconcile,
                "Compare the journal with the brokers' books and trades of a day",
                Check,
                dated,
            ),
        ]

    async def orderbook(self, call: Call) -> Answer:
        day = self._day(call)

        async def one(account: Account) -> OrderBookResult:
            book = await self._desk.show(account, SnapshotKind.ORDERBOOK, day)
            owners = await self._desk.owners(account, book.rows, book.begun_us)
            return OrderBookResult(
                **_good(account, book),
                data=[order_row(known, owners) for known in book.rows],
            )

        results = await self._fan_out(call, one, OrderBookResult)
        return Answer(body=OrderBookRead(_summary(results), results))

    async def trades(self, call: Call) -> Answer:
        day = self._day(call)

        async def one(account: Account) -> TradesResult:
            book = await self._desk.show(account, SnapshotKind.TRADES, day)
            owners = await self._desk.owners(account, book.rows, book.begun_us)
            return TradesResult(
                **_good(account, book),
                data=[trade_row(known, owners) for known in book.rows],
            )

        results = await self._fan_out(call, one, TradesResult)
        return Answer(body=TradesRead(_summary(results), results))

    async def positions(self, call: Call) -> Answer:
        if "date" in call.query:
            raise _invalid("date", "is for orderbook and trades; positions are always live")

        async def one(account: Account) -> PositionsResult:
            book = await self._desk.show(account, SnapshotKind.POSITIONS, None)
            return PositionsResult(
                **_good(account, book), data=[position_row(known) for known in book.rows]
            )

        results = await self._fan_out(call, one, PositionsResult)
        return Answer(body=PositionsRead(_summary(results), results))

    async def reconcile(self, call: Call) -> Answer:
        day = self._day(call) or self._desk.today()

        async def one(account: Account) -> CheckResult:
            try:
                return _checked(account, await self._desk.check(account, day))
            except NotRead as error:
                legs = await self._desk.legs_of(account, day)
                sent = sum(1 for owned in legs if owned.leg.attempts)
                return CheckResult(
                    account=account.id,
                    broker=account.broker,
                    ok=False,
                    # With nothing sent there is nothing that a book could contradict.
                    matches=None if sent else True,
                    legs=sent,
                    reason=error.reason,
                )

        results = await asyncio.gather(*map(one, self._accounts_of(call)))
        verdicts = {result.matches for result in results}
        summary = CheckSummary.MATCH
        if False in verdicts:
            summary = CheckSummary.MISMATCH
        elif None in verdicts:
            summary = CheckSummary.INCOMPLETE
        return Answer(body=Check(date=day.isoformat(), summary=summary, results=list(results)))

    async def _fan_out(
        self, call: Call, one: Callable[[Account], Awaitable[Any]], failed: Callable[..., Any]
    ) -> list[Any]:
        """Ask every account at once; one that cannot be read is a result like the others."""

        async def bounded(account: Account) -> Any:
            try:
                return await one(account)
            except NotRead as error:
                return failed(
                    account=account.id, broker=account.broker, ok=False, reason=error.reason
                )

        return list(await asyncio.gather(*map(bounded, self._accounts_of(call))))

    def _accounts_of(self, call: Call) -> list[Account]:
        """Resolve `accounts`, groups too; raises `Problem` for one that the key does not know."""
        text = call.query.get("accounts")
        if text is None:
            return [item for item in self._accounts.values() if call.who.allows(item.id)]
        found: dict[str, Account] = {}
        for name in filter(None, (part.strip() for part in text.split(","))):
            for account_id in self._members(name, call):
                found[account_id] = self._accounts[account_id]
        if not found:
            raise _invalid("accounts", "names no account")
        return list(found.values())

    def _members(self, name: str, call: Call) -> Iterable[str]:
        group = self._groups.get(name[1:]) if name.startswith("@") else None
        members = list(group) if group is not None else [name]
        if all(item in self._accounts and call.who.allows(item) for item in members):
            return members
        known = sorted(filter(call.who.allows, self._accounts)) + [f"@{g}" for g in self._groups]
        raise _invalid("accounts", f"{name!r} is not known; known are {', '.join(known)}")

    def _day(self, call: Call) -> date | None:
        text = call.query.get("date")
        if text is None:
            return None
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise _invalid("date", "must be a day such as 2026-11-22") from None
        if day > self._desk.today():
            raise _invalid("date", "is in the future")
        return day


def _good(account: Account, book: Any) -> dict[str, Any]:
    unlisted = {
        str(place): known.row.codes
        for place, known in enumerate(book.rows)
        if known.instrument is None
    }
    return {
        "account": account.id,
        "broker": account.broker,
        "ok": True,
        "as_of": rfc3339(book.begun_us),
        "unlisted": unlisted or UNSET,
    }


def _summary(results: list[Any]) -> ReadSummary:
    good = sum(1 for result in results if result.ok)
    if good == len(results):
        return ReadSummary.COMPLETE
    return ReadSummary.PARTIAL if good else ReadSummary.FAILED


def _checked(account: Account, checked: Checked) -> CheckResult:
    found = checked.comparison
    return CheckResult(
        account=account.id,
        broker=account.broker,
        ok=True,
        matches=found.matches,
        source="snapshot" if checked.kept else "live",
        as_of=rfc3339(checked.begun_us),
        covers_close=checked.covers_close,
        legs=checked.legs,
        orders=checked.orders,
        trades=checked.trades,
        missing=found.missing,
        elsewhere=found.elsewhere,
        differing=found.differing,
        trades_without_order=found.trades_without_order,
        tags_doubled=found.tags_doubled,
    )


def _invalid(field: str, message: str) -> Problem:
    errors = [FieldError(field, message)]
    return Problem(422, "invalid_request", f"{field} {message}", errors=errors)
