"""What chaos runs have found, each in the smallest form that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.sdk.models import BrokerOrderState
from gateway.orders.states import LegState
from tests.gateway.rig import Rig
from tests.model.exchange import Fate
from tests.model.world import World


@contextmanager
def world() -> Iterator[World]:
    made = World()
    try:
        yield made
    finally:
        made.close()


async def test_replayed_key_does_not_hold_back_the_next_order_of_its_kind(tmp_path: Path) -> None:
    """Where the tag is not known to come back, one leg per instrument and side is under way."""
    async with Rig(tmp_path, brokers=("mstock",), options={"echo": "none"}) as rig:
        where = {"accounts": ["mstock-main"], "ttl_ms": 500}
        first = await rig.place("k1", **where)
        replayed = await rig.place("k1", **where)
        following = await rig.place("k2", **where)

        assert "accepted" == first.json["summary"]
        assert first.json["order_id"] == replayed.json["order_id"]
        assert "accepted" == following.json["summary"]


def test_leg_that_the_broker_took_up_again_can_be_cancelled_by_who_saw_it_over() -> None:
    """An order has one owner in memory, so that two changes of a leg never miss each other."""
    with world() as made:
        made.place("k", {"echo": Fate.PLACED}, instrument="NSE:SBIN", ttl_ms=5000, quantity=2)
        at_broker = made.brokers["echo"].made
        made.loop.advance(1.0)
        at_broker[0].state, at_broker[0].filled = BrokerOrderState.FILLED, 2
        made.loop.advance(5.0)
        orders = made.gateway.orders
        seen_over = made.loop.finish(orders.find(made.order_ids()[0]))
        assert LegState.FILLED is seen_over.legs[0].state

        # Another leg keeps the book being read, and the broker takes its final word back.
        made.place("k2", {"echo": Fate.PLACED}, instrument="NSE:INFY", ttl_ms=5000, quantity=1)
        at_broker[0].state, at_broker[0].filled = BrokerOrderState.OPEN, 1
        made.loop.advance(5.0)
        made.loop.finish(orders.cancel(seen_over, None, 1.0))
        made.loop.advance(5.0)

        assert BrokerOrderState.CANCELLED is at_broker[0].state
        assert LegState.CANCELLED is seen_over.legs[0].state
