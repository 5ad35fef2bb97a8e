"""Quotes, depth and candles over HTTP, against three simulators."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from adapters.sdk.simulator import CallKind
from gateway.orders.times import IST
from tests.gateway.rig import Rig

SBIN = "NSE:SBIN"
FIELDS = [
    "instrument",
    "last_price",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "bid_price",
    "bid_quantity",
    "ask_price",
    "ask_quantity",
    "open_interest",
    "as_of",
    "account",
]


def days_ago(days: int) -> str:
    return (datetime.now(IST) - timedelta(days=days)).date().isoformat()


def calls(rig: Rig) -> dict[str, int]:
    """How often each broker was asked for prices; what else goes on there is not counted."""
    return {name: sim.calls[CallKind.QUOTE] for name, sim in rig.sims.items()}


async def get(rig: Rig, path: str, **query: str):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return await rig.call("GET", f"/v1/{path}?{text}")


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_quotes_of_a_named_account_have_every_field(rig, broker):
    reply = await get(rig, "quotes", instruments=SBIN, account=f"{broker}-main")

    [row] = reply.json["quotes"]
    assert list(row) == FIELDS
    assert (row["instrument"], row["account"]) == (SBIN, f"{broker}-main")
    assert Decimal(row["last_price"]) > 0
    assert row["as_of"].endswith("+05:30")


async def test_an_unknown_instrument_is_an_error_of_its_own(rig):
    reply = await get(rig, "quotes", instruments=f"{SBIN},NSE:NOSUCH")

    assert [row["instrument"] for row in reply.json["quotes"]] == [SBIN]
    [error] = reply.json["errors"]
    assert error["instrument"] == "NSE:NOSUCH"
    assert error["reason"]["code"] == "instrument_unknown"


async def test_quotes_fall_over_to_the_next_account(rig):
    rig.sims["fyers"].faults.add([{"action": "accept_then_html", "call": "quote", "count": None}])

    reply = await get(rig, "quotes", instruments=SBIN)
    named = await get(rig, "quotes", instruments=SBIN, account="fyers-main")

    assert [row["account"] for row in reply.json["quotes"]] == ["mstock-main"]
    assert (named.status, named.json["quotes"]) == (200, [])
    assert named.json["errors"][0]["reason"]["code"] == "broker_unavailable"


async def test_quotes_asked_at_the_same_time_are_read_once(one):
    before = one.sims["fyers"].calls["quote"]

    replies = await asyncio.gather(*(get(one, "quotes", instruments=SBIN) for _ in range(8)))

    assert {len(reply.json["quotes"]) for reply in replies} == {1}
    assert one.sims["fyers"].calls["quote"] - before == 1


async def test_a_key_gets_no_data_of_an_account_it_may_not_see(rig):
    key = await rig.new_key("mstock-only", ["read"], ["mstock-main"])
    path = f"/v1/quotes?instruments={SBIN}"

    best = await rig.call("GET", path, key=key)
    named = await rig.call("GET", f"{path}&account=fyers-main", key=key)
    depth = await rig.call("GET", f"/v1/depth?instrument={SBIN}", key=key)

    assert [row["account"] for row in best.json["quotes"]] == ["mstock-main"]
    assert (named.status, named.json["errors"][0]["field"]) == (422, "account")
    assert (depth.status, depth.json["code"]) == (422, "not_supported")


async def test_depth_has_both_sides_best_first(rig):
    reply = await get(rig, "depth", instrument=SBIN)

    bids = [Decimal(level["price"]) for level in reply.json["bids"]]
    asks = [Decimal(level["price"]) for level in reply.json["asks"]]
    assert bids == sorted(bids, reverse=True) and asks == sorted(asks)
    assert bids[0] < asks[0]
    assert set(reply.json["bids"][0]) == {"price", "quantity", "orders"}
    assert reply.json["account"] == "fyers-main"


@pytest.mark.parametrize(
    ("path", "account"),
    [("depth", "mstock-main"), ("depth", "hdfc-main"), ("candles", "hdfc-main")],
)
async def test_what_the_named_broker_lacks_is_not_supported(rig, path, account):
    query = {"interval": "1d", "from": days_ago(10)} if path == "candles" else {}
    reply = await get(rig, path, instrument=SBIN, account=account, **query)

    assert (reply.status, reply.json["code"]) == (422, "not_supported")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("quotes", {}, "instruments"),
        ("quotes", {"instruments": ",".join(f"NSE:A{n}" for n in range(201))}, "instruments"),
        ("quotes", {"instruments": SBIN, "account": "nobody"}, "account"),
        ("depth", {}, "instrument"),
        ("depth", {"instrument": "NSE:NOSUCH"}, "instrument"),
        (
            "candles",
            {"instrument": "NSE:NOSUCH", "interval": "1d", "from": "2026-01-01"},
            "instrument",
        ),
        ("candles", {"instrument": SBIN, "interval": "2m", "from": "2026-01-01"}, "interval"),
        ("candles", {"instrument": SBIN, "interval": "1d"}, "from"),
        ("candles", {"instrument": SBIN, "interval": "1d", "from": "soon"}, "from"),
        ("candles", {"instrument": SBIN, "interval": "1d", "from": "2026-01-01T09:15:00"}, "from"),
        (
            "candles",
            {"instrument": SBIN, "interval": "1d", "from": "2026-01-09", "to": "2026-01-08"},
            "from",
        ),
        ("candles", {"instrument": SBIN, "interval": "1m", "from": "2020-01-09"}, "from"),
    ],
)
async def test_bad_parameters_name_their_field(one, path, query, field):
    reply = await get(one, path, **query)

    assert (reply.status, reply.json["code"]) == (422, "invalid_request")
    assert [error["field"] for error in reply.json["errors"]] == [field]


@pytest.mark.parametrize("broker", ["fyers", "mstock"])
@pytest.mark.parametrize("interval", ["5m", "1d"])
async def test_a_repeated_range_of_past_days_asks_the_broker_nothing(rig, broker, interval):
    query = {
        "instrument": SBIN,
        "interval": interval,
        "account": f"{broker}-main",
        "from": days_ago(20),
        "to": days_ago(8),
    }
    first = await get(rig, "candles", **query)
    before = calls(rig)
    again = await get(rig, "candles", **query)
    inside = await get(rig, "candles", **{**query, "from": days_ago(15)})

    assert calls(rig) == before
    assert again.json == first.json
    rows = first.json["candles"]
    assert len(rows) > 5
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert list(rows[0]) == ["at", "open", "high", "low", "close", "volume", "open_interest"]
    assert rows[-len(inside.json["candles"]) :] == inside.json["candles"]


async def test_an_overlapping_range_asks_only_for_what_is_missing(one):
    query = {"instrument": SBIN, "interval": "1d", "account": "fyers-main"}
    before = calls(one)["fyers"]
    await get(one, "candles", **query, **{"from": days_ago(40), "to": days_ago(20)})
    whole = await get(one, "candles", **query, **{"from": days_ago(60), "to": days_ago(10)})

    assert calls(one)["fyers"] - before == 3
    days = [row["at"][:10] for row in whole.json["candles"]]
    assert len(days) == len(set(days)) > 30


async def test_overlapping_requests_at_once_fetch_once(one):
    query = {"instrument": SBIN, "interval": "1d", "from": days_ago(40), "to": days_ago(20)}
    before = calls(one)["fyers"]

    replies = await asyncio.gather(*(get(one, "candles", **query) for _ in range(6)))

    assert len({reply.content for reply in replies}) == 1
    assert calls(one)["fyers"] - before == 1


async def test_the_cache_survives_a_restart(one):
    query = {
        "instrument": SBIN,
        "interval": "1d",
        "from": days_ago(40),
        "to": days_ago(20),
        "account": "fyers-main",
    }
    first = await get(one, "candles", **query)
    await one.restart_gateway()
    one.sims["fyers"].faults.add([{"action": "accept_then_html", "call": "quote", "count": None}])

    assert (await get(one, "candles", **query)).json == first.json


async def test_candles_fall_over_to_the_next_account(rig):
    rig.sims["fyers"].faults.add([{"action": "accept_then_html", "call": "any", "count": None}])

    reply = await get(rig, "candles", instrument=SBIN, interval="1d", **{"from": days_ago(9)})

    assert reply.json["account"] == "mstock-main"
