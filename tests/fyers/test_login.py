"""Logging in, being proven and logging out, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.constants import IST
from adapters.fyers.login import session_end
from adapters.fyers.simulator import FyersSimulator
from adapters.fyers.simulator_login import mint_jwt
from adapters.sdk.errors import (
    LoginExpired,
    LoginRefused,
    NotSupported,
    OutcomeUnknown,
)
from adapters.sdk.models import (
    RedirectRequired,
    Session,
)
from tests.fyers.conftest import log_in


async def redirected(
    adapter: FyersAdapter, simulator: FyersSimulator
) -> tuple[RedirectRequired, str]:
    step = await adapter.begin_login(simulator.credentials)
    assert isinstance(step, RedirectRequired)
    return step, await simulator.complete_login(step)


async def test_login_page_is_named_without_a_request(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    step = await adapter.begin_login(simulator.credentials)

    assert isinstance(step, RedirectRequired)
    url = urlsplit(step.login_url)
    assert step.login_url.startswith(simulator.base_urls["login"] + "/generate-authcode?")
    assert {
        "client_id": ["SIMFYERS01-100"],
        "redirect_uri": ["http://127.0.0.1:8080/v1/callback/fyers-main"],
        "response_type": ["code"],
        "state": [step.state],
    } == parse_qs(url.query)
    assert step.state == step.pending["state"]
    assert len(step.state) >= 22
    assert not simulator.calls


async def test_redirect_gives_a_session_with_a_proven_client_code(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    session = await log_in(adapter, simulator)

    assert "FX0011" == session.client_id
    assert session.token in simulator.sessions
    assert {"app_id": "SIMFYERS01-100"} == session.extra
    assert (6, 0) == (session.expires_at.hour, session.expires_at.minute)
    assert timedelta(0) < session.expires_at - session.logged_in_at <= timedelta(days=1)
    assert "FX0011" == await adapter.prove_session(session)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url, _: url.replace("state=", "state=x"),
        lambda url, _: url.partition("&state=")[0],
        lambda url, state: f"{url}&state={state}",
        lambda url, _: "http://[broken",
        lambda url, _: "",
    ],
)
async def test_url_of_another_login_is_refused_and_the_right_one_still_works(
    adapter: FyersAdapter, simulator: FyersSimulator, spoil: Callable[[str, str], str]
):
    step, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            simulator.credentials, step.pending, spoil(url, step.state or "")
        )
    assert not caught.value.restart
    assert isinstance(
        await adapter.submit_redirect(simulator.credentials, step.pending, url), Session
    )


async def test_login_without_a_pending_state_is_refused(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    _, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused):
        await adapter.submit_redirect(simulator.credentials, {}, url + "&state=")


async def test_login_page_that_says_error_ends_the_login(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    step, _ = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            simulator.credentials,
            step.pending,
            f"http://x/?s=error&code=-352&message=Invalid+App&state={step.state}",
        )
    assert caught.value.restart
    assert "Invalid App" == caught.value.broker_message


async def test_code_is_good_once(adapter: FyersAdapter, simulator: FyersSimulator):
    step, url = await redirected(adapter, simulator)
    await adapter.submit_redirect(simulator.credentials, step.pending, url)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(simulator.credentials, step.pending, url)
    assert caught.value.restart
    assert "-437" == caught.value.broker_code


async def test_wrong_secret_is_refused_and_not_shown(
    adapter: FyersAdapter, simulator: FyersSimulator
):
    step, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            {**simulator.credentials, "secret_key": "WRONG-SECRET"}, step.pending, url
        )
    assert "-371" == caught.value.broker_code
    assert "WRONG-SECRET" not in str(caught.value)


async def test_login_of_another_client_is_refused(adapter: FyersAdapter, simulator: FyersSimulator):
    step, url = await redirected(adapter, simulator)

    with pytest.raises(LoginRefused) as caught:
        await adapter.submit_redirect(
            {**simulator.credentials, "client_id": "FX9999"}, step.pending, url
        )
    assert caught.value.restart


@pytest.mark.parametrize("name", ["app_id", "redirect_uri"])
async def test_missing_credential_is_named(
    adapter: FyersAdapter, simulator: FyersSimulator, name: str
):
    with pytest.raises(LoginRefused, match=name):
        await adapter.begin_login({**simulator.credentials, name: " "})


async def test_one_time_passwords_are_the_login_pages_matter(adapter: FyersAdapter):
    with pytest.raises(NotSupported):
        await adapter.submit_otp({}, {}, "123456")
    with pytest.raises(NotSupported):
        await adapter.resend_otp({}, {})


@pytest.mark.parametrize("action", ["accept_then_reset", "accept_then_html", "accept_then_empty"])
async def test_lost_answer_to_the_code_exchange_is_unknown(
    adapter: FyersAdapter, simulator: FyersSimulator, action: str
):
    step, url = await redirected(adapter, simulator)
    simulator.faults.add([{"call": "login", "action": action}])

    with pytest.raises(OutcomeUnknown):
        await adapter.submit_redirect(simulator.credentials, step.pending, url)


async def test_logout_kills_the_token_and_may_be_repeated(
    adapter: FyersAdapter, simulator: FyersSimulator, session: Session
):
    await adapter.logout(session)

    assert not simulator.sessions
    with pytest.raises(LoginExpired):
        await adapter.prove_session(session)
    await adapter.logout(session)


def test_token_dies_at_six_in_the_morning_at_the_latest(simulator: FyersSimulator):
    now = datetime(2026, 11, 22, 10, 0, tzinfo=IST)
    edge = datetime(2026, 11, 23, 6, 0, tzinfo=IST)

    def token(end: datetime) -> str:
        return mint_jwt(simulator.rng, {"exp": int(end.timestamp())})

    assert edge == session_end(token(now + timedelta(days=9)), now)
    assert now + timedelta(hours=1) == session_end(token(now + timedelta(hours=1)), now)
    assert edge == session_end(token(now - timedelta(hours=1)), now)
    assert edge == session_end(token(now + timedelta(days=9)), now.astimezone(UTC))
    assert edge.replace(day=22) == session_end("opaque", now.replace(hour=5, minute=59))
    for opaque in ("", "a.b.c", "a.e30.c", "a.W10.c", "a.eyJleHAiOjFlOTl9.c"):
        assert edge == session_end(opaque, now)
