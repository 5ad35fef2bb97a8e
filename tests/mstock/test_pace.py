from __future__ import annotations

import asyncio

import pytest

from adapters.mstock.pace import Pace
from adapters.sdk.errors import Denied, ReasonCode


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waits


async def test_calls_wait_until_the_window_has_room_and_no_longer(slept: list[float]) -> None:
    at = 100.0
    pace = Pace(2, 1.0, clock=lambda: at)
    for _ in range(4):
        await pace.turn()
    assert slept == [1.0, 1.0]
    at = 101.5
    await pace.turn()
    assert slept == [1.0, 1.0, 0.5]
    at = 110.0
    await pace.turn()
    assert len(slept) == 3


async def test_a_call_that_would_wait_too_long_is_denied_and_takes_no_turn(
    slept: list[float],
) -> None:
    at = 0.0
    pace = Pace(1, 1.0, clock=lambda: at)
    for _ in range(4):
        await pace.turn()
    for _ in range(2):
        with pytest.raises(Denied) as caught:
            await pace.turn()
        assert caught.value.reason is ReasonCode.RATE_LIMITED
    assert slept == [1.0, 2.0, 3.0]
    at = 1.0
    await pace.turn()
    assert slept == [1.0, 2.0, 3.0, 3.0]
