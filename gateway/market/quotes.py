"""Quotes of accounts, read once for all who ask at the same time, and kept for a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.models import BrokerQuote, Instrument
from gateway.books.reader import NotRead, reason_of, session_of
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason
from gateway.orders.times import now_us

KEPT_S = 1.0
_MOST_KEPT = 5_000

Find = Callable[[str, str], Awaitable[Instrument | None]]
OnExpired = Callable[[Account, LoginExpired], None]
Answer = BrokerQuote | Reason
_Key = tuple[str, str]


class QuoteDesk:
    """One per process. A caller that goes away does not take the others' answer with it."""

    def __init__(
        self, find: Find, on_expired: OnExpired, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._find = find
        self._on_expired = on_expired
        self._clock = clock
        self._kept: dict[_Key, tuple[float, BrokerQuote]] = {}
        self._reading: dict[_Key, asyncio.Task[dict[str, Answer]]] = {}
        self._tasks: set[asyncio.Task[dict[str, Answer]]] = set()

    async def close(self) -> None:
        """End what is still being read."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def one(self, account: Account, instrument: str) -> Answer:
        """Read one instrument's price, or say why there is none."""
        return (await self.read(account, [instrument]))[instrument]

    async def read(self, account: Account, instruments: Sequence[str]) -> dict[str, Answer]:
        """Read prices by canonical id: for each of them a quote, or why there is none."""
        found: dict[str, Answer] = {}
        waiting: dict[str, asyncio.Task[dict[str, Answer]]] = {}
        wanted = []
        for name in dict.fromkeys(instruments):
            kept = self._kept.get((account.id, name))
            if kept is not None and self._clock() - kept[0] < KEPT_S:
                found[name] = kept[1]
            elif (task := self._reading.get((account.id, name))) is not None:
                waiting[name] = task
            else:
                wanted.append(name)
        if wanted:
            task = asyncio.get_running_loop().create_task(self._read(account, wanted))
            self._tasks.add(task)
            for name in wanted:
                self._reading[account.id, name] = waiting[name] = task
            task.add_done_callback(lambda task: self._ended(task, account.id, wanted))
        for name, task in waiting.items():
            found[name] = (await asyncio.shield(task))[name]
        return found

    def _ended(
        self, task: asyncio.Task[dict[str, Answer]], account_id: str, names: Sequence[str]
    ) -> None:
        self._tasks.discard(task)
        for name in names:
            self._reading.pop((account_id, name), None)
        if not task.cancelled():
            # Heard, also where nobody waits for it any more.
            task.exception()

    async def _read(self, account: Account, names: Sequence[str]) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        listed = []
        for name in names:
            contract = await listing(self._find, account, name)
            if isinstance(contract, Reason):
                answers[name] = contract
            else:
                listed.append(contract)
        if not listed:
            return answers
        begun = self._clock()
        try:
            quotes = await account.calls.quotes(session_of(account, now_us()), listed)
        except NotRead as error:
            return answers | dict.fromkeys((item.instrument for item in listed), error.reason)
        except GatewayError as error:
            if isinstance(error, LoginExpired):
                self._on_expired(account, error)
            return answers | dict.fromkeys((item.instrument for item in listed), reason_of(error))
        self._prune(begun)
        for item in listed:
            name = item.instrument
            quote = quotes.get(name)
            if quote is None:
                answers[name] = Reason(
                    code=ReasonCode.PRICE_UNAVAILABLE,
                    message=f"{account.id} has no price of {name}",
                    retryable=True,
                )
            else:
                answers[name] = quote
                self._kept[account.id, name] = (begun, quote)
        return answers

    def _prune(self, now: float) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {key: kept for key, kept in self._kept.items() if now - kept[0] < KEPT_S}


async def listing(find: Find, account: Account, instrument: str) -> Instrument | Reason:
    """Return the contract as the account's broker lists it, or why it is not certain."""
    try:
        contract = await find(account.broker, instrument)
    except LookupError as error:
        return Reason(code=ReasonCode.INSTRUMENT_UNKNOWN, message=str(error))
    if contract is None:
        return Reason(
            code=ReasonCode.INSTRUMENT_UNKNOWN,
            message=f"{instrument} is not in the instrument master of {account.broker}; ids look"
            " like NSE:SBIN, and GET /v1/instruments finds them",
        )
    return contract
