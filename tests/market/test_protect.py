"""Market orders under `market_orders: protect`: a limit inside the band around a fresh price."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from adapters.sdk.models import OrderType
from tests.gateway.rig import ORDER, Rig

MARKET = {**ORDER, "order_type": "MARKET", "price": None}
BAND = Decimal("1.0")


def set_policy(rig: Rig, account: str, **changes) -> None:
    found = rig.gateway.accounts[account]
    fields = {"protect_band": {"EQ": BAND}, **changes}
    found.policy = msgspec.structs.replace(found.policy, **fields)


def contract(rig: Rig, broker: str):
    return rig.sims[broker].universe.by_instrument("NSE:SBIN")


def price(rig: Rig, broker: str) -> Decimal:
    return rig.sims[broker].engine.price(contract(rig, broker))


def fail_quotes(rig: Rig, *brokers: str) -> None:
    for broker in brokers:
        rig.sims[broker].faults.add(
            [{"action": "accept_then_html", "call": "quote", "count": None}]
        )


async def place(rig: Rig, key: str = "k", **changes):
    return await rig.call("POST", "/v1/orders", {**MARKET, **changes}, idempotency_key=key)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_a_market_order_goes_to_every_broker_as_a_limit_in_the_band(rig, side):
    reply = await place(rig, side=side, product="MIS")

    for broker in rig.sims:
        leg = reply.leg(f"{broker}-main")
        assert leg["outcome"] == "accepted", leg
        [order] = rig.ledger(broker)
        now = price(rig, broker)
        assert order.order_type is OrderType.LIMIT
        assert leg["sent"]["order_type"] == "LIMIT"
        assert Decimal(leg["sent"]["price"]) == order.price
        away = (order.price - now) if side == "BUY" else (now - order.price)
        assert 0 < away <= now * Decimal("0.011")
        assert order.price % Decimal("0.05") == 0


async def test_a_stop_without_a_limit_gets_one_around_its_trigger(rig):
    calls = {name: sim.calls["quote"] for name, sim in rig.sims.items()}
    reply = await place(rig, order_type="SL-M", trigger_price="820.00", product="MIS", side="BUY")

    for broker in rig.sims:
        leg = reply.leg(f"{broker}-main")
        assert leg["outcome"] == "accepted", leg
        assert leg["sent"] == {"order_type": "SL", "price": "828.20", "trigger_price": "820.00"}
        [order] = rig.ledger(broker)
        assert (order.order_type, order.price) == (OrderType.SL, Decimal("828.20"))
        assert rig.sims[broker].calls["quote"] == calls[broker]


async def test_the_limit_follows_a_price_that_moved(one):
    one.sims["fyers"].engine.set_price(contract(one, "fyers"), Decimal("700.00"))

    leg = (await place(one, accounts=["fyers-main"])).leg("fyers-main")

    assert Decimal("700") < Decimal(leg["sent"]["price"]) <= Decimal("708")


async def test_limit_orders_ask_for_no_quotes(rig):
    before = {name: sim.calls["quote"] for name, sim in rig.sims.items()}

    await rig.place()

    assert {name: sim.calls["quote"] for name, sim in rig.sims.items()} == before


async def test_a_leg_without_a_fresh_price_is_not_sent_and_the_others_are(rig):
    fail_quotes(rig, "mstock")

    reply = await place(rig)

    leg = reply.leg("mstock-main")
    assert (leg["state"], leg["reason"]["code"]) == ("DENIED", "price_unavailable")
    assert "send LIMIT" in leg["reason"]["message"]
    assert leg["reason"]["retryable"] is True
    assert rig.ledger("mstock") == []
    assert reply.leg("fyers-main")["outcome"] == "accepted"
    assert reply.leg("hdfc-main")["outcome"] == "accepted"


async def test_with_require_all_one_missing_price_keeps_every_leg_here(rig):
    fail_quotes(rig, "mstock")

    reply = await place(rig, require="all")

    assert {leg["outcome"] for leg in reply.json["legs"]} == {"not_sent"}
    assert [rig.ledger(broker) for broker in rig.sims] == [[], [], []]


async def test_another_account_prices_a_leg_whose_own_broker_does_not(rig):
    fail_quotes(rig, "mstock", "hdfc")
    for account in ("mstock-main", "hdfc-main"):
        set_policy(rig, account, quotes_from="fyers-main")
    rig.sims["fyers"].engine.set_price(contract(rig, "fyers"), Decimal("790.00"))

    reply = await place(rig)

    for broker in rig.sims:
        leg = reply.leg(f"{broker}-main")
        assert leg["outcome"] == "accepted", leg
        assert Decimal("790") < Decimal(leg["sent"]["price"]) <= Decimal("798.70")


async def test_a_slow_source_costs_no_more_than_its_part_of_the_time_to_live(one):
    one.sims["fyers"].faults.add([{"action": "slow", "call": "quote", "params": {"ms": 20_000}}])

    leg = (await place(one, accounts=["fyers-main"], ttl_ms=400)).leg("fyers-main")

    assert leg["reason"]["code"] == "price_unavailable"
    assert "did not answer in time" in leg["reason"]["message"]


async def test_market_orders_of_a_basket_are_protected_each(one):
    orders = [{**MARKET, "accounts": ["fyers-main"], "quantity": n} for n in (1, 2)]
    await one.call("POST", "/v1/baskets", {"orders": orders}, idempotency_key="b")

    assert [order.order_type for order in one.ledger("fyers")] == [OrderType.LIMIT] * 2


async def test_a_protected_order_is_modified_as_what_was_sent(one):
    placed = await place(
        one, order_type="SL-M", trigger_price="820.00", product="MIS", accounts=["fyers-main"]
    )
    path = f"/v1/orders/{placed.json['order_id']}"

    refused = await one.call("PATCH", path, {"order_type": "MARKET"})
    changed = await one.call("PATCH", path, {"quantity": 12, "order_type": "SL-M"})

    assert refused.leg("fyers-main")["modify"] == "refused"
    assert changed.leg("fyers-main")["modify"] == "applied"
    [order] = one.ledger("fyers")
    assert (order.order_type, order.quantity) == (OrderType.SL, 12)
    assert (order.price, order.trigger_price) == (Decimal("828.20"), Decimal("820.00"))
