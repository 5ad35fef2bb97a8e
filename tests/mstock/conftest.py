from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.mstock.support import Desk, desk


@pytest.fixture
async def trading(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk that is logged in and knows its instruments; nothing it did was against the rules."""
    async with desk() as ready:
        await ready.log_in()
        await ready.load(tmp_path)
        yield ready
        assert not ready.simulator.violations
