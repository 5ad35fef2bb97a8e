"""SQUARE_OFF: cancels first, then protected limits that close what may be closed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.sdk.models import OrderType, Product, Side
from tests.gateway.rig import Rig
from tests.kill.help import RESTING, elsewhere, engage, hold, release, state, until


async def seen_through(rig):
    async def done():
        switches = (await state(rig))["switches"]
        return all(switch["progress"] == "done" for switch in switches)

    await until(done, "the square-off was not seen through")
    return (await state(rig))["switches"][0]


def closing(rig, broker):
    """The orders that the gateway's square-off sent: product, side, quantity, type, price."""
    return [
        (order.product, order.side, order.quantity, order.order_type, order.price)
        for order in rig.ledger(broker)
        if order.tag is not None
    ]


def held(rig, broker):
    """The positions that are not flat, after whatever is due has traded."""
    rig.ledger(broker)
    return [
        (position.product, position.quantity)
        for position in rig.sims[broker].engine.account.positions
        if position.quantity
    ]


async def test_positions_are_closed_by_protected_limits_and_cnc_stays(rig):
    for name in rig.sims:
        hold(rig, name, 10)
        hold(rig, name, -4, instrument="NSE:INFY", product=Product.MIS)
        hold(rig, name, 3, product=Product.CNC)
        elsewhere(rig, name, product=Product.MIS)

    answer = await engage(rig, level="SQUARE_OFF")
    switch = await seen_through(rig)

    assert answer.json["id"] == switch["id"]
    for name in rig.sims:
        await until(lambda name=name: [(Product.CNC, 3)] == held(rig, name), "not closed")
        # One percent below and above the last price, on the tick, shorts first.
        assert [
            (Product.MIS, Side.BUY, 4, OrderType.LIMIT, Decimal("1512.90")),
            (Product.MIS, Side.SELL, 10, OrderType.LIMIT, Decimal("803.90")),
        ] == closing(rig, name)
    assert [] == switch["square_off"]["skipped"]

    async def filled():
        orders = (await state(rig))["switches"][0]["square_off"]["orders"]
        return ["FILLED"] * 6 == [order["state"] for order in orders]

    await until(filled, "the closing orders were not followed to their end")
    order_id = switch["square_off"]["orders"][0]["order_id"]
    shown = (await rig.call("GET", f"/v1/orders/{order_id}")).json
    assert "accepted" == shown["summary"]


async def test_restart_repeats_no_closing_order(one):
    hold(one, "fyers", 10)
    # Nothing is for sale: the closing order rests.
    engine = one.sims["fyers"].engine
    engine.set_available(engine.universe.by_instrument("NSE:SBIN"), 0)
    await engage(one, level="SQUARE_OFF")
    await until(lambda: len(one.ledger("fyers")) == 2, "nothing was sent")
    kept = "UPDATE kill_switch SET data = CAST(replace(data, '\"done\"', '\"running\"') AS BLOB)"
    await seen_through(one)
    await one.gateway.store.write(lambda c: c.execute(kept).fetchall())
    await one.restart_gateway()

    switch = await seen_through(one)

    assert 2 == len(one.ledger("fyers"))
    assert not one.ledger("fyers")[1].is_final
    assert 1 == len(switch["square_off"]["orders"])


async def test_engaging_again_replaces_a_closing_order_that_did_not_fill(one):
    hold(one, "fyers", 10)
    engine = one.sims["fyers"].engine
    contract = engine.universe.by_instrument("NSE:SBIN")
    engine.set_available(contract, 0)
    await engage(one, level="SQUARE_OFF")
    await seen_through(one)
    engine.set_price(contract, Decimal("800.00"))
    engine.set_available(contract, None)

    await engage(one, level="SQUARE_OFF")

    await seen_through(one)
    await until(lambda: [] == held(one, "fyers"), "not closed")
    assert [Decimal("803.90"), Decimal("792.00")] == [row[4] for row in closing(one, "fyers")]


async def test_instrument_with_an_unresolved_leg_is_left_alone_and_named(one):
    hold(one, "fyers", 10)
    hold(one, "fyers", 5, instrument="NSE:INFY")
    one.sims["fyers"].faults.add([{"call": "place", "action": "reset_before_read"}])
    lost = await one.place(accounts=["fyers-main"], **RESTING)
    assert "unknown" == lost.leg("fyers-main")["outcome"]

    await engage(one, level="SQUARE_OFF")
    switch = await seen_through(one)

    skipped = switch["square_off"]["skipped"]
    assert [("NSE:SBIN", 10)] == [(row["instrument"], row["quantity"]) for row in skipped]
    assert lost.leg("fyers-main")["leg_id"] in skipped[0]["why"]
    assert [(Product.MIS, 10)] == held(one, "fyers")


async def test_position_without_a_price_is_left_alone_and_named(one):
    hold(one, "fyers", 10)
    one.sims["fyers"].faults.add([{"call": "quote", "action": "status", "count": None}])

    await engage(one, level="SQUARE_OFF")
    switch = await seen_through(one)

    assert ["there is no fresh price for it"] == [
        row["why"] for row in switch["square_off"]["skipped"]
    ]
    assert [(Product.MIS, 10)] == held(one, "fyers")


async def test_price_comes_from_the_account_that_quotes_for_this_one(tmp_path):
    settings = {"quotes_from": "mstock-main"}
    async with Rig(
        tmp_path / "data", brokers=("fyers", "mstock"), account_settings=settings
    ) as rig:
        hold(rig, "fyers", 10)
        rig.sims["fyers"].faults.add([{"call": "quote", "action": "status", "count": None}])

        await engage(rig, level="SQUARE_OFF", scope="account", target="fyers-main")
        await seen_through(rig)

        await until(lambda: [] == held(rig, "fyers"), "not closed")


def buy_here(one, key, quantity, **changes):
    """Buy through the gateway at a price that trades at once."""
    order = {"product": "MIS", "price": "815.00", "accounts": ["fyers-main"], "wait_for": "final"}
    return one.place(key, quantity=quantity, **{**order, **changes})


async def test_square_off_of_a_strategy_closes_what_its_fills_are_proven_to_be(one):
    await buy_here(one, "a", 10, strategy="mine")
    await buy_here(one, "b", 7, strategy="other")
    hold(one, "fyers", 5)

    await engage(one, level="SQUARE_OFF", scope="strategy", target="mine")

    switch = await seen_through(one)
    assert [] == switch["square_off"]["skipped"]
    await until(lambda: [(Product.MIS, 12)] == held(one, "fyers"), "not closed")


async def test_square_off_of_a_key_closes_what_its_fills_are_proven_to_be(one):
    key = await one.new_key("second", ["trade"])
    await buy_here(one, "a", 10)
    body = {"instrument": "NSE:SBIN", "side": "BUY", "order_type": "LIMIT", "product": "MIS"}
    body |= {"quantity": 4, "price": "815.00", "accounts": ["fyers-main"], "wait_for": "final"}
    await one.call("POST", "/v1/orders", body, key=key, idempotency_key="k")
    keys = (await one.call("GET", "/v1/keys")).json["keys"]
    second = next(item["id"] for item in keys if item["name"] == "second")

    await engage(one, level="SQUARE_OFF", scope="key", target=second)

    await seen_through(one)
    await until(lambda: [(Product.MIS, 10)] == held(one, "fyers"), "not closed")


async def test_square_off_of_a_strategy_leaves_what_somebody_else_may_have_closed(one):
    await buy_here(one, "a", 10, strategy="mine")
    hold(one, "fyers", -6)

    await engage(one, level="SQUARE_OFF", scope="strategy", target="mine")

    switch = await seen_through(one)
    (skipped,) = switch["square_off"]["skipped"]
    assert (6, True) == (skipped["quantity"], "strategy mine" in skipped["why"])
    await until(lambda: [] == held(one, "fyers"), "not closed")


async def test_square_off_of_a_strategy_that_traded_nothing_closes_nothing(one):
    hold(one, "fyers", 10)

    await engage(one, level="SQUARE_OFF", scope="strategy", target="mine")

    switch = await seen_through(one)
    assert ([], []) == (switch["square_off"]["skipped"], switch["square_off"]["orders"])
    assert [(Product.MIS, 10)] == held(one, "fyers")


async def test_square_off_behind_an_open_breaker_closes_as_soon_as_that_lets_it(one):
    hold(one, "fyers", 10)
    account = one.gateway.accounts["fyers-main"]
    account.calls.health.place.hold("a test")

    await engage(one, level="SQUARE_OFF")

    async def named():
        switch = (await state(one))["switches"][0]
        return any("SBIN" in (row["instrument"] or "") for row in switch["square_off"]["skipped"])

    await until(named, "the position was not named")
    assert "running" == (await state(one))["switches"][0]["progress"]
    assert [] == closing(one, "fyers")
    account.calls.health.place.reset("a test")
    switch = await seen_through(one)
    assert [] == switch["square_off"]["skipped"]
    await until(lambda: [] == held(one, "fyers"), "not closed")


async def test_client_orders_stay_stopped_while_squaring_off(one):
    await engage(one, level="SQUARE_OFF")

    placed = await one.place(accounts=["fyers-main"])

    assert "not_sent" == placed.json["summary"]


@pytest.mark.parametrize("quantity", [130, 3900])
async def test_derivatives_are_closed_in_lots_and_slices(one, quantity):
    engine = one.sims["fyers"].engine
    future = next(c for c in engine.universe.contracts() if c.symbol.endswith("FUT") and c.on_index)
    hold_quantity = quantity
    while hold_quantity:
        part = min(hold_quantity, future.freeze_quantity // future.lot_size * future.lot_size)
        hold(one, "fyers", part, instrument=future.instrument, product=Product.NRML)
        hold_quantity -= part

    await engage(one, level="SQUARE_OFF")
    await seen_through(one)

    await until(lambda: [] == held(one, "fyers"), "not closed")
    sent = [row[2] for row in closing(one, "fyers")]
    assert quantity == sum(sent)
    assert all(part <= future.freeze_quantity and part % future.lot_size == 0 for part in sent)


async def test_release_ends_a_square_off(one):
    hold(one, "fyers", 10)
    one.sims["fyers"].faults.add([{"call": "cancel", "action": "status", "count": None}])
    elsewhere(one, "fyers")
    await engage(one, level="SQUARE_OFF", scope="account", target="fyers-main")

    await release(one, scope="account", target="fyers-main")

    assert not (await state(one))["engaged"]
