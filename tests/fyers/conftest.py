from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.config import MASTER_FILES
from adapters.fyers.constants import IST
from adapters.fyers.master import read_master
from adapters.fyers.simulator import FyersSimulator
from adapters.fyers.simulator_login import token_end
from adapters.fyers.simulator_symbols import master_file
from adapters.sdk.interface import AdapterContext
from adapters.sdk.models import (
    Instrument,
    ModifyOrder,
    OrderRef,
    OrderType,
    PlaceOrder,
    Product,
    RedirectRequired,
    Session,
    Side,
    Validity,
)
from adapters.sdk.transport import HttpRequest, HttpResponse, WebTransport


@dataclass
class Gate:
    """A send gate that lets everything pass and counts."""

    calls: list[str] = field(default_factory=list)

    async def ready(self) -> None:
        self.calls.append("ready")

    def check(self) -> None:
        self.calls.append("check")


@pytest.fixture
def options() -> dict[str, Any]:
    """What the simulator is told beside answering at once; parametrize a test with others."""
    return {}


@pytest.fixture
async def simulator(options: dict[str, Any]) -> AsyncIterator[FyersSimulator]:
    at_once = {"book_lag_ms": 0, "ack_delay_ms": 0, "fill_delay_ms": 0}
    simulator = FyersSimulator(options={**at_once, **options})
    await simulator.start()
    yield simulator
    await simulator.stop()


def context(simulator: FyersSimulator, **changes: Any) -> AdapterContext:
    return AdapterContext(
        account="fyers-test", base_urls=simulator.base_urls, login="redirect", **changes
    )


@pytest.fixture
async def adapter(simulator: FyersSimulator) -> AsyncIterator[FyersAdapter]:
    adapter = FyersAdapter(context(simulator))
    yield adapter
    await adapter.close()


@pytest.fixture
async def impatient(simulator: FyersSimulator) -> AsyncIterator[FyersAdapter]:
    """An adapter for answers that never come; nothing else should be asked of it."""
    adapter = FyersAdapter(context(simulator, answer_timeout_s=0.2, read_timeout_s=0.2))
    yield adapter
    await adapter.close()


async def log_in(adapter: FyersAdapter, simulator: FyersSimulator) -> Session:
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, RedirectRequired)
    url = await simulator.complete_login(step)
    session = await adapter.submit_redirect(simulator.credentials, step.pending, url)
    assert isinstance(session, Session)
    return session


@pytest.fixture
def session(simulator: FyersSimulator) -> Session:
    """A live session, opened behind the broker's back; `log_in` takes the front door."""
    now = datetime.now(IST)
    client_id = simulator.credentials["client_id"]
    simulator.open_session("sim-token", client_id=client_id, expires_at=token_end(now))
    return Session(
        token="sim-token",
        client_id=client_id,
        logged_in_at=now,
        expires_at=token_end(now),
        extra={"app_id": simulator.credentials["app_id"]},
    )


@pytest.fixture(scope="session")
def instruments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Instrument]:
    """Everything that the simulator's master files name, read without a download."""
    folder = tmp_path_factory.mktemp("fyers-master")
    universe = FyersSimulator().universe
    for name in MASTER_FILES:
        (folder / name).write_bytes(b"".join(master_file(universe, name) or ()))
    return {found.instrument: found for found in read_master(folder / n for n in MASTER_FILES)}


@pytest.fixture
def order(instruments: dict[str, Instrument]) -> Callable[..., PlaceOrder]:
    """Make orders: by default a buy limit for ten SBIN that rests in the book."""
    tags = iter(range(123456789012345, 123456789099999))

    def make(instrument: str = "NSE:SBIN", **changes: Any) -> PlaceOrder:
        fields: dict[str, Any] = {
            "broker_tag": next(tags),
            "side": Side.BUY,
            "order_type": OrderType.LIMIT,
            "product": Product.CNC,
            "validity": Validity.DAY,
            "quantity": 10,
            "price": Decimal("800.50"),
        }
        return PlaceOrder(instrument=instruments[instrument], **{**fields, **changes})

    return make


@pytest.fixture
def change(instruments: dict[str, Instrument]) -> Callable[..., ModifyOrder]:
    """Make changes of the default order, which differ in nothing but what is named."""

    def make(broker_order_id: str, **changes: Any) -> ModifyOrder:
        fields: dict[str, Any] = {
            "instrument": instruments["NSE:SBIN"],
            "side": Side.BUY,
            "order_type": OrderType.LIMIT,
            "product": Product.CNC,
            "validity": Validity.DAY,
            "quantity": 10,
            "previous_quantity": 10,
            "filled_quantity": 0,
            "price": Decimal("800.50"),
        }
        return ModifyOrder(broker_order_id=broker_order_id, **{**fields, **changes})

    return make


def ref(broker_order_id: str) -> OrderRef:
    return OrderRef(broker_order_id=broker_order_id)


LIMIT_ORDER: dict[str, Any] = {
    "symbol": "NSE:SBIN-EQ",
    "qty": 10,
    "type": 1,
    "side": 1,
    "productType": "CNC",
    "limitPrice": 800.5,
    "stopPrice": 0,
    "validity": "DAY",
    "disclosedQty": 0,
    "offlineOrder": False,
}


class Browser:
    """A client without an adapter's manners."""

    def __init__(self, simulator: FyersSimulator, session: Session) -> None:
        self.web = WebTransport(simulator.url)
        self.authorization = f"{simulator.credentials['app_id']}:{session.token}"

    async def call(
        self,
        method: str,
        target: str,
        body: Any = b"",
        *,
        authorization: str | None = None,
        content_type: str = "application/json",
    ) -> HttpResponse:
        headers = (
            ("Authorization", authorization or self.authorization),
            ("Content-Type", content_type),
        )
        data = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        return await self.web.send(HttpRequest(method, target, headers=headers, body=data))

    async def place(self, **changes: Any) -> dict[str, Any]:
        body = {name: v for name, v in {**LIMIT_ORDER, **changes}.items() if v is not ...}
        answered = await self.call("POST", "/api/v3/orders/sync", body)
        return {"status": answered.status, **answered.json()}


@pytest.fixture
async def browser(simulator: FyersSimulator, session: Session) -> AsyncIterator[Browser]:
    browser = Browser(simulator, session)
    yield browser
    await browser.web.close()
