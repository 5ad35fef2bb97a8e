"""The gateway's own figures, out of the text that it gives to Prometheus."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import NamedTuple

_OWN = "brokergate_leg_overhead_seconds"
_CALLS = "brokergate_broker_call_seconds"
_LAG = "brokergate_event_loop_lag_seconds"
_HISTOGRAMS = (_OWN, _CALLS, _LAG)
_NUMBERS = (
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "brokergate_journal_broken",
)


class Quantiles(NamedTuple):
    """Milliseconds, since the gateway began; between two bounds of the histogram in proportion."""

    p50: float
    p99: float

    def __str__(self) -> str:
        return f"p50 {_ms(self.p50)} p99 {_ms(self.p99)}"


class Figures(NamedTuple):
    """`own` is the gateway's share of an order's time; `placing` is by account, the broker's.

    None where there is nothing to count yet.
    """

    version: str
    started_at: float | None
    memory_bytes: float | None
    journal_broken: bool
    own: Quantiles | None
    lag: Quantiles | None
    placing: dict[str, Quantiles]


def figures(text: str) -> Figures:
    """Read what the console shows; whatever else is in the text is passed over."""
    version = ""
    numbers: dict[str, float] = {}
    counts: dict[tuple[str, str], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        if name == "brokergate_info":
            version = _labels(rest).get("version", "")
        elif name.endswith("_bucket") and name[:-7] in _HISTOGRAMS:
            labels = _labels(rest)
            if labels.get("class", "place") != "place":
                continue
            bound = float(labels["le"])
            count = float(rest.rpartition("} ")[2].split(" ")[0])
            counts[name[:-7], labels.get("account", "")][bound] += count
            if "account" in labels:
                counts[name[:-7], ""][bound] += count
        elif line.startswith(_NUMBERS):
            number_name, _, value = line.partition(" ")
            numbers[number_name] = float(value.split(" ")[0])
    placing = {
        account: found
        for (name, account), buckets in counts.items()
        if name == _CALLS and account and (found := _quantiles(buckets))
    }
    return Figures(
        version=version,
        started_at=numbers.get("process_start_time_seconds"),
        memory_bytes=numbers.get("process_resident_memory_bytes"),
        journal_broken=bool(numbers.get("brokergate_journal_broken", 0)),
        own=_quantiles(counts[_OWN, ""]),
        lag=_quantiles(counts[_LAG, ""]),
        placing=placing,
    )


def _labels(text: str) -> dict[str, str]:
    inside = text.rpartition("}")[0]
    parts = (part.partition("=") for part in inside.split(","))
    return {name: value.strip('"') for name, _, value in parts}


def _quantiles(buckets: dict[float, float]) -> Quantiles | None:
    """`buckets`: how many were at most so many seconds, as Prometheus counts them."""
    if not buckets or not buckets.get(math.inf):
        return None
    bounds = sorted(buckets)
    return Quantiles(_at(0.5, bounds, buckets) * 1000, _at(0.99, bounds, buckets) * 1000)


def _at(share: float, bounds: list[float], buckets: dict[float, float]) -> float:
    wanted = share * buckets[math.inf]
    below, low = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if math.isinf(bound):
                return bound
            within = buckets[bound] - below
            return low + (bound - low) * ((wanted - below) / within if within else 1.0)
        below, low = buckets[bound], bound
    return math.inf


def _ms(value: float) -> str:
    if math.isinf(value):
        return "beyond all bounds"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
