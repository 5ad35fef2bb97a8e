"""What the guides say of a lost answer: unresolved, adopted by a person, placed once."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from gateway.cli.client import ask
from tests.cli.conftest import Program
from tests.cli.conftest import program as program  # the fixture
from tests.cli.test_practice import ORDER, Practice


def test_lost_order_is_unresolved_until_it_is_adopted(program: Program) -> None:
    practice = Practice(program, "mstock")
    practice.log_in()
    assert 0 == program.run("instruments", "refresh").returncode
    api = practice.api()
    for fault in (
        {"call": "place", "action": "accept_then_reset"},
        {"call": "book", "action": "book_fail", "count": None},
    ):
        control(practice, "faults", fault)
    order = {**ORDER, "price": "760.00", "accounts": [practice.account]}
    key = {"Idempotency-Key": "lost"}

    placed = ask(api, "POST", "/v1/orders", order, headers=key)

    assert "pending" == placed["summary"]
    assert ("unknown", "UNKNOWN") == (placed["legs"][0]["outcome"], placed["legs"][0]["state"])
    [row] = ask(api, "GET", "/v1/unresolved")["unresolved"]
    assert placed["order_id"] == row["order_id"]
    assert {"order_id", "leg", "age_s", "exposure", "evidence", "suspects"} == set(row)
    assert {"quantity": 10, "value": "7600.00"} == row["exposure"]

    [order_there] = control(practice, "ledger")["orders"]
    settle = {
        "action": "adopt",
        "broker_order_id": order_there["broker_order_id"],
        "reason": "seen in the app at 10:20",
    }
    path = f"/v1/unresolved/{row['leg']['leg_id']}/resolve"
    unread = api.call("POST", path, settle)
    assert (503, "broker_unavailable") == (unread.status, unread.body["code"])
    control(practice, "faults", method="DELETE")
    # The book shows an order a moment late, and the gateway may find it by itself meanwhile.
    for _ in range(100):
        adopted = api.call("POST", path, settle)
        if adopted.status == 200 or adopted.body["code"] == "leg_not_unresolved":
            break
        time.sleep(0.1)
    else:
        raise AssertionError(adopted)
    assert "accepted" == ask(api, "GET", f"/v1/orders/{placed['order_id']}")["summary"]
    assert [] == ask(api, "GET", "/v1/unresolved")["unresolved"]
    again = api.call("POST", path, {"action": "absent", "reason": "another thought"})
    assert (404, "leg_not_unresolved") == (again.status, again.body["code"])
    replayed = ask(api, "POST", "/v1/orders", order, headers=key)
    assert placed["order_id"] == replayed["order_id"]
    assert 1 == len(control(practice, "ledger")["orders"])
    practice.stop()


def control(practice: Practice, call: str, body: Any = None, method: str | None = None) -> Any:
    url = f"{practice.info['control_url']}/_sim/{call}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
        return json.load(answer)
