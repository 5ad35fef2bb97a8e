"""What chaos runs have found, each in the smallest form that shows it."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.rig import Rig


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
