"""The faults that depend on how an event loop treats sockets, on uvloop as on asyncio's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.simulator.certificates import make_certificate
from tests.simulator.toy import ToyBroker
from tests.simulator.wire import BODY, Seen, Wire, connect_is_refused, request_bytes

Runner = Callable[[Any], Any]
both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


async def observe(
    folder: Path | None, action: str, params: dict[str, Any] | None = None
) -> tuple[Seen, int]:
    """Place one order that meets the fault; `folder` (for a certificate) means TLS."""
    server_side, client_side = make_certificate(folder) if folder else (None, None)
    broker = ToyBroker(options={"fill_delay_ms": 0}, tls=server_side)
    await broker.start()
    broker.faults.add([{"call": "place", "action": action, "params": params or {}}])
    wire = await Wire.open(broker.url, tls=client_side)
    seen = await wire.call("POST", "/v1/orders", BODY)
    await wire.close()
    orders = len(broker.engine.orders)
    await broker.stop()
    return seen, orders


@both_loops
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("action", "accepted"),
    [("reset_before_read", 0), ("reset_before_accept", 0), ("accept_then_reset", 1)],
)
def test_reset_is_a_reset(
    run: Runner, tls: bool, action: str, accepted: int, tmp_path: Path
) -> None:
    seen, orders = run(observe(tmp_path if tls else None, action))
    assert (Seen(b"", "reset"), accepted) == (seen, orders)


@both_loops
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("count", [0, 1, 17, 60])
def test_reset_at_byte_gives_exactly_that_many(
    run: Runner, tls: bool, count: int, tmp_path: Path
) -> None:
    seen, orders = run(observe(tmp_path if tls else None, "reset_at_byte", {"bytes": count}))
    assert (count, "reset", 1) == (len(seen.data), seen.ending, orders)


@both_loops
def test_refused_port_opens_again_when_cleared(run: Runner) -> None:
    async def scenario() -> list[bool]:
        broker = ToyBroker()
        await broker.start()
        broker.faults.add([{"action": "refuse", "params": {"ms": None}}])
        refused = [connect_is_refused(broker.url)]
        broker.faults.clear()
        async with asyncio.timeout(5):
            while connect_is_refused(broker.url):
                await asyncio.sleep(0.005)
        wire = await Wire.open(broker.url)
        refused.append((await wire.call("POST", "/v1/orders", BODY)).status != 200)
        await wire.close()
        await broker.stop()
        return refused

    assert [True, False] == run(scenario())


@both_loops
def test_stream_waits_for_a_client_that_does_not_read(run: Runner) -> None:
    async def scenario() -> tuple[int, int]:
        broker = ToyBroker()
        await broker.start()
        wire = await Wire.open(broker.url)
        wire.send(request_bytes("GET", "/files/endless"))
        await asyncio.sleep(0.2)
        at_first = broker.megabytes_sent
        await asyncio.sleep(0.1)
        later = broker.megabytes_sent
        await wire.close()
        await broker.stop()
        return at_first, later

    at_first, later = run(scenario())
    assert 1 <= at_first == later


@both_loops
def test_large_streamed_answer_arrives_whole(run: Runner) -> None:
    async def scenario() -> tuple[int, int]:
        broker = ToyBroker(options={"rows": 30_000})
        await broker.start()
        wire = await Wire.open(broker.url)
        seen = await wire.call("GET", "/files/master.csv")
        await wire.close()
        await broker.stop()
        return seen.body.count(b","), len(broker.universe)

    rows, expected = run(scenario())
    assert expected == rows
