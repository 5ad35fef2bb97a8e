"""Order books, trades and positions over HTTP, against the three simulators."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import apsw
import pytest

from adapters.sdk.models import Side
from gateway.orders.times import ist, now_us
from gateway.runtime import INSTRUMENTS
from tests.books.conftest import elsewhere, fail

ACCOUNTS = ["fyers-main", "mstock-main", "hdfc-main"]
ORDER_FIELDS = [
    "broker_order_id",
    "exchange_order_id",
    "order_id",
    "leg_id",
    "strategy",
    "broker_tag",
    "instrument",
    "side",
    "order_type",
    "product",
    "validity",
    "quantity",
    "filled_quantity",
    "price",
    "trigger_price",
    "average_price",
    "state",
    "message",
    "placed_at",
]
TRADE_FIELDS = [
    "trade_id",
    "broker_order_id",
    "order_id",
    "leg_id",
    "strategy",
    "instrument",
    "side",
    "product",
    "quantity",
    "price",
    "traded_at",
]
POSITION_FIELDS = [
    "instrument",
    "product",
    "quantity",
    "lots",
    "lot_size",
    "multiplier",
    "buy_quantity",
    "sell_quantity",
    "buy_price",
    "sell_price",
    "average_price",
    "last_price",
    "realised_pnl",
    "unrealised_pnl",
]


async def test_every_accounts_orders_come_in_one_answer_with_what_is_ours(rig):
    placed = await rig.place(wait_for="final", strategy="momentum-1")

    reply = await rig.call("GET", "/v1/orderbook")

    assert (200, "complete") == (reply.status, reply.json["summary"])
    assert ACCOUNTS == [result["account"] for result in reply.json["results"]]
    for result in reply.json["results"]:
        assert (True, result["account"].partition("-")[0]) == (result["ok"], result["broker"])
        assert result["as_of"].endswith("+05:30")
        (row,) = result["data"]
        leg = placed.leg(result["account"])
        assert list(row) == ORDER_FIELDS
        assert row["broker_order_id"] == leg["broker_order_id"]
        assert (row["leg_id"], row["broker_tag"]) == (leg["leg_id"], leg["broker_tag"])
        assert (row["order_id"], row["strategy"]) == (placed.json["order_id"], "momentum-1")
        assert (row["instrument"], row["side"], row["product"]) == ("NSE:SBIN", "BUY", "CNC")
        assert (row["state"], row["filled_quantity"], row["quantity"]) == ("FILLED", 10, 10)
        assert (row["price"], row["trigger_price"]) == ("812.50", None)
        assert row["average_price"] == leg["average_price"]


async def test_trades_and_positions_have_the_fields_of_the_contract(rig):
    placed = await rig.place(wait_for="final", strategy="momentum-1")

    trades = (await rig.call("GET", "/v1/trades")).json
    positions = (await rig.call("GET", "/v1/positions")).json

    for result in trades["results"]:
        (row,) = result["data"]
        leg = placed.leg(result["account"])
        assert list(row) == TRADE_FIELDS
        assert (row["leg_id"], row["strategy"]) == (leg["leg_id"], "momentum-1")
        assert (row["instrument"], row["quantity"]) == ("NSE:SBIN", 10)
        assert row["price"] == leg["average_price"]
    for result in positions["results"]:
        (row,) = result["data"]
        assert list(row) == POSITION_FIELDS
        assert (row["instrument"], row["product"], row["quantity"]) == ("NSE:SBIN", "CNC", 10)
        assert (row["lots"], row["lot_size"], row["multiplier"]) == (10, 1, "1")
    # What a broker does not give is null, never a zero.
    by_account = {result["account"]: result["data"][0] for result in positions["results"]}
    assert by_account["mstock-main"]["last_price"] is None
    assert by_account["mstock-main"]["unrealised_pnl"] is None
    assert by_account["fyers-main"]["last_price"] is not None


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_a_derivatives_position_is_counted_in_lots_too(rig, broker):
    simulator = rig.sims[broker]
    future = next(
        contract
        for contract in simulator.universe.contracts()
        if contract.exchange == "NFO" and contract.type == "FUT"
    )
    short = {"side": Side.SELL, "product": "NRML", "quantity": 2 * future.lot_size}
    elsewhere(rig, broker, future.instrument, **short, price=simulator.engine.price(future))

    reply = await rig.call("GET", f"/v1/positions?accounts={broker}-main")

    (row,) = reply.json["results"][0]["data"]
    assert (row["instrument"], row["quantity"]) == (future.instrument, -2 * future.lot_size)
    assert (row["lots"], row["lot_size"]) == (-2, future.lot_size)


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_an_order_placed_elsewhere_has_nothing_of_ours(rig, broker):
    order = elsewhere(rig, broker)

    reply = await rig.call("GET", f"/v1/orderbook?accounts={broker}-main")

    (row,) = reply.json["results"][0]["data"]
    assert row["broker_order_id"] == order.broker_order_id
    assert [None] * 4 == [row[name] for name in ("order_id", "leg_id", "strategy", "broker_tag")]
    assert (row["instrument"], row["quantity"], row["state"]) == ("NSE:SBIN", 3, "OPEN")
    assert (row["price"], row["average_price"]) == ("700.00", None)


async def test_a_contract_that_the_master_lacks_is_shown_in_the_brokers_words(one):
    elsewhere(one, "fyers")
    masters = apsw.Connection(str(one.data_dir / INSTRUMENTS))
    masters.execute("DELETE FROM contracts WHERE instrument = 'NSE:SBIN'")
    masters.close()

    reply = await one.call("GET", "/v1/orderbook")

    (result,) = reply.json["results"]
    (row,) = result["data"]
    assert (None, "BUY", 3) == (row["instrument"], row["side"], row["quantity"])
    assert {"0": {"symbol": "NSE:SBIN-EQ"}} == result["unlisted"]


async def test_one_broker_that_fails_leaves_the_others_answers(rig):
    fail(rig, "mstock", "book")
    await rig.call("DELETE", "/v1/sessions/hdfc-main")

    reply = await rig.call("GET", "/v1/orderbook")

    assert (200, "partial") == (reply.status, reply.json["summary"])
    good, broken, absent = reply.json["results"]
    assert ({"account", "broker", "ok", "as_of", "data"}, []) == (set(good), good["data"])
    assert {"account", "broker", "ok", "reason"} == set(broken) == set(absent)
    assert ("broker_unavailable", "session_missing") == (
        broken["reason"]["code"],
        absent["reason"]["code"],
    )
    assert "hdfc-main" in absent["reason"]["message"]


async def test_no_account_that_can_be_read_is_failed_and_still_an_answer(one):
    fail(one, "fyers", "read")

    reply = await one.call("GET", "/v1/positions")

    assert (200, "failed") == (reply.status, reply.json["summary"])


async def test_a_session_that_the_broker_ended_is_dropped_by_a_read(one):
    one.sims["fyers"].faults.add([{"call": "trades", "action": "session_expired"}])

    reply = await one.call("GET", "/v1/trades")

    assert "session_expired" == reply.json["results"][0]["reason"]["code"]
    sessions = (await one.call("GET", "/v1/sessions")).json["sessions"]
    assert "expired" == sessions[0]["state"]


async def test_accounts_may_be_named_and_grouped_and_each_is_read_once(rig):
    reply = await rig.call("GET", "/v1/positions?accounts=hdfc-main,@two")

    assert ["hdfc-main", "fyers-main"] == [one["account"] for one in reply.json["results"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("accounts=nobody", "accounts"),
        ("accounts=fyers-main,@nobody", "accounts"),
        ("accounts=,", "accounts"),
        ("date=22-11-2026", "date"),
        ("date=2999-01-01", "date"),
    ],
)
async def test_what_is_wrong_with_a_question_is_named(rig, query, field):
    reply = await rig.call("GET", f"/v1/orderbook?{query}")

    assert 422 == reply.status
    assert [field] == [error["field"] for error in reply.json["errors"]]


async def test_a_key_sees_its_own_accounts_and_no_other(rig):
    key = await rig.new_key("narrow", ["read"], ["fyers-main"])

    mine = await rig.call("GET", "/v1/orderbook", key=key)
    others = await rig.call("GET", "/v1/orderbook?accounts=hdfc-main", key=key)
    group = await rig.call("GET", "/v1/orderbook?accounts=@two", key=key)

    assert ["fyers-main"] == [one["account"] for one in mine.json["results"]]
    assert (422, 422) == (others.status, group.status)
    assert "hdfc-main" not in others.json["detail"].partition("known are")[2]


async def test_a_read_shows_what_was_placed_before_it_however_many_ask(one):
    first = await one.place("a", accounts=["fyers-main"], wait_for="ack")

    async def seen() -> list[str]:
        reply = await one.call("GET", "/v1/orderbook")
        return [row["leg_id"] for row in reply.json["results"][0]["data"]]

    early = await asyncio.gather(*(seen() for _ in range(8)))
    second = await one.place("b", accounts=["fyers-main"], wait_for="ack")
    late = await asyncio.gather(*(seen() for _ in range(8)))

    wanted = [reply.json["legs"][0]["leg_id"] for reply in (first, second)]
    assert [wanted[:1]] * 8 == early
    assert [sorted(wanted)] * 8 == [sorted(one) for one in late]


async def test_reads_that_wait_for_each_other_go_out_once(one):
    asked = []
    account = one.gateway.accounts["fyers-main"]
    gate = asyncio.Event()
    order_book = account.calls.order_book

    async def slow(session):
        asked.append(session)
        await gate.wait()
        return await order_book(session)

    account.calls.order_book = slow
    reads = [asyncio.create_task(one.gateway.reader.read(account, "orderbook"))]
    while not asked:
        await asyncio.sleep(0)
    # A caller that goes away while the others wait.
    reads += [asyncio.create_task(one.gateway.reader.read(account, "orderbook")) for _ in range(9)]
    await asyncio.sleep(0)
    reads[1].cancel()
    gate.set()
    done = await asyncio.gather(*reads, return_exceptions=True)

    assert 2 == len(asked)
    assert 1 == sum(isinstance(item, asyncio.CancelledError) for item in done)
    assert 2 == len({item.begun_us for item in done if not isinstance(item, BaseException)})


async def test_a_day_before_today_without_a_snapshot_says_so(one):
    yesterday = ist(now_us()).date() - timedelta(days=1)

    reply = await one.call("GET", f"/v1/trades?date={yesterday}")

    (result,) = reply.json["results"]
    assert ("failed", "book_gone") == (reply.json["summary"], result["reason"]["code"])
    assert str(yesterday) in result["reason"]["message"]


async def test_todays_date_is_the_live_book_and_what_was_kept_where_that_fails(one):
    today = ist(now_us()).date()
    account = one.gateway.accounts["fyers-main"]
    elsewhere(one, "fyers")
    assert await one.gateway.snapshots.take(account, "test")
    elsewhere(one, "fyers", price=Decimal("701.00"))

    live = await one.call("GET", f"/v1/orderbook?date={today}")
    fail(one, "fyers", "book")
    kept = await one.call("GET", f"/v1/orderbook?date={today}")
    failed = await one.call("GET", "/v1/orderbook")

    assert (2, 1) == tuple(len(reply.json["results"][0]["data"]) for reply in (live, kept))
    assert kept.json["results"][0]["as_of"] < live.json["results"][0]["as_of"]
    assert "failed" == failed.json["summary"]


async def test_positions_take_no_date(one):
    reply = await one.call("GET", "/v1/positions?date=2026-11-20")

    assert (422, "date") == (reply.status, reply.json["errors"][0]["field"])
