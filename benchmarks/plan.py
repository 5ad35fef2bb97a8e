"""How much a run measures: the full plan, and a quick one that only shows that all of it works."""

from __future__ import annotations

import msgspec

BROKERS = ("fyers", "mstock", "hdfc")
INSTRUMENTS = ("NSE:SBIN", "BSE:SBIN")
PRICE = "815.00"
"""Above the simulators' opening price of 812.00, so every order fills, as most of a day's do."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One way of placing orders. `brokers`: which take part; `legs`: how many at once.

    `per_second`: orders begin by the clock, whatever became of those before; 0: each of
    `concurrency` connections begins the next when it has its answer.
    """

    name: str
    legs: int
    concurrency: int
    brokers: tuple[str, ...]
    orders: int
    warm_up: int = 30
    per_second: float = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`sets`: accounts per broker. `master_rows`: of each broker, at least.

    `day_orders`: before memory is read. `commits`: bare ones, timed beside every piece.
    `kills`: how often the kill switch is engaged under load.
    """

    sets: int
    rounds: int
    master_rows: int
    day_orders: int
    starts: int
    commits: int
    kills: int
    scenarios: tuple[Scenario, ...]


FULL = Plan(
    sets=20,
    rounds=7,
    master_rows=200_000,
    day_orders=10_000,
    starts=5,
    commits=60,
    kills=20,
    scenarios=(
        *(
            Scenario(name=f"1 leg, {b}", legs=1, concurrency=1, brokers=(b,), orders=300)
            for b in BROKERS
        ),
        Scenario(name="1 leg", legs=1, concurrency=8, brokers=BROKERS, orders=1000),
        Scenario(name="1 leg", legs=1, concurrency=32, brokers=BROKERS, orders=1000),
        Scenario(
            name="1 leg, by the clock",
            legs=1,
            concurrency=32,
            brokers=BROKERS,
            orders=600,
            per_second=100,
        ),
        Scenario(name="2 legs", legs=2, concurrency=1, brokers=BROKERS[:2], orders=200),
        Scenario(name="3 legs", legs=3, concurrency=1, brokers=BROKERS, orders=200),
        Scenario(name="3 legs", legs=3, concurrency=8, brokers=BROKERS, orders=400),
    ),
)

QUICK = Plan(
    sets=2,
    rounds=1,
    master_rows=0,
    day_orders=60,
    starts=1,
    commits=5,
    kills=2,
    scenarios=(
        Scenario(
            name="1 leg, fyers", legs=1, concurrency=1, brokers=("fyers",), orders=10, warm_up=2
        ),
        Scenario(name="1 leg", legs=1, concurrency=8, brokers=BROKERS, orders=24, warm_up=4),
        Scenario(
            name="1 leg, by the clock",
            legs=1,
            concurrency=4,
            brokers=BROKERS,
            orders=16,
            warm_up=4,
            per_second=20,
        ),
        Scenario(name="3 legs", legs=3, concurrency=1, brokers=BROKERS, orders=8, warm_up=2),
        Scenario(name="3 legs", legs=3, concurrency=8, brokers=BROKERS, orders=12, warm_up=2),
    ),
)
