"""`If-Match`: the second of two operators hears that the first has been there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT
from tests.gateway.rig import Rig

ACCOUNT = {"scope": "account", "target": "fyers-main", "reason": "a test"}
DAYS = json.loads((ROOT / "gateway" / "calendar" / "holidays.json").read_text())


@pytest.fixture
async def rig(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers", "mstock"), log_in=False) as rig:
        yield rig


def most(orders: int) -> dict[str, Any]:
    return {**ACCOUNT, "limits": {"max_open_orders": orders}}


async def put(rig: Rig, body: Any, tag: str | None, path: str = "/v1/limits", **more: Any):
    headers = {} if tag is None else {"If-Match": tag}
    return await rig.call("PUT", path, body, headers=headers, **more)


async def test_limits_that_were_changed_meanwhile_are_not_overwritten(rig):
    read = (await rig.call("GET", "/v1/limits")).headers["etag"]
    first = await put(rig, most(5), read)

    second = await put(rig, most(9), read)

    assert (200, 412, "changed_meanwhile") == (first.status, second.status, second.json["code"])
    now = await rig.call("GET", "/v1/limits")
    assert first.headers["etag"] == now.headers["etag"] != read
    assert [5] == [
        row["limits"]["max_open_orders"]
        for row in now.json["limits"]
        if row["target"] == "fyers-main"
    ]
    again = await put(rig, most(9), now.headers["etag"])
    assert 200 == again.status
    assert 200 == (await put(rig, most(9), f'"other", {again.headers["etag"]}')).status


@pytest.mark.parametrize("tag", [None, "*"])
async def test_without_a_tag_the_last_one_wins(rig, tag):
    assert [200, 200] == [(await put(rig, most(n), tag)).status for n in (5, 9)]


async def test_of_two_at_once_with_one_tag_one_is_taken(rig):
    read = (await rig.call("GET", "/v1/limits")).headers["etag"]

    replies = await asyncio.gather(*(put(rig, most(n), read) for n in range(1, 7)))

    assert [200, *[412] * 5] == sorted(reply.status for reply in replies)


async def test_a_narrow_keys_tag_is_of_what_it_sees(rig):
    made = await rig.call(
        "POST", "/v1/keys", {"name": "n", "scopes": ["operate"], "accounts": ["fyers-main"]}
    )
    key = made.json["key"]
    read = (await rig.call("GET", "/v1/limits", key=key)).headers["etag"]
    other = {**ACCOUNT, "target": "mstock-main", "limits": {"max_open_orders": 3}}
    assert 200 == (await put(rig, other, None)).status

    assert 200 == (await put(rig, most(5), read, key=key)).status
    assert 412 == (await put(rig, most(6), read, key=key)).status


async def test_what_the_day_uses_of_limits_changes_no_tag(tmp_path: Path):
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        read = (await rig.call("GET", "/v1/limits")).headers["etag"]
        await rig.place(accounts=["fyers-main"])

        assert 200 == (await put(rig, most(5), read)).status


async def test_a_list_of_holidays_that_was_changed_meanwhile_is_not_overwritten(rig):
    path = "/v1/market/holidays"
    read = (await rig.call("GET", f"{path}?year=2026")).headers["etag"]
    newer = {**DAYS, "source": "somebody's own"}
    assert 200 == (await put(rig, newer, read, path)).status

    late = await put(rig, DAYS, read, path)

    assert (412, "changed_meanwhile") == (late.status, late.json["code"])
    assert "somebody's own" == (await rig.call("GET", path)).json["source"]
