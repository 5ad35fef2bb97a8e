"""A key with an account list learns nothing of other accounts, not by way of a shared order."""

from __future__ import annotations

from tests.gateway.rig import ORDER, Rig

FYERS = "fyers-main"


async def test_a_shared_order_shows_a_narrow_key_its_own_accounts_only(tmp_path) -> None:
    groups = {"family": {FYERS: "1", "mstock-main": "1"}}
    brokers = ("fyers", "mstock")
    settings = {"groups": groups}
    async with Rig(tmp_path / "d", brokers=brokers, settings=settings) as rig:
        await rig.call("DELETE", "/v1/sessions/mstock-main")
        key = await rig.new_key("narrow", ["trade"], [FYERS])
        order = {**ORDER, "accounts": ["@family"], "quantities": {FYERS: 2, "mstock-main": 3}}
        placed = await rig.call(
            "POST", "/v1/orders", {**order, "require": "all"}, idempotency_key="a"
        )
        assert "mstock-main" in placed.leg(FYERS)["reason"]["message"]
        order_id = placed.json["order_id"]

        answers = [
            await rig.call("GET", path, key=key)
            for path in (
                f"/v1/orders/{order_id}",
                "/v1/orders",
                f"/v1/orders/{order_id}/history",
                "/v1/audit?kind=leg,order",
            )
        ]

        assert {answer.status for answer in answers} == {200}
        for answer in answers:
            assert order_id.encode() in answer.content
            assert b"mstock" not in answer.content
            assert b"family" not in answer.content
        seen = answers[0].json
        assert seen["request"]["accounts"] == [FYERS]
        assert seen["request"]["quantities"] == {FYERS: 2}
        assert "another account" in seen["legs"][0]["reason"]["message"]

        whole = (await rig.call("GET", f"/v1/orders/{order_id}")).json
        assert whole["request"]["accounts"] == ["@family"]


async def test_a_member_of_a_stopped_basket_says_that_the_basket_stopped(one: Rig) -> None:
    good = {**ORDER, "accounts": [FYERS], "quantity": 1}
    basket = {
        "orders": [{**good, "price": "812.53"}, good],
        "sequence": "ordered",
        "stop_on": "rejected",
    }

    placed = await one.call("POST", "/v1/baskets", basket, idempotency_key="b")

    assert placed.json["orders"][1]["legs"][0]["reason"]["code"] == "basket_stopped"


async def test_no_strategy_is_stopped_that_no_order_can_have(one: Rig) -> None:
    body = {"scope": "strategy", "level": "HALT_NEW", "reason": "x", "target": "a b"}

    reply = await one.call("POST", "/v1/kill-switch/engage", body)

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "target")
    assert "letters, digits and . _ : -" in reply.json["detail"]
    assert not (await one.call("GET", "/v1/kill-switch")).json["engaged"]
    good = await one.call("POST", "/v1/kill-switch/engage", {**body, "target": "a:b"})
    assert good.status == 200
