from __future__ import annotations

import pytest

from tests.gateway.rig import Rig


@pytest.fixture
async def one(tmp_path):
    """One broker, logged in, warned of half an hour and five minutes ahead."""
    settings = {"session": {"warn_ahead": ["30m", "5m"]}}
    async with Rig(tmp_path / "data", brokers=("fyers",), settings=settings) as rig:
        yield rig
