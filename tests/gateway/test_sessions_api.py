"""Logins over HTTP, by each broker's real steps."""

from __future__ import annotations

import pytest

from tests.gateway.rig import Rig


@pytest.fixture
async def fresh(tmp_path):
    """Three brokers with credentials, none logged in."""
    async with Rig(tmp_path / "data", log_in=False) as rig:
        for broker, simulator in rig.sims.items():
            reply = await rig.call(
                "PUT",
                f"/v1/accounts/{broker}-main/credentials",
                {"fields": dict(simulator.credentials)},
            )
            assert reply.status == 204
        yield rig


async def login(rig, account: str):
    return await rig.call("POST", f"/v1/sessions/{account}/login", {})


async def state(rig, account: str) -> str:
    reply = await rig.call("GET", "/v1/sessions")
    return next(row["state"] for row in reply.json["sessions"] if row["account"] == account)


@pytest.mark.parametrize("broker", ["mstock", "hdfc"])
async def test_otp_login(fresh, broker):
    account = f"{broker}-main"
    asked = await login(fresh, account)
    assert (asked.status, asked.json["state"]) == (200, "otp_required")
    assert {"challenge_id", "prompt", "expires_at"} <= set(asked.json)
    assert await state(fresh, account) == "otp_required"

    done = await fresh.call(
        "POST",
        f"/v1/sessions/{account}/otp",
        {
            "challenge_id": asked.json["challenge_id"],
            "otp": await fresh.sims[broker].read_otp(),
        },
    )

    assert (done.status, done.json["state"]) == (200, "active")
    assert await state(fresh, account) == "active"
    again = await login(fresh, account)
    assert again.json["state"] == "active"


async def test_redirect_login_with_the_pasted_url(fresh):
    asked = await login(fresh, "fyers-main")
    assert asked.json["state"] == "redirect_required"

    url = await follow(fresh, asked.json["login_url"])
    done = await fresh.call("POST", "/v1/sessions/fyers-main/callback", {"url": url})

    assert (done.status, done.json["state"]) == (200, "active")


async def test_redirect_login_through_the_browsers_callback(fresh):
    asked = await login(fresh, "fyers-main")
    url = await follow(fresh, asked.json["login_url"])
    query = url.partition("?")[2]

    page = await fresh.call("GET", f"/v1/callback/fyers-main?{query}", key="")
    used = await fresh.call("GET", f"/v1/callback/fyers-main?{query}", key="")

    assert page.status == 200
    assert b"Logged in" in page.content
    assert await state(fresh, "fyers-main") == "active"
    assert used.status == 409
    assert b"did not work" in used.content


async def test_a_callback_with_another_state_is_refused(fresh):
    asked = await login(fresh, "fyers-main")
    url = await follow(fresh, asked.json["login_url"])
    query = url.partition("?")[2].replace("state=", "state=x")

    page = await fresh.call("GET", f"/v1/callback/fyers-main?{query}", key="")

    assert page.status == 400
    assert await state(fresh, "fyers-main") == "redirect_required"


async def test_a_callback_nobody_waits_for_is_refused(fresh):
    page = await fresh.call("GET", "/v1/callback/fyers-main?auth_code=x&state=y", key="")

    assert page.status == 409
    assert (await fresh.call("GET", "/v1/callback/nobody?x=y", key="")).status == 404


@pytest.mark.parametrize("broker", ["mstock", "hdfc"])
async def test_a_wrong_otp_is_the_brokers_no_in_its_own_words(fresh, broker):
    asked = await login(fresh, f"{broker}-main")
    right = await fresh.sims[broker].read_otp()
    wrong = "000000" if right != "000000" else "111111"

    reply = await fresh.call(
        "POST",
        f"/v1/sessions/{broker}-main/otp",
        {"challenge_id": asked.json["challenge_id"], "otp": wrong},
    )

    assert (reply.status, reply.json["code"]) == (422, "login_refused")
    assert reply.json["broker_message"]
    assert wrong not in reply.content.decode()
    assert await state(fresh, f"{broker}-main") != "active"


async def test_a_wrong_password_is_told_and_not_tried_again(fresh):
    fields = {**fresh.sims["mstock"].credentials, "password": "wrong-password"}
    await fresh.call("PUT", "/v1/accounts/mstock-main/credentials", {"fields": fields})

    reply = await login(fresh, "mstock-main")

    assert (reply.status, reply.json["code"]) == (422, "login_refused")
    assert "attempts remaining" in reply.json["broker_message"]
    assert "wrong-password" not in reply.content.decode()
    assert await state(fresh, "mstock-main") == "refused"


async def test_an_otp_without_a_pending_login_says_how_to_begin(fresh):
    reply = await fresh.call(
        "POST", "/v1/sessions/mstock-main/otp", {"challenge_id": "chl_x", "otp": "1"}
    )

    assert (reply.status, reply.json["code"]) == (409, "no_pending_login")
    assert "/v1/sessions/mstock-main/login" in reply.json["detail"]


async def test_another_challenge_id_is_refused(fresh):
    await login(fresh, "mstock-main")

    reply = await fresh.call(
        "POST", "/v1/sessions/mstock-main/otp", {"challenge_id": "chl_x", "otp": "1"}
    )

    assert (reply.status, reply.json["code"]) == (409, "challenge_unknown")


async def test_an_expired_challenge_says_so(fresh, monkeypatch):
    asked = await login(fresh, "mstock-main")
    pending = fresh.gateway.sessions._pending["mstock-main"]
    pending.expires_at = pending.expires_at.replace(year=2020)

    reply = await fresh.call(
        "POST",
        "/v1/sessions/mstock-main/otp",
        {"challenge_id": asked.json["challenge_id"], "otp": "123456"},
    )

    assert (reply.status, reply.json["code"]) == (410, "challenge_expired")
    assert await state(fresh, "mstock-main") == "missing"


async def test_missing_credentials_name_the_fields_and_the_command(tmp_path):
    async with Rig(tmp_path / "data", brokers=("mstock",), log_in=False) as rig:
        reply = await login(rig, "mstock-main")

        assert (reply.status, reply.json["code"]) == (409, "credentials_missing")
        assert "password" in reply.json["detail"]
        assert "brokergate vault set mstock-main" in reply.json["detail"]


async def test_credentials_of_the_wrong_shape_are_refused(fresh):
    reply = await fresh.call(
        "PUT", "/v1/accounts/mstock-main/credentials", {"fields": {"pasword": "x"}}
    )

    assert reply.status == 422
    fields = {error["field"] for error in reply.json["errors"]}
    assert {"pasword", "password", "api_key", "username"} <= fields


async def test_a_login_of_another_client_code_is_not_active(fresh):
    fields = {**fresh.sims["fyers"].credentials, "client_id": "FX9999"}
    await fresh.call("PUT", "/v1/accounts/fyers-main/credentials", {"fields": fields})
    asked = await login(fresh, "fyers-main")

    url = await follow(fresh, asked.json["login_url"])
    reply = await fresh.call("POST", "/v1/sessions/fyers-main/callback", {"url": url})

    assert (reply.status, reply.json["code"]) == (422, "login_refused")
    assert "client code" in reply.json["detail"]
    assert await state(fresh, "fyers-main") == "refused"


async def test_an_unknown_account_is_told_which_ones_exist(fresh):
    reply = await login(fresh, "nobody")

    assert (reply.status, reply.json["code"]) == (404, "account_unknown")
    assert "mstock-main" in reply.json["detail"]


async def test_a_session_survives_a_restart_and_its_token_is_sealed(rig):
    await rig.restart_gateway()

    assert await state(rig, "mstock-main") == "active"
    assert (await rig.place(wait_for="book")).json["summary"] == "accepted"
    tokens = [account.session.token.encode() for account in rig.gateway.accounts.values()]
    for file in rig.data_dir.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(token in content for token in tokens), file


async def test_logging_out_ends_it(rig):
    reply = await rig.call("DELETE", "/v1/sessions/hdfc-main")

    assert (reply.status, reply.json["state"]) == (200, "missing")
    assert await state(rig, "hdfc-main") == "missing"


async def test_a_login_key_can_log_in_and_nothing_else(fresh):
    key = await fresh.new_key("otp-relay", ["login"])

    asked = await fresh.call("POST", "/v1/sessions/mstock-main/login", {}, key=key)
    orders = await fresh.call("GET", "/v1/orders", key=key)

    assert asked.json["state"] == "otp_required"
    assert orders.status == 403


async def test_a_session_the_broker_ended_is_dropped_at_its_first_word(one):
    one.sims["fyers"].expire_sessions()

    reply = await one.place(accounts=["fyers-main"])

    leg = reply.json["legs"][0]
    assert leg["state"] in ("REFUSED", "UNKNOWN")
    assert await state(one, "fyers-main") == "expired"
    next_one = await one.place("k2", accounts=["fyers-main"])
    assert next_one.json["legs"][0]["reason"]["code"] == "session_expired"
    assert one.ledger("fyers") == []


async def follow(rig, login_url: str) -> str:
    """Do in the login page what the owner does in a browser."""
    from datetime import UTC, datetime

    from adapters.sdk.models import RedirectRequired

    step = RedirectRequired(
        login_url=login_url, state=None, expires_at=datetime.now(UTC), pending={}
    )
    return await rig.sims["fyers"].complete_login(step)
