"""Synthetic candles that every simulator shares: a pure function of the contract and the time.

All intervals are sums of the same minutes, so a day's candle is what its minutes make of it.
Saturdays and Sundays have none; holidays are ignored. They follow the contract's opening price
and know nothing of what the matching engine trades.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from adapters.sdk.models import Candle, Exchange, InstrumentType, Interval
from adapters.sdk.simulator.clock import IST
from adapters.sdk.simulator.universe import Contract

MINUTES: Final = {
    Interval.M1: 1,
    Interval.M3: 3,
    Interval.M5: 5,
    Interval.M10: 10,
    Interval.M15: 15,
    Interval.M30: 30,
    Interval.H1: 60,
}
"""How many minutes an intraday interval covers."""


def candles(
    contract: Contract, interval: Interval, start: datetime, end: datetime, now: datetime
) -> list[Candle]:
    """Make the candles that begin in `start` to `end` (both included) and not after `now`.

    Oldest first, times in IST: intraday ones count from the opening bell, so the last of a day
    may be short; a day's candle begins at its midnight and exists from the opening bell on. The
    one that `now` falls into is unfinished, and grows as `now` moves on.
    """
    if interval is Interval.D1:
        return daily_candles(contract, start, end, now)
    return intraday_candles(contract, MINUTES[interval], start, end, now)


def intraday_candles(
    contract: Contract, minutes: int, start: datetime, end: datetime, now: datetime
) -> list[Candle]:
    """Make candles of any number of minutes, as `candles` does."""
    start, end, now = start.astimezone(IST), end.astimezone(IST), now.astimezone(IST)
    made = []
    for day in _trading_days(start.date(), min(end, now).date()):
        opens = _opens_at(contract, day)
        traded = _traded(contract, day, now)
        for first in range(0, len(traded), minutes):
            at = opens + timedelta(minutes=first)
            if start <= at <= end:
                made.append(_candle(contract, at, _merge(traded[first : first + minutes])))
    return made


def daily_candles(
    contract: Contract, start: datetime, end: datetime, now: datetime
) -> list[Candle]:
    """Make candles of a trading day each, as `candles` does."""
    start, end, now = start.astimezone(IST), end.astimezone(IST), now.astimezone(IST)
    made = []
    for day in _trading_days(start.date(), min(end, now).date()):
        at = datetime.combine(day, time(), IST)
        if start <= at <= end:
            bar = _whole_day(contract, day) if day < now.date() else None
            traded = () if bar else _traded(contract, day, now)
            if bar or traded:
                made.append(_candle(contract, at, bar or _merge(traded)))
    return made


class _Bar(msgspec.Struct, frozen=True):
    """Prices in ticks over some minutes."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    open_interest: int


_SESSION_OPEN: Final = {Exchange.MCX: time(9), Exchange.CDS: time(9), Exchange.BCD: time(9)}
_SESSION_MINUTES: Final = {Exchange.MCX: 870, Exchange.CDS: 480, Exchange.BCD: 480}
_BYTES_PER_MINUTE: Final = 5


def _trading_days(first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def _opens_at(contract: Contract, day: date) -> datetime:
    return datetime.combine(day, _SESSION_OPEN.get(contract.exchange, time(9, 15)), IST)


def _traded(contract: Contract, day: date, now: datetime) -> tuple[_Bar, ...]:
    """Return the day's minutes that have begun, the running one as far as it has come."""
    bars = _minutes(contract, day)
    if day < now.date():
        return bars
    passed = now - _opens_at(contract, day)
    whole, rest = divmod(passed, timedelta(minutes=1))
    if passed < timedelta(0):
        return ()
    if whole >= len(bars):
        return bars
    running, seconds = bars[whole], int(rest.total_seconds())
    close = running.open + (running.close - running.open) * seconds // 60
    return (
        *bars[:whole],
        _Bar(
            open=running.open,
            high=max(running.open, close),
            low=min(running.open, close),
            close=close,
            volume=running.volume * seconds // 60,
            open_interest=running.open_interest,
        ),
    )


@lru_cache(maxsize=256)
def _minutes(contract: Contract, day: date) -> tuple[_Bar, ...]:
    """Walk one day: it opens within 3 % of the contract's price and moves within 2 % of that."""
    count = _SESSION_MINUTES.get(contract.exchange, 375)
    dice = random.Random(f"{contract.instrument} {day.isoformat()}")
    base = max(1, int(contract.price / contract.tick_size))
    level = max(1, base + base * dice.randint(-300, 300) // 10_000)
    lowest, highest = max(1, level - level // 50), level + max(1, level // 50)
    step = max(1, level // 2500)
    is_index = contract.type is InstrumentType.INDEX
    open_interest = contract.lot_size * dice.randint(1_000, 9_000) if contract.is_derivative else 0
    noise = dice.randbytes(count * _BYTES_PER_MINUTE)
    bars = []
    at = level
    for place in range(0, len(noise), _BYTES_PER_MINUTE):
        move, up, down, traded, opened = noise[place : place + _BYTES_PER_MINUTE]
        close = min(highest, max(lowest, at + (move - 127) * step // 64))
        if contract.is_derivative:
            open_interest = max(0, open_interest + (opened - 127) * contract.lot_size)
        bars.append(
            _Bar(
                open=at,
                high=min(highest, max(at, close) + up * step // 200),
                low=max(lowest, min(at, close) - down * step // 200),
                close=close,
                volume=0 if is_index else (traded + 1) * contract.lot_size,
                open_interest=open_interest,
            )
        )
        at = close
    return tuple(bars)


@lru_cache(maxsize=4096)
def _whole_day(contract: Contract, day: date) -> _Bar:
    return _merge(_minutes(contract, day))


def _merge(bars: tuple[_Bar, ...]) -> _Bar:
    return _Bar(
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=sum(bar.volume for bar in bars),
        open_interest=bars[-1].open_interest,
    )


def _candle(contract: Contract, at: datetime, bar: _Bar) -> Candle:
    tick: Decimal = contract.tick_size
    return Candle(
        at=at,
        open=bar.open * tick,
        high=bar.high * tick,
        low=bar.low * tick,
        close=bar.close * tick,
        volume=bar.volume,
        open_interest=bar.open_interest if contract.is_derivative else None,
    )
