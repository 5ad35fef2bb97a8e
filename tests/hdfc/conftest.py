"""A simulated InvestRight on loopback and the adapter that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.hdfc.adapter import HdfcAdapter
from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.interface import AdapterContext
from adapters.sdk.models import OtpRequired, Session
from adapters.sdk.simulator import ManualClock
from tests.hdfc.raw import NOON, RawClient

INSTANT = {"ack_delay_ms": 0, "fill_delay_ms": 0, "book_lag_ms": 0}


class OpenGate:
    """Lets everything pass and counts how often it was asked."""

    def __init__(self) -> None:
        self.ready_calls = 0
        self.checks = 0

    async def ready(self) -> None:
        self.ready_calls += 1

    def check(self) -> None:
        self.checks += 1


def adapter_for(simulator: HdfcSimulator, login: str = "password") -> HdfcAdapter:
    return HdfcAdapter(
        AdapterContext(
            account="hdfc-main",
            base_urls=simulator.base_urls,
            login=login,
            answer_timeout_s=1.5,
            read_timeout_s=5.0,
        )
    )


async def log_in(adapter: HdfcAdapter, simulator: HdfcSimulator) -> Session:
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, OtpRequired)
    done = await adapter.submit_otp(simulator.credentials, step.pending, await simulator.read_otp())
    assert isinstance(done, Session)
    return done


@pytest.fixture
async def simulator() -> AsyncIterator[HdfcSimulator]:
    running = HdfcSimulator(options=INSTANT)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def adapter(simulator: HdfcSimulator) -> AsyncIterator[HdfcAdapter]:
    made = adapter_for(simulator)
    yield made
    await made.close()


@pytest.fixture
async def session(adapter: HdfcAdapter, simulator: HdfcSimulator) -> Session:
    return await log_in(adapter, simulator)


@pytest.fixture
def gate() -> OpenGate:
    return OpenGate()


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    simulator = HdfcSimulator(
        options=INSTANT | {"market_orders": "accept"}, clock=ManualClock(NOON)
    )
    await simulator.start()
    yield RawClient(simulator)
    await simulator.stop()


@pytest.fixture
async def logged_in(client: RawClient) -> RawClient:
    await client.log_in()
    return client
