"""The matrix of routes and scopes, whole, and that it notices what it is there for."""

from __future__ import annotations

import msgspec
import pytest

from gateway.secrets.api_keys import Scope
from tests.gateway.rig import Rig
from tests.trust.scopes import MINE, OTHERS, RULES, WHO, try_all, uncovered


async def test_every_route_lets_in_who_may_and_nobody_else(tmp_path):
    matrix = await try_all(tmp_path)

    assert [] == matrix.wrong
    assert matrix.requests == matrix.routes * len(WHO) == len(RULES) * len(WHO)
    assert matrix.leaks_tried > matrix.routes


async def test_a_new_route_without_a_rule_is_noticed(one):
    routes = one.gateway.routes()
    new = msgspec.structs.replace(routes[0], path="/v1/new", scope=Scope.READ)

    assert [] == uncovered(routes)
    assert ["POST /v1/new has no rule"] == uncovered([*routes, new])
    assert 1 == len(uncovered(routes[1:]))


@pytest.fixture
async def two(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers", "mstock"), log_in=False) as rig:
        yield rig


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", f"/v1/accounts/{OTHERS}/credentials", {"fields": {"api_key": "x"}}, 404),
        ("POST", "/v1/config/reload", None, 403),
        ("GET", "/v1/alerts", None, 403),
        ("POST", "/v1/alerts/test", {}, 403),
        ("PUT", "/v1/alerts/x/secret", {}, 403),
        ("PUT", "/v1/market/holidays", {}, 403),
        ("POST", "/v1/keys", {"name": "n", "scopes": ["read"]}, 403),
        ("POST", "/v1/keys", {"name": "n", "scopes": ["read"], "accounts": [MINE, OTHERS]}, 403),
        ("POST", "/v1/keys", {"name": "n", "scopes": ["read"], "accounts": [MINE]}, 201),
    ],
)
async def test_a_narrow_admin_key_stays_within_its_accounts(two, method, path, body, status):
    key = await two.new_key("narrow", ["admin"], [MINE])

    reply = await two.call(method, path, body, key=key)

    assert status == reply.status, reply.content
    if status == 403:
        assert "account_not_allowed" == reply.json["code"]


async def test_a_narrow_admin_key_sees_and_ends_no_wider_key(two):
    narrow = await two.new_key("narrow", ["admin"], [MINE])
    wide = (await two.call("POST", "/v1/keys", {"name": "wide", "scopes": ["read"]})).json
    await two.gateway.store.set_credentials(OTHERS, {"api_key": "x"}, {})

    seen = (await two.call("GET", "/v1/keys", key=narrow)).json["keys"]
    rotated = await two.call(
        "POST", f"/v1/keys/{wide['id']}/rotate", {"grace_seconds": 0}, key=narrow
    )
    revoked = await two.call("DELETE", f"/v1/keys/{wide['id']}", key=narrow)
    vault = await two.call("GET", "/v1/vault", key=narrow)

    assert ["narrow"] == [key["name"] for key in seen]
    assert (404, 404) == (rotated.status, revoked.status)
    assert [] == vault.json["credentials"]
