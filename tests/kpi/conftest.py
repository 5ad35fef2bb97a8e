from __future__ import annotations

import pytest

from tests.gateway.rig import Rig


@pytest.fixture
async def rig(tmp_path):
    """Fyers and m.Stock, both logged in."""
    async with Rig(tmp_path / "data", brokers=("fyers", "mstock")) as rig:
        yield rig
