"""A toy broker that serves, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.simulator.toy import ToyBroker
from tests.simulator.wire import Wire


@pytest.fixture
async def broker() -> AsyncIterator[ToyBroker]:
    simulator = ToyBroker(options={"book_lag_ms": 0, "ack_delay_ms": 0, "fill_delay_ms": 0})
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def connect(broker: ToyBroker) -> AsyncIterator[Callable[[], Any]]:
    opened: list[Wire] = []

    async def open_wire() -> Wire:
        wire = await Wire.open(broker.url)
        opened.append(wire)
        return wire

    yield open_wire
    for wire in opened:
        await wire.close()
