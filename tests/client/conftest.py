from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from gateway.client import AsyncClient, Client, Policy
from tests.client.between import Between
from tests.gateway.rig import Rig

T = TypeVar("T")
QUICK = Policy(retry_for_s=60.0, wait_s=60.0, first_pause_s=0.01, longest_pause_s=0.1)


class Desk:
    """A gateway over Fyers' simulator, a relay before it, and both clients behind the relay."""

    def __init__(self, rig: Rig, between: Between) -> None:
        self.rig = rig
        self.between = between
        self.client = Client(between.url, rig.key, policy=QUICK)
        self.aio = AsyncClient(between.url, rig.key, policy=QUICK)

    async def do(self, call: Callable[..., T], *given: Any, **named: Any) -> T:
        """Make a blocking call while the gateway goes on in this loop."""
        return await asyncio.to_thread(call, *given, **named)

    def sent(self) -> list[Any]:
        return self.rig.ledger("fyers")


@pytest.fixture
async def desk(tmp_path) -> AsyncIterator[Desk]:
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig, Between(rig.port) as between:
        desk = Desk(rig, between)
        yield desk
        desk.client.close()
        await desk.aio.close()


@pytest.fixture
async def family(tmp_path) -> AsyncIterator[Desk]:
    """Three brokers."""
    async with Rig(tmp_path / "data") as rig, Between(rig.port) as between:
        desk = Desk(rig, between)
        yield desk
        desk.client.close()
        await desk.aio.close()
