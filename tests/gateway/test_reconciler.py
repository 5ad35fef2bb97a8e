"""What becomes of orders whose answer was lost, against simulators that lose answers."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.mstock import simulator_rows
from gateway.orchestrator import account, reconciler
from gateway.orchestrator.pace import pace_for
from tests.gateway.rig import Rig

SCALE = 100
FYERS = {"accounts": ["fyers-main"]}
HDFC = {"accounts": ["hdfc-main"]}
MSTOCK = {"accounts": ["mstock-main"]}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Divide the reconciler's waits; how many good reads it needs stays what it is."""
    monkeypatch.setenv("BROKERGATE_TEST_TIME_SCALE", str(SCALE))


def only(broker: str, tmp_path, **more: Any) -> Rig:
    return Rig(tmp_path / "data", brokers=(broker,), **more)


def lose(rig: Rig, broker: str, action: str, **params: Any) -> None:
    rig.sims[broker].faults.add([{"call": "place", "action": action, "params": params}])


async def state_of(rig: Rig, order_id: str) -> dict[str, Any]:
    return (await rig.call("GET", f"/v1/orders/{order_id}")).json["legs"][0]


async def until(rig: Rig, order_id: str, *states: str) -> dict[str, Any]:
    for _ in range(300):
        leg = await state_of(rig, order_id)
        if leg["state"] in states:
            return leg
        await asyncio.sleep(0.02)
    raise AssertionError(f"still {leg['state']}, not {states}")


async def events_of(rig: Rig, order_id: str) -> list[str]:
    history = await rig.call("GET", f"/v1/orders/{order_id}/history")
    return [event["event"] for event in history.json["events"]]


async def alarms(rig: Rig) -> list[str]:
    def read(connection):
        rows = connection.execute("SELECT body FROM audit WHERE kind='alarm' ORDER BY seq")
        return [msgspec.json.decode(body)["event"] for (body,) in rows]

    return await rig.gateway.store.read(read)


LOST_BUT_ACCEPTED = [
    ("accept_then_reset", {}),
    ("accept_then_close", {}),
    ("accept_then_status", {"status": 500}),
    ("accept_then_status", {"status": 502}),
    ("accept_then_status", {"status": 504}),
    ("accept_then_html", {}),
    ("accept_then_empty", {}),
    ("accept_then_truncated", {}),
    ("reset_at_byte", {"bytes": 15}),
]


@pytest.mark.parametrize(("action", "params"), LOST_BUT_ACCEPTED)
@pytest.mark.parametrize("broker", ["fyers", "hdfc", "mstock"])
async def test_an_accepted_order_whose_answer_was_lost_is_found(tmp_path, broker, action, params):
    async with only(broker, tmp_path) as rig:
        # One good order first: it teaches whether this account's broker gives the tag back.
        first = await rig.place("first", accounts=[f"{broker}-main"], wait_for="final")
        assert first.json["legs"][0]["state"] == "FILLED"
        lose(rig, broker, action, **params)

        lost = await rig.place("lost", accounts=[f"{broker}-main"])
        leg = await until(rig, lost.json["order_id"], "FILLED")

        assert (lost.status, lost.json["legs"][0]["outcome"]) == (202, "unknown")
        assert len(rig.ledger(broker)) == 2
        assert leg["broker_order_id"] == rig.ledger(broker)[1].broker_order_id
        assert "found" in await events_of(rig, lost.json["order_id"])


@pytest.mark.parametrize("broker", ["fyers", "hdfc", "mstock"])
async def test_an_order_that_never_arrived_is_not_found_and_never_sent_again(tmp_path, broker):
    async with only(broker, tmp_path) as rig:
        await rig.place("first", accounts=[f"{broker}-main"], wait_for="final")
        lose(rig, broker, "reset_before_accept")

        lost = await rig.place("lost", accounts=[f"{broker}-main"])
        leg = await until(rig, lost.json["order_id"], "NOT_FOUND")

        assert leg["outcome"] == "unknown"
        assert len(rig.ledger(broker)) == 1
        listed = await rig.call("GET", "/v1/unresolved")
        (row,) = listed.json["unresolved"]
        assert row["leg"]["leg_id"] == leg["leg_id"]
        reads = [entry for entry in row["evidence"] if entry["what"] == "good_read"]
        assert len(reads) >= 3
        assert row["exposure"] == {"quantity": 10, "value": "8125.00"}


async def test_an_unforeseen_failure_does_not_end_the_following_of_a_book(tmp_path, monkeypatch):
    honest, failures = reconciler.change_from_row, [ValueError("on purpose")] * 2

    def sometimes(*args):
        if failures:
            raise failures.pop()
        return honest(*args)

    monkeypatch.setattr(reconciler, "change_from_row", sometimes)
    async with only("fyers", tmp_path) as rig:
        placed = await rig.place("k", **FYERS)
        leg = await until(rig, placed.json["order_id"], "FILLED")

        assert leg["filled_quantity"] == 10
        assert not failures


async def test_reads_that_fail_prove_nothing(tmp_path):
    async with only("fyers", tmp_path) as rig:
        lose(rig, "fyers", "reset_before_accept")
        rig.sims["fyers"].faults.add(
            [{"call": "book", "action": "book_fail", "count": None, "params": {"status": 500}}]
        )

        lost = await rig.place("lost", **FYERS)
        await asyncio.sleep(100 / SCALE)
        leg = await state_of(rig, lost.json["order_id"])

        assert leg["state"] == "UNKNOWN"
        (row,) = (await rig.call("GET", "/v1/unresolved")).json["unresolved"]
        assert {"read_failed"} == {entry["what"] for entry in row["evidence"]}


async def test_an_order_that_shows_up_after_not_found_is_adopted_with_an_alarm(tmp_path):
    async with only("fyers", tmp_path) as rig:
        lose(rig, "fyers", "accept_then_reset")
        late = {"action": "book_lag", "count": None, "params": {"ms": 2500}}
        rig.sims["fyers"].faults.add([{"call": "book", **late}, {"call": "trades", **late}])

        lost = await rig.place("lost", **FYERS)
        await until(rig, lost.json["order_id"], "NOT_FOUND")
        leg = await until(rig, lost.json["order_id"], "FILLED")

        assert leg["broker_order_id"] == rig.ledger("fyers")[0].broker_order_id
        assert await alarms(rig) == ["late_found"]


async def test_a_fill_without_its_order_keeps_absence_from_being_concluded(tmp_path):
    async with only("fyers", tmp_path) as rig:
        await rig.place("first", **FYERS, wait_for="final")
        lose(rig, "fyers", "accept_then_reset")
        rig.sims["fyers"].faults.add(
            [{"call": "book", "action": "book_lag", "count": None, "params": {"ms": 2500}}]
        )

        lost = await rig.place("lost", **FYERS)
        await until(rig, lost.json["order_id"], "FILLED")

        assert "not_found" not in await events_of(rig, lost.json["order_id"])


async def test_two_orders_with_one_tag_stop_the_account(tmp_path):
    async with only("fyers", tmp_path) as rig:
        rig.sims["fyers"].faults.add([{"call": "place", "action": "duplicate"}])

        placed = await rig.place("double", **FYERS)
        await until(rig, placed.json["order_id"], "FILLED")
        for _ in range(100):
            if await alarms(rig):
                break
            await asyncio.sleep(0.02)
        after = await rig.place("after", **FYERS)

        assert await alarms(rig) == ["duplicate_detected"]
        assert after.json["legs"][0]["reason"]["code"] == "kill_switch"
        assert len(rig.ledger("fyers")) == 2


async def test_an_order_that_lives_although_it_was_refused_stops_the_account(tmp_path):
    async with only("fyers", tmp_path) as rig:
        await rig.place("first", **FYERS, wait_for="final")
        simulator = rig.sims["fyers"]
        honest = simulator.reject_response

        def lying(request, message):
            simulator._place(request)
            return honest(request, message)

        simulator.reject_response = lying
        rig.sims["fyers"].faults.add([{"call": "place", "action": "reject"}])

        refused = await rig.place("refused", **FYERS)
        resting = await rig.place("resting", **FYERS, price="700.00", wait_for="book")
        for _ in range(100):
            if await alarms(rig):
                break
            await asyncio.sleep(0.02)
        after = await rig.place("after", **FYERS)

        assert refused.json["legs"][0]["state"] == "REFUSED"
        assert resting.json["legs"][0]["state"] == "OPEN"
        assert await alarms(rig) == ["contradicted"]
        assert after.json["legs"][0]["reason"]["code"] == "kill_switch"


async def test_a_restart_with_an_order_on_the_wire_looks_it_up(tmp_path):
    async with only("fyers", tmp_path) as rig:
        lose(rig, "fyers", "accept_then_hang")

        lost = await rig.place("lost", **FYERS, wait_ms=200)
        assert lost.json["legs"][0]["state"] == "SENDING"
        await crash(rig)
        leg = await until(rig, lost.json["order_id"], "FILLED")

        assert leg["broker_order_id"] == rig.ledger("fyers")[0].broker_order_id
        events = await events_of(rig, lost.json["order_id"])
        assert events[:4] == ["accepted", "send_begin", "restart", "found"]


async def test_an_account_takes_no_order_before_its_unknown_legs_were_looked_up(tmp_path):
    async with only("fyers", tmp_path) as rig:
        lose(rig, "fyers", "accept_then_hang")
        await rig.place("lost", **FYERS, wait_ms=100)
        rig.sims["fyers"].faults.add(
            [{"call": "book", "action": "book_fail", "count": None, "params": {"status": 503}}]
        )
        await crash(rig)

        early = await rig.place("early", **FYERS)
        rig.sims["fyers"].faults.clear()
        for n in range(200):
            later = await rig.place(f"later-{n}", **FYERS)
            if later.json["summary"] == "accepted":
                break
            await asyncio.sleep(0.02)

        assert early.json["legs"][0]["reason"]["code"] == "unresolved"
        assert later.json["summary"] == "accepted"


async def test_without_an_echo_look_alikes_go_to_the_operator(tmp_path):
    options = {"external_reference": "generated"}
    async with only("hdfc", tmp_path, options=options) as rig:
        lose(rig, "hdfc", "accept_then_reset")

        lost = await rig.place("lost", **HDFC)
        leg = await until(rig, lost.json["order_id"], "NEEDS_OPERATOR")
        (order,) = rig.ledger("hdfc")
        (row,) = (await rig.call("GET", "/v1/unresolved")).json["unresolved"]
        adopted = await rig.call(
            "POST",
            f"/v1/unresolved/{leg['leg_id']}/resolve",
            {
                "action": "adopt",
                "broker_order_id": order.broker_order_id,
                "reason": "seen in the app",
            },
        )

        assert [order.broker_order_id] == [s["broker_order_id"] for s in row["suspects"]]
        assert adopted.status == 200
        done = await until(rig, lost.json["order_id"], "FILLED")
        assert done["broker_order_id"] == order.broker_order_id


async def test_an_exclusive_account_adopts_its_one_look_alike(tmp_path):
    options = {"external_reference": "generated"}
    settings = {"exclusive": True}
    async with only("hdfc", tmp_path, options=options, account_settings=settings) as rig:
        lose(rig, "hdfc", "accept_then_reset")

        lost = await rig.place("lost", **HDFC)
        leg = await until(rig, lost.json["order_id"], "FILLED")

        assert leg["broker_order_id"] == rig.ledger("hdfc")[0].broker_order_id
        assert "adopted_by_look" in await events_of(rig, lost.json["order_id"])


async def test_without_an_echo_a_second_order_alike_waits_and_is_denied(tmp_path):
    options = {"external_reference": "generated"}
    async with only("hdfc", tmp_path, options=options) as rig:
        lose(rig, "hdfc", "accept_then_hang")
        first = asyncio.create_task(rig.place("first", **HDFC, wait_ms=0))
        await asyncio.sleep(0.3)

        twin = await rig.place("twin", **HDFC, ttl_ms=300)
        other_side = await rig.place("sell", **HDFC, side="SELL", price="811.00")

        assert (await first).status == 202
        leg = twin.json["legs"][0]
        assert (leg["state"], leg["reason"]["code"]) == ("DENIED", "unresolved")
        assert other_side.json["summary"] == "accepted"


async def test_the_operator_declares_absent_and_must_say_why(tmp_path):
    async with only("fyers", tmp_path) as rig:
        lose(rig, "fyers", "reset_before_accept")
        lost = await rig.place("lost", **FYERS)
        leg = await until(rig, lost.json["order_id"], "NOT_FOUND")
        path = f"/v1/unresolved/{leg['leg_id']}/resolve"

        silent = await rig.call("POST", path, {"action": "absent", "reason": ""})
        no_order = await rig.call("POST", path, {"action": "adopt", "reason": "because"})
        done = await rig.call("POST", path, {"action": "absent", "reason": "not in the app"})
        again = await rig.call("POST", path, {"action": "absent", "reason": "not in the app"})

        assert (silent.status, silent.json["errors"][0]["field"]) == (422, "reason")
        assert (no_order.status, no_order.json["errors"][0]["field"]) == (422, "broker_order_id")
        assert (done.status, done.json["summary"]) == (200, "not_sent")
        assert done.json["legs"][0]["outcome"] == "absent"
        assert again.status == 404
        assert (await rig.call("GET", "/v1/unresolved")).json["unresolved"] == []


async def test_a_cancel_of_a_lost_order_goes_out_as_soon_as_it_is_found(tmp_path):
    async with only("fyers", tmp_path) as rig:
        lose(rig, "fyers", "accept_then_reset")
        rig.sims["fyers"].faults.add(
            [{"call": "book", "action": "book_lag", "count": None, "params": {"ms": 500}}]
        )

        lost = await rig.place("lost", **FYERS, price="700.00")
        cancel = await rig.call("DELETE", f"/v1/orders/{lost.json['order_id']}")
        leg = await until(rig, lost.json["order_id"], "CANCELLED")

        assert cancel.json["legs"][0]["cancel_requested"] is True
        assert leg["outcome"] == "accepted"
        assert leg["cancelled_quantity"] == 10


async def test_a_session_that_died_while_sending_is_settled_in_the_next_one(tmp_path):
    async with only("fyers", tmp_path) as rig:
        rig.sims["fyers"].faults.add(
            [
                {
                    "call": "place",
                    "action": "session_expired",
                    "params": {"accepted": True, "expire": True},
                }
            ]
        )

        lost = await rig.place("lost", **FYERS)
        assert lost.json["legs"][0]["state"] == "UNKNOWN"
        await rig.log_in("fyers-main")
        leg = await until(rig, lost.json["order_id"], "FILLED")

        assert leg["broker_order_id"] == rig.ledger("fyers")[0].broker_order_id


@pytest.mark.parametrize("broker", ["fyers", "hdfc", "mstock"])
async def test_a_live_order_is_modified_and_the_book_proves_it(tmp_path, broker):
    async with only(broker, tmp_path) as rig:
        placed = await rig.place("k", accounts=[f"{broker}-main"], price="700.00", wait_for="book")
        path = f"/v1/orders/{placed.json['order_id']}"

        reply = await rig.call("PATCH", path, {"price": "701.00", "quantity": 7})

        assert reply.status == 200
        leg = reply.json["legs"][0]
        assert (leg["modify"], leg["price"], leg["quantity"]) == ("applied", "701.00", 7), leg
        (order,) = rig.ledger(broker)
        assert (order.price, order.quantity) == (Decimal("701.00"), 7)


@pytest.mark.parametrize("broker", ["fyers", "hdfc", "mstock"])
async def test_an_order_only_just_acknowledged_is_modified_too(tmp_path, broker):
    async with only(broker, tmp_path) as rig:
        placed = await rig.place("k", accounts=[f"{broker}-main"], price="700.00")

        reply = await rig.call(
            "PATCH", f"/v1/orders/{placed.json['order_id']}", {"price": "701.00"}
        )

        assert "applied" == reply.json["legs"][0]["modify"], reply.json
        (order,) = rig.ledger(broker)
        assert order.price == Decimal("701.00")


async def test_a_modify_of_an_order_that_the_book_does_not_show_is_no_not_live(tmp_path):
    async with only("fyers", tmp_path) as rig:
        rig.sims["fyers"].faults.add(
            [{"call": "book", "action": "book_fail", "count": None, "params": {"status": 500}}]
        )
        placed = await rig.place("k", **FYERS, price="700.00")

        reply = await rig.call(
            "PATCH", f"/v1/orders/{placed.json['order_id']}", {"price": "701.00"}
        )

        leg = reply.json["legs"][0]
        assert ("refused", "unresolved") == (leg["modify"], leg["modify_reason"]["code"]), leg
        (order,) = rig.ledger("fyers")
        assert order.price == Decimal("700.00")


async def test_a_modify_of_a_finished_order_is_not_live(tmp_path):
    async with only("fyers", tmp_path) as rig:
        placed = await rig.place("k", **FYERS, wait_for="final")

        reply = await rig.call("PATCH", f"/v1/orders/{placed.json['order_id']}", {"price": "1"})

        assert reply.json["legs"][0]["modify"] == "not_live"


async def test_a_modify_whose_answer_was_lost_is_unknown_until_the_book_shows_it(tmp_path):
    async with only("fyers", tmp_path) as rig:
        placed = await rig.place("k", **FYERS, price="700.00", wait_for="book")
        rig.sims["fyers"].faults.add([{"call": "modify", "action": "accept_then_reset"}])

        reply = await rig.call(
            "PATCH", f"/v1/orders/{placed.json['order_id']}", {"price": "702.00"}
        )

        assert reply.json["legs"][0]["modify"] == "applied"
        events = await events_of(rig, placed.json["order_id"])
        assert events.count("modify_begin") == 1
        assert "modify_unknown" in events


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"price": "-1"}, "price"),
        ({"quantity": 0}, "quantity"),
        ({"quantities": {"nobody": 4}}, "quantities.nobody"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_modify_names_its_field(one, body, field):
    placed = await one.place("k", **FYERS, price="700.00", wait_for="book")

    reply = await one.call("PATCH", f"/v1/orders/{placed.json['order_id']}", body)

    assert reply.status == 422
    assert [field] == [error["field"] for error in reply.json["errors"]]


async def crash(rig: Rig) -> None:
    """End the gateway as kill -9 would: nothing more is written, only the files remain."""
    rig._server.stop()
    await rig._serving
    rig.gateway.store._writer.close()
    await rig.gateway.orders.stop(deadline_s=0)
    await rig.gateway.stop()
    await rig.start_gateway()


@pytest.mark.parametrize("broker", ["fyers", "hdfc"])
async def test_a_book_that_lacks_an_order_seen_before_proves_no_absence(tmp_path, broker):
    async with only(broker, tmp_path) as rig:
        at = {"accounts": [f"{broker}-main"]}
        await rig.place("first", **at, wait_for="final")
        omit = {"call": "book", "action": "book_omit", "count": 4, "params": {"newest": 1}}
        rig.sims[broker].faults.add([omit])
        lose(rig, broker, "reset_before_accept")

        lost = await rig.place("lost", **at, wait_ms=0, side="SELL")
        await until(rig, lost.json["order_id"], "NOT_FOUND")

        unresolved = (await rig.call("GET", "/v1/unresolved")).json["unresolved"]
        [evidence] = [each["evidence"] for each in unresolved]
        whats = [line["what"] for line in evidence]
        assert whats.count("partial_read") >= 3, whats
        assert whats.count("good_read") >= 3, whats


async def test_an_order_that_the_book_never_shows_again_is_not_waited_for_for_ever(tmp_path):
    async with only("fyers", tmp_path) as rig:
        await rig.place("first", **FYERS, wait_for="final")
        omit = {"call": "book", "action": "book_omit", "count": None, "params": {"newest": 1}}
        rig.sims["fyers"].faults.add([omit])
        lose(rig, "fyers", "reset_before_accept")

        lost = await rig.place("lost", **FYERS, wait_ms=0)

        await until(rig, lost.json["order_id"], "NOT_FOUND")


async def applied(rig: Rig, path: str, change: dict[str, Any]) -> None:
    """Modify until the book shows it: on a busy machine the answer may come before that."""
    for _ in range(50):
        answer = (await rig.call("PATCH", path, change)).json
        outcome = answer["legs"][0]["modify"] if "legs" in answer else answer["modify"]
        if outcome == "applied":
            return
        await asyncio.sleep(0.05)
    raise AssertionError(answer)


WAITING_STOP = {"order_type": "SL", "price": "900.00", "trigger_price": "890.00"}


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
@pytest.mark.parametrize("by_the_brokers_id", [False, True])
async def test_a_modify_starts_from_the_type_that_the_one_before_it_made(
    tmp_path, broker, by_the_brokers_id
):
    async with only(broker, tmp_path) as rig:
        at = {"accounts": [f"{broker}-main"], "price": "760.00", "wait_for": "book"}
        placed = await rig.place("k", **at)
        leg = placed.json["legs"][0]
        path = f"/v1/orders/{placed.json['order_id']}"
        if by_the_brokers_id:
            path = f"/v1/orderbook/{broker}-main/{leg['broker_order_id']}"

        await applied(rig, path, WAITING_STOP)
        await applied(rig, path, {"quantity": 5})

        [order] = rig.ledger(broker)
        assert (str(order.order_type), order.quantity) == ("SL", 5)
        assert order.filled_quantity == 0
        shown = await state_of(rig, placed.json["order_id"])
        assert (shown["state"], shown["quantity"]) == ("TRIGGER_PENDING", 5)
        assert shown["sent"] == {
            "order_type": "SL",
            "price": "900.00",
            "trigger_price": "890.00",
        }

        await applied(rig, path, {"order_type": "LIMIT", "price": "761.00"})
        await applied(rig, path, {"quantity": 4})

        [order] = rig.ledger(broker)
        assert (str(order.order_type), order.quantity, order.price) == ("LIMIT", 4, Decimal(761))
        assert (await state_of(rig, placed.json["order_id"]))["trigger_price"] is None


async def test_a_price_that_the_order_will_not_have_is_refused_before_anything_is_sent(tmp_path):
    async with only("fyers", tmp_path) as rig:
        placed = await rig.place("k", **FYERS, price="760.00", wait_for="book")
        path = f"/v1/orders/{placed.json['order_id']}"

        reply = await rig.call("PATCH", path, {"trigger_price": "755.00"})

        [leg] = reply.json["legs"]
        assert leg["modify"] == "refused"
        assert "trigger_price" in leg["modify_reason"]["message"]
        assert "modify_begin" not in await events_of(rig, placed.json["order_id"])


async def lost_for_good(rig: Rig, broker: str, key: str, **order: Any) -> dict[str, Any]:
    lose(rig, broker, "reset_before_accept")
    lost = await rig.place(key, accounts=[f"{broker}-main"], **order)
    return await until(rig, lost.json["order_id"], "NOT_FOUND", "NEEDS_OPERATOR")


async def adopt(rig: Rig, leg: dict[str, Any], broker_order_id: str):
    body = {"action": "adopt", "broker_order_id": broker_order_id, "reason": "seen in the app"}
    return await rig.call("POST", f"/v1/unresolved/{leg['leg_id']}/resolve", body)


async def test_an_order_that_the_book_does_not_show_is_not_adopted(tmp_path):
    async with only("fyers", tmp_path) as rig:
        leg = await lost_for_good(rig, "fyers", "lost")

        reply = await adopt(rig, leg, "zz")

        assert (reply.status, reply.json["errors"][0]["field"]) == (422, "broker_order_id")
        assert (await rig.call("GET", "/v1/unresolved")).json["unresolved"]


async def test_nothing_is_adopted_while_the_book_cannot_be_read(tmp_path):
    async with only("fyers", tmp_path) as rig:
        leg = await lost_for_good(rig, "fyers", "lost")
        rig.sims["fyers"].faults.add(
            [{"call": "book", "action": "book_fail", "count": None, "params": {"status": 500}}]
        )

        reply = await adopt(rig, leg, "26112200000001")

        assert (reply.status, reply.json["code"]) == (503, "broker_unavailable")


async def test_an_order_of_an_earlier_run_belongs_to_its_leg_still(tmp_path):
    async with only("fyers", tmp_path) as rig:
        done = await rig.place("done", **FYERS, wait_for="final")
        taken = done.json["legs"][0]["broker_order_id"]
        leg = await lost_for_good(rig, "fyers", "lost")
        await rig.restart_gateway()
        await until(rig, leg_order(leg), "NOT_FOUND", "NEEDS_OPERATOR")

        reply = await adopt(rig, leg, taken)

        assert (reply.status, reply.json["code"]) == (409, "order_claimed")


async def test_another_order_than_the_legs_is_not_adopted(tmp_path):
    async with only("mstock", tmp_path) as rig:
        leg = await lost_for_good(rig, "mstock", "lost")
        placed = await rig.place(
            "other",
            accounts=["mstock-main"],
            instrument="NSE:INFY",
            price="1400.00",
            quantity=3,
            wait_for="book",
        )
        order_id = placed.json["legs"][0]["broker_order_id"]
        reply = await adopt(rig, leg, order_id)

        assert reply.status == 409


def leg_order(leg: dict[str, Any]) -> str:
    return "ord_" + leg["leg_id"].split("_")[1]


async def test_fills_that_show_after_the_cancel_correct_the_leg_though_nothing_else_is_open(
    tmp_path, monkeypatch
):
    honest_row = simulator_rows.book_row

    def row_without_cancelled_size(order, **more):
        return {**honest_row(order, **more), "cancelsize": "0"}

    def watching_for_long(*facts):
        return msgspec.structs.replace(pace_for(*facts), aftermath_s=60.0)

    monkeypatch.setattr(simulator_rows, "book_row", row_without_cancelled_size)
    monkeypatch.setattr(account, "pace_for", watching_for_long)
    async with only("mstock", tmp_path) as rig:
        simulator = rig.sims["mstock"]
        placed = await rig.place("early", **MSTOCK, price="700.00", wait_for="book")
        order_id = placed.json["order_id"]
        order = rig.ledger("mstock")[0]
        honest, simulator.visible_trades = simulator.visible_trades, lambda request: []
        simulator.engine.fill(order, 4)
        await rig.call("DELETE", f"/v1/orders/{order_id}")
        ended = await until(rig, order_id, "CANCELLED")
        simulator.visible_trades = honest

        for _ in range(3000):
            if await alarms(rig):
                break
            await asyncio.sleep(0.02)
        leg = await state_of(rig, order_id)

        assert ended["filled_quantity"] == 0
        assert (leg["state"], leg["filled_quantity"], leg["cancelled_quantity"]) == (
            "CANCELLED",
            4,
            6,
        )
        assert await alarms(rig) == ["corrected"]
