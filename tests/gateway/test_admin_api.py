"""Keys, health, the OpenAPI document, the control socket, who may call what."""

from __future__ import annotations

import asyncio
import stat

import msgspec
import pytest

from gateway.secrets.api_keys import Scope
from tests.gateway.rig import Rig


async def test_a_key_is_made_shown_once_used_and_revoked(one):
    made = await one.call("POST", "/v1/keys", {"name": "algo", "scopes": ["trade"]})
    assert made.status == 201
    assert set(made.json) == {
        "id",
        "name",
        "scopes",
        "accounts",
        "created_at",
        "expires_at",
        "source_addresses",
        "last_used_at",
        "key",
    }
    key, key_id = made.json["key"], made.json["id"]

    assert (await one.call("GET", "/v1/orders", key=key)).status == 200
    listed = await one.call("GET", "/v1/keys")
    assert key not in listed.content.decode()
    assert key_id in {row["id"] for row in listed.json["keys"]}

    assert (await one.call("DELETE", f"/v1/keys/{key_id}")).status == 204
    assert (await one.call("GET", "/v1/orders", key=key)).status == 401
    assert (await one.call("DELETE", f"/v1/keys/{key_id}")).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": ["read"], "accounts": ["nobody"]}, "accounts"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"scopes": ["read"]}, "name"),
    ],
)
async def test_a_wrong_key_request_names_its_field(one, body, field):
    reply = await one.call("POST", "/v1/keys", body)

    assert reply.status == 422
    assert [field] == [error["field"] for error in reply.json["errors"]]


async def test_keys_survive_a_restart(one):
    key = await one.new_key("algo", ["read"])
    await one.restart_gateway()

    assert (await one.call("GET", "/v1/accounts", key=key)).status == 200


async def test_health_needs_no_key(one):
    for path in ("/livez", "/readyz"):
        reply = await one.call("GET", path, key="")
        assert (reply.status, reply.content) == (200, b"ok\n")


async def test_readyz_says_no_when_nothing_may_be_sent(one):
    one.gateway.kill.switch.set_condition("journal", "test")

    assert (await one.call("GET", "/readyz", key="")).status == 503
    refused = await one.place(accounts=["fyers-main"])
    assert (refused.status, refused.json["code"], refused.json["sent"]) == (
        503,
        "journal_broken",
        False,
    )
    assert one.ledger("fyers") == []


async def test_the_document_describes_every_route(one):
    document = (await one.call("GET", "/openapi.json", key="")).json

    assert document["openapi"].startswith("3.1")
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert described == {(route.method, route.path) for route in one.gateway.routes()}
    operation = document["paths"]["/v1/orders"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/OrderRequest"
    )
    assert "Idempotency-Key" in {p["name"] for p in operation["parameters"]}


async def test_every_route_with_a_scope_refuses_a_key_without_it(one):
    """The matrix comes from the table of routes, so a new route is covered by being there."""
    keys = {scope: await one.new_key(f"only-{scope}", [scope]) for scope in Scope}
    open_to_all = {"/livez", "/readyz", "/openapi.json", "/docs", "/v1/callback/{account}"}
    grants = {
        Scope.READ: {Scope.READ},
        Scope.TRADE: {Scope.READ, Scope.TRADE},
        Scope.LOGIN: {Scope.LOGIN},
        Scope.OPERATE: {Scope.READ, Scope.TRADE, Scope.LOGIN, Scope.OPERATE},
        Scope.ADMIN: set(Scope),
    }
    checked = 0
    for route in one.gateway.routes():
        if route.scope is None:
            assert route.path in open_to_all
            continue
        path = route.path.replace("{account}", "nobody").replace("{order_id}", "ord_x")
        path = path.replace("{id}", "nothing")
        assert (await one.call(route.method, path, key="")).status == 401
        for scope, key in keys.items():
            if grants[scope] & {route.scope, route.or_scope}:
                continue
            reply = await one.call(route.method, path, key=key)
            assert (reply.status, reply.json["code"]) == (403, "scope_missing"), (route, scope)
            checked += 1
    assert checked > 20


async def test_a_keys_account_list_filters_orders(rig):
    placed = await rig.place()
    key = await rig.new_key("narrow", ["trade"], ["hdfc-main"])
    order_id = placed.json["order_id"]

    seen = await rig.call("GET", f"/v1/orders/{order_id}", key=key)
    listed = await rig.call("GET", "/v1/orders", key=key)
    accounts = await rig.call("GET", "/v1/accounts", key=key)
    history = await rig.call("GET", f"/v1/orders/{order_id}/history", key=key)
    cancel = await rig.call("DELETE", f"/v1/orders/{order_id}", key=key)

    assert ["hdfc-main"] == [leg["account"] for leg in seen.json["legs"]]
    assert ["hdfc-main"] == [leg["account"] for leg in listed.json["orders"][0]["legs"]]
    assert ["hdfc-main"] == [row["account"] for row in accounts.json["accounts"]]
    assert len({event["leg_id"] for event in history.json["events"]}) == 1
    assert cancel.status == 403


async def test_an_instrument_shows_every_brokers_own_codes(rig):
    reply = await rig.call("GET", "/v1/instruments/NSE:SBIN")

    assert reply.status == 200
    assert reply.json["instrument"] == "NSE:SBIN"
    assert set(reply.json["brokers"]) == {"fyers", "mstock", "hdfc"}
    assert (await rig.call("GET", "/v1/instruments/NSE:NOSUCH")).status == 404


async def test_the_control_socket_is_the_same_users_and_needs_no_key(one):
    path = one.data_dir / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /v1/keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 200")
    assert "keys" in msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])


async def test_accounts_show_their_session_and_what_is_open(one):
    await one.place(accounts=["fyers-main"], price="700.00", wait_for="book")

    (row,) = (await one.call("GET", "/v1/accounts")).json["accounts"]

    assert (row["account"], row["broker"], row["ready"]) == ("fyers-main", "fyers", True)
    assert (row["open_legs"], row["unresolved"]) == (1, 0)
    assert row["session"]["state"] == "active"


async def test_errors_that_no_route_answers_carry_the_id_of_their_header(one: Rig) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("TRACE", "/v1/accounts", 405),
        ("QUERY", "/v1/orders/x/history", 405),
        ("OPTIONS", "/v1/instruments/NSE:SBIN", 405),
    ):
        reply = await one.call(method, path)

        assert status == reply.status, (method, path)
        assert reply.headers["x-request-id"] == reply.json["request_id"]
        assert (status == 405) is ("allow" in reply.headers)
