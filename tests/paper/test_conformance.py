"""The paper adapter under the shared suite. Its exchange is in the same process: no wire."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, cast

import msgspec

from adapters.paper import PLUGIN
from adapters.paper.adapter import PaperAdapter
from adapters.sdk.conformance import AdapterConformance
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin
from adapters.sdk.models import InstrumentType, Session
from adapters.sdk.simulator import BrokerSimulator, Engine, Holding, Universe
from adapters.sdk.simulator.clock import system_clock


class Inside:
    """Stands where other adapters have a simulator: shows the engine of the adapter under test."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.adapter: PaperAdapter | None = None
        self.credentials: dict[str, str] = {}
        self.base_urls: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.faults: list[Any] = []
        self.universe = Universe(system_clock().date(), rows=rows)
        self.later = timedelta(0)

    @property
    def engine(self) -> Engine:
        assert self.adapter is not None
        broker = self.adapter.book._broker
        assert broker is not None
        return broker.engine

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def expire_sessions(self) -> None:
        """Let midnight come: nothing else ends them."""
        self.later = timedelta(days=1)

    def clock(self) -> datetime:
        return system_clock() + self.later


class TestPaper(AdapterConformance):
    plugin: ClassVar[AdapterPlugin] = PLUGIN
    wire: ClassVar[bool] = False

    def make_simulator(self, **options: Any) -> BrokerSimulator:
        self.inside = Inside(options.get("rows", 0))
        return cast(BrokerSimulator, self.inside)

    def make_adapter(self, context: AdapterContext) -> Adapter:
        # The kit sells what nobody owns and buys contracts worth millions.
        rich = msgspec.structs.replace(context, practice_cash=Decimal(10_000_000_000))
        made = PaperAdapter(rich, clock=self.inside.clock, rows=self.inside.rows)
        self.inside.adapter = made
        return made

    async def log_in(self, adapter: Adapter, simulator: BrokerSimulator) -> Session:
        session = await super().log_in(adapter, simulator)
        await adapter.warm(session)
        self.inside.engine.account.holdings = tuple(
            Holding(contract=one, quantity=1000, average_price=one.price)
            for one in self.inside.universe.contracts()
            if one.type is InstrumentType.EQ
        )
        return session
