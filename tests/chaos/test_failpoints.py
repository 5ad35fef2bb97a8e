"""Each failpoint ends the process exactly where its name says: the journal and the broker tell."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway import failpoints
from gateway.orders.states import LegState
from tests.chaos.checker import judge
from tests.chaos.client import Intent
from tests.chaos.evidence import AccountInfo
from tests.chaos.journal import read_journal
from tests.chaos.operator import control
from tests.chaos.plan import Plan
from tests.chaos.run import Chaos
from tests.chaos.simulators import AccountSpec

ORDER: dict[str, Any] = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 1,
    "price": "812.50",
}
S = LegState
# What the journal says of the order, and whether the broker has it.
LEFT: dict[str, tuple[set[LegState | None], bool]] = {
    "before_t1": ({None}, False),
    "after_t1": ({S.READY, S.SENDING}, False),
    "before_t2": ({None, S.READY}, False),
    "after_t2": ({S.SENDING}, False),
    "before_write": ({S.SENDING}, False),
    "after_write": ({S.SENDING}, True),
    "before_read": ({S.SENDING}, True),
    "answered": ({S.SENDING}, True),
    "before_t3": ({S.SENDING}, True),
    "after_t3": ({S.ACKED}, True),
}


def test_unknown_point_is_refused() -> None:
    with pytest.raises(ValueError, match="no failpoint"):
        failpoints.parse("after_lunch:1")


@pytest.mark.parametrize("text", ["after_t1:0", "after_t1:-1", "after_t1:x"])
def test_count_must_be_a_number_from_one(text: str) -> None:
    with pytest.raises(ValueError, match="after_t1:1"):
        failpoints.parse(text)


def test_points_are_read_with_their_counts() -> None:
    assert {"after_t1": 1, "before_t3": 7} == failpoints.parse("after_t1, before_t3:7")
    assert {} == failpoints.parse("")
    assert not failpoints.ARMED


async def test_each_point_ends_the_process_where_its_name_says(tmp_path: Path) -> None:
    spec = AccountSpec(id="fyers-a", broker="fyers", number=1, seed=1)
    info = AccountInfo(id="fyers-a", broker="fyers", echoes=True)
    chaos = Chaos(Plan(scripts=1, scale=30), tmp_path, [(spec, info, {})])
    assert set(LEFT) == set(failpoints.POINTS)

    async with chaos.stage():
        place = chaos.brokers.places["fyers-a"]
        for point, (states, at_broker) in LEFT.items():
            chaos.gateway.kill()
            await chaos.bury_and_start("random", f"{point}:1")
            await chaos.operator.log_in_where_needed()
            had = await _ledger_size(place)
            legs = {leg.leg_id for leg in read_journal(chaos.journal).legs}
            intent = Intent(name=point, accounts=["fyers-a"], body=ORDER)
            placing = asyncio.create_task(chaos.scripts[0].mean(intent))
            assert -9 == await asyncio.wait_for(chaos.gateway.ended(), 30), point
            # Orders are denied, and asked for again, while those that the last point left in doubt
            # are looked up; only one that was let through comes to the point.
            found = [
                leg.state
                for leg in read_journal(chaos.journal).legs
                if leg.leg_id not in legs and leg.state is not S.DENIED
            ]
            assert (found or [None])[0] in states, point
            assert at_broker is (await _ledger_size(place) == had + 1), point
            await chaos.bury_and_start(point, "")
            await asyncio.wait_for(placing, 60)
        await chaos.settle()
        evidence = await chaos.collect()

    assert [] == judge(evidence)


async def _ledger_size(place: Any) -> int:
    await asyncio.sleep(0.05)
    return len((await asyncio.to_thread(control, place, "GET", "/_sim/ledger"))["orders"])
