"""Practice accounts, closed when a test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.paper import feed
from tests.paper.support import Desk, Lender


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are asked for at once: an old one is never good enough, and polls are close."""
    monkeypatch.setattr(feed, "FRESH_S", -1.0)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Without a lender: the synthetic market, where SBIN stands at 812.00."""
    made = Desk(tmp_path / "state")
    yield made
    await made.adapter.close()


@pytest.fixture
async def lent(tmp_path: Path, quick: None) -> AsyncIterator[Desk]:
    """At the prices of a lender, SBIN at 812.00 to begin with."""
    made = Desk(tmp_path / "state", Lender(SBIN="812.00"))
    made.adapter._feed._poll_s = 0.02
    yield made
    await made.adapter.close()
