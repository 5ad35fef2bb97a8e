"""What is wrong with a body is said in words, under the name that the client wrote."""

from __future__ import annotations

import msgspec
import pytest

from tests.gateway.rig import ORDER, Rig

ONE = {**ORDER, "accounts": ["fyers-main"]}


async def test_a_name_given_twice_is_refused(one: Rig) -> None:
    twice = b'{"instrument":"NSE:INFY",' + msgspec.json.encode(ONE)[1:]
    within = msgspec.json.encode({**ONE, "quantities": 0}).replace(
        b'"quantities":0', b'"quantities":{"fyers-main":1,"fyers-main":2}'
    )
    for raw, field in ((twice, "instrument"), (within, "fyers-main")):
        reply = await one.call("POST", "/v1/orders", raw=raw, idempotency_key="k")

        assert (reply.status, reply.json["code"]) == (400, "malformed_json")
        assert reply.json["errors"][0]["field"] == field
    assert one.ledger("fyers") == []


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"quantities": {"a": 1, "b": 0}}, "quantities.b must be a whole number of at least 1"),
        ({"quantity": 0}, "quantity must be a whole number of at least 1"),
        (
            {"quantity": 1.5},
            "quantity must be a whole number or null, not one with a decimal point",
        ),
        ({"quantity": "x"}, "quantity must be a whole number or null, not a text"),
        ({"strategy": "a b"}, "strategy may have letters, digits and . _ : - only"),
        ({"accounts": []}, "accounts must not be empty"),
        ({"quantity": None}, "quantity is required unless lots is given, and then left out"),
    ],
)
async def test_a_wrong_field_is_described_in_words(
    one: Rig, changes: dict[str, object], detail: str
) -> None:
    reply = await one.call("POST", "/v1/orders", {**ONE, **changes}, idempotency_key="k")

    assert (reply.status, reply.json["detail"]) == (422, detail)


async def test_a_year_of_which_nothing_is_known_is_refused(one: Rig) -> None:
    reply = await one.call("GET", "/v1/market/holidays?year=1999")

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "year")


async def test_a_time_that_is_none_is_described_by_an_example(one: Rig) -> None:
    body = {"name": "n", "scopes": ["read"], "expires_at": "tomorrow"}

    reply = await one.call("POST", "/v1/keys", body)

    words = "expires_at must be a time with its offset, such as 2026-12-31T15:30:00+05:30"
    assert (reply.status, reply.json["detail"]) == (422, words)
