"""One key is one closing, over repetitions and restarts; and what is wrong with a request."""

from __future__ import annotations

import asyncio

import pytest

from adapters.sdk.models import Product
from tests.closing.conftest import close, held, left, rests, sent
from tests.kill.help import hold, until


async def test_the_same_key_answers_the_same_and_sends_nothing(one):
    hold(one, "fyers", 10)
    first = await close(one, percent=50)

    second = await close(one, percent="50.0")

    assert (200, "true") == (second.status, second.headers["idempotency-replayed"])
    assert first.json["close_id"] == second.json["close_id"]
    assert 1 == len(sent(one, "fyers"))
    assert first.json["orders"][0]["order_id"] == second.json["orders"][0]["order_id"]


async def test_the_same_key_answers_the_same_after_a_restart(one):
    hold(one, "fyers", 10)
    hold(one, "fyers", 3, product=Product.CNC)
    first = await close(one, percent="33")
    await one.restart_gateway()

    second = await close(one, percent="33")

    assert (200, "true") == (second.status, second.headers["idempotency-replayed"])
    for name in ("close_id", "done", "cancelled", "remaining", "unresolved", "rounded"):
        assert first.json[name] == second.json[name]
    assert first.json["orders"][0]["order_id"] == second.json["orders"][0]["order_id"]
    assert 1 == len(sent(one, "fyers"))


async def test_a_close_that_a_crash_cut_short_is_never_called_done_nor_gone_on_with(one):
    hold(one, "fyers", 10)
    await close(one, percent=50)
    cut = "UPDATE closes SET outcome = NULL"
    await one.gateway.store.write(lambda c: c.execute(cut).fetchall())
    await one.restart_gateway()

    reply = await close(one, percent=50)

    assert (202, False) == (reply.status, reply.json["done"])
    assert [("fyers-main", None, None, "unresolved")] == left(reply)
    assert 1 == len(reply.json["orders"])
    assert 1 == len(sent(one, "fyers"))


async def test_a_repetition_while_it_works_shows_how_far_it_is(one):
    hold(one, "fyers", 10)
    contract = rests(one, "fyers")
    first = asyncio.create_task(close(one))
    await until(lambda: len(sent(one, "fyers")) == 1, "nothing was sent")

    second = await close(one)

    assert (202, False) == (second.status, second.json["done"])
    engine = one.sims["fyers"].engine
    engine.set_available(contract, None)
    engine.set_price(contract, engine.price(contract))
    done = await first
    assert done.json["close_id"] == second.json["close_id"]


async def test_another_request_under_the_same_key_is_refused(one):
    hold(one, "fyers", 10)
    await close(one, percent=50)

    reply = await close(one, percent=60)

    assert (422, "idempotency_key_reused") == (reply.status, reply.json["code"])
    placed = await one.place("c1", accounts=["fyers-main"])
    assert "idempotency_key_reused" == placed.json["code"]
    assert {("NSE:SBIN", "MIS"): 5} == held(one, "fyers")


async def test_a_key_is_required(one):
    reply = await one.call("POST", "/v1/positions/close", {})

    assert (400, "idempotency_key_missing") == (reply.status, reply.json["code"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"percent": 0}, "percent"),
        ({"percent": 101}, "percent"),
        ({"percent": "NaN"}, "percent"),
        ({"percent": "half"}, "percent"),
        ({"instrument": "SBIN"}, "instrument"),
        ({"instrument": "NSE:NOBODY"}, "instrument"),
        ({"accounts": ["nobody"]}, "accounts[0]"),
        ({"accounts": ["@nobody"]}, "accounts[0]"),
        ({"accounts": []}, "accounts"),
        ({"product": "BO"}, "product"),
        ({"strategy": "a b"}, "strategy"),
        ({"quantity": 1}, "quantity"),
    ],
)
async def test_what_is_wrong_is_named_and_changes_nothing(one, body, field):
    hold(one, "fyers", 10)

    reply = await close(one, **body)

    assert (422, [field]) == (reply.status, [error["field"] for error in reply.json["errors"]])
    assert False is reply.json["sent"]
    assert {("NSE:SBIN", "MIS"): 10} == held(one, "fyers")
    # The key is not used up.
    assert 200 == (await close(one)).status


async def test_a_key_closes_at_its_own_accounts_only(rig):
    hold(rig, "fyers", 10)
    hold(rig, "hdfc", 10)
    narrow = await rig.new_key("narrow", ["trade"], ["fyers-main"])
    reader = await rig.new_key("reader", ["read"])

    def ask(key, body):
        path = "/v1/positions/close"
        return rig.call("POST", path, body, key=key, idempotency_key="k")

    refused = await ask(narrow, {"accounts": ["hdfc-main"]})
    forbidden = await ask(reader, {})
    done = await ask(narrow, {})

    assert (422, 403, 200) == (refused.status, forbidden.status, done.status)
    assert ({}, {("NSE:SBIN", "MIS"): 10}) == (held(rig, "fyers"), held(rig, "hdfc"))
