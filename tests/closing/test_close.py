"""`POST /v1/positions/close` against the three simulators: what is closed, in which order."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from adapters.sdk.models import OrderType, Product, Side
from tests.closing.conftest import buy, close, held, left, option, rests, sent
from tests.kill.help import elsewhere, engage, hold, until

SBIN = ("NSE:SBIN", "MIS")


async def test_mis_and_nrml_are_closed_by_protected_limits_and_delivery_stays(rig):
    for name in rig.sims:
        hold(rig, name, 10)
        hold(rig, name, -4, instrument="NSE:INFY")
        hold(rig, name, 3, product=Product.CNC)
        elsewhere(rig, name, product=Product.MIS)

    reply = await close(rig)

    assert (200, True) == (reply.status, reply.json["done"]), reply.json
    assert 3 == len(reply.json["cancelled"])
    assert {"CANCELLED"} == {row["ended"] for row in reply.json["cancelled"]}
    assert 6 == len(reply.json["orders"])
    assert {"accepted"} == {order["summary"] for order in reply.json["orders"]}
    for name in rig.sims:
        assert {("NSE:SBIN", "CNC"): 3} == held(rig, name)
        assert [
            ("NSE:INFY", "MIS", "BUY", 4),
            ("NSE:SBIN", "MIS", "SELL", 10),
        ] == sent(rig, name)
        closing = [order for order in rig.ledger(name) if order.tag is not None]
        assert [Decimal("1512.90"), Decimal("803.90")] == [order.price for order in closing]
        assert {OrderType.LIMIT} == {order.order_type for order in closing}


async def test_delivery_is_closed_when_it_is_named_and_nothing_else_then(one):
    hold(one, "fyers", 10)
    hold(one, "fyers", 3, product=Product.CNC)

    reply = await close(one, product="CNC")

    assert 200 == reply.status, reply.json
    assert {SBIN: 10} == held(one, "fyers")


async def test_a_sale_out_of_holdings_is_not_bought_back(one):
    hold(one, "fyers", -3, product=Product.CNC)

    reply = await close(one, product="CNC")

    assert 202 == reply.status
    assert [("fyers-main", "NSE:SBIN", -3, "product_not_allowed")] == left(reply)
    assert [] == sent(one, "fyers")


async def test_only_the_instrument_and_the_accounts_that_are_named_are_closed(rig):
    for name in rig.sims:
        hold(rig, name, 10)
        hold(rig, name, 5, instrument="NSE:INFY")
        elsewhere(rig, name, product=Product.MIS, instrument="NSE:INFY", price=Decimal("1400.00"))

    reply = await close(rig, accounts=["@two"], instrument="NSE:SBIN")

    assert (200, []) == (reply.status, reply.json["cancelled"]), reply.json
    other = ("NSE:INFY", "MIS")
    assert [{other: 5}, {SBIN: 10, other: 5}, {other: 5}] == [
        held(rig, name) for name in ("fyers", "mstock", "hdfc")
    ]


async def test_an_open_order_of_a_flat_instrument_that_is_named_is_cancelled(one):
    elsewhere(one, "fyers", product=Product.MIS)

    reply = await close(one, instrument="NSE:SBIN")

    assert 200 == reply.status, reply.json
    assert ["CANCELLED"] == [row["ended"] for row in reply.json["cancelled"]]
    assert [] == reply.json["orders"]


async def test_nothing_held_is_done_at_once(one):
    reply = await close(one)

    assert (200, True, []) == (reply.status, reply.json["done"], reply.json["orders"])


async def test_what_an_order_traded_before_its_cancel_is_closed_too(one):
    resting = elsewhere(one, "fyers", product=Product.MIS, quantity=8)
    one.sims["fyers"].engine.fill(resting, 3)

    reply = await close(one)

    assert 200 == reply.status, reply.json
    assert [("NSE:SBIN", "MIS", "SELL", 3)] == sent(one, "fyers")
    assert {} == held(one, "fyers")


async def test_an_order_whose_cancel_fails_keeps_its_instrument_open_and_others_close(one):
    hold(one, "fyers", 10)
    hold(one, "fyers", 5, instrument="NSE:INFY")
    resting = elsewhere(one, "fyers", product=Product.MIS)
    one.sims["fyers"].faults.add([{"call": "cancel", "action": "status", "count": None}])

    reply = await close(one)

    assert (202, False) == (reply.status, reply.json["done"])
    (unresolved,) = reply.json["unresolved"]
    assert resting.broker_order_id == unresolved["broker_order_id"]
    assert ("fyers-main", "NSE:SBIN", 10, "unresolved") in left(reply)
    assert {SBIN: 10} == held(one, "fyers")


async def test_an_instrument_with_an_unresolved_leg_is_skipped_and_listed(one):
    hold(one, "fyers", 10)
    hold(one, "fyers", 5, instrument="NSE:INFY")
    one.sims["fyers"].faults.add([{"call": "place", "action": "reset_before_read"}])
    lost = await one.place(accounts=["fyers-main"], price="780.00", product="MIS")
    assert "unknown" == lost.leg("fyers-main")["outcome"]

    reply = await close(one)

    assert 202 == reply.status
    assert [("fyers-main", "NSE:SBIN", 10, "unresolved")] == left(reply)
    leg_id = lost.leg("fyers-main")["leg_id"]
    assert [leg_id] == [row["leg_id"] for row in reply.json["unresolved"]]
    assert {SBIN: 10} == held(one, "fyers")


async def test_one_account_without_a_session_leaves_the_others_closed(rig):
    for name in rig.sims:
        hold(rig, name, 10)
    await rig.call("DELETE", "/v1/sessions/mstock-main")
    rig.sims["hdfc"].faults.add([{"call": "read", "action": "session_expired"}])

    reply = await close(rig)

    assert 202 == reply.status
    assert {
        ("mstock-main", None, None, "session_missing"),
        ("hdfc-main", None, None, "session_expired"),
    } == set(left(reply))
    assert {} == held(rig, "fyers")
    assert {SBIN: 10} == held(rig, "hdfc") == held(rig, "mstock")


async def test_a_position_without_a_price_keeps_its_stop_order(one):
    hold(one, "fyers", 10)
    stop = elsewhere(one, "fyers", product=Product.MIS)
    one.sims["fyers"].faults.add([{"call": "quote", "action": "status", "count": None}])

    reply = await close(one)

    assert [("fyers-main", "NSE:SBIN", 10, "price_unavailable")] == left(reply)
    assert not stop.is_final


async def test_a_kill_switch_that_stops_the_close_keeps_the_stop_order_too(one):
    hold(one, "fyers", 10)
    stop = elsewhere(one, "fyers", product=Product.MIS)
    await engage(one, level="HALT_NEW")

    reply = await close(one)

    assert [("fyers-main", None, None, "kill_switch")] == left(reply)
    assert not stop.is_final


async def test_closing_passes_where_orders_may_only_reduce(one):
    hold(one, "fyers", 10)
    await engage(one, level="REDUCE_ONLY")

    reply = await close(one)

    assert 200 == reply.status, reply.json
    assert {} == held(one, "fyers")


async def test_two_closes_at_once_never_turn_a_position(one):
    hold(one, "fyers", 10)

    replies = await asyncio.gather(*(close(one, f"c{n}") for n in range(5)))

    assert [200] * 5 == [reply.status for reply in replies], [reply.json for reply in replies]
    assert [("NSE:SBIN", "MIS", "SELL", 10)] == sent(one, "fyers")
    assert {} == held(one, "fyers")


async def test_a_second_close_replaces_a_closing_order_that_rests(one):
    hold(one, "fyers", 10)
    contract = rests(one, "fyers")
    engine = one.sims["fyers"].engine
    first = asyncio.create_task(close(one, "c1", instrument="NSE:SBIN"))
    await until(lambda: len(sent(one, "fyers")) == 1, "nothing was sent")
    engine.fill(next(o for o in one.ledger("fyers") if o.tag is not None), 4)

    reply = await first

    assert 202 == reply.status
    assert [("fyers-main", "NSE:SBIN", 6, "timeout")] == left(reply)
    engine.set_price(contract, Decimal("800.00"))
    engine.set_available(contract, None)
    again = await close(one, "c2", instrument="NSE:SBIN")
    assert 200 == again.status, again.json
    assert [10, 6] == [row[3] for row in sent(one, "fyers")]
    assert {} == held(one, "fyers")
    # The first one knows by now that nothing of it is left to its own order.
    replayed = await close(one, "c1", instrument="NSE:SBIN")
    assert replayed.json["close_id"] == reply.json["close_id"]


async def test_positions_that_lag_behind_the_fills_are_not_closed_twice(one):
    hold(one, "fyers", 10)
    account = one.gateway.accounts["fyers-main"]
    stale = await account.adapter.positions(account.session)
    await close(one)

    async def late(session):
        return stale

    account.adapter.positions = late
    reply = await close(one, "c2")

    assert [("fyers-main", "NSE:SBIN", 10, "unresolved")] == left(reply)
    assert [10] == [row[3] for row in sent(one, "fyers")]


@pytest.mark.parametrize(("percent", "closed"), [(50, 5), ("33.3", 3), (100, 10)])
async def test_a_percentage_is_rounded_down_and_said_so(one, percent, closed):
    hold(one, "fyers", 10)

    reply = await close(one, percent=percent)

    assert 200 == reply.status, reply.json
    assert {SBIN: 10 - closed} == held(one, "fyers") or closed == 10
    rounded = [(row["position"], row["quantity"]) for row in reply.json["rounded"]]
    assert ([(10, 3)] if percent == "33.3" else []) == rounded


async def test_a_percentage_of_less_than_a_lot_closes_nothing_and_says_so(one):
    future = option(one, "fyers", "CE")
    hold(one, "fyers", future.lot_size, instrument=future.instrument, product=Product.NRML)

    reply = await close(one, percent=50)

    (rounded,) = reply.json["rounded"]
    assert (future.lot_size, 0) == (rounded["lot_size"], rounded["quantity"])
    assert [] == sent(one, "fyers")


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_a_short_is_bought_back_before_its_hedge_is_sold(rig, broker):
    short, hedge = option(rig, broker, "CE"), option(rig, broker, "CE", 1)
    hold(rig, broker, hedge.lot_size, instrument=hedge.instrument, product=Product.NRML)
    hold(rig, broker, -short.lot_size, instrument=short.instrument, product=Product.NRML)

    reply = await close(rig, accounts=[f"{broker}-main"])

    assert 200 == reply.status, reply.json
    assert [
        (short.instrument, "NRML", "BUY", short.lot_size),
        (hedge.instrument, "NRML", "SELL", hedge.lot_size),
    ] == sent(rig, broker)
    assert {} == held(rig, broker)


async def test_a_hedge_is_kept_while_its_short_is_not_bought_back(one):
    short, hedge = option(one, "fyers", "CE"), option(one, "fyers", "CE", 1)
    hold(one, "fyers", hedge.lot_size, instrument=hedge.instrument, product=Product.NRML)
    hold(one, "fyers", -short.lot_size, instrument=short.instrument, product=Product.NRML)
    rests(one, "fyers", short.instrument)

    reply = await close(one)

    assert 202 == reply.status
    assert [short.instrument] == [row[0] for row in sent(one, "fyers")]
    assert {
        ("fyers-main", short.instrument, -short.lot_size, "timeout"),
        ("fyers-main", hedge.instrument, hedge.lot_size, "unresolved"),
    } == set(left(reply))


async def test_slices_are_as_large_as_the_exchange_takes(one):
    universe = one.sims["fyers"].universe
    future = next(c for c in universe.contracts() if c.symbol.endswith("FUT") and c.on_index)
    most = future.freeze_quantity // future.lot_size * future.lot_size
    for quantity in (most, future.lot_size):
        hold(one, "fyers", quantity, instrument=future.instrument, product=Product.NRML)

    reply = await close(one)

    assert 200 == reply.status, reply.json
    assert [most, future.lot_size] == [row[3] for row in sent(one, "fyers")]


async def test_a_broker_that_refuses_is_told_of_with_its_words(one):
    hold(one, "fyers", 10)
    one.sims["fyers"].faults.add([{"call": "place", "action": "reject", "count": None}])

    reply = await close(one)

    assert 202 == reply.status
    (row,) = reply.json["remaining"]
    assert ("NSE:SBIN", 10) == (row["instrument"], row["quantity"])
    assert "rejected" == reply.json["orders"][0]["summary"]
    assert {SBIN: 10} == held(one, "fyers")


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_a_closing_order_of_which_no_answer_came_is_never_sent_again(rig, broker):
    hold(rig, broker, 10)
    rig.sims[broker].faults.add([{"call": "place", "action": "accept_then_reset"}])

    first = await close(rig, accounts=[f"{broker}-main"])
    await until(lambda: {} == held(rig, broker), "it was taken and trades")
    await close(rig, "c2", accounts=[f"{broker}-main"])

    assert (first.status == 200) is first.json["done"]
    assert 1 == len(sent(rig, broker))
    assert {} == held(rig, broker)


async def test_shares_of_a_strategy_are_closed_and_no_others(one):
    await buy(one, "a", 10, strategy="mine")
    await buy(one, "b", 7, strategy="other")
    await buy(one, "c", 2)
    mine = await buy(one, "d", 5, strategy="mine", price="780.00", wait_for="book")
    others = await buy(one, "e", 5, strategy="other", price="780.00", wait_for="book")

    reply = await close(one, strategy="mine")

    assert 200 == reply.status, reply.json
    assert [mine.leg("fyers-main")["leg_id"]] == [r["leg_id"] for r in reply.json["cancelled"]]
    assert {SBIN: 9} == held(one, "fyers")
    assert ["mine"] == [order["strategy"] for order in reply.json["orders"]]
    shown = await one.call("GET", f"/v1/orders/{others.json['order_id']}")
    assert "OPEN" == shown.leg("fyers-main")["state"]
    again = await close(one, "c2", strategy="mine")
    assert (200, []) == (again.status, again.json["orders"])


async def test_what_a_strategy_only_seems_to_hold_is_refused(one):
    await buy(one, "a", 10, strategy="mine")
    await close(one)
    await buy(one, "b", 10, strategy="other")

    reply = await close(one, "c2", strategy="mine")

    assert (202, []) == (reply.status, reply.json["orders"])
    assert [("fyers-main", "NSE:SBIN", 10, "unresolved")] == left(reply)
    assert {SBIN: 10} == held(one, "fyers")


async def test_a_position_that_is_no_strategys_is_refused_where_it_is_named(one):
    hold(one, "fyers", 10)

    reply = await close(one, strategy="mine", instrument="NSE:SBIN")

    assert (202, []) == (reply.status, reply.json["orders"])
    assert "mine" in reply.json["remaining"][0]["reason"]["message"]


async def test_an_order_of_another_strategy_on_the_closing_side_is_counted(one):
    await buy(one, "a", 10, strategy="mine")
    await buy(one, "b", 6, side="SELL", strategy="other", price="840.00", wait_for="book")

    reply = await close(one, strategy="mine")

    assert [("fyers-main", "NSE:SBIN", 6, "unresolved")] == left(reply)
    assert {SBIN: 6} == held(one, "fyers")
    assert Side.SELL == one.ledger("fyers")[-1].side


@pytest.mark.parametrize(
    "action", ["accept_then_html", "accept_then_empty", "accept_then_truncated"]
)
async def test_positions_that_cannot_be_read_close_nothing_and_are_said_so(one, action):
    hold(one, "fyers", 10)
    stop = elsewhere(one, "fyers", product=Product.MIS)
    one.sims["fyers"].faults.add([{"call": "read", "action": action, "count": None}])

    reply = await close(one)

    assert (202, []) == (reply.status, reply.json["orders"])
    assert ["fyers-main"] == [row["account"] for row in reply.json["remaining"]]
    assert not stop.is_final
