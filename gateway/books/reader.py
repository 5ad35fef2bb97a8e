"""Reads of brokers' books for whoever asks, alike for every account and never twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.models import Instrument, Session
from gateway.books.known import Book, KnownHolding, KnownOrder, KnownPosition, KnownTrade
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason
from gateway.orders.times import now_us, to_us
from gateway.store.snapshots import SnapshotKind

T = TypeVar("T")
FindContracts = Callable[[Account, Sequence[Mapping[str, str]]], Awaitable[list[Instrument | None]]]
FindIsins = Callable[[str, Collection[str]], Awaitable[dict[str, str]]]


class LiveKind(StrEnum):
    """What is only ever shown as it is now. FUNDS is a book of one row."""

    HOLDINGS = "holdings"
    FUNDS = "funds"


Kind = SnapshotKind | LiveKind


class NotRead(Exception):
    """The broker's book could not be read; `reason` is for the answer."""

    def __init__(self, reason: Reason, *, supported: bool = True) -> None:
        super().__init__(reason.message)
        self.reason = reason
        self.supported = supported


class BookReader:
    """One per process. A read that was asked for while another ran begins after it, once for all
    who asked meanwhile: so nobody gets rows from before he asked, however many ask.
    """

    def __init__(
        self,
        find_contracts: FindContracts,
        find_isins: FindIsins,
        on_session_expired: Callable[[Account, LoginExpired], None],
        *,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._find_contracts = find_contracts
        self._find_isins = find_isins
        self._on_session_expired = on_session_expired
        self._clock = clock
        self._locks: dict[tuple[str, Kind], asyncio.Lock] = {}
        self._waiting: dict[tuple[str, Kind], asyncio.Task[Book[Any]]] = {}
        self._tasks: set[asyncio.Task[Book[Any]]] = set()

    async def close(self) -> None:
        """End what is still being read."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read(self, account: Account, kind: Kind) -> Book[Any]:
        """Read one kind of rows, whole. Raises `NotRead`."""
        key = (account.id, kind)
        task = self._waiting.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._in_turn(account, kind))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            self._waiting[key] = task
        # Shielded: a caller that goes away does not take the others' answer with it.
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Book[Any]]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Heard, also where nobody waits for it any more.
            task.exception()

    async def _in_turn(self, account: Account, kind: Kind) -> Book[Any]:
        key = (account.id, kind)
        async with self._locks.setdefault(key, asyncio.Lock()):
            del self._waiting[key]
            return await self._read(account, kind)

    async def _read(self, account: Account, kind: Kind) -> Book[Any]:
        begun_us = self._clock()
        session = session_of(account, begun_us)
        try:
            match kind:
                case SnapshotKind.ORDERBOOK:
                    return Book(begun_us, await self._orders(account, session))
                case SnapshotKind.TRADES:
                    return Book(begun_us, await self._trades(account, session))
                case SnapshotKind.POSITIONS:
                    return Book(begun_us, await self._positions(account, session))
                case LiveKind.HOLDINGS:
                    return Book(begun_us, await self._holdings(account, session))
                case LiveKind.FUNDS:
                    return Book(begun_us, [await account.calls.funds(session)])
        except LoginExpired as error:
            self._on_session_expired(account, error)
            raise NotRead(reason_of(error)) from error
        except GatewayError as error:
            raise NotRead(
                reason_of(error), supported=error.reason is not ReasonCode.NOT_SUPPORTED
            ) from error

    async def _orders(self, account: Account, session: Session) -> list[KnownOrder]:
        rows = await account.calls.order_book(session)
        found = await self._find_contracts(account, [row.codes for row in rows])
        return [
            KnownOrder(row, item.instrument if item else row.instrument)
            for row, item in zip(rows, found, strict=True)
        ]

    async def _trades(self, account: Account, session: Session) -> list[KnownTrade]:
        rows = await account.calls.trade_book(session)
        found = await self._find_contracts(account, [row.codes for row in rows])
        return [
            KnownTrade(row, item.instrument if item else None)
            for row, item in zip(rows, found, strict=True)
        ]

    async def _positions(self, account: Account, session: Session) -> list[KnownPosition]:
        rows = await account.calls.positions(session)
        found = await self._find_contracts(account, [row.codes for row in rows])
        return [
            KnownPosition(row, item.instrument, item.lot_size) if item else KnownPosition(row)
            for row, item in zip(rows, found, strict=True)
        ]

    async def _holdings(self, account: Account, session: Session) -> list[KnownHolding]:
        rows = await account.calls.holdings(session)
        found = await self._find_contracts(account, [row.codes for row in rows])
        unnamed = [row.isin for row, item in zip(rows, found, strict=True) if not item and row.isin]
        names = await self._find_isins(account.broker, unnamed)
        return [
            KnownHolding(row, item.instrument if item else names.get(row.isin or ""))
            for row, item in zip(rows, found, strict=True)
        ]


def session_of(account: Account, now_us: int) -> Session:
    """Return the session that a read may use, or raise why there is none."""
    session = account.session
    if session is not None and to_us(session.expires_at) > now_us:
        return session
    reason = account.obstacle() if session is not None else account.session_problem
    raise NotRead(
        reason
        or Reason(
            code=ReasonCode.SESSION_MISSING,
            message=f"{account.id} is not logged in; POST /v1/sessions/{account.id}/login",
            retryable=True,
        )
    )


def reason_of(error: GatewayError) -> Reason:
    return Reason(
        code=error.reason,
        message=error.message,
        broker_code=error.broker_code,
        broker_message=error.broker_message,
        retryable=error.reason is not ReasonCode.NOT_SUPPORTED,
    )
