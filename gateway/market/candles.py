"""Candles from the cache and from brokers: only what is missing is asked for, and once.

Kept is what was final when the broker's answer began. The newest candles are read again from
the last final one on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from weakref import WeakValueDictionary

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.models import Candle, Exchange, Instrument, Interval
from gateway.books.reader import NotRead, reason_of, session_of
from gateway.calendar import Calendar
from gateway.market.quotes import Find, OnExpired, listing
from gateway.orchestrator.account import Account
from gateway.orchestrator.trading_day import is_closed
from gateway.orders.records import Reason
from gateway.orders.times import IST, ist, now_us, to_us
from gateway.store.candles import CandleStore, Range, Series

MINUTES = {
    Interval.M1: 1,
    Interval.M3: 3,
    Interval.M5: 5,
    Interval.M10: 10,
    Interval.M15: 15,
    Interval.M30: 30,
    Interval.H1: 60,
}
_MINUTE_US = 60_000_000
_DAY_US = 24 * 60 * _MINUTE_US
# Brokers build a candle some seconds after its last trade.
_MARGIN_US = _MINUTE_US
# A split changes the prices of all days before it.
_KEPT_US = 7 * _DAY_US
# For so long a day that should have candles and shows none may only be late.
_LATE_DAYS = 5


class CandleDesk:
    """One per process."""

    def __init__(
        self,
        store: CandleStore,
        find: Find,
        on_expired: OnExpired,
        calendar: Calendar,
        *,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._store = store
        self._find = find
        self._on_expired = on_expired
        self._calendar = calendar
        self._clock = clock
        self._locks: WeakValueDictionary[Series, asyncio.Lock] = WeakValueDictionary()

    async def read(
        self, account: Account, name: str, interval: Interval, start: datetime, end: datetime
    ) -> list[Candle]:
        """Read the candles that begin in `start` to `end` (both included), oldest first.

        Raises: `NotRead`.
        """
        days = account.plugin.capabilities.candle_days.get(interval)
        if not days:
            message = f"{account.plugin.title} has no {interval} candles"
            reason = Reason(code=ReasonCode.NOT_SUPPORTED, message=message)
            raise NotRead(reason, supported=False)
        contract = await listing(self._find, account, name)
        if isinstance(contract, Reason):
            raise NotRead(contract)
        now = self._clock()
        wanted = (to_us(start), min(to_us(end), now) + 1)
        if wanted[0] >= wanted[1]:
            return []
        series = (account.broker, name, interval.value)
        lock = self._locks.setdefault(series, asyncio.Lock())
        async with lock:
            fresh = now - _KEPT_US
            found: dict[int, Candle] = {}
            for gap in await self._store.missing(series, wanted, fresh):
                for piece in _pieces(gap, days, ist(now).date()):
                    if self._is_idle(contract.exchange, piece):
                        continue
                    read = await self._ask(account, contract, interval, piece, series)
                    found.update((to_us(candle.at), candle) for candle in read)
            kept = await self._store.load(series, wanted, now)
        found = {to_us(candle.at): candle for candle in kept} | found
        return [found[at] for at in sorted(found) if wanted[0] <= at < wanted[1]]

    async def _ask(
        self,
        account: Account,
        contract: Instrument,
        interval: Interval,
        piece: Range,
        series: Series,
    ) -> list[Candle]:
        begun = self._clock()
        first, last = ist(piece[0]), ist(piece[1] - 1)
        try:
            session = session_of(account, begun)
            candles = await account.calls.candles(session, contract, interval, first, last)
        except GatewayError as error:
            if isinstance(error, LoginExpired):
                self._on_expired(account, error)
            supported = error.reason is not ReasonCode.NOT_SUPPORTED
            raise NotRead(reason_of(error), supported=supported) from error
        candles = [item for item in candles if piece[0] <= to_us(item.at) < piece[1]]
        covered = (piece[0], self._final_until(contract, interval, piece, candles, begun))
        if covered[0] < covered[1]:
            final = [item for item in candles if to_us(item.at) < covered[1]]
            await self._store.save(series, covered, final, begun)
        return candles

    def _final_until(
        self,
        contract: Instrument,
        interval: Interval,
        piece: Range,
        candles: list[Candle],
        begun: int,
    ) -> int:
        """Until when nothing of what was read will change or come later."""
        today = ist(begun).date()
        if interval is Interval.D1:
            final = _midnight(ist(begun - _MARGIN_US).date())
        elif is_closed(today, contract.instrument, begun - _MARGIN_US):
            final = _midnight(today + timedelta(days=1))
        else:
            final = begun - _MARGIN_US - MINUTES[interval] * _MINUTE_US + 1
        end = min(piece[1], final)
        settled = [to_us(item.at) for item in candles if to_us(item.at) < end]
        # After the last candle, a day that trades and shows none yet may only be late.
        tail = max(settled) + 1 if settled else piece[0]
        day = ist(tail).date()
        if settled and day < today:
            day += timedelta(days=1)
        day = max(day, today - timedelta(days=_LATE_DAYS))
        while day <= ist(end - 1).date():
            if self._calendar.trades_on(day, contract.exchange):
                closed = day == today and final > begun and bool(settled)
                return end if closed else min(end, max(tail, _midnight(day)))
            day += timedelta(days=1)
        return end

    def _is_idle(self, exchange: Exchange, piece: Range) -> bool:
        """Whether the exchange trades on none of a range's days, of which it is sure."""
        day, last = ist(piece[0]).date(), ist(piece[1] - 1).date()
        if (last - day).days > _LATE_DAYS:
            return False
        while day <= last:
            sure = day.weekday() >= 5 or self._calendar.is_known(day, exchange)
            if not sure or self._calendar.trades_on(day, exchange):
                return False
            day += timedelta(days=1)
        return True


def _pieces(gap: Range, days: int, today: date) -> list[Range]:
    """Cut a range into what one call may ask for: so many days, and today apart."""
    pieces = []
    at, end = gap
    midnight = _midnight(today)
    while at < end:
        stop = _midnight(ist(at).date() + timedelta(days=days))
        if at < midnight:
            stop = min(stop, midnight)
        pieces.append((at, min(stop, end)))
        at = stop
    return pieces


def _midnight(day: date) -> int:
    return to_us(datetime.combine(day, time(), IST))
