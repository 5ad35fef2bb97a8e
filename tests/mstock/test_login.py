"""Every step of both logins, over real sockets."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    LoginRefused,
    NotSent,
    NotSupported,
    OutcomeUnknown,
    ReasonCode,
)
from adapters.sdk.models import OtpRequired, Session
from adapters.sdk.simulator import CallKind
from tests.mstock.support import Desk, desk


async def begin(at: Desk) -> OtpRequired:
    step = await at.adapter.begin_login(at.simulator.credentials)
    assert isinstance(step, OtpRequired)
    return step


async def test_password_and_otp_make_a_session() -> None:
    async with desk() as at:
        asked = await begin(at)
        assert asked.prompt.startswith("Please enter the OTP that we sent on XXXXXXX452")
        assert set(asked.pending) == {"request_token", "client_code"}
        session = await at.log_in()
        assert session.client_id == "MA000001"
        assert session.extra == {"api_key": "sim-mstock-key"}
        assert session.token != asked.pending["request_token"]
        assert session.expires_at - session.logged_in_at <= timedelta(hours=12)
        assert await at.adapter.prove_session(session) == "MA000001"
        assert not at.simulator.violations


async def test_a_stored_totp_secret_logs_in_without_a_person() -> None:
    async with desk(login="totp") as at:
        step = await at.adapter.begin_login(at.simulator.credentials)
        assert isinstance(step, Session)
        assert step.client_id == "MA000001"
        assert await at.adapter.prove_session(step) == "MA000001"
        assert at.simulator.calls[CallKind.LOGIN] == 2
        assert not at.simulator.violations


async def test_without_a_stored_secret_the_totp_code_is_asked_for() -> None:
    async with desk(login="totp") as at:
        credentials = {**at.simulator.credentials, "totp_secret": ""}
        step = await at.adapter.begin_login(credentials)
        assert isinstance(step, OtpRequired)
        assert "TOTP" in step.prompt
        code = await at.simulator.read_otp()
        assert isinstance(await at.adapter.submit_otp(credentials, step.pending, code), Session)


async def test_a_wrong_password_is_refused_in_the_brokers_words_and_not_repeated() -> None:
    async with desk() as at:
        wrong = {**at.simulator.credentials, "password": "guess-of-mine"}
        with pytest.raises(LoginRefused, match="9 attempts remaining") as caught:
            await at.adapter.begin_login(wrong)
        assert caught.value.restart
        assert "guess-of-mine" not in str(caught.value)
        assert at.simulator.calls[CallKind.LOGIN] == 1


async def test_a_mistyped_otp_may_be_typed_again() -> None:
    async with desk() as at:
        asked = await begin(at)
        right = await at.simulator.read_otp()
        wrong = "000000" if right != "000000" else "111111"
        with pytest.raises(LoginRefused) as caught:
            await at.adapter.submit_otp(at.simulator.credentials, asked.pending, wrong)
        assert not caught.value.restart
        step = await at.adapter.submit_otp(at.simulator.credentials, asked.pending, f" {right} ")
        assert isinstance(step, Session)


@pytest.mark.parametrize("otp", ["", "abcdef", "12", "123456789", "12 34 56", "１２３４"])
async def test_what_is_no_otp_is_not_sent(otp: str) -> None:
    async with desk() as at:
        asked = await begin(at)
        with pytest.raises(LoginRefused) as caught:
            await at.adapter.submit_otp(at.simulator.credentials, asked.pending, otp)
        assert not caught.value.restart
        assert at.simulator.calls[CallKind.LOGIN] == 1


async def test_an_expired_otp_begins_again() -> None:
    async with desk(otp_life_s=-1) as at:
        asked = await begin(at)
        otp = await at.simulator.read_otp()
        with pytest.raises(LoginRefused, match="expired") as caught:
            await at.adapter.submit_otp(at.simulator.credentials, asked.pending, otp)
        assert caught.value.restart


async def test_a_request_token_that_is_unknown_begins_again() -> None:
    async with desk() as at:
        await begin(at)
        pending = {"request_token": "0" * 36, "client_code": "MA000001"}
        with pytest.raises(LoginRefused) as caught:
            otp = await at.simulator.read_otp()
            await at.adapter.submit_otp(at.simulator.credentials, pending, otp)
        assert caught.value.restart


async def test_a_wrong_totp_begins_again() -> None:
    async with desk(login="totp") as at:
        other = {**at.simulator.credentials, "totp_secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}
        with pytest.raises(LoginRefused, match="correct TOTP") as caught:
            await at.adapter.begin_login(other)
        assert caught.value.restart
        assert caught.value.broker_code == "MA400"
        assert at.simulator.calls[CallKind.LOGIN] == 2


async def test_a_broken_totp_secret_is_found_before_the_password_is_sent() -> None:
    async with desk(login="totp") as at:
        broken = {**at.simulator.credentials, "totp_secret": "not base 32 at all 189"}
        with pytest.raises(Denied, match="Base32"):
            await at.adapter.begin_login(broken)
        assert at.simulator.calls[CallKind.LOGIN] == 0


@pytest.mark.parametrize("name", ["api_key", "username", "password"])
async def test_a_missing_credential_is_named_and_nothing_is_sent(name: str) -> None:
    async with desk() as at:
        with pytest.raises(Denied, match=name):
            await at.adapter.begin_login({**at.simulator.credentials, name: ""})
        assert at.simulator.calls[CallKind.LOGIN] == 0


async def test_an_api_key_with_a_line_break_is_not_sent() -> None:
    async with desk() as at:
        with pytest.raises(Denied, match="api_key"):
            await at.adapter.begin_login({**at.simulator.credentials, "api_key": "a\r\nb: c"})
        assert at.simulator.calls[CallKind.LOGIN] == 0


async def test_another_otp_is_the_password_step_again() -> None:
    async with desk() as at:
        first = await begin(at)
        second = await at.adapter.resend_otp(at.simulator.credentials, first.pending)
        assert second.pending["request_token"] != first.pending["request_token"]
        otp = await at.simulator.read_otp()
        step = await at.adapter.submit_otp(at.simulator.credentials, second.pending, otp)
        assert isinstance(step, Session)


async def test_with_totp_there_is_nothing_to_send_again() -> None:
    async with desk(login="totp") as at:
        with pytest.raises(NotSupported):
            await at.adapter.resend_otp(at.simulator.credentials, {})


async def test_a_dead_key_is_refused_with_what_to_do() -> None:
    async with desk(key_valid=False) as at:
        asked = await begin(at)
        otp = await at.simulator.read_otp()
        with pytest.raises(LoginRefused, match="suspended/expired") as caught:
            await at.adapter.submit_otp(at.simulator.credentials, asked.pending, otp)
        assert caught.value.restart


async def test_a_login_that_breaks_off_is_unknown_and_not_repeated() -> None:
    async with desk() as at:
        at.simulator.faults.add([{"call": "login", "action": "accept_then_reset"}])
        with pytest.raises(OutcomeUnknown):
            await at.adapter.begin_login(at.simulator.credentials)
        assert at.simulator.calls[CallKind.LOGIN] == 1


@pytest.mark.parametrize("action", ["accept_then_html", "accept_then_empty", "status"])
async def test_a_login_answered_by_a_proxy_is_a_bad_answer(action: str) -> None:
    async with desk() as at:
        at.simulator.faults.add([{"call": "login", "action": action}])
        with pytest.raises(BadAnswer):
            await at.adapter.begin_login(at.simulator.credentials)


async def test_a_login_that_cannot_connect_sent_nothing() -> None:
    async with desk() as at:
        at.simulator.faults.add([{"action": "refuse", "params": {"ms": None}}])
        with pytest.raises(NotSent):
            await at.adapter.begin_login(at.simulator.credentials)


async def test_logging_out_ends_the_session_there_and_may_be_repeated() -> None:
    async with desk() as at:
        session = await at.log_in()
        await at.adapter.logout(session)
        with pytest.raises(LoginExpired):
            await at.adapter.prove_session(session)
        await at.adapter.logout(session)


async def test_a_failed_log_out_is_said() -> None:
    async with desk() as at:
        session = await at.log_in()
        at.simulator.faults.add([{"call": "login", "action": "status"}])
        with pytest.raises(BadAnswer):
            await at.adapter.logout(session)


async def test_a_session_is_not_proven_by_an_answer_that_is_none() -> None:
    async with desk() as at:
        session = await at.log_in()
        at.simulator.faults.add([{"call": "read", "action": "accept_then_html"}])
        with pytest.raises(BadAnswer):
            await at.adapter.prove_session(session)


async def test_a_session_without_its_key_is_refused_before_anything_is_sent() -> None:
    async with desk() as at:
        session = await at.log_in()
        bare = Session(
            token=session.token,
            client_id=session.client_id,
            logged_in_at=session.logged_in_at,
            expires_at=session.expires_at,
        )
        with pytest.raises(Denied) as caught:
            await at.adapter.prove_session(bare)
        assert caught.value.reason == ReasonCode.SESSION_MISSING


async def test_there_is_no_redirect_login() -> None:
    async with desk() as at:
        with pytest.raises(NotSupported):
            await at.adapter.submit_redirect({}, {}, "http://127.0.0.1/")
