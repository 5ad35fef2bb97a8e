"""Where practice prices come from when no account lends its own: the synthetic market."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from adapters.paper.master import write_universe
from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.models import BrokerDepth, BrokerQuote, Candle, DepthLevel, Interval
from adapters.sdk.simulator import Contract, Universe
from adapters.sdk.simulator.candles import candles
from adapters.sdk.simulator.clock import Clock

# Any quantity trades at the one price there is; a depth has to say some.
_LOTS_OFFERED = 1000


class Market(Protocol):
    """What a practice account looks prices up in; see `BorrowedMarket`."""

    async def quotes(self, instruments: Sequence[str]) -> dict[str, BrokerQuote]: ...

    async def depth(self, instrument: str) -> BrokerDepth | None: ...

    async def candles(
        self, instrument: str, interval: Interval, start: datetime, end: datetime
    ) -> list[Candle]: ...

    async def copy_instruments(self, path: Path) -> int: ...


class SyntheticMarket:
    """The simulators' market: every contract stands at its opening price, bid and asked alike."""

    def __init__(self, clock: Clock, rows: int = 0) -> None:
        self._clock = clock
        self._rows = rows
        self._universe = Universe(clock().date(), rows=rows)

    def contract(self, instrument: str) -> Contract:
        """Raises: `Denied` for what the synthetic market does not have."""
        found = self._of_today().by_instrument(instrument)
        if found is None:
            raise Denied(
                f"{instrument} is not in the synthetic market; name an account whose prices to"
                " use in quotes_from",
                reason=ReasonCode.INSTRUMENT_UNKNOWN,
            )
        return found

    async def quotes(self, instruments: Sequence[str]) -> dict[str, BrokerQuote]:
        universe, now = self._of_today(), self._clock()
        found = ((name, universe.by_instrument(name)) for name in instruments)
        return {
            name: BrokerQuote(
                instrument=name, last_price=contract.price, as_of=now, close=contract.price
            )
            for name, contract in found
            if contract is not None
        }

    async def depth(self, instrument: str) -> BrokerDepth | None:
        contract = self.contract(instrument)
        if not contract.is_tradable:
            return None
        level = DepthLevel(price=contract.price, quantity=contract.lot_size * _LOTS_OFFERED)
        return BrokerDepth(instrument=instrument, bids=(level,), asks=(level,), as_of=self._clock())

    async def candles(
        self, instrument: str, interval: Interval, start: datetime, end: datetime
    ) -> list[Candle]:
        return candles(self.contract(instrument), interval, start, end, self._clock())

    async def copy_instruments(self, path: Path) -> int:
        universe = self._of_today()
        write_universe(universe, path)
        return len(universe)

    def _of_today(self) -> Universe:
        today = self._clock().date()
        if today != self._universe.today:
            self._universe = Universe(today, rows=self._rows)
        return self._universe
