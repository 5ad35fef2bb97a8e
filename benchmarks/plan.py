"""How much a run measures: the full plan, and a quick one that only shows that all of it works."""

from __future__ import annotations

import msgspec

BROKERS = ("fyers", "mstock", "hdfc")
INSTRUMENTS = ("NSE:SBIN", "BSE:SBIN")
PRICE = "815.00"
"""Above the simulators' opening price of 812.00, so every order fills, as most of a day's do."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One way of placing orders. `brokers`: which take part; `legs`: how many at once."""

    name: str
    legs: int
    concurrency: int
    brokers: tuple[str, ...]
    orders: int
    warm_up: int = 30


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`sets`: accounts per broker. `master_rows`: of each broker, at least.

    `day_orders`: before memory is read. `commits`: bare ones, timed beside every piece.
    """

    sets: int
    rounds: int
    master_rows: int
    day_orders: int
    starts: int
    commits: int
    scenarios: tuple[Scenario, ...]


FULL = Plan(
    sets=20,
    rounds=7,
    master_rows=200_000,
    day_orders=10_000,
    starts=5,
    commits=60,
    scenarios=(
        *(
            Scenario(name=f"1 leg, {b}", legs=1, concurrency=1, brokers=(b,), orders=300)
            for b in BROKERS
        ),
        Scenario(name="1 leg", legs=1, concurrency=8, brokers=BROKERS, orders=1000),
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
    scenarios=(
        Scenario(
            name="1 leg, fyers", legs=1, concurrency=1, brokers=("fyers",), orders=10, warm_up=2
        ),
        Scenario(name="1 leg", legs=1, concurrency=8, brokers=BROKERS, orders=24, warm_up=4),
        Scenario(name="3 legs", legs=3, concurrency=1, brokers=BROKERS, orders=8, warm_up=2),
        Scenario(name="3 legs", legs=3, concurrency=8, brokers=BROKERS, orders=12, warm_up=2),
    ),
)
