"""What orders take of limits and money, and give back: concurrency, replays, slices, modifies."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from gateway.orders.times import IST
from tests.gateway.rig import Rig
from tests.prechecks.test_refusals import assert_refused, option_of, put_limits

MINE = {"accounts": ["fyers-main"]}
RESTING = {**MINE, "price": "700.00", "wait_for": "book"}
_AT_ONCE = {"limits": {"broker_windows": "ignore"}}


@pytest.fixture
async def one(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",), account_settings=_AT_ONCE) as rig:
        yield rig


async def used(rig: Rig, target: str | None = "fyers-main") -> dict[str, Any]:
    views = (await rig.call("GET", "/v1/limits")).json["limits"]
    return next(view["used"] for view in views if view["target"] == target)


async def patch(rig: Rig, placed: Any, **changes: Any) -> dict[str, Any]:
    path = f"/v1/orders/{placed.json['order_id']}"
    reply = await rig.call("PATCH", path, changes)
    assert reply.status == 200, reply.json
    return reply.json["legs"][0]


async def test_concurrent_strict_orders_cannot_spend_the_same_rupee(tmp_path):
    async with Rig(
        tmp_path / "data",
        brokers=("fyers",),
        options={"cash": 10_000},
        account_settings=_AT_ONCE,
        settings={"prechecks": {"budget_ms": 2000}},
    ) as rig:
        replies = await asyncio.gather(
            *(rig.place(f"k{n}", precheck="strict", **MINE) for n in range(5))
        )

        states = sorted(reply.json["legs"][0]["outcome"] for reply in replies)
        assert states == ["accepted", "not_sent", "not_sent", "not_sent", "not_sent"]
        assert len(rig.ledger("fyers")) == 1


async def test_an_order_with_an_unknown_fate_goes_on_counting_as_spent(tmp_path):
    async with Rig(
        tmp_path / "data",
        brokers=("fyers",),
        options={"cash": 10_000},
        account_settings=_AT_ONCE,
        settings={"prechecks": {"budget_ms": 2000}},
    ) as rig:
        account = rig.gateway.accounts["fyers-main"]
        await rig.gateway.funds.get(account, 2.0)
        # Nothing of it gets to the broker, and no read of the book proves that.
        rig.sims["fyers"].faults.add(
            [
                {"call": "place", "action": "reset_before_accept"},
                {"call": "book", "action": "book_fail", "count": None},
                {"call": "order", "action": "book_fail", "count": None},
                {"call": "trades", "action": "book_fail", "count": None},
            ]
        )
        lost = await rig.place("lost", **MINE)
        assert lost.json["legs"][0]["outcome"] == "unknown"
        rig.gateway.funds.forget(account)
        await rig.gateway.funds.get(account, 2.0)

        tried = await rig.call(
            "POST",
            "/v1/orders/validate",
            {
                "instrument": "NSE:INFY",
                "side": "BUY",
                "order_type": "LIMIT",
                "product": "CNC",
                "quantity": 2,
                "price": "1498.00",
                "precheck": "strict",
                **MINE,
            },
        )

        leg = tried.json["legs"][0]
        assert leg["left"] == "1875.00"
        assert leg["reason"]["code"] == "margin_short"


async def test_open_orders_on_their_way_count_before_they_are_journalled(one):
    await put_limits(one, {"max_open_orders": 2})

    replies = await asyncio.gather(*(one.place(f"k{n}", **RESTING) for n in range(6)))

    outcomes = [reply.json["legs"][0]["outcome"] for reply in replies]
    assert sorted(outcomes) == ["accepted"] * 2 + ["not_sent"] * 4
    assert len(one.ledger("fyers")) == 2


async def test_a_repeated_key_takes_no_room(one):
    await put_limits(one, {"max_day_quantity": 25, "lookalike_s": 60, "max_orders_per_minute": 2})

    replies = await asyncio.gather(*(one.place("same", **RESTING) for _ in range(8)))
    again = await one.place("same", **RESTING)

    outcomes = {reply.json["legs"][0]["outcome"] for reply in (*replies, again)}
    assert outcomes <= {"accepted", "pending"}
    assert len({reply.json["order_id"] for reply in (*replies, again)}) == 1
    assert (await used(one))["quantity"] == 10
    other = await one.place("other", **{**RESTING, "price": "699.00"})
    assert other.json["legs"][0]["outcome"] == "accepted"


async def test_one_order_at_three_accounts_is_no_look_alike_of_itself(tmp_path):
    async with Rig(tmp_path / "data", account_settings=_AT_ONCE) as rig:
        await put_limits(rig, {"lookalike_s": 60})

        first = await rig.place("first")
        second = await rig.place("second")

        assert first.json["summary"] == "accepted"
        assert_refused(second, "lookalike", "instrument")


async def test_the_days_sums_survive_a_restart(one):
    await one.place("filled", wait_for="final", **MINE)
    await one.place("market", **{**MINE, "order_type": "MARKET", "price": None})
    await one.place("resting", **RESTING)
    before = await used(one)
    assert before["quantity"] == 30

    await one.restart_gateway()

    after = await used(one)
    assert after["quantity"] == 30
    assert abs(float(after["value"]) - float(before["value"])) < 300


async def test_what_was_rejected_or_cancelled_gives_its_room_back(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "reject"}])
    await one.place("rejected", **MINE)
    assert (await used(one))["quantity"] == 0

    resting = await one.place("resting", **RESTING)
    assert (await used(one))["quantity"] == 10
    await one.call("DELETE", f"/v1/orders/{resting.json['order_id']}")
    assert await used(one) == {"quantity": 0, "value": "0.00", "open_orders": 0}


def sliced(rig: Rig, **changes: Any) -> dict[str, Any]:
    return {
        **MINE,
        "instrument": option_of(rig),
        "product": "NRML",
        "quantity": 65 * 60,
        "price": "10.00",
        "slice": True,
        "wait_for": "book",
        **changes,
    }


async def test_slices_are_legs_with_tags_of_their_own_and_the_sums_of_the_whole(one):
    reply = await one.place("big", **sliced(one))

    legs = reply.json["legs"]
    assert [leg["quantity"] for leg in legs] == [1755, 1755, 390]
    assert [leg["slice"] for leg in legs] == [{"n": n, "of": 3} for n in (1, 2, 3)]
    assert len({leg["broker_tag"] for leg in legs}) == 3
    assert {leg["state"] for leg in legs} == {"OPEN"}
    assert sorted(order.tag for order in one.ledger("fyers")) == sorted(
        leg["broker_tag"] for leg in legs
    )
    assert await used(one) == {"quantity": 3900, "value": "39000.00", "open_orders": 3}

    gone = await one.call("DELETE", f"/v1/orders/{reply.json['order_id']}")

    assert {leg["state"] for leg in gone.json["legs"]} == {"CANCELLED"}
    assert (await used(one))["quantity"] == 0


async def test_slices_count_against_open_orders_and_the_minute(one):
    await put_limits(one, {"max_open_orders": 2})
    assert_refused(await one.place("a", **sliced(one)), "risk_limit", "accounts")
    await put_limits(one, {"max_orders_per_minute": 2})
    assert_refused(await one.place("b", **sliced(one)), "risk_limit", "accounts")
    assert one.ledger("fyers") == []


async def test_one_slice_that_may_not_go_keeps_them_all(one, monkeypatch):
    from adapters.sdk.errors import Denied, ReasonCode

    def refuse_the_last(order):
        if order.quantity == 390:
            raise Denied("not this one", reason=ReasonCode.INVALID_ORDER)

    adapter = one.gateway.accounts["fyers-main"].adapter
    monkeypatch.setattr(adapter, "check_order", refuse_the_last)

    reply = await one.place("big", **sliced(one))

    assert {leg["state"] for leg in reply.json["legs"]} == {"DENIED"}
    assert one.ledger("fyers") == []
    assert (await used(one))["quantity"] == 0


async def test_the_quantity_of_a_sliced_order_is_changed_slice_by_slice(one):
    placed = await one.place("big", **sliced(one))

    whole = await one.call("PATCH", f"/v1/orders/{placed.json['order_id']}", {"quantity": 65})
    last = placed.json["legs"][2]
    path = f"/v1/orderbook/fyers-main/{last['broker_order_id']}"
    part = await one.call("PATCH", path, {"quantity": 325})

    assert whole.status == 422
    assert part.json["modify"] == "applied"
    assert sorted(order.quantity for order in one.ledger("fyers")) == [325, 1755, 1755]
    assert (await used(one))["quantity"] == 3835


async def test_validating_sends_nothing_and_takes_no_room(one):
    body = {**sliced(one), "side": "BUY", "order_type": "LIMIT"}

    for _ in range(3):
        reply = await one.call("POST", "/v1/orders/validate", body)
        assert reply.json["ok"] is True, reply.json

    assert [leg["quantity"] for leg in reply.json["legs"]] == [1755, 1755, 390]
    assert one.ledger("fyers") == []
    assert (await used(one))["quantity"] == 0


async def test_require_all_sends_nothing_where_one_account_is_refused(tmp_path):
    async with Rig(tmp_path / "data", account_settings=_AT_ONCE) as rig:
        await put_limits(rig, {"max_order_quantity": 5}, "mstock-main")

        reply = await rig.place(require="all")

        codes = {leg["account"]: leg["reason"]["code"] for leg in reply.json["legs"]}
        assert set(codes.values()) == {"risk_limit"}
        assert "mstock-main failed its checks" in reply.leg("fyers-main")["reason"]["message"]
        assert [len(rig.ledger(broker)) for broker in rig.sims] == [0, 0, 0]
        assert (await used(rig, "fyers-main"))["quantity"] == 0


async def test_groups_and_lots_mean_the_same_tried_placed_and_audited(tmp_path):
    groups = {"family": {"fyers-main": "1", "mstock-main": "0.5", "hdfc-main": "2"}}
    async with Rig(
        tmp_path / "data", settings={"groups": groups}, account_settings=_AT_ONCE
    ) as rig:
        order = {
            "instrument": option_of(rig),
            "product": "NRML",
            "quantity": None,
            "lots": 3,
            "price": "10.00",
            "accounts": ["@family"],
        }
        body = {"side": "BUY", "order_type": "LIMIT", **order}

        tried = await rig.call("POST", "/v1/orders/validate", body)
        placed = await rig.place(**order)
        audit = await rig.call("GET", "/v1/audit?kind=order")

        wanted = {"fyers-main": 195, "mstock-main": 65, "hdfc-main": 390}
        for legs in (tried.json["legs"], placed.json["legs"]):
            assert {leg["account"]: leg["quantity"] for leg in legs} == wanted
        row = audit.json["rows"][-1]["body"]
        resolved = row["resolved"].values()
        assert {each["account"]: each["quantity"] for each in resolved} == wanted
        assert set(row["checks"]) == set(row["legs"])


MODIFIED = {
    "a_quantity_above_the_limit_of_an_order": (
        {"max_order_quantity": 15},
        {"quantity": 16},
        "risk_limit",
        "quantity",
    ),
    "a_value_above_the_limit_of_an_order": (
        {"max_order_value": "7000"},
        {"price": "701.00"},
        "risk_limit",
        "quantity",
    ),
    "a_quantity_above_the_days_sum": (
        {"max_day_quantity": 15},
        {"quantity": 16},
        "risk_limit",
        "quantity",
    ),
    "a_value_above_the_instruments_sum": (
        {"max_instrument_value": "7000"},
        {"quantity": 11},
        "risk_limit",
        "quantity",
    ),
    "a_price_outside_the_collar": (
        {"price_collar_percent": {"EQ": 15}},
        {"price": "650.00"},
        "risk_limit",
        "price",
    ),
    "more_of_what_is_banned_since": (
        {"banned_instruments": ["NSE:*"]},
        {"quantity": 11},
        "risk_limit",
        "instrument",
    ),
    "a_higher_price_for_what_is_banned_since": (
        {"banned_products": ["CNC"]},
        {"price": "701.00"},
        "risk_limit",
        "product",
    ),
    "a_price_between_ticks": ({}, {"price": "700.02"}, "tick_size", "price"),
    "a_price_outside_the_band": ({}, {"price": "99999.00"}, "price_band", "price"),
}


@pytest.mark.parametrize("case", MODIFIED)
async def test_a_modify_is_refused_before_it_is_sent(tmp_path, case):
    limits, change, code, field = MODIFIED[case]
    async with Rig(
        tmp_path / "data",
        brokers=("fyers",),
        account_settings=_AT_ONCE,
        settings={"prechecks": {"budget_ms": 2000}},
    ) as one:
        placed = await one.place("k", **RESTING)
        await put_limits(one, limits)

        leg = await patch(one, placed, **change)

        assert leg["modify"] == "refused"
        reason = leg["modify_reason"]
        assert (reason["code"], reason["details"]["field"]) == (code, field)
        (order,) = one.ledger("fyers")
        assert (order.quantity, order.price) == (10, 700)
        assert one.sims["fyers"].calls["modify"] == 0
        assert (await used(one))["quantity"] == 10


async def test_a_strict_order_grows_only_as_far_as_the_money_goes(tmp_path):
    async with Rig(
        tmp_path / "data",
        brokers=("fyers",),
        options={"cash": 10_000},
        account_settings=_AT_ONCE,
        settings={"prechecks": {"budget_ms": 2000}},
    ) as one:
        placed = await one.place("k", precheck="strict", **RESTING)
        leg = await patch(one, placed, quantity=20)
        assert ("refused", "margin_short") == (leg["modify"], leg["modify_reason"]["code"])
        assert one.sims["fyers"].calls["modify"] == 0
        assert (await patch(one, placed, quantity=14))["modify"] == "applied"


async def test_an_order_is_not_modified_while_its_market_is_closed(tmp_path):
    closed = {**_AT_ONCE, "market_hours": "enforce"}
    async with Rig(tmp_path / "data", brokers=("fyers",), account_settings=closed) as one:
        one.gateway.prechecks._now = lambda: datetime(2026, 11, 23, 11, 0, tzinfo=IST)
        placed = await one.place("k", **RESTING)
        one.gateway.prechecks._now = lambda: datetime(2026, 11, 23, 22, 0, tzinfo=IST)
        leg = await patch(one, placed, quantity=11)
        assert ("refused", "market_closed") == (leg["modify"], leg["modify_reason"]["code"])
        assert one.sims["fyers"].calls["modify"] == 0


async def test_a_modify_that_is_applied_is_counted_as_what_it_is_now(one):
    placed = await one.place("k", **RESTING)

    assert (await patch(one, placed, quantity=12))["modify"] == "applied"
    assert (await used(one))["quantity"] == 12
    assert (await patch(one, placed, price="701.00"))["modify"] == "applied"
    assert (await used(one))["value"] == "8412.00"
    assert (await patch(one, placed, quantity=4))["modify"] == "applied"
    assert (await used(one))["quantity"] == 4


async def test_a_modify_that_the_broker_refused_gives_its_room_back(one):
    placed = await one.place("k", **RESTING)
    one.sims["fyers"].faults.add([{"call": "modify", "action": "reject"}])

    assert (await patch(one, placed, quantity=50))["modify"] == "refused"
    assert (await used(one))["quantity"] == 10


async def test_a_decrease_passes_limits_that_the_order_broke_already(one):
    placed = await one.place("k", **RESTING)
    await put_limits(one, {"max_order_quantity": 2, "max_day_value": "1"})

    assert (await patch(one, placed, quantity=9))["modify"] == "applied"
