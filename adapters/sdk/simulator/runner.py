"""Run one simulator until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from adapters.sdk.simulator.base import BrokerSimulator


async def serve_forever(
    simulator: BrokerSimulator,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    started: Callable[[BrokerSimulator], None] | None = None,
) -> None:
    """Serve until this task is cancelled, then close everything. Prints nothing.

    `started` is called once the ports are open, to show `simulator.url` and `control_url`.
    """
    await simulator.start(host, port)
    try:
        if started is not None:
            started(simulator)
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
