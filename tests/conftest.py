"""What pytest leaves alone, and which tests never get a second chance."""

from __future__ import annotations

from pathlib import Path

import pytest

# A package with tests of its own, which another test runs.
collect_ignore = ["external_adapter"]

HERE = Path(__file__).parent
# One doubled or lost order in any run is a finding, whatever the next run shows.
ONE_CHANCE = (HERE / "chaos", HERE / "model")
# Files that take minutes begin first, so that none is left alone at the end.
FIRST = (HERE / "trust", HERE / "packaging", HERE / "chaos", HERE / "docs", HERE / "benchmarks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(folder in item.path.parents for folder in FIRST))
    for item in items:
        if any(folder in item.path.parents for folder in ONE_CHANCE):
            item.add_marker(pytest.mark.flaky(reruns=0))
