"""What narrows a request has to exist: a filter that fits nothing must not pass for an answer."""

from __future__ import annotations

import pytest

from tests.gateway.rig import ORDER, Rig


async def test_cancel_all_refuses_an_instrument_that_cannot_be_meant(one: Rig) -> None:
    for written, near in (("SBIN", []), ("NSE:SBI", ["NSE:SBIN"])):
        reply = await one.call("POST", "/v1/orders/cancel-all", {"instrument": written})

        assert (reply.status, reply.json["code"]) == (422, "invalid_request"), written
        assert reply.json["errors"][0]["field"] == "instrument"
        assert set(near) <= set(reply.json["did_you_mean"])

    known = await one.call("POST", "/v1/orders/cancel-all", {"instrument": "NSE:SBIN"})
    assert (known.status, known.json["total"]) == (200, 0)


async def test_cancel_all_goes_on_where_the_masters_cannot_be_read(
    one: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await one.place("far", price="700.00", accounts=["fyers-main"], wait_for="book")

    async def broken(instrument: str) -> None:
        raise OSError("a bad sector")

    monkeypatch.setattr(one.gateway.instruments, "find_everywhere", broken)
    reply = await one.call("POST", "/v1/orders/cancel-all", {"instrument": ORDER["instrument"]})

    assert (reply.status, reply.json["total"]) == (200, 1), reply.content
    assert placed.status in (200, 201, 202)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("instrument=SBIN", "instrument"),
        ("account=zz", "account"),
        ("account=one-main,z", "account"),
    ],
)
async def test_the_list_of_orders_refuses_a_filter_that_cannot_be_meant(
    one: Rig, query: str, field: str
) -> None:
    reply = await one.call("GET", f"/v1/orders?{query.replace('one', 'fyers')}")

    assert (reply.status, reply.json["code"]) == (422, "invalid_request")
    assert [error["field"] for error in reply.json["errors"]] == [field]


@pytest.mark.parametrize(
    ("accounts", "words"),
    [([], "accounts must not be empty"), (["nope"], "known are fyers-main")],
)
async def test_cancel_all_refuses_accounts_that_cannot_be_meant(
    one: Rig, accounts: list[str], words: str
) -> None:
    """An empty list would be "nothing to cancel" to a program that lost its accounts."""
    reply = await one.call("POST", "/v1/orders/cancel-all", {"accounts": accounts})

    assert (reply.status, reply.json["code"]) == (422, "invalid_request")
    assert words in reply.json["detail"]


async def test_margins_refuses_an_account_that_no_order_uses(one: Rig) -> None:
    order = {**ORDER, "accounts": ["fyers-main"], "quantity": 1}

    reply = await one.call("POST", "/v1/margins", {"orders": [order], "accounts": ["nope"]})

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "accounts")
    assert "'nope' is not known" in reply.json["detail"]


async def test_a_state_that_there_is_not_is_told_with_those_that_there_are(one: Rig) -> None:
    reply = await one.call("GET", "/v1/orders?state=OPEN,CLOSED")

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "state")
    assert "state has no CLOSED; there are " in reply.json["detail"]
    assert "NEEDS_OPERATOR" in reply.json["detail"]


async def test_a_baskets_orders_are_found_by_its_key(one: Rig) -> None:
    order = {**ORDER, "accounts": ["fyers-main"], "quantity": 1}
    basket = {"orders": [order, {**order, "quantity": 2}]}
    placed = await one.call("POST", "/v1/baskets", basket, idempotency_key="b1")
    await one.place("other", accounts=["fyers-main"], quantity=3)

    found = await one.call("GET", "/v1/orders?idempotency_key=b1")

    ids = {order["order_id"] for order in placed.json["orders"]}
    assert len(ids) == 2
    assert {order["order_id"] for order in found.json["orders"]} == ids


async def test_a_narrow_key_hears_of_no_group_that_it_may_not_use(tmp_path) -> None:
    groups = {"family": {"fyers-main": "1", "mstock-main": "1"}, "mine": {"fyers-main": "1"}}
    settings = {"groups": groups}
    brokers = ("fyers", "mstock")
    async with Rig(tmp_path / "d", brokers=brokers, settings=settings, log_in=False) as rig:
        key = await rig.new_key("narrow", ["trade"], ["fyers-main"])
        order = {**ORDER, "accounts": ["@nobody"]}
        close = {"accounts": ["@nobody"]}
        for method, path, body in (
            ("POST", "/v1/orders", order),
            ("POST", "/v1/positions/close", close),
            ("GET", "/v1/funds?accounts=@nobody", None),
        ):
            reply = await rig.call(method, path, body, key=key, idempotency_key="k")
            assert reply.status == 422, path
            assert "@mine" in reply.json["detail"], path
            assert "@family" not in reply.json["detail"], path
