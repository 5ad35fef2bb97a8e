from __future__ import annotations

import pytest

from tests.gateway.rig import Rig


@pytest.fixture
async def one(tmp_path):
    """One broker, nobody logged in."""
    async with Rig(tmp_path / "data", brokers=("fyers",), log_in=False) as rig:
        yield rig
