"""Each level and scope, over the API, against three simulated brokers."""

from __future__ import annotations

import pytest

from tests.kill.help import RESTING, engage, legs, release, state

DENIED = ("DENIED", "kill_switch")
MINE = ["fyers-main", "mstock-main", "hdfc-main"]


async def test_global_halt_denies_every_leg_and_sends_nothing(rig):
    answer = await engage(rig)

    assert (200, True, []) == (
        answer.status,
        answer.json["persisted"],
        answer.json["on_the_wire"],
    )
    assert answer.json["blocked_at"] is not None
    placed = await rig.place(accounts=MINE)
    assert (200, "not_sent") == (placed.status, placed.json["summary"])
    assert dict.fromkeys(MINE, DENIED) == legs(placed)
    assert [[], [], []] == [rig.ledger(name) for name in rig.sims]
    reason = placed.leg("fyers-main")["reason"]
    assert ("HALT_NEW", "global", None) == tuple(
        reason["details"][name] for name in ("level", "scope", "target")
    )
    assert reason["retryable"] is True


@pytest.mark.parametrize(
    ("scope", "target", "stopped"),
    [
        ("broker", "mstock", {"mstock-main"}),
        ("account", "hdfc-main", {"hdfc-main"}),
        ("strategy", "momentum-1", set(MINE)),
        ("strategy", "another", set()),
    ],
)
async def test_scope_stops_what_is_in_it_and_nothing_else(rig, scope, target, stopped):
    await engage(rig, scope=scope, target=target)

    placed = await rig.place(accounts=MINE, strategy="momentum-1", **RESTING)

    assert stopped == {name for name, leg in legs(placed).items() if leg == DENIED}
    assert set(MINE) - stopped == {f"{name}-main" for name in rig.sims if rig.ledger(name)}


async def test_key_scope_stops_one_key(one):
    stopped = await one.new_key("algo", ["trade"])
    free = await one.new_key("other", ["trade"])
    target = stopped.removeprefix("bg_live_").partition("_")[0]
    await engage(one, scope="key", target=target)
    order = {
        "instrument": "NSE:SBIN",
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 1,
        "accounts": ["fyers-main"],
        **RESTING,
    }

    for key, wanted in ((stopped, DENIED), (free, ("ACKED", None))):
        reply = await one.call("POST", "/v1/orders", order, key=key, idempotency_key="k")
        state_, reason = legs(reply)["fyers-main"]
        assert (wanted[0] == "DENIED", wanted[1]) == (state_ == "DENIED", reason)
    assert 1 == len(one.ledger("fyers"))


async def test_highest_level_that_applies_counts(one):
    await engage(one, level="HALT_NEW", scope="account", target="fyers-main")
    await engage(one, level="REDUCE_ONLY")

    placed = await one.place(accounts=["fyers-main"])

    details = placed.leg("fyers-main")["reason"]["details"]
    assert ("HALT_NEW", "account") == (details["level"], details["scope"])
    assert "REDUCE_ONLY" == (await state(one))["level"]


async def test_engaging_lower_lowers_nothing(one):
    await engage(one, level="HALT_NEW")
    again = await engage(one, level="REDUCE_ONLY")

    assert "HALT_NEW" == again.json["level"]
    assert ["HALT_NEW"] == [switch["level"] for switch in (await state(one))["switches"]]


async def test_released_lets_orders_through_again(one):
    await engage(one)
    released = await release(one)

    assert (200, False) == (released.status, released.json["engaged"])
    placed = await one.place(accounts=["fyers-main"], **RESTING)
    assert "accepted" == placed.json["summary"]


async def test_release_needs_reason_confirmation_and_scope(one):
    await engage(one)
    trader = await one.new_key("algo", ["trade"])

    bad = await release(one, confirm="release", reason="")
    assert 422 == bad.status
    assert {"confirm", "reason"} == {error["field"] for error in bad.json["errors"]}
    assert (403, "scope_missing") == (
        (refused := await release(one, key=trader)).status,
        refused.json["code"],
    )
    assert (await state(one))["engaged"]


async def test_release_of_what_is_not_engaged_is_refused(one):
    await engage(one)

    refused = await release(one, scope="account", target="fyers-main")

    assert (409, "not_engaged") == (refused.status, refused.json["code"])


async def test_bad_engage_names_every_field_and_stops_nothing(one):
    bad = await engage(one, level="STOP", scope="world", reason=7, extra=1)

    assert 422 == bad.status
    assert {"level", "scope", "reason", "extra"} == {e["field"] for e in bad.json["errors"]}
    for scope, target in (("account", "nobody"), ("broker", "kite"), ("key", "x"), ("global", "x")):
        wrong = await engage(one, scope=scope, target=target)
        assert (422, ["target"]) == (wrong.status, [e["field"] for e in wrong.json["errors"]])
    missing = await engage(one, scope="account")
    assert ["target"] == [error["field"] for error in missing.json["errors"]]
    assert not (await state(one))["engaged"]


async def test_trade_key_may_halt_anywhere_but_cancel_only_at_its_own_accounts(rig):
    trader = await rig.new_key("algo", ["trade"], ["fyers-main"])
    reader = await rig.new_key("eyes", ["read"])

    assert 403 == (await engage(rig, key=reader)).status
    assert 403 == (await engage(rig, level="SQUARE_OFF", key=trader)).status
    assert 403 == (await engage(rig, level="CANCEL_ALL", key=trader)).status
    there = {"scope": "account", "target": "mstock-main"}
    assert 403 == (await engage(rig, level="CANCEL_ALL", key=trader, **there)).status
    assert not (await state(rig))["engaged"]
    own = {"scope": "account", "target": "fyers-main"}
    assert 200 == (await engage(rig, level="CANCEL_ALL", key=trader, **own)).status
    assert 200 == (await engage(rig, level="HALT_NEW", key=trader, **there)).status


async def test_modify_that_is_not_a_decrease_is_stopped_and_a_decrease_passes(one):
    placed = await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    path = f"/v1/orders/{placed.json['order_id']}"
    await engage(one)

    for change in ({"quantity": 20}, {"price": "781.00"}, {"quantity": 5, "price": "781.00"}):
        reply = await one.call("PATCH", path, change)
        assert "refused" == reply.json["legs"][0]["modify"], change
    assert [(10, 780)] == [(row.quantity, row.price) for row in one.ledger("fyers")]
    assert "applied" == (await one.call("PATCH", path, {"quantity": 5})).json["legs"][0]["modify"]
    assert [5] == [row.quantity for row in one.ledger("fyers")]


async def test_cancels_and_reads_pass(one):
    placed = await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    await engage(one)

    path = f"/v1/orders/{placed.json['order_id']}"
    assert 200 == (await one.call("GET", path)).status
    cancelled = await one.call("DELETE", path)
    assert (200, "CANCELLED") == (cancelled.status, cancelled.json["legs"][0]["state"])


async def test_require_all_keeps_every_leg_here_when_one_account_is_stopped(rig):
    await engage(rig, scope="account", target="hdfc-main")

    placed = await rig.place(accounts=MINE, require="all")

    assert {"DENIED"} == {leg["state"] for leg in placed.json["legs"]}
    assert [[], [], []] == [rig.ledger(name) for name in rig.sims]


async def test_replayed_key_still_answers_its_order_while_halted(one):
    first = await one.place("k", accounts=["fyers-main"], **RESTING)
    await engage(one)

    again = await one.place("k", accounts=["fyers-main"], **RESTING)

    assert first.json["order_id"] == again.json["order_id"]
    assert "true" == again.headers["idempotency-replayed"]


async def test_every_change_is_in_the_audit_log(one):
    await engage(one, scope="account", target="fyers-main")
    await release(one, scope="account", target="fyers-main")

    rows = await one.gateway.store.read(
        lambda c: [
            row[0] for row in c.execute("SELECT body FROM audit WHERE kind='kill' ORDER BY seq")
        ]
    )
    assert 2 == len(rows)
    assert b'"engaged"' in rows[0]
    assert b'"released"' in rows[1]
    assert b"all is well" in rows[1]
    assert (await one.gateway.store.verify_audit()).ok
