"""Lends one account's market to another: prices, candles and instruments, by canonical id.

For practice accounts, whose adapter has no market of its own. The lender's calls go through its
own limits and breakers, as anybody's reads do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from adapters.sdk.errors import Denied, LoginExpired, NotSupported, ReasonCode
from adapters.sdk.interface import BorrowedMarket
from adapters.sdk.models import BrokerDepth, BrokerQuote, Candle, Instrument, Interval, Session
from gateway.orchestrator.account import Account
from gateway.orders.times import IST
from gateway.store.listing import copy_listing

T = TypeVar("T")
Find = Callable[[str, str], Awaitable[Instrument | None]]


class Lending:
    """Every market that is lent. Made before the accounts are, and opened once they are there."""

    def __init__(self, instruments_path: Path) -> None:
        self.instruments_path = instruments_path
        self._accounts: Mapping[str, Account] = {}
        self._find: Find | None = None
        self._on_expired: Callable[[Account, LoginExpired], None] | None = None

    def open(
        self,
        accounts: Mapping[str, Account],
        find: Find,
        on_expired: Callable[[Account, LoginExpired], None],
    ) -> None:
        """Let the markets be used. `on_expired` hears of a lender's session found dead."""
        self._accounts, self._find, self._on_expired = accounts, find, on_expired

    def market(self, lender: str | None) -> BorrowedMarket | None:
        """Return the market of the account of that id, None for none."""
        return _LentMarket(self, lender) if lender is not None else None

    def lender(self, account_id: str) -> Account:
        return self._accounts[account_id]

    async def find(self, account: Account, instrument: str) -> Instrument | None:
        """Return what the lender's broker lists, None where it lists nothing certain."""
        if self._find is None:
            return None
        try:
            return await self._find(account.broker, instrument)
        except LookupError:
            return None

    async def ask(self, account: Account, read: Callable[[Session], Awaitable[T]]) -> T:
        """Read something in the lender's session. Raises `Denied` where there is none."""
        session = account.session
        if session is None:
            raise Denied(
                f"{account.id}, whose market this is, is not logged in;"
                f" POST /v1/sessions/{account.id}/login",
                reason=ReasonCode.SESSION_MISSING,
            )
        try:
            return await read(session)
        except LoginExpired as error:
            if self._on_expired is not None:
                self._on_expired(account, error)
            raise Denied(
                f"the session of {account.id}, whose market this is, has ended; log in again",
                reason=ReasonCode.SESSION_EXPIRED,
            ) from error


class _LentMarket:
    def __init__(self, lending: Lending, lender: str) -> None:
        self._lending = lending
        self._lender = lender

    async def quotes(self, instruments: Sequence[str]) -> dict[str, BrokerQuote]:
        account = self._lending.lender(self._lender)
        found = [await self._lending.find(account, name) for name in instruments]
        listed = [item for item in found if item is not None]
        if not listed:
            return {}
        return await self._lending.ask(
            account, lambda session: account.calls.quotes(session, listed)
        )

    async def depth(self, instrument: str) -> BrokerDepth | None:
        account = self._lending.lender(self._lender)
        item = await self._listed(account, instrument)
        return await self._lending.ask(account, lambda session: account.calls.depth(session, item))

    async def candles(
        self, instrument: str, interval: Interval, start: datetime, end: datetime
    ) -> list[Candle]:
        account = self._lending.lender(self._lender)
        days = account.plugin.capabilities.candle_days.get(interval)
        if not days:
            raise NotSupported(
                f"{account.id}, whose market this is, has no {interval.value} candles"
            )
        item = await self._listed(account, instrument)
        made: list[Candle] = []
        for first, last in _pieces(start.astimezone(IST), end.astimezone(IST), days):
            read = partial(
                account.calls.candles, instrument=item, interval=interval, start=first, end=last
            )
            made += await self._lending.ask(account, read)
        return made

    async def copy_instruments(self, path: Path) -> int:
        account = self._lending.lender(self._lender)
        copied = await asyncio.to_thread(
            copy_listing, self._lending.instruments_path, account.broker, path
        )
        if not copied:
            raise Denied(
                f"the instruments of {account.broker}, whose list this is, are not loaded yet",
                reason=ReasonCode.BROKER_UNAVAILABLE,
            )
        return copied

    async def _listed(self, account: Account, instrument: str) -> Instrument:
        found = await self._lending.find(account, instrument)
        if found is None:
            raise Denied(
                f"{account.broker} does not list {instrument}",
                reason=ReasonCode.INSTRUMENT_UNKNOWN,
            )
        return found


def _pieces(start: datetime, end: datetime, days: int) -> list[tuple[datetime, datetime]]:
    """Cut a range into what the lender takes in one call: so many days, and today apart."""
    today = datetime.combine(datetime.now(IST).date(), time(), IST)
    pieces = []
    while start <= end:
        stop = _midnight(start.date() + timedelta(days=days))
        if start < today:
            stop = min(stop, today)
        pieces.append((start, min(end, stop - timedelta(microseconds=1))))
        start = stop
    return pieces


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), IST)
