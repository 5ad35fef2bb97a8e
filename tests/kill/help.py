"""Words that the tests of the kill switch share."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from adapters.sdk.models import OrderType, Product, Side
from adapters.sdk.simulator.orders import NewOrder, SimOrder
from tests.gateway.rig import Reply, Rig

# Far below the simulated SBIN's 812.50, so that it rests.
RESTING = {"price": "780.00"}


async def engage(rig: Rig, level: str = "HALT_NEW", scope: str = "global", **more: Any) -> Reply:
    key = more.pop("key", None)
    body = {"scope": scope, "level": level, "reason": "a test", **more}
    return await rig.call("POST", "/v1/kill-switch/engage", body, key=key)


async def release(rig: Rig, scope: str = "global", **more: Any) -> Reply:
    key = more.pop("key", None)
    body = {"scope": scope, "reason": "all is well", "confirm": "RELEASE", **more}
    return await rig.call("POST", "/v1/kill-switch/release", body, key=key)


async def state(rig: Rig) -> Any:
    return (await rig.call("GET", "/v1/kill-switch")).json


def legs(reply: Reply) -> dict[str, tuple[str, str | None]]:
    """State and reason code of each leg, by account."""
    return {
        leg["account"]: (leg["state"], (leg["reason"] or {}).get("code"))
        for leg in reply.json["legs"]
    }


async def until(reached: Any, what: str) -> None:
    """Wait, bounded, until `reached()` holds; it may be awaitable."""
    for _ in range(1500):
        result = reached()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(what)


def elsewhere(rig: Rig, broker: str, **changes: Any) -> SimOrder:
    """Put an order into a broker's book that this gateway did not place."""
    engine = rig.sims[broker].engine
    contract = engine.universe.by_instrument(changes.pop("instrument", "NSE:SBIN"))
    assert contract is not None
    fields: dict[str, Any] = {
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "quantity": 3,
        "price": Decimal("780.00"),
    }
    return engine.place(NewOrder(contract=contract, **{**fields, **changes}))


def hold(rig: Rig, broker: str, quantity: int, **changes: Any) -> None:
    """Give an account a position: bought, or sold when negative, elsewhere."""
    engine = rig.sims[broker].engine
    contract = engine.universe.by_instrument(changes.get("instrument", "NSE:SBIN"))
    assert contract is not None
    # At a price that rests, so that it trades when this says so and not by itself.
    fields: dict[str, Any] = {
        "side": Side.BUY if quantity > 0 else Side.SELL,
        "quantity": abs(quantity),
        "price": contract.lower_price if quantity > 0 else contract.upper_price,
        "product": Product.MIS,
    }
    engine.fill(elsewhere(rig, broker, **{**fields, **changes}))
