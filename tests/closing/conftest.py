from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.rig import Reply, Rig

UNBOUND = {"limits": {"broker_windows": "ignore"}}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Divide the waits between reads."""
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


async def close(rig: Rig, key: str = "c1", **body: Any) -> Reply:
    return await rig.call("POST", "/v1/positions/close", body, idempotency_key=key)


async def buy(rig: Rig, key: str, quantity: int = 10, **changes: Any) -> Reply:
    """Buy through the gateway at a price that trades at once."""
    order = {
        "product": "MIS",
        "price": "815.00",
        "accounts": ["fyers-main"],
        "wait_for": "final",
        "quantity": quantity,
    }
    return await rig.place(key, **{**order, **changes})


def sent(rig: Rig, broker: str) -> list[tuple[str, str, str, int]]:
    """What the gateway sent there, in order: instrument, product, side, quantity."""
    return [
        (order.contract.instrument, str(order.product), str(order.side), order.quantity)
        for order in rig.ledger(broker)
        if order.tag is not None
    ]


def held(rig: Rig, broker: str) -> dict[tuple[str, str], int]:
    """The positions that are not flat, after whatever is due has traded."""
    rig.ledger(broker)
    return {
        (position.contract.instrument, str(position.product)): position.quantity
        for position in rig.sims[broker].engine.account.positions
        if position.quantity
    }


def left(reply: Reply) -> list[tuple[str, str | None, int | None, str]]:
    """What remains: account, instrument, quantity, reason code."""
    return [
        (row["account"], row["instrument"], row["quantity"], row["reason"]["code"])
        for row in reply.json["remaining"]
    ]


def rests(rig: Rig, broker: str, instrument: str = "NSE:SBIN") -> Any:
    """Take the other side of an instrument away, so that its orders rest; returns it."""
    engine = rig.sims[broker].engine
    contract = engine.universe.by_instrument(instrument)
    engine.set_available(contract, 0)
    return contract


def option(rig: Rig, broker: str, kind: str, place: int = 0) -> Any:
    """An index option of that broker, the nearest expiry's."""
    found = [
        contract
        for contract in rig.sims[broker].universe.contracts()
        if contract.exchange == "NFO" and contract.symbol.endswith(kind) and contract.on_index
    ]
    return found[place]
