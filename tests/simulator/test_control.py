"""The control plane, over the wire."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.simulator.toy import ToyBroker
from tests.simulator.wire import BODY, Seen, Wire

Connect = Callable[[], Awaitable[Wire]]


@pytest.fixture
async def control(connect: Connect) -> Callable[..., Awaitable[Seen]]:
    wire = await connect()

    async def call(method: str, name: str, value: Any = None) -> Seen:
        body = b"" if value is None else json.dumps(value).encode()
        return await wire.call(method, f"/_sim/{name}", body)

    return call


Control = Callable[..., Awaitable[Seen]]


async def test_ledger_tells_everything_about_an_order(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    wire = await connect()
    order_id = (await wire.call("POST", "/v1/orders", BODY)).json()["id"]
    await wire.call("GET", "/v1/orders")
    ledger = (await control("GET", "ledger")).json()
    (row,) = ledger["orders"]
    history = [change["state"] for change in row.pop("history")]
    (fill,) = row.pop("fills")
    assert ["PENDING", "OPEN", "FILLED"] == history
    assert (10, "812.00") == (fill["quantity"], fill["price"])
    assert row.pop("accepted_at") <= row.pop("updated_at")
    assert {
        "broker_order_id": order_id,
        "tag": "123456789012345",
        "instrument": "NSE:SBIN",
        "exchange_token": 3045,
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "validity": "DAY",
        "quantity": 10,
        "price": "812.50",
        "trigger_price": None,
        "status": "FILLED",
        "message": "",
        "filled_quantity": 10,
        "pending_quantity": 0,
        "cancelled_quantity": 0,
        "average_price": "812.0000",
    } == row
    assert {"place": 1, "book": 1} == ledger["calls"]
    assert 1 == ledger["peak_order_messages"]


async def test_ledger_can_be_asked_for_one_tag(connect: Connect, control: Control) -> None:
    wire = await connect()
    await wire.call("POST", "/v1/orders", BODY)
    await wire.call("POST", "/v1/orders", b'{"price":"812.50"}')
    assert 2 == len((await control("GET", "ledger")).json()["orders"])
    assert 1 == len((await control("GET", "ledger?tag=123456789012345")).json()["orders"])
    assert 0 == len((await control("GET", "ledger?tag=1")).json()["orders"])


async def test_faults_are_posted_shown_and_lifted(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    rule = {"call": "place", "action": "reject", "count": 2, "skip": 1}
    assert 200 == (await control("POST", "faults", [rule, {"action": "slow"}])).status
    shown = (await control("GET", "faults")).json()["faults"]
    assert [("reject", 2, 1), ("slow", 1, 0)] == [
        (row["action"], row["left"], row["left_to_skip"]) for row in shown
    ]
    assert [] == (await control("DELETE", "faults")).json()["faults"]
    seen = await (await connect()).call("POST", "/v1/orders", BODY)
    assert seen.json()["ok"] is True


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"action": "explode"}, "explode"),
        ({"call": "plaice", "action": "reject"}, "plaice"),
        ({"action": "slow", "params": {"mss": 1}}, "mss"),
        ({"action": "slow", "params": {"ms": -1}}, ">= 0"),
        ({"action": "slow", "speed": 1}, "speed"),
        ({"action": "accept_then_status", "params": {"status": 99}}, ">= 200"),
        ({"action": "reject", "count": 0}, "count"),
        ({"action": "reject", "skip": -1}, "skip"),
        ({"call": "place", "action": "book_lag"}, "book"),
        ({"call": "place", "action": "close_idle"}, "at once"),
        ({"action": "refuse", "count": 3}, "at once"),
        ({"call": "place", "action": "reset_before_read", "params": {"on": "connect"}}, "connect"),
        ({"seed": 1, "rate": 2, "actions": ["reject"]}, "rate"),
        ({"seed": 1, "rate": 0.5, "actions": []}, "actions"),
        ({"seed": 1, "rate": 0.5, "actions": ["reject"], "call": "plaice"}, "plaice"),
        ({"seed": 1, "rate": 0.5, "actions": ["close_idle"]}, "close_idle"),
        (7, "fault object"),
    ],
)
async def test_fault_that_makes_no_sense_is_400_and_nothing_is_in_force(
    control: Control, fault: Any, says: str
) -> None:
    seen = await control("POST", "faults", [{"action": "reject"}, fault])
    assert 400 == seen.status
    assert says in seen.json()["error"]
    assert [] == (await control("GET", "faults")).json()["faults"]


async def test_faults_that_are_not_json_are_400(connect: Connect) -> None:
    assert 400 == (await (await connect()).call("POST", "/_sim/faults", b"{")).status


async def test_faults_never_touch_the_control_plane(broker: ToyBroker, control: Control) -> None:
    broker.faults.add([{"action": "hang", "count": None}])
    assert 200 == (await control("GET", "ledger")).status
    assert 0 == broker.faults.describe()["faults"][0]["fired"]


async def test_reset_empties_everything_but_the_sessions(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    wire = await connect()
    await wire.call("POST", "/v1/login")
    await wire.call("POST", "/v1/orders", BODY)
    await control("POST", "price", {"instrument": "NSE:SBIN", "price": "900"})
    await control("POST", "faults", {"action": "reject", "count": None})
    assert 200 == (await control("POST", "reset")).status
    ledger = (await control("GET", "ledger")).json()
    assert ([], {}, 0) == (ledger["orders"], ledger["calls"], ledger["peak_order_messages"])
    assert [] == (await control("GET", "faults")).json()["faults"]
    assert [] == (await control("GET", "requests")).json()["requests"]
    assert broker.session_of("toy-token") is not None
    contract = broker.universe.by_instrument("NSE:SBIN")
    assert contract is not None
    assert contract.price == broker.engine.price(contract)


async def test_otp_shows_the_current_one(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    assert {"otp": None} == (await control("GET", "otp")).json()
    await (await connect()).call("POST", "/v1/login")
    shown = (await control("GET", "otp")).json()["otp"]
    assert broker.otp == shown
    assert (6, True) == (len(shown), shown.isdigit())


async def test_price_moves_and_fills_what_rests(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    await (await connect()).call("POST", "/v1/orders", b'{"price":"800.00"}')
    seen = await control("POST", "price", {"exchange_token": 3045, "price": "799.95"})
    assert {"instrument": "NSE:SBIN", "price": "799.95"} == seen.json()
    assert "FILLED" == broker.engine.orders[0].state


async def test_price_call_limits_what_may_trade(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    await control("POST", "price", {"instrument": "NSE:SBIN", "available": 3})
    await (await connect()).call("POST", "/v1/orders", BODY)
    assert 3 == broker.engine.orders[0].filled_quantity
    await control("POST", "price", {"instrument": "NSE:SBIN", "available": None})
    assert 10 == broker.engine.orders[0].filled_quantity


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"price": "1"}, "instrument or exchange_token"),
        ({"instrument": "NSE:NOPE", "price": "1"}, "no such contract"),
        ({"instrument": "NSE:SBIN", "price": "0"}, "positive"),
        ({"instrument": "NSE:SBIN", "cost": "1"}, "cost"),
    ],
)
async def test_price_mistakes_are_named(control: Control, body: dict[str, Any], says: str) -> None:
    seen = await control("POST", "price", body)
    assert 400 == seen.status
    assert says in seen.json()["error"]


async def test_fill_by_decree(broker: ToyBroker, connect: Connect, control: Control) -> None:
    wire = await connect()
    order_id = (await wire.call("POST", "/v1/orders", b'{"price":"800.00"}')).json()["id"]
    seen = await control("POST", "fill", {"broker_order_id": order_id, "quantity": 4})
    assert ("PARTIALLY_FILLED", 4) == (seen.json()["status"], seen.json()["filled_quantity"])
    assert 400 == (await control("POST", "fill", {"broker_order_id": "nope"})).status
    assert (
        400 == (await control("POST", "fill", {"broker_order_id": order_id, "quantity": 7})).status
    )


async def test_day_ends_and_market_opens_by_call(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    await (await connect()).call("POST", "/v1/orders", b'{"price":"800.00"}')
    assert {"open": False} == (await control("POST", "end-of-day")).json()
    assert "EXPIRED" == broker.engine.orders[0].state
    assert {"open": True} == (await control("POST", "market", {"open": True})).json()
    assert broker.engine.market_open


async def test_settings_change_by_call(broker: ToyBroker, control: Control) -> None:
    seen = await control("POST", "settings", {"book_lag_ms": 700, "cash": "100.50"})
    assert (700, "100.50") == (seen.json()["book_lag_ms"], seen.json()["cash"])
    assert 700 == broker.engine.settings.book_lag_ms
    refused = await control("POST", "settings", {"book_lag": 1})
    assert 400 == refused.status
    assert "book_lag" in refused.json()["error"]


async def test_expired_sessions_are_dead(
    broker: ToyBroker, connect: Connect, control: Control
) -> None:
    await (await connect()).call("POST", "/v1/login")
    assert broker.session_of("toy-token") is not None
    await control("POST", "expire-sessions")
    assert broker.session_of("toy-token") is None


async def test_requests_are_remembered_without_their_secrets(
    connect: Connect, control: Control
) -> None:
    wire = await connect()
    await wire.call("POST", "/v1/login?password=hunter2", b'{"password":"hunter2"}')
    seen = await control("GET", "requests")
    (row,) = seen.json()["requests"]
    assert row.pop("at")
    assert {"kind": "login", "method": "POST", "path": "/v1/login"} == row
    assert b"hunter2" not in seen.data


async def test_violations_are_counted(connect: Connect, control: Control) -> None:
    wire = await connect()
    raw = b"POST /v1/orders HTTP/1.1\r\nhost: sim\r\ncontent-length: %d\r\n\r\n%b"
    for _ in range(2):
        wire.send(raw % (len(BODY), BODY))
        assert 200 == (await wire.see()).status
    assert [{"call": "place", "what": "wrong content type", "count": 2}] == (
        await control("GET", "violations")
    ).json()["violations"]


async def test_unknown_control_calls_are_404(control: Control) -> None:
    assert 404 == (await control("GET", "ledgers")).status
    assert 404 == (await control("PUT", "ledger")).status


async def test_control_port_serves_nothing_else(broker: ToyBroker) -> None:
    wire = await Wire.open(broker.control_url)
    assert 404 == (await wire.call("POST", "/v1/orders", BODY)).status
    assert 200 == (await wire.call("GET", "/_sim/ledger")).status
    assert [] == broker.engine.orders
    await wire.close()
