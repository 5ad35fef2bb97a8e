"""A session's whole life over the API: begun, warned of, ended, refused, blocked; and its token."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import apsw
import msgspec
import pytest

from gateway.api.auth import control_caller
from gateway.api.event_shapes import Shaper
from gateway.store.audit import RowFilter
from tests.gateway.rig import Rig

WAIT_S = 60
WRONG = "wrong-password"


async def until(find):
    async with asyncio.timeout(WAIT_S):
        while not (found := find()):
            await asyncio.sleep(0.01)
    return found


async def state(rig, account: str) -> str:
    return (await session(rig, account))["state"]


async def session(rig, account: str):
    reply = await rig.call("GET", "/v1/sessions")
    return next(row for row in reply.json["sessions"] if row["account"] == account)


async def log_in(rig, account: str, **body):
    return await rig.call("POST", f"/v1/sessions/{account}/login", body)


async def answer(rig, account: str, asked, otp: str):
    body = {"challenge_id": asked.json["challenge_id"], "otp": otp}
    return await rig.call("POST", f"/v1/sessions/{account}/otp", body)


async def seal(rig, broker: str, **instead: str) -> None:
    fields = {**rig.sims[broker].credentials, **instead}
    reply = await rig.call("PUT", f"/v1/accounts/{broker}-main/credentials", {"fields": fields})
    assert reply.status == 204


async def events(rig, account: str) -> list[dict]:
    wanted = RowFilter(kinds=frozenset({"session"}), account=account)
    rows, _ = await rig.gateway.store.audit_rows(wanted)
    return [msgspec.json.decode(row.body) for row in rows]


async def names(rig, account: str) -> list[str]:
    return [event["event"] for event in await events(rig, account)]


def ends_in(rig, account_id: str, **left) -> None:
    account = rig.gateway.accounts[account_id]
    ends = datetime.now(UTC) + timedelta(**left)
    account.session = msgspec.structs.replace(account.session, expires_at=ends)


def sealed_token(rig, account: str) -> bytes:
    connection = apsw.Connection(str(rig.gateway.store.path), flags=apsw.SQLITE_OPEN_READONLY)
    blob = connection.execute("SELECT blob FROM sessions WHERE account=?", (account,)).get
    connection.close()
    assert blob
    return bytes(blob)


def is_on_disk(rig, secret: bytes) -> bool:
    path = rig.gateway.store.path
    files = [path, path.with_name(path.name + "-wal")]
    return any(secret in file.read_bytes() for file in files if file.exists())


@pytest.fixture
async def mstock(tmp_path):
    """One account that logs in with a password and an OTP, nobody logged in."""
    async with Rig(tmp_path / "data", brokers=("mstock",), log_in=False) as rig:
        await seal(rig, "mstock")
        yield rig


@pytest.fixture
def passwords(mstock, monkeypatch) -> list[str]:
    """The passwords that reach the broker."""
    sent: list[str] = []
    desk = mstock.sims["mstock"].desk
    plain = desk.password

    def noting(request):
        sent.append(msgspec.json.decode(request.body)["password"])
        return plain(request)

    monkeypatch.setattr(desk, "password", noting)
    return sent


async def test_every_step_of_a_login_is_a_state_and_an_event(mstock):
    assert await state(mstock, "mstock-main") == "missing"
    asked = await log_in(mstock, "mstock-main")
    assert await state(mstock, "mstock-main") == "otp_required"
    otp = await mstock.sims["mstock"].read_otp()
    await answer(mstock, "mstock-main", asked, otp)
    assert await state(mstock, "mstock-main") == "active"
    await mstock.call("DELETE", "/v1/sessions/mstock-main")
    assert await state(mstock, "mstock-main") == "missing"

    assert ["login_begun", "otp_required", "logged_in", "logged_out"] == await names(
        mstock, "mstock-main"
    )
    begun, _, logged_in, out = await events(mstock, "mstock-main")
    assert begun["actor"]["client"] == out["actor"]["client"] == "tests"
    assert logged_in["expires_at"]


async def test_while_the_broker_is_asked_it_is_logging_in(mstock):
    seen = set()
    adapter = mstock.gateway.accounts["mstock-main"].adapter
    plain = adapter.begin_login

    async def looking(credentials):
        seen.add(await state(mstock, "mstock-main"))
        return await plain(credentials)

    adapter.begin_login = looking
    await log_in(mstock, "mstock-main")

    assert {"logging_in"} == seen


async def test_a_session_that_ends_soon_is_expiring_and_told_once_for_each_warning(one):
    ends_in(one, "fyers-main", minutes=20)
    for _ in range(3):
        assert await state(one, "fyers-main") == "expiring"
    accounts = (await one.call("GET", "/v1/accounts")).json["accounts"]
    assert accounts[0]["session"]["state"] == "expiring"
    # It still works.
    assert (await one.place(accounts=["fyers-main"])).json["summary"] == "accepted"
    ends_in(one, "fyers-main", minutes=4)
    for _ in range(3):
        await state(one, "fyers-main")
    await until(lambda: not one.gateway.sessions._record.background)

    told = [event for event in await events(one, "fyers-main") if event["event"] == "expiring"]
    assert [1800, 300] == [event["ahead_s"] for event in told]
    assert {"expiring"} == {event["state"] for event in told}


async def test_warnings_are_on_the_event_stream(one):
    ends_in(one, "fyers-main", minutes=20)
    await state(one, "fyers-main")
    await until(lambda: not one.gateway.sessions._record.background)
    rows, _ = await one.gateway.store.audit_rows(RowFilter(kinds=frozenset({"session"})))
    shaped = await Shaper(one.gateway.orders, control_caller("r"), None).events(rows)

    _, kind, event = shaped[-1]
    assert ("session", "expiring", "fyers-main") == (kind, event["event"], event["account"])
    assert event["expires_at"]


async def test_a_warning_is_not_told_again_after_a_restart(one):
    account = one.gateway.accounts["fyers-main"]
    ends = datetime.now(UTC) + timedelta(minutes=20)
    account.session = msgspec.structs.replace(account.session, expires_at=ends)
    # As if the broker had given it so: what is stored ends then too.
    await one.gateway.sessions._record.save(account, account.session, "logged_in")
    await state(one, "fyers-main")
    await until(lambda: not one.gateway.sessions._record.background)

    await one.restart_gateway()

    assert await state(one, "fyers-main") == "expiring"
    await until(lambda: not one.gateway.sessions._record.background)
    assert 1 == (await names(one, "fyers-main")).count("expiring")


async def test_a_new_login_makes_it_active_again_and_warns_anew(one):
    ends_in(one, "fyers-main", minutes=20)
    await state(one, "fyers-main")
    account = one.gateway.accounts["fyers-main"]
    fresh = msgspec.structs.replace(
        account.session, expires_at=datetime.now(UTC) + timedelta(hours=8)
    )
    one.gateway.sessions._life.activate(account, fresh)
    assert await state(one, "fyers-main") == "active"

    ends_in(one, "fyers-main", minutes=10)
    await state(one, "fyers-main")
    await until(lambda: not one.gateway.sessions._record.background)

    assert 2 == (await names(one, "fyers-main")).count("expiring")


@pytest.mark.parametrize("how", ["logout", "expiry", "broker", "renewal"])
async def test_a_token_that_ended_is_in_no_file_any_more(one, how):
    before = sealed_token(one, "fyers-main")
    assert is_on_disk(one, before)

    if how == "logout":
        await one.call("DELETE", "/v1/sessions/fyers-main")
    elif how == "expiry":
        ends_in(one, "fyers-main", seconds=-1)
        await state(one, "fyers-main")
    elif how == "broker":
        one.sims["fyers"].expire_sessions()
        await one.place(accounts=["fyers-main"])
    else:
        account = one.gateway.accounts["fyers-main"]
        await one.gateway.sessions._record.save(account, account.session, "logged_in")

    # A reader of that moment may keep the log from being emptied; the keeper tries again.
    def gone() -> bool:
        one.gateway.sessions.finish_erasing()
        return not is_on_disk(one, before)

    await until(gone)
    if how != "renewal":
        stored = await one.gateway.store.load_sessions()
        assert [None] == [each.secret for each in stored]


async def test_a_session_that_ended_while_the_gateway_was_off_is_erased_at_start(one):
    account = one.gateway.accounts["fyers-main"]
    past = msgspec.structs.replace(account.session, expires_at=datetime.now(UTC))
    await one.gateway.sessions._record.save(account, past, "logged_in")
    before = sealed_token(one, "fyers-main")

    await one.restart_gateway()

    assert await state(one, "fyers-main") == "expired"
    assert not is_on_disk(one, before)
    assert "expired" == (await names(one, "fyers-main"))[-1]


async def test_refusals_are_counted_and_then_no_login_is_sent_any_more(mstock, passwords):
    await seal(mstock, "mstock", password=WRONG)
    replies = [await log_in(mstock, "mstock-main") for _ in range(5)]

    assert [WRONG] * 3 == passwords
    assert [422, 422, 422, 409, 409] == [reply.status for reply in replies]
    assert ["login_refused"] * 3 + ["login_blocked"] * 2 == [r.json["code"] for r in replies]
    assert [1, 2, 3] == [reply.json["refused_logins"] for reply in replies[:3]]
    assert "attempts remaining" in replies[0].json["broker_message"]
    assert 9 == replies[0].json["attempts_left"]
    assert {"broker"} == {reply.json["at_fault"] for reply in replies[:3]}
    assert "--unblock" in replies[3].json["detail"]
    shown = await session(mstock, "mstock-main")
    assert ("blocked", 3) == (shown["state"], shown["refused_logins"])
    assert "attempts remaining" in shown["last_error"]
    assert ["refused", "refused", "blocked"] == [
        name for name in await names(mstock, "mstock-main") if name != "login_begun"
    ]


async def test_a_block_outlives_a_restart(mstock, passwords):
    await seal(mstock, "mstock", password=WRONG)
    for _ in range(3):
        await log_in(mstock, "mstock-main")

    await mstock.restart_gateway()

    assert await state(mstock, "mstock-main") == "blocked"
    assert (await log_in(mstock, "mstock-main")).json["code"] == "login_blocked"
    assert 3 == len(passwords)


async def test_the_owners_word_allows_one_more_try(mstock, passwords):
    await seal(mstock, "mstock", password=WRONG)
    for _ in range(3):
        await log_in(mstock, "mstock-main")

    again = await log_in(mstock, "mstock-main", unblock=True)
    blocked = await log_in(mstock, "mstock-main")

    assert (422, 409) == (again.status, blocked.status)
    assert 4 == len(passwords)


async def test_new_credentials_allow_another_try_and_a_good_login_forgets(mstock, passwords):
    await seal(mstock, "mstock", password=WRONG)
    for _ in range(3):
        await log_in(mstock, "mstock-main")

    await seal(mstock, "mstock")
    assert await state(mstock, "mstock-main") == "missing"
    asked = await log_in(mstock, "mstock-main")
    done = await answer(mstock, "mstock-main", asked, await mstock.sims["mstock"].read_otp())

    assert done.json["state"] == "active"
    assert 0 == (await session(mstock, "mstock-main"))["refused_logins"]
    assert "unblocked" in await names(mstock, "mstock-main")


async def test_the_brokers_last_chance_is_left_to_the_owner(mstock, passwords):
    mstock.sims["mstock"].desk.attempts_left = 2
    await seal(mstock, "mstock", password=WRONG)

    first = await log_in(mstock, "mstock-main")
    second = await log_in(mstock, "mstock-main")

    assert 1 == first.json["attempts_left"]
    assert first.json["restart"]
    assert ("login_blocked", 1) == (second.json["code"], len(passwords))


async def test_wrong_one_time_passwords_count_too(mstock):
    asked = await log_in(mstock, "mstock-main")
    right = await mstock.sims["mstock"].read_otp()
    wrong = "000000" if right != "000000" else "111111"

    replies = [await answer(mstock, "mstock-main", asked, wrong) for _ in range(3)]
    late = await answer(mstock, "mstock-main", asked, right)

    assert [False, False, True] == [reply.json["restart"] for reply in replies]
    assert (409, "no_pending_login") == (late.status, late.json["code"])
    assert await state(mstock, "mstock-main") == "blocked"


async def test_what_never_reached_the_broker_is_not_counted(mstock):
    asked = await log_in(mstock, "mstock-main")

    for _ in range(4):
        reply = await answer(mstock, "mstock-main", asked, "abc")
        assert "nothing was sent" in reply.json["detail"]

    assert await state(mstock, "mstock-main") == "otp_required"
    assert 0 == (await session(mstock, "mstock-main"))["refused_logins"]


async def test_a_refused_renewal_leaves_the_session_in_use(tmp_path):
    async with Rig(tmp_path / "data", brokers=("mstock",)) as rig:
        await seal(rig, "mstock", password=WRONG)
        refused = await log_in(rig, "mstock-main", renew=True)

        assert refused.status == 422
        shown = await session(rig, "mstock-main")
        assert shown["state"] == "active"
        assert "attempts remaining" in shown["last_error"]
        assert (await rig.place(accounts=["mstock-main"])).json["summary"] == "accepted"


async def test_a_renewal_goes_on_when_the_session_ends_in_the_middle_of_it(tmp_path):
    async with Rig(tmp_path / "data", brokers=("mstock",)) as rig:
        asked = await log_in(rig, "mstock-main", renew=True)
        ends_in(rig, "mstock-main", seconds=-1)
        assert await state(rig, "mstock-main") == "expired"

        otp = await rig.sims["mstock"].read_otp()
        done = await answer(rig, "mstock-main", asked, otp)

        assert done.json["state"] == "active"
        assert await state(rig, "mstock-main") == "active"


async def test_a_broker_that_does_not_answer_is_at_fault_and_nothing_is_counted(mstock):
    await mstock.sims["mstock"].stop()

    reply = await log_in(mstock, "mstock-main")

    assert (502, "broker") == (reply.status, reply.json["at_fault"])
    shown = await session(mstock, "mstock-main")
    assert ("missing", 0) == (shown["state"], shown["refused_logins"])
    assert shown["last_error"]
    assert "login_failed" == (await names(mstock, "mstock-main"))[-1]


async def test_every_refusal_says_which_is_at_fault(mstock):
    no_key = await mstock.call("GET", "/v1/accounts", key="")
    read_only = await mstock.new_key("reader", ["read"])
    no_scope = await mstock.call("POST", "/v1/sessions/mstock-main/login", {}, key=read_only)
    nothing_pending = await mstock.call(
        "POST", "/v1/sessions/mstock-main/otp", {"challenge_id": "chl_x", "otp": "1"}
    )

    assert ("gateway_key", 401) == (no_key.json["at_fault"], no_key.status)
    assert ("gateway_key", 403) == (no_scope.json["at_fault"], no_scope.status)
    assert "broker_session" == nothing_pending.json["at_fault"]


async def test_hdfc_goes_on_at_its_own_page_where_it_asks_for_a_captcha(tmp_path):
    options = {"recaptcha": True}
    async with Rig(tmp_path / "data", brokers=("hdfc",), options=options, log_in=False) as rig:
        await seal(rig, "hdfc")

        asked = await log_in(rig, "hdfc-main")

        assert asked.json["state"] == "redirect_required"
        assert "/oapi/v1/login" in asked.json["login_url"]
        assert await state(rig, "hdfc-main") == "redirect_required"


async def test_an_mstock_account_with_totp_takes_no_otp_and_the_other_way_round(tmp_path):
    for kind, other in (("totp", "otp"), ("otp", "totp")):
        async with Rig(
            tmp_path / kind,
            brokers=("mstock",),
            options={"login": kind},
            account_settings={"login": other},
            log_in=False,
        ) as rig:
            simulator = rig.sims["mstock"]
            # A seed that the broker does not know of: TOTP is not switched on there.
            await seal(rig, "mstock", totp_secret="JBSWY3DPEHPK3PXP")
            reply = await log_in(rig, "mstock-main")
            if other == "otp":
                reply = await answer(rig, "mstock-main", reply, await simulator.read_otp())

            assert (422, "login_refused") == (reply.status, reply.json["code"])
            assert "login: " + kind in reply.json["detail"]


async def test_a_restart_in_the_middle_of_a_login_ends_it(mstock):
    await log_in(mstock, "mstock-main")

    await mstock.restart_gateway()

    assert await state(mstock, "mstock-main") == "missing"
