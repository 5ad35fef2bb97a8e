"""Both logins, step by step, over real sockets."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from adapters.hdfc import parse_login
from adapters.hdfc.adapter import HdfcAdapter
from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    LoginRefused,
    NotSent,
    OutcomeUnknown,
    ReasonCode,
)
from adapters.sdk.models import OtpRequired, RedirectRequired, Session
from adapters.sdk.simulator import CallKind
from adapters.sdk.transport import HttpRequest, WebTransport
from tests.hdfc.conftest import INSTANT, adapter_for, log_in
from tests.hdfc.support import answer_of, payload

BROWSER = (("User-Agent", "Mozilla/5.0"), ("Accept", "text/html"))


def jwt(claims: dict[str, Any]) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzM4NCJ9.{middle}.sig"


async def begin(adapter: HdfcAdapter, simulator: HdfcSimulator) -> OtpRequired:
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, OtpRequired)
    return step


async def answer_page(simulator: HdfcSimulator, login_url: str, **form: str) -> Any:
    """Do what a person does at the hosted page; return status and where it redirects to."""
    web = WebTransport(simulator.url)
    target = login_url.removeprefix(simulator.url)
    page = await web.send(HttpRequest("GET", target, BROWSER))
    assert b"<form method=" in page.body
    known = simulator.credentials
    filled = {
        "username": known["username"],
        "password": known["password"],
        "otp": await simulator.read_otp(),
        "consent": "true",
    } | form
    headers = (*BROWSER, ("Content-Type", "application/x-www-form-urlencoded"))
    done = await web.send(HttpRequest("POST", target, headers, urlencode(filled).encode()))
    await web.close()
    return done.status, done.headers.get("location")


async def test_password_login_asks_the_brokers_question_and_ends_in_a_session(
    adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    step = await begin(adapter, simulator)
    assert step.prompt == "Please enter OTP received on registered Email/Mobile"
    session = await adapter.submit_otp(
        simulator.credentials, step.pending, await simulator.read_otp()
    )
    assert isinstance(session, Session)
    assert session.client_id == "1234567"
    assert session.extra == {"api_key": simulator.credentials["api_key"]}
    life = session.expires_at - before
    assert timedelta(hours=8) <= life <= timedelta(hours=8, minutes=1)
    assert await adapter.prove_session(session) == "1234567"
    assert not simulator.violations


async def test_hosted_login_exchanges_the_redirects_token(simulator: HdfcSimulator) -> None:
    adapter = adapter_for(simulator, "hosted")
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, RedirectRequired)
    assert step.state is None
    assert step.login_url == (
        f"{simulator.url}/oapi/v1/login?api_key={simulator.credentials['api_key']}"
    )
    status, location = await answer_page(simulator, step.login_url)
    assert status == 302
    assert urlsplit(location).netloc == "gateway.example"
    session = await adapter.submit_redirect(simulator.credentials, step.pending, location)
    assert isinstance(session, Session)
    assert await adapter.prove_session(session) == "1234567"
    with pytest.raises(LoginRefused):
        await adapter.submit_redirect(simulator.credentials, step.pending, location)
    await adapter.close()


@pytest.mark.parametrize("name", ["request_token", "requestToken", "request-token", "code"])
async def test_every_spelling_of_the_redirects_token_is_read(name: str) -> None:
    simulator = HdfcSimulator(options=INSTANT | {"redirect_parameter": name})
    await simulator.start()
    adapter = adapter_for(simulator, "hosted")
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, RedirectRequired)
    _, location = await answer_page(simulator, step.login_url)
    assert name in parse_qs(urlsplit(location).query)
    session = await adapter.submit_redirect(simulator.credentials, step.pending, location)
    assert isinstance(session, Session)
    await adapter.close()
    await simulator.stop()


@pytest.mark.parametrize("url", ["https://gateway.example/cb", "https://x/cb?state=1", "[", ""])
async def test_redirect_without_a_token_is_refused(
    adapter: HdfcAdapter, simulator: HdfcSimulator, url: str
) -> None:
    with pytest.raises(LoginRefused):
        await adapter.submit_redirect(simulator.credentials, {}, url)
    assert simulator.calls[CallKind.LOGIN] == 0


async def test_hosted_page_refuses_a_wrong_password(simulator: HdfcSimulator) -> None:
    adapter = adapter_for(simulator, "hosted")
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, RedirectRequired)
    assert (401, None) == await answer_page(simulator, step.login_url, password="wrong")
    await adapter.close()


async def test_captcha_turns_the_password_login_into_the_hosted_one() -> None:
    simulator = HdfcSimulator(options=INSTANT | {"recaptcha": True})
    await simulator.start()
    adapter = adapter_for(simulator)
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, RedirectRequired)
    _, location = await answer_page(simulator, step.login_url)
    assert isinstance(
        await adapter.submit_redirect(simulator.credentials, step.pending, location), Session
    )
    await adapter.close()
    await simulator.stop()


async def test_wrong_password_is_refused_in_the_brokers_words_and_not_repeated(
    adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    with pytest.raises(LoginRefused, match="Invalid username or password") as caught:
        await adapter.begin_login({**simulator.credentials, "password": "not-the-password"})
    assert caught.value.restart
    assert simulator.calls[CallKind.LOGIN] == 2


async def test_wrong_api_key_is_refused(adapter: HdfcAdapter, simulator: HdfcSimulator) -> None:
    with pytest.raises(LoginRefused, match="invalid credentials"):
        await adapter.begin_login({**simulator.credentials, "api_key": "another-key"})


async def test_wrong_otp_may_be_answered_again_by_a_person(
    adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    step = await begin(adapter, simulator)
    with pytest.raises(LoginRefused, match="Invalid OTP") as caught:
        await adapter.submit_otp(simulator.credentials, step.pending, "not the otp")
    assert not caught.value.restart
    otp = await simulator.read_otp()
    assert isinstance(await adapter.submit_otp(simulator.credentials, step.pending, otp), Session)


async def test_resend_replaces_the_otp(adapter: HdfcAdapter, simulator: HdfcSimulator) -> None:
    step = await begin(adapter, simulator)
    first = await simulator.read_otp()
    again = await adapter.resend_otp(simulator.credentials, step.pending)
    assert again.prompt == step.prompt
    second = await simulator.read_otp()
    assert second != first
    assert isinstance(
        await adapter.submit_otp(simulator.credentials, again.pending, second), Session
    )


async def test_pending_login_that_the_broker_forgot_must_restart(
    adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_otp(simulator.credentials, {"token_id": "0" * 32}, "123456")
    assert caught.value.restart
    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_otp(simulator.credentials, {}, "123456")
    assert caught.value.restart


async def test_wrong_api_secret_ends_the_login(
    adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    step = await begin(adapter, simulator)
    with pytest.raises(LoginRefused, match="Invalid api secret") as caught:
        await adapter.submit_otp(
            {**simulator.credentials, "api_secret": "another"},
            step.pending,
            await simulator.read_otp(),
        )
    assert caught.value.restart


@pytest.fixture
async def authorised() -> AsyncIterator[HdfcSimulator]:
    simulator = HdfcSimulator(options=INSTANT | {"authorised": True})
    await simulator.start()
    yield simulator
    await simulator.stop()


async def test_failing_consent_is_forgiven_only_when_given_before(
    authorised: HdfcSimulator, adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    fault = {"call": "login", "action": "status", "skip": 1, "params": {"status": 500}}
    forgiven = adapter_for(authorised)
    step = await begin(forgiven, authorised)
    authorised.faults.add([fault])
    otp = await authorised.read_otp()
    assert isinstance(await forgiven.submit_otp(authorised.credentials, step.pending, otp), Session)
    await forgiven.close()
    step = await begin(adapter, simulator)
    simulator.faults.add([fault])
    with pytest.raises(BadAnswer):
        await adapter.submit_otp(simulator.credentials, step.pending, await simulator.read_otp())


@pytest.mark.parametrize("name", ["api_key", "api_secret", "username", "password"])
async def test_missing_credential_is_named_and_nothing_sent(
    adapter: HdfcAdapter, simulator: HdfcSimulator, name: str
) -> None:
    with pytest.raises(Denied, match=name):
        await adapter.begin_login({**simulator.credentials, name: ""})
    assert simulator.calls[CallKind.LOGIN] == 0


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("status", BadAnswer),
        ("accept_then_html", BadAnswer),
        ("accept_then_empty", BadAnswer),
        ("accept_then_reset", OutcomeUnknown),
        ("rate_limit", LoginRefused),
        ("session_expired", LoginRefused),
        ("reject", LoginRefused),
    ],
)
async def test_faults_during_login_are_typed_errors(
    adapter: HdfcAdapter, simulator: HdfcSimulator, action: str, error: type[Exception]
) -> None:
    simulator.faults.add([{"call": "login", "action": action}])
    with pytest.raises(error):
        await adapter.begin_login(simulator.credentials)
    assert simulator.calls[CallKind.LOGIN] == 1


async def test_broker_that_does_not_listen_is_not_sent(
    adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    await simulator.stop()
    with pytest.raises(NotSent):
        await adapter.begin_login(simulator.credentials)


async def test_dead_session_is_not_proven(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    simulator.expire_sessions()
    with pytest.raises(LoginExpired):
        await adapter.prove_session(session)


async def test_profile_by_post_is_tried_where_get_is_refused(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    simulator.faults.add([{"call": "read", "action": "status", "params": {"status": 405}}])
    with pytest.raises(BadAnswer):
        await adapter.prove_session(session)
    assert [(r.method, r.path) for r in simulator.requests][-2:] == [
        ("GET", "/oapi/v3/user/profile"),
        ("POST", "/oapi/v3/user/profile"),
    ]


async def test_logout_sends_nothing(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    before = len(simulator.requests)
    await adapter.logout(session)
    assert len(simulator.requests) == before


async def test_login_errors_carry_no_secrets(
    adapter: HdfcAdapter, simulator: HdfcSimulator
) -> None:
    known = simulator.credentials
    page = f"<p>{known['api_key']} {known['password']} {known['api_secret']}</p>"
    for skip in (0, 1):
        simulator.faults.add(
            [
                {
                    "call": "login",
                    "action": "status",
                    "skip": skip,
                    "params": {"status": 400, "body": page},
                }
            ]
        )
        with pytest.raises(LoginRefused) as caught:
            await adapter.begin_login(known)
        said = f"{caught.value} {caught.value.broker_message}"
        assert known["api_key"] not in said
        if skip:
            assert known["password"] not in said


def test_payloads_of_the_documents() -> None:
    read = parse_login
    assert read.parse_login_token(answer_of(payload("get_login.json"))) == (
        "71de27013f81441a9cc3f311ad8720a9"
    )
    question = read.parse_login_question(answer_of(payload("post_login_validate.json")))
    assert question == read.LoginQuestion(
        "Please enter OTP received on registered Email/Mobile", "1234567", False
    )
    factor = read.parse_second_factor(answer_of(payload("post_twofa_validate.json")))
    assert factor == read.SecondFactor("a1561247f2184c123a24e1daee0d495c", False)
    assert read.parse_authorised(answer_of(payload("get_authorise.json"))) == (
        "a1561247f2184c119a24e1daee0d495c"
    )
    token = read.parse_access_token(answer_of(payload("post_access_token.json")))
    claims = read.read_token_claims(token, datetime.now(UTC))
    assert claims.client_id == "1234567"
    assert claims.expires_at == datetime(2025, 11, 22, 12, 30, tzinfo=UTC)
    assert read.parse_profile(answer_of(payload("get_user_profile.json"))) == "1234567"


@pytest.mark.parametrize(
    "body",
    [
        {"accessToken": "a.b.c"},
        {"access_token": "a.b.c"},
        {"status": "success", "data": {"accessToken": "a.b.c"}},
    ],
)
def test_every_shape_of_the_access_token_is_read(body: Any) -> None:
    assert parse_login.parse_access_token(answer_of(body)) == "a.b.c"


@pytest.mark.parametrize(
    "body", [{"accessToken": "a b"}, {"accessToken": "a\r\nX: 1"}, {"accessToken": ""}, {}]
)
def test_access_token_that_is_no_header_value_is_refused(body: Any) -> None:
    with pytest.raises(LoginRefused):
        parse_login.parse_access_token(answer_of(body))


@pytest.mark.parametrize(
    "token",
    ["opaque", "a.b.c", "..", jwt({}), jwt({"exp": 10**30}), jwt({"exp": "soon"}), "a.!!.c"],
)
def test_token_that_does_not_say_lives_eight_hours(token: str) -> None:
    now = datetime.now(UTC)
    claims = parse_login.read_token_claims(token, now)
    assert claims.client_id is None
    assert claims.expires_at == now + timedelta(hours=8)


def test_missing_second_factor_goes_to_the_hosted_page() -> None:
    body = {"recaptcha": False, "loginId": "1", "twofa": {}, "twoFAEnabled": False}
    assert parse_login.parse_login_question(answer_of(body)).hosted


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", {"error": "no"}, {"message": "no"}, []])
def test_any_shape_of_a_login_error_is_a_refusal(status: int, body: Any) -> None:
    with pytest.raises(LoginRefused):
        parse_login.parse_second_factor(answer_of(body, status))


def test_throttled_login_says_so() -> None:
    with pytest.raises(LoginRefused) as caught:
        parse_login.parse_login_token(answer_of(payload("error_429.json"), 429))
    assert caught.value.reason is ReasonCode.RATE_LIMITED


def test_locked_login_must_restart() -> None:
    with pytest.raises(LoginRefused) as caught:
        parse_login.parse_second_factor(answer_of({"message": "Account locked"}, 400))
    assert caught.value.restart
    assert 0 == caught.value.attempts_left


async def test_two_logins_make_two_sessions(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    assert (await log_in(adapter, simulator)).token != session.token
