from __future__ import annotations

import asyncio
import time

import pytest

from gateway.observability.tally import Histogram, Histograms, Tally


@pytest.mark.parametrize(
    ("seconds", "counts"),
    [(0.0, [1, 0, 0]), (0.1, [1, 0, 0]), (0.11, [0, 1, 0]), (0.5, [0, 1, 0]), (0.6, [0, 0, 1])],
)
def test_a_value_counts_at_the_first_bound_that_it_does_not_exceed(seconds, counts):
    histogram = Histogram((0.1, 0.5))
    histogram.add(seconds)

    assert counts == histogram.counts
    assert seconds == histogram.total


def test_keys_have_histograms_of_their_own():
    histograms: Histograms[str] = Histograms((1.0,))
    histograms.add("a", 0.5)
    histograms.add("a", 2.0)
    histograms.add("b", 0.5)

    assert {"a": [1, 1], "b": [1, 0]} == {key: each.counts for key, each in histograms.items()}


async def test_a_loop_that_was_held_up_shows_as_lag(monkeypatch):
    monkeypatch.setattr("gateway.observability.tally._LAG_EVERY_S", 0.01)
    tally = Tally()
    watching = asyncio.create_task(tally.watch_loop())
    await asyncio.sleep(0)
    time.sleep(0.2)
    while not sum(tally.lag.counts):
        await asyncio.sleep(0.001)
    watching.cancel()

    assert 0.15 < tally.lag.total
