"""API keys: rotation, where they may be used from, what becomes of wrong ones."""

from __future__ import annotations

import hmac

import pytest

from gateway.api.refusals import Refusals
from gateway.secrets.api_keys import ApiKeyError, mint, parse
from gateway.store.audit import RowFilter

WRONG = mint("nobody", ["read"]).text


async def make(one, **fields):
    reply = await one.call("POST", "/v1/keys", {"name": "algo", "scopes": ["trade"], **fields})
    assert reply.status == 201, reply.content
    return reply.json


async def rotate(one, key_id, **body):
    return await one.call("POST", f"/v1/keys/{key_id}/rotate", body)


async def works(one, key):
    return (await one.call("GET", "/v1/accounts", key=key)).status == 200


async def test_a_rotated_key_keeps_its_rights_and_the_old_one_works_through_its_grace(one):
    old = await make(one, accounts=["fyers-main"], source_addresses=["127.0.0.0/8"])

    new = (await rotate(one, old["id"], grace_seconds=60)).json

    same = ("name", "scopes", "accounts", "source_addresses", "expires_at")
    assert [old[field] for field in same] == [new[field] for field in same]
    assert (await works(one, old["key"]), await works(one, new["key"])) == (True, True)
    await one.restart_gateway()
    assert (await works(one, old["key"]), await works(one, new["key"])) == (True, True)
    rows = (await one.call("GET", "/v1/keys")).json["keys"]
    assert next(row for row in rows if row["id"] == old["id"])["expires_at"] is not None


async def test_without_a_grace_the_old_key_ends_at_once(one):
    old = await make(one)

    new = (await rotate(one, old["id"], grace_seconds=0)).json

    assert (await works(one, old["key"]), await works(one, new["key"])) == (False, True)
    assert (await rotate(one, old["id"], grace_seconds=0)).status == 404


async def test_a_grace_never_lengthens_the_old_keys_life(one):
    old = await make(one, expires_at="2099-01-01T00:00:00Z")
    await rotate(one, old["id"], grace_seconds=2592000)
    rows = (await one.call("GET", "/v1/keys")).json["keys"]
    ends = next(row for row in rows if row["id"] == old["id"])["expires_at"]
    await rotate(one, old["id"], grace_seconds=2592000)
    rows = (await one.call("GET", "/v1/keys")).json["keys"]

    assert ends == next(row for row in rows if row["id"] == old["id"])["expires_at"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "grace_seconds"),
        ({"grace_seconds": -1}, "grace_seconds"),
        ({"grace_seconds": 10**9}, "grace_seconds"),
        ({"grace_seconds": 0, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
async def test_a_wrong_rotation_names_its_field_and_changes_nothing(one, body, field):
    old = await make(one)

    reply = await rotate(one, old["id"], **body)

    assert (422, field) == (reply.status, reply.json["errors"][0]["field"])
    assert await works(one, old["key"])


async def test_a_key_that_a_kill_switch_stops_has_no_successor(one):
    old = await make(one)
    stop = {"scope": "key", "target": old["id"], "level": "HALT_NEW", "reason": "test"}
    assert (await one.call("POST", "/v1/kill-switch/engage", stop)).status in (200, 201, 202)

    reply = await rotate(one, old["id"], grace_seconds=0)

    assert (409, "key_stopped") == (reply.status, reply.json["code"])


async def test_a_key_used_from_elsewhere_is_refused_and_says_so(one):
    made = await make(one, source_addresses=["192.0.2.0/24", "2001:db8::/32"])

    reply = await one.call("GET", "/v1/accounts", key=made["key"])

    assert (403, "source_refused") == (reply.status, reply.json["code"])
    assert "127.0.0.1" in reply.json["detail"]
    assert await works(one, (await make(one, source_addresses=["127.0.0.1"]))["key"])


@pytest.mark.parametrize("wrong", [[], ["10.0.0.1/24"], ["somewhere"], [""]])
async def test_an_unusable_source_address_is_refused_by_name(one, wrong):
    body = {"name": "x", "scopes": ["read"], "source_addresses": wrong}

    reply = await one.call("POST", "/v1/keys", body)

    assert (422, "source_addresses") == (reply.status, reply.json["errors"][0]["field"])


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("", False),
        (None, False),
    ],
)
def test_source_addresses_are_networks_and_unknown_addresses_are_outside(address, allowed):
    key = mint("x", ["read"], source_addresses=["10.0.0.0/8"]).record

    assert allowed is key.allows_source(address)


async def test_last_use_is_shown_and_survives_a_restart(one):
    made = await make(one)

    async def last_used():
        rows = (await one.call("GET", "/v1/keys")).json["keys"]
        return next(row for row in rows if row["id"] == made["id"])["last_used_at"]

    assert await last_used() is None
    assert await works(one, made["key"])
    used = await last_used()
    assert used is not None
    await one.restart_gateway()
    assert used == await last_used()


async def test_wrong_keys_are_slowed_and_audited_once_while_right_ones_pass(one):
    statuses = [(await one.call("GET", "/v1/accounts", key=WRONG)).status for _ in range(30)]

    assert [401] * 10 + [429] * 20 == statuses
    slowed = await one.call("GET", "/v1/accounts", key=WRONG)
    assert 0 < int(slowed.headers["retry-after"]) <= 60
    assert await works(one, one.key)
    rows, _ = await one.gateway.store.audit_rows(RowFilter(kinds=frozenset({"key"})))
    told = [row.body for row in rows if b"keys_refused" in row.body]
    assert 1 == len(told)
    assert WRONG.encode() not in told[0]


def test_many_addresses_fill_neither_memory_nor_log():
    told = []
    refusals = Refusals(told.append, lambda: 1.0)

    for number in range(5000):
        refusals.count(f"10.0.{number // 256}.{number % 256}")
    refusals.flush()

    assert 2 == len(told)
    assert 11 == len(told[1]["refused"])
    assert 4999 == sum(told[1]["refused"].values())
    assert 1024 == len(refusals._seen)


def test_keys_are_compared_in_constant_time(monkeypatch):
    made, seen = mint("x", ["read"]), []
    compare = hmac.compare_digest

    def spy(left, right):
        seen.append((left, right))
        return compare(left, right)

    monkeypatch.setattr("gateway.secrets.api_keys.hmac.compare_digest", spy)

    assert made.record.matches(parse(made.text))
    assert [(made.record.hash, made.record.hash)] == seen


def test_a_network_with_host_bits_is_not_guessed_at():
    with pytest.raises(ApiKeyError, match=r"10\.0\.0\.1/24"):
        mint("x", ["read"], source_addresses=["10.0.0.1/24"])
