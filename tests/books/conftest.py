from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.sdk.models import OrderType, Product, Side, Validity
from adapters.sdk.simulator.orders import NewOrder
from gateway.orders.ids import TagMint, leg_id_of, new_order_id
from gateway.orders.records import Leg, Order
from gateway.orders.request import OrderRequest, fingerprint
from gateway.orders.states import LegState
from gateway.store import LegEvent, Store
from tests.gateway.rig import Rig

# A reconciler that is a hundred times as hasty would use up the brokers' windows.
UNBOUND = {"limits": {"broker_windows": "ignore"}}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Divide the reconciler's waits."""
    monkeypatch.setenv("BROKERGATE_TEST_TIME_SCALE", "100")


@pytest.fixture
async def rig(tmp_path):
    """Three brokers, all logged in, and a group of two."""
    settings = {"groups": {"two": {"fyers-main": 1, "hdfc-main": 1}}}
    async with Rig(tmp_path / "data", settings=settings, account_settings=UNBOUND) as rig:
        yield rig


@pytest.fixture
async def one(tmp_path):
    """Fyers alone, logged in."""
    async with Rig(tmp_path / "data", brokers=("fyers",), account_settings=UNBOUND) as rig:
        yield rig


def elsewhere(rig: Rig, broker: str, instrument: str = "NSE:SBIN", **changes: Any) -> Any:
    """Have somebody else place an order at the broker."""
    simulator = rig.sims[broker]
    contract = simulator.universe.by_instrument(instrument)
    assert contract is not None
    order: dict[str, Any] = {
        "contract": contract,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "quantity": 3,
        "price": Decimal("700.00"),
    }
    return simulator.engine.place(NewOrder(**(order | changes)))


def fail(rig: Rig, broker: str, call: str, **params: Any) -> None:
    """Have the broker answer these reads with an error, until further notice."""
    params = {"status": 500, **params}
    rig.sims[broker].faults.add(
        [{"call": call, "action": "accept_then_status", "count": None, "params": params}]
    )


MINT = TagMint()
REQUEST = msgspec.convert(
    {
        "instrument": "NSE:SBIN",
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 10,
        "price": "812.50",
        "accounts": ["a"],
        "strategy": "momentum-1",
    },
    OrderRequest,
)


def make_leg(at_us: int, order_id: str = "", **fields: Any) -> Leg:
    order_id = order_id or new_order_id(at_us // 1000)
    given: dict[str, Any] = {
        "order_id": order_id,
        "n": 1,
        "leg_id": leg_id_of(order_id, 1),
        "account": "a",
        "broker": "fyers",
        "broker_tag": MINT.mint(),
        "instrument": "NSE:SBIN",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 10,
        "created_us": at_us,
        "deadline_us": at_us + 1,
        "updated_us": at_us,
        "price": Decimal("812.50"),
    }
    return Leg(**(given | fields))


async def put_leg(
    store: Store, at_us: int, broker_order_id: str | None = None, **fields: Any
) -> Leg:
    """Put an order of one leg into the journal as if it had been made at that time."""
    order_id = new_order_id(at_us // 1000)
    order = Order(
        order_id=order_id,
        client="me",
        idempotency_key=order_id,
        fingerprint=fingerprint(REQUEST),
        created_us=at_us,
        request=REQUEST,
    )
    leg = make_leg(at_us, order_id, broker_order_id=broker_order_id, **fields)
    steps = [(None, LegState.READY, LegEvent(event="accepted", at_us=at_us))]
    assert await store.accept_order(order, [(leg, steps)], {}) is None
    return leg
