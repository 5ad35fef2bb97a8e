from __future__ import annotations

import pytest

from tests.gateway.rig import Rig


@pytest.fixture
async def rig(tmp_path):
    """Three brokers, all logged in."""
    async with Rig(tmp_path / "data") as rig:
        yield rig


@pytest.fixture
async def one(tmp_path):
    """Fyers alone, logged in."""
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        yield rig
