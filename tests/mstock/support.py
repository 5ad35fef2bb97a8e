"""What the m.Stock tests share: payloads, an account against its simulator, and a gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapters.mstock.adapter import MstockAdapter
from adapters.mstock.constants import IST
from adapters.mstock.envelope import Envelope, decode_envelope
from adapters.mstock.simulator import MstockSimulator
from adapters.sdk.interface import AdapterContext
from adapters.sdk.models import (
    Instrument,
    OrderRef,
    OrderType,
    OtpRequired,
    PlaceOrder,
    Product,
    Session,
    Side,
    Validity,
)
from adapters.sdk.simulator import ManualClock

PAYLOADS = Path(__file__).parents[2] / "adapters" / "mstock" / "payloads"
TAG = 123456789012345
AT_ONCE = {"book_lag_ms": 0, "ack_delay_ms": 0, "fill_delay_ms": 0}


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


def answer(name: str) -> Envelope:
    """Decode a payload under the HTTP status that its name says (200 without one)."""
    http = int(name.rpartition("_http")[2]) if "_http" in name else 200
    return decode_envelope(http, payload(name))


class Gate:
    """Lets everything pass and counts what passed."""

    def __init__(self) -> None:
        self.checks = 0

    async def ready(self) -> None:
        return None

    def check(self) -> None:
        self.checks += 1


class Desk:
    """One account, its simulator, and the instruments of that simulator's master."""

    def __init__(self, simulator: MstockSimulator, adapter: MstockAdapter) -> None:
        self.simulator = simulator
        self.adapter = adapter
        self.session: Session
        self.instruments: dict[str, Instrument] = {}

    async def log_in(self) -> Session:
        credentials = self.simulator.credentials
        step = await self.adapter.begin_login(credentials)
        if isinstance(step, OtpRequired):
            otp = await self.simulator.read_otp()
            step = await self.adapter.submit_otp(credentials, step.pending, otp)
        assert isinstance(step, Session)
        self.session = step
        return step

    async def load(self, folder: Path) -> None:
        files = await self.adapter.download_master(self.session, folder)
        self.instruments = {row.instrument: row for row in self.adapter.read_master(files)}

    def order(self, name: str = "NSE:SBIN", **changes: Any) -> PlaceOrder:
        """A buy of 10 at a price that rests, unless `changes` say otherwise."""
        fields: dict[str, Any] = {
            "broker_tag": TAG,
            "instrument": self.instruments[name],
            "side": Side.BUY,
            "order_type": OrderType.LIMIT,
            "product": Product.CNC,
            "validity": Validity.DAY,
            "quantity": 10,
            "price": Decimal("800.50"),
        }
        return PlaceOrder(**(fields | changes))

    async def place(self, order: PlaceOrder) -> OrderRef:
        placed = await self.adapter.place_order(self.session, order, Gate())
        return ref(order, placed.broker_order_id)


def ref(order: PlaceOrder, broker_order_id: str) -> OrderRef:
    return OrderRef(
        broker_order_id=broker_order_id,
        instrument=order.instrument,
        order_type=order.order_type,
        amo=order.amo,
    )


@asynccontextmanager
async def desk(
    *,
    login: str = "otp",
    answer_timeout_s: float = 5.0,
    clock: ManualClock | None = None,
    **options: Any,
) -> AsyncIterator[Desk]:
    """Start a simulator and an adapter for it, not logged in. Both go by `clock`."""
    simulator = MstockSimulator(clock=clock, options=AT_ONCE | {"login": login} | options)
    await simulator.start()
    adapter = MstockAdapter(
        AdapterContext(
            account="mstock-main",
            base_urls=simulator.base_urls,
            login=login,
            answer_timeout_s=answer_timeout_s,
            read_timeout_s=answer_timeout_s,
        ),
        clock=clock or (lambda: datetime.now(IST)),
    )
    try:
        yield Desk(simulator, adapter)
    finally:
        await adapter.close()
        await simulator.stop()
