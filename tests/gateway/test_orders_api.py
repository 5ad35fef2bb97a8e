"""The order routes over HTTP, against the three simulators."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.gateway.rig import ORDER

ACCOUNTS = ["fyers-main", "mstock-main", "hdfc-main"]
LEG_FIELDS = [
    "account",
    "as_of",
    "attempts",
    "average_price",
    "broker",
    "broker_order_id",
    "broker_tag",
    "cancel_requested",
    "cancelled_quantity",
    "checks",
    "filled_quantity",
    "leg_id",
    "outcome",
    "pending_quantity",
    "precheck",
    "price",
    "quantity",
    "reason",
    "sent",
    "slice",
    "state",
    "timing",
    "trigger_price",
    "updated_at",
]


async def test_one_order_goes_to_three_brokers_and_comes_back_as_one_answer(rig):
    reply = await rig.place(wait_for="final")

    assert reply.status == 201
    assert reply.json["summary"] == "accepted"
    assert [leg["account"] for leg in reply.json["legs"]] == ACCOUNTS
    for broker in ("fyers", "mstock", "hdfc"):
        (order,) = rig.ledger(broker)
        leg = reply.leg(f"{broker}-main")
        assert leg["broker_tag"] == order.tag
        assert len(leg["broker_tag"]) == 15
        assert leg["broker_order_id"] == order.broker_order_id
        assert (leg["state"], leg["filled_quantity"], leg["pending_quantity"]) == ("FILLED", 10, 0)
        assert leg["outcome"] == "accepted"
        assert leg["sent"] == {"order_type": "LIMIT", "price": "812.50", "trigger_price": None}
        assert leg["attempts"] == 1
    assert reply.headers["x-request-id"]
    assert "broker;dur=" in reply.headers["server-timing"]


async def test_the_answer_has_exactly_the_fields_of_the_contract(one):
    reply = await one.place(accounts=["fyers-main"])

    assert set(reply.json) == {"order_id", "summary", "created_at", "strategy", "request", "legs"}
    assert sorted(reply.json["legs"][0]) == LEG_FIELDS
    assert reply.json["created_at"].endswith("+05:30")
    assert reply.json["request"]["price"] == "812.50"


async def test_each_account_takes_its_own_quantity(rig):
    reply = await rig.place(quantities={"mstock-main": 5})

    assert [10, 5, 10] == [leg["quantity"] for leg in reply.json["legs"]]
    assert [5] == [order.quantity for order in rig.ledger("mstock")]


async def test_one_account_refused_leaves_the_others_accepted(rig):
    rig.sims["hdfc"].faults.add(
        [{"call": "place", "action": "reject", "params": {"message": "RMS: Margin Exceeds"}}]
    )

    reply = await rig.place()

    assert reply.status == 200
    assert reply.json["summary"] == "partial"
    hdfc = reply.leg("hdfc-main")
    assert (hdfc["outcome"], hdfc["state"]) == ("rejected", "REFUSED")
    assert hdfc["reason"]["broker_message"] == "RMS: Margin Exceeds"
    assert rig.ledger("hdfc") == []


async def test_an_account_without_a_session_is_that_legs_result(rig):
    await rig.call("DELETE", "/v1/sessions/mstock-main")

    reply = await rig.place()

    assert reply.json["summary"] == "partial"
    leg = reply.leg("mstock-main")
    assert (leg["outcome"], leg["state"]) == ("not_sent", "DENIED")
    assert leg["reason"]["code"] == "session_missing"
    assert leg["reason"]["retryable"] is True
    assert rig.ledger("mstock") == []


async def test_the_same_key_and_order_answers_the_same_order_again(rig):
    first = await rig.place("same", wait_for="final")
    again = await rig.place("same", wait_ms=0)

    assert again.status == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.json == first.json
    assert [1, 1, 1] == [len(rig.ledger(broker)) for broker in rig.sims]


async def test_twenty_at_once_with_one_key_make_one_order(rig):
    replies = await asyncio.gather(*(rig.place("burst") for _ in range(20)))

    assert len({reply.json["order_id"] for reply in replies}) == 1
    assert {reply.status for reply in replies} <= {201, 202}
    assert sum("idempotency-replayed" not in reply.headers for reply in replies) == 1
    assert [1, 1, 1] == [len(rig.ledger(broker)) for broker in rig.sims]


async def test_the_same_key_for_another_order_is_refused(one):
    first = await one.place("k", accounts=["fyers-main"])
    other = await one.place("k", accounts=["fyers-main"], quantity=11)

    assert other.status == 422
    assert other.json["code"] == "idempotency_key_reused"
    assert other.json["order_id"] == first.json["order_id"]
    assert other.json["sent"] is None
    assert len(one.ledger("fyers")) == 1


async def test_a_price_spelled_differently_is_the_same_order(one):
    first = await one.place("k", accounts=["fyers-main"], price="812.5")
    again = await one.place("k", accounts=["fyers-main"], price=812.50)

    assert again.json["order_id"] == first.json["order_id"]


async def test_a_key_survives_a_restart(one):
    first = await one.place("k", accounts=["fyers-main"], wait_for="final")
    await one.restart_gateway()

    again = await one.place("k", accounts=["fyers-main"])

    assert again.headers["idempotency-replayed"] == "true"
    assert again.json["order_id"] == first.json["order_id"]
    assert again.json["legs"][0]["state"] == "FILLED"
    assert len(one.ledger("fyers")) == 1


async def test_a_refused_request_does_not_consume_its_key(one):
    bad = await one.place("k", accounts=["fyers-main"], quantity=-1)
    good = await one.place("k", accounts=["fyers-main"])

    assert (bad.status, good.status) == (422, 201)


async def test_an_order_and_its_history_can_be_read(one):
    placed = await one.place(accounts=["fyers-main"], wait_for="final", strategy="momentum-1")
    order_id = placed.json["order_id"]

    order = await one.call("GET", f"/v1/orders/{order_id}")
    history = await one.call("GET", f"/v1/orders/{order_id}/history")

    assert order.status == 200
    assert order.json == placed.json
    events = history.json["events"]
    assert [None, "READY", "SENDING", "ACKED"] == [event["from"] for event in events]
    assert ["READY", "SENDING", "ACKED", "FILLED"] == [event["to"] for event in events]
    assert {"at", "leg_id", "from", "to", "event", "attempt", "broker_code"} < set(events[0])


async def test_orders_are_listed_newest_first_in_pages(one):
    ids = [(await one.place(f"k{n}", accounts=["fyers-main"])).json["order_id"] for n in range(3)]

    first = await one.call("GET", "/v1/orders?limit=2")
    second = await one.call("GET", f"/v1/orders?limit=2&cursor={first.json['next_cursor']}")

    assert ids[::-1] == [o["order_id"] for o in first.json["orders"] + second.json["orders"]]
    assert second.json["next_cursor"] is None
    found = await one.call("GET", "/v1/orders?idempotency_key=k1")
    assert [ids[1]] == [order["order_id"] for order in found.json["orders"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("state=NOPE", "state"),
        ("open=maybe", "open"),
        ("from=yesterday", "from"),
        ("from=2026-11-22T10:00:00", "from"),
        ("cursor=zzz", "cursor"),
    ],
)
async def test_a_wrong_filter_is_named(one, query, field):
    reply = await one.call("GET", f"/v1/orders?{query}")

    assert reply.status == 422
    assert [field] == [error["field"] for error in reply.json["errors"]]


async def test_a_resting_order_is_cancelled_everywhere(rig):
    placed = await rig.place(price="700.00", wait_for="book")
    assert {"OPEN"} == {leg["state"] for leg in placed.json["legs"]}

    reply = await rig.call("DELETE", f"/v1/orders/{placed.json['order_id']}")

    assert reply.status == 200
    assert {"CANCELLED"} == {leg["state"] for leg in reply.json["legs"]}
    assert {10} == {leg["cancelled_quantity"] for leg in reply.json["legs"]}
    assert {"accepted"} == {leg["outcome"] for leg in reply.json["legs"]}


async def test_one_accounts_leg_is_cancelled_alone(rig):
    placed = await rig.place(price="700.00", wait_for="book")

    reply = await rig.call("DELETE", f"/v1/orders/{placed.json['order_id']}?account=hdfc-main")

    states = {leg["account"]: leg["state"] for leg in reply.json["legs"]}
    assert states == {"fyers-main": "OPEN", "mstock-main": "OPEN", "hdfc-main": "CANCELLED"}


async def test_a_lost_answer_is_unknown_then_found_and_never_sent_again(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "accept_then_reset"}])

    reply = await one.place(accounts=["fyers-main"])
    again = await one.place(accounts=["fyers-main"])
    found = await _eventually(one, reply.json["order_id"], "FILLED")

    assert reply.status == 202
    assert reply.json["summary"] == "pending"
    assert (reply.json["legs"][0]["outcome"], reply.json["legs"][0]["state"]) == (
        "unknown",
        "UNKNOWN",
    )
    assert again.json["order_id"] == reply.json["order_id"]
    (order,) = one.ledger("fyers")
    assert found["broker_order_id"] == order.broker_order_id


async def test_a_client_that_hangs_up_changes_nothing(one):
    one.sims["fyers"].faults.add([{"call": "place", "action": "slow", "params": {"ms": 300}}])
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    body = msgspec.json.encode({**ORDER, "accounts": ["fyers-main"]})
    writer.write(
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nIdempotency-Key: gone\r\n"
        + f"Authorization: Bearer {one.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()

    listed = await one.call("GET", "/v1/orders?idempotency_key=gone")
    leg = await _eventually(one, listed.json["orders"][0]["order_id"], "FILLED")

    assert leg["outcome"] == "accepted"
    assert len(one.ledger("fyers")) == 1
    assert reader is not None


async def test_a_broker_that_cannot_be_reached_lapses_the_leg_unsent(one):
    await one.sims["fyers"].stop()

    reply = await one.place(accounts=["fyers-main"], ttl_ms=400)

    leg = reply.json["legs"][0]
    assert (leg["outcome"], leg["state"]) == ("not_sent", "LAPSED")
    assert leg["reason"]["code"] == "broker_unavailable"
    await one.sims["fyers"].start()


async def _eventually(rig, order_id: str, state: str) -> dict:
    for _ in range(100):
        reply = await rig.call("GET", f"/v1/orders/{order_id}")
        if reply.json["legs"][0]["state"] == state:
            return reply.json["legs"][0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"still {reply.json['legs'][0]['state']}")
