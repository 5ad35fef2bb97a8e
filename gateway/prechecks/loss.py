"""Watches the day's loss, and says when it reaches what an owner set as the most.

A loss is only believed where every position's profit is known: nothing is engaged on a guess.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal

from adapters.sdk.models import BrokerPosition, BrokerQuote
from gateway.books.known import KnownPosition
from gateway.books.reader import BookReader, NotRead
from gateway.orchestrator.account import Account
from gateway.orders.times import IST
from gateway.prechecks.book import LimitBook
from gateway.prechecks.desk import PrecheckDesk, ReadQuote
from gateway.store.snapshots import SnapshotKind

log = logging.getLogger(__name__)

EVERY_S = 30.0
# How often an account is looked at that neither traded today nor had positions.
_IDLE_TURNS = 10
_ZERO = Decimal(0)

# What an account (None: all together) lost, and the words for it.
OnLoss = Callable[[str | None, str], None]


class LossWatch:
    """One per process. `on_loss` is called once a day for each target and figure."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        limits: LimitBook,
        desk: PrecheckDesk,
        reader: BookReader,
        read_quote: ReadQuote,
        on_loss: OnLoss,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(IST),
    ) -> None:
        self._accounts = accounts
        self._limits = limits
        self._desk = desk
        self._reader = reader
        self._read_quote = read_quote
        self._on_loss = on_loss
        self._now = now
        self._told: set[tuple[date, str | None, Decimal]] = set()
        self._unknown: set[str] = set()
        self._idle: dict[str, int] = {}

    async def run(self) -> None:
        """Look for ever. Never raises: a failing look is logged, and the next one comes."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("the day's losses could not be looked at")
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Look once at every account that has a limit, its own or that over all."""
        all_of_them = self._limits.of(None).max_daily_loss
        wanted = [
            account
            for account in self._accounts.values()
            if all_of_them is not None or self._limits.of(account.id).max_daily_loss is not None
        ]
        profits = await asyncio.gather(*(self._profit(account) for account in wanted))
        for account, profit in zip(wanted, profits, strict=True):
            self._judge(account.id, self._limits.of(account.id).max_daily_loss, profit)
        known = [profit for profit in profits if profit is not None]
        if len(known) == len(wanted):
            self._judge(None, all_of_them, sum(known, _ZERO))

    def _judge(self, target: str | None, most: Decimal | None, profit: Decimal | None) -> None:
        if most is None or profit is None or -profit < most:
            return
        told = (self._now().date(), target, most)
        if told in self._told:
            return
        self._told.add(told)
        whose = f"of {target}" if target is not None else "of all accounts together"
        self._on_loss(target, f"the day's loss {whose} is {-profit}; max_daily_loss is {most}")

    async def _profit(self, account: Account) -> Decimal | None:
        """The day's profit, zero where nothing was traded or held, None where it is not known."""
        traded = self._desk.ledger_of(account.id).day_quantity > 0
        if account.session is None:
            return None if traded else _ZERO
        idle = self._idle.get(account.id, 0)
        if idle and not traded and idle % _IDLE_TURNS:
            self._idle[account.id] = idle + 1
            return _ZERO
        try:
            book = await self._reader.read(account, SnapshotKind.POSITIONS)
        except NotRead as error:
            self._cannot_tell(account, f"its positions cannot be read: {error.reason.message}")
            return None
        self._idle[account.id] = 0 if book.rows or traded else idle + 1
        total = _ZERO
        for known in book.rows:
            profit = await self._profit_of(account, known)
            if profit is None:
                name = known.instrument or known.row.codes
                self._cannot_tell(account, f"what {name} made or lost is not known")
                return None
            total += profit
        self._unknown.discard(account.id)
        return total

    async def _profit_of(self, account: Account, known: KnownPosition) -> Decimal | None:
        found = profit_of(known.row, known.row.last_price)
        if found is not None or known.instrument is None:
            return found
        quote = await self._read_quote(account, known.instrument)
        if not isinstance(quote, BrokerQuote) or quote.last_price <= 0:
            return None
        if quote.as_of.astimezone(IST).date() != self._now().date():
            return None
        return profit_of(known.row, quote.last_price)

    def _cannot_tell(self, account: Account, why: str) -> None:
        if account.id not in self._unknown:
            self._unknown.add(account.id)
            log.warning("%s: max_daily_loss is not watched now: %s", account.id, why)


def profit_of(row: BrokerPosition, last_price: Decimal | None) -> Decimal | None:
    """What a position made today, realised and not, or None where the row does not tell."""
    realised, quantity = row.realised_pnl, row.quantity
    unrealised = row.unrealised_pnl
    if unrealised is None and quantity == 0:
        unrealised = _ZERO
    if unrealised is None and last_price is not None and row.average_price is not None:
        unrealised = (last_price - row.average_price) * quantity * row.multiplier
    if realised is not None and unrealised is not None:
        return realised + unrealised
    return _from_trades(row, last_price)


def _from_trades(row: BrokerPosition, last_price: Decimal | None) -> Decimal | None:
    """From the day's own buys and sells, where they are all that there is."""
    bought, sold = row.buy_quantity, row.sell_quantity
    if bought is None or sold is None or bought - sold != row.quantity:
        return None
    spent, got = _times(row.buy_price, bought), _times(row.sell_price, sold)
    left = _times(last_price, row.quantity)
    if spent is None or got is None or left is None:
        return None
    return (got - spent + left) * row.multiplier


def _times(price: Decimal | None, quantity: int) -> Decimal | None:
    if quantity == 0:
        return _ZERO
    return price * quantity if price is not None else None
