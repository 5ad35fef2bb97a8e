"""What a run is told to do, and what comes of it."""

from __future__ import annotations

import msgspec

from tests.chaos.checker import Violation
from tests.chaos.score import Score


class Plan(msgspec.Struct, kw_only=True, frozen=True):
    """Rates are the share of a faulty broker's calls that are struck.

    `scale` divides the gateway's waits (see `gateway.orchestrator.pace`), `calm_share` is the
    part of the orders placed before the faults begin, `stops` how often everything is halted.
    """

    orders: int = 150
    kills: int = 6
    seed: int = 1
    scripts: int = 8
    place_rate: float = 0.3
    other_rate: float = 0.15
    scale: float = 20.0
    calm_share: float = 0.15
    doubles: bool = False
    stops: int = 1


class Outcome(msgspec.Struct, kw_only=True):
    score: Score
    violations: list[Violation]
    took_s: float
