"""Both clients against a gateway: what they place, follow, change and end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway.client import FixRequest, LogIn, Next
from tests.client.conftest import Desk
from tests.gateway.rig import ORDER as THREE

ORDER: dict[str, Any] = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": Decimal("760.00"),
    "accounts": ["fyers-main"],
}


async def test_order_over_three_accounts_is_followed_until_every_broker_has_it(
    family: Desk,
) -> None:
    order = await family.do(family.client.place, **{**THREE, "price": "760.00", "wait_ms": 0})

    assert "accepted" == order.summary
    assert {"fyers-main", "hdfc-main", "mstock-main"} == {leg.account for leg in order.accepted}
    assert [] == order.failed
    leg = order.leg("mstock-main")
    assert Decimal("760.00") == leg.price
    assert Next.FOLLOW is leg.next
    with pytest.raises(KeyError):
        order.leg("elsewhere")


async def test_key_is_made_where_none_is_given_and_is_another_each_time(desk: Desk) -> None:
    first = await desk.aio.place(**ORDER)
    second = await desk.aio.place(**ORDER)

    assert first.order_id != second.order_id
    keys = desk.between.keys()
    assert 2 == len(set(keys))
    assert None not in keys


async def test_key_of_the_callers_own_places_once_and_finds_the_order(desk: Desk) -> None:
    first = await desk.do(desk.client.place, key="mine", **ORDER)
    again = await desk.do(desk.client.place, key="mine", **ORDER)
    found = await desk.aio.find_order("mine")

    assert first.order_id == again.order_id
    assert found is not None
    assert first.order_id == found.order_id
    assert 1 == len(desk.sent())
    assert await desk.aio.find_order("another") is None


async def test_price_from_a_float_is_refused_before_anything_is_sent(desk: Desk) -> None:
    with pytest.raises(TypeError, match="price is a float"):
        await desk.aio.place(**{**ORDER, "price": 760.1})
    with pytest.raises(TypeError, match="trigger_price is a float"):
        await desk.aio.modify("ord_1", trigger_price=1.5)  # type: ignore[arg-type]
    assert [] == desk.between.seen


async def test_prices_keep_their_digits(desk: Desk) -> None:
    order = await desk.aio.place(**{**ORDER, "price": Decimal("760.10")})

    assert "760.10" == str(order.legs[0].price)
    assert "760.10" == order.request["price"]


async def test_modify_cancel_history(desk: Desk) -> None:
    order = await desk.aio.place(**ORDER, wait_for="book")
    changed = await desk.aio.modify(order.order_id, price="761.00")
    over = await desk.aio.cancel(order.order_id)
    history = await desk.aio.history(order.order_id)

    assert "applied" == changed.legs[0].modify
    assert Decimal("761.00") == changed.legs[0].price
    assert "CANCELLED" == over.legs[0].state
    assert "accepted" == history.events[0].event
    assert history.events[0].from_ is None
    assert history.events[0].at is not None
    assert history.events[0].at.tzinfo is not None


async def test_modify_of_an_order_that_is_over_is_to_be_fixed(desk: Desk) -> None:
    order = await desk.do(desk.client.place, **ORDER)
    await desk.do(desk.client.cancel, order.order_id)

    with pytest.raises(FixRequest, match="was not modified") as caught:
        await desk.do(desk.client.modify, order.order_id, price="761.00")

    assert caught.value.order is not None
    assert order.order_id == caught.value.order.order_id


async def test_basket_is_one_key_and_its_orders_are_orders(desk: Desk) -> None:
    orders = [{**ORDER}, {**ORDER, "quantity": 5, "price": "755"}]
    basket = await desk.aio.basket(orders, sequence="ordered", stop_on="rejected", key="both")  # type: ignore[arg-type]
    again = await desk.do(
        desk.client.basket, orders, sequence="ordered", stop_on="rejected", key="both"
    )

    assert "accepted" == basket.summary
    assert basket.basket_id == again.basket_id
    assert [10, 5] == [order.legs[0].quantity for order in basket.orders if order]
    assert ["both", "both"] == desk.between.keys("/v1/baskets")
    assert 2 == len(desk.sent())


async def test_orders_are_listed_over_pages(desk: Desk) -> None:
    placed = [(await desk.aio.place(**ORDER, strategy="listed")).order_id for _ in range(3)]
    listed = await desk.do(desk.client.orders, strategy="listed", limit=2)
    all_of_them = await desk.aio.orders(strategy="listed", open=True, account=["fyers-main"])

    assert placed[:0:-1] == [order.order_id for order in listed]
    assert placed[::-1] == [order.order_id for order in all_of_them]


async def test_cancel_all_and_close(desk: Desk) -> None:
    await desk.aio.place(**ORDER, wait_for="book")

    cancelled = await desk.do(desk.client.cancel_all, accounts=["fyers-main"])
    closed = await desk.aio.close_positions(accounts=["fyers-main"], key="close")

    assert cancelled.total == 1
    assert cancelled.problems == {}
    assert closed.done
    assert ["close"] == desk.between.keys("/v1/positions/close")


async def test_wrong_order_is_to_be_fixed_and_names_the_field(desk: Desk) -> None:
    with pytest.raises(FixRequest) as caught:
        await desk.do(desk.client.place, **{**ORDER, "qty": 10})

    assert (422, "invalid_order") == (caught.value.status, caught.value.code)
    assert "qty" in caught.value.fields
    assert caught.value.request_id
    assert [] == desk.sent()


async def test_order_that_fails_its_checks_is_to_be_fixed(desk: Desk) -> None:
    with pytest.raises(FixRequest, match="tick_size") as caught:
        await desk.aio.place(**{**ORDER, "price": "760.01"})

    assert caught.value.order is not None
    assert Next.FIX is caught.value.order.legs[0].next


async def test_key_of_another_order_is_to_be_fixed(desk: Desk) -> None:
    await desk.aio.place(key="taken", **ORDER)
    with pytest.raises(FixRequest) as caught:
        await desk.aio.place(key="taken", **{**ORDER, "quantity": 11})

    assert "idempotency_key_reused" == caught.value.code
    assert "taken" == caught.value.idempotency_key


async def test_order_without_a_session_asks_for_a_login(desk: Desk) -> None:
    await desk.aio.logout("fyers-main")
    with pytest.raises(LogIn) as caught:
        await desk.do(desk.client.place, **ORDER)

    assert ["fyers-main"] == caught.value.accounts
    assert [] == desk.sent()


async def test_order_with_one_leg_accepted_is_answered_with_the_other_to_look_at(
    family: Desk,
) -> None:
    await family.aio.logout("hdfc-main")
    order = await family.aio.place(**{**THREE, "price": "760.00"})

    assert "partial" == order.summary
    assert ["hdfc-main"] == [leg.account for leg in order.failed]
    assert Next.LOG_IN is order.leg("hdfc-main").next


async def test_killed_order_may_be_tried_again_later(desk: Desk) -> None:
    from gateway.client import RetryLater

    engaged = await desk.aio.kill(reason="a test", scope="strategy", target="s1")
    with pytest.raises(RetryLater, match="kill_switch"):
        await desk.aio.place(**ORDER, strategy="s1")
    assert (await desk.do(desk.client.kill_switch)).engaged
    released = await desk.do(desk.client.release, reason="tested", scope="strategy", target="s1")

    assert engaged.persisted
    assert not released.engaged
    assert (await desk.aio.place(**ORDER, strategy="s1")).accepted


async def test_wrong_api_key_is_to_be_fixed_and_is_in_no_text(desk: Desk) -> None:
    from gateway.client import Client

    with (
        Client(desk.between.url, "bg_live_wrong") as wrong,
        pytest.raises(FixRequest) as caught,
    ):
        await desk.do(wrong.sessions)

    assert 401 == caught.value.status
    assert "bg_live_wrong" not in f"{caught.value} {wrong!r}"
