"""Where a broker's page redirects to: bound to one login, used once, and told in plain words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.sdk.models import RedirectRequired
from tests.gateway.rig import Rig
from tests.sessions.test_lifecycle import log_in, names, seal, state

ACCOUNT = "hdfc-main"


@pytest.fixture
async def hosted(tmp_path):
    """One account that logs in at the broker's page, which brings back no `state`."""
    settings = {"login": "hosted"}
    async with Rig(
        tmp_path / "data", brokers=("hdfc",), account_settings=settings, log_in=False
    ) as rig:
        await seal(rig, "hdfc")
        yield rig


async def redirect(rig) -> str:
    """Begin, do what a person does at the page, and return the query that it redirects with."""
    asked = await log_in(rig, ACCOUNT)
    assert asked.json["state"] == "redirect_required"
    step = RedirectRequired(
        login_url=asked.json["login_url"], state=None, expires_at=datetime.now(UTC), pending={}
    )
    url = await rig.sims["hdfc"].complete_login(step)
    return url.partition("?")[2]


async def browse(rig, query: str):
    return await rig.call("GET", f"/v1/callback/{ACCOUNT}?{query}", key="")


async def test_a_redirect_that_nothing_binds_is_parked_until_the_owner_confirms(hosted):
    page = await browse(hosted, await redirect(hosted))

    assert 200 == page.status
    assert b"Almost done" in page.content
    assert b"brokergate login hdfc-main" in page.content
    assert await state(hosted, ACCOUNT) == "parked"
    done = await hosted.call("POST", f"/v1/sessions/{ACCOUNT}/confirm")
    assert (200, "active") == (done.status, done.json["state"])
    assert await state(hosted, ACCOUNT) == "active"
    assert ["login_begun", "redirect_required", "parked", "logged_in"] == await names(
        hosted, ACCOUNT
    )


async def test_what_is_parked_cannot_be_replaced_by_another(hosted):
    query = await redirect(hosted)
    await browse(hosted, query)

    other = await browse(hosted, "request_token=of-somebody-else")

    assert 409 == other.status
    assert b"did not work" in other.content
    done = await hosted.call("POST", f"/v1/sessions/{ACCOUNT}/confirm")
    assert done.json["state"] == "active"


async def test_a_redirect_is_used_once(hosted):
    query = await redirect(hosted)
    await browse(hosted, query)
    await hosted.call("POST", f"/v1/sessions/{ACCOUNT}/confirm")

    again = await browse(hosted, query)
    confirmed = await hosted.call("POST", f"/v1/sessions/{ACCOUNT}/confirm")

    assert (409, 409) == (again.status, confirmed.status)
    assert b"did not work" in again.content
    assert await state(hosted, ACCOUNT) == "active"


async def test_a_redirect_that_comes_too_late_is_not_taken(hosted):
    query = await redirect(hosted)
    pending = hosted.gateway.sessions._pending[ACCOUNT]
    pending.expires_at = pending.expires_at.replace(year=2020)

    page = await browse(hosted, query)

    assert 410 == page.status
    assert b"has expired" in page.content
    assert await state(hosted, ACCOUNT) == "missing"


async def test_the_page_says_the_brokers_refusal_and_shows_no_secret(hosted):
    await redirect(hosted)
    await browse(hosted, "request_token=<script>wrong</script>")

    refused = await hosted.call("POST", f"/v1/sessions/{ACCOUNT}/confirm")

    assert (422, "broker") == (refused.status, refused.json["at_fault"])
    assert await state(hosted, ACCOUNT) == "refused"


async def test_the_page_keeps_browsers_from_passing_anything_on(hosted):
    page = await browse(hosted, await redirect(hosted))

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "no-store" in page.headers["cache-control"]
    assert b"no-referrer" in page.content


async def test_a_pasted_redirect_needs_no_confirmation(hosted):
    query = await redirect(hosted)

    done = await hosted.call(
        "POST", f"/v1/sessions/{ACCOUNT}/callback", {"url": f"https://gate.example/cb?{query}"}
    )

    assert (200, "active") == (done.status, done.json["state"])
