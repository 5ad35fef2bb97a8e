"""The comparison of the journal with the brokers' books and trades of a day."""

from __future__ import annotations

import asyncio
from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from gateway.api.books import DATE, day_of, read_route
from gateway.api.reads import ACCOUNTS, AccountReads
from gateway.api.routing import Answer, Call, Route
from gateway.books.compare import DifferingLeg, DoubledTag, MissingLeg
from gateway.books.desk import BookDesk, Checked
from gateway.books.reader import NotRead
from gateway.books.rows import OrderRow, TradeRow
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason
from gateway.orders.times import rfc3339


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


class ReconcileRoutes:
    def __init__(self, desk: BookDesk, reads: AccountReads) -> None:
        self._desk = desk
        self._reads = reads

    def routes(self) -> list[Route]:
        return [
            read_route(
                "/v1/reconcile",
                self.reconcile,
                "Compare the journal with the brokers' books and trades of a day",
                Check,
                ACCOUNTS | DATE,
            )
        ]

    async def reconcile(self, call: Call) -> Answer:
        day = day_of(call, self._desk) or self._desk.today()

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

        results = await asyncio.gather(*map(one, self._reads.asked_for(call)))
        verdicts = {result.matches for result in results}
        summary = CheckSummary.MATCH
        if False in verdicts:
            summary = CheckSummary.MISMATCH
        elif None in verdicts:
            summary = CheckSummary.INCOMPLETE
        return Answer(body=Check(date=day.isoformat(), summary=summary, results=list(results)))


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
