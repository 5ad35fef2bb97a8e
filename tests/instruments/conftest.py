from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.store.instruments import InstrumentStore


@pytest.fixture
def store(tmp_path) -> Iterator[InstrumentStore]:
    store = InstrumentStore(tmp_path / "instruments.db")
    yield store
    store.close()
