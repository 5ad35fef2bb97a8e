"""Every dialog as it stands over its view, at both sizes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tui.conftest import Desk
from tests.tui.snapshot import matches
from tests.tui.stage import CANNED, Clock, Stage, staged

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 40), id="120x40")]
LOGIN = "/v1/sessions/fyers-main/login"
OTP = {"state": "otp_required", "challenge_id": "chl_1", "prompt": "OTP sent to XXXXXX4210"}


async def opened(desk: Desk, *keys: str) -> None:
    await desk.sees("● connected", "1 UNRESOLVED")
    for key in keys:
        await desk.rest()
        await desk.keys(key)


async def then_gone(desk: Desk, stage: Stage, clock: Clock, name: str) -> None:
    """Let the gateway go: the dialog has to say so too."""
    stage.leave()
    await desk.until(lambda: desk.app.model.gone_since is not None, "the gateway to be gone")
    clock.later(12)
    await matches(desk, name)


def left_until(clock: Clock) -> str:
    """An end of a question that the still clock sees in two minutes."""
    newest = CANNED["audit"]["rows"][-1]["at"]
    return newest.replace(newest[14:16], f"{int(newest[14:16]) + 2:02}", 1)


@pytest.mark.parametrize("size", SIZES)
async def test_the_kill_switch_and_its_release(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, stage, clock):
        await opened(desk, "exclamation_mark")
        await matches(desk, "kill")
        await desk.keys("down", "right")
        await matches(desk, "kill-chosen")
        await desk.keys("1")
        await matches(desk, "kill-release")
        await desk.keys("escape")
        await then_gone(desk, stage, clock, "kill-gone")


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_engaged_and_a_question_about_closing(size, monkeypatch):
    async with staged(monkeypatch, size, "empty") as (desk, _, _):
        await desk.sees("● connected", "not engaged")
        await desk.keys("exclamation_mark")
        await matches(desk, "kill-empty")
        await desk.keys("down", "down", "enter")
        await matches(desk, "kill-square-off")


@pytest.mark.parametrize("size", SIZES)
async def test_a_login_that_asks_for_a_code_and_ends(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, stage, clock):
        stage.answers[LOGIN] = {**OTP, "expires_at": left_until(clock)}
        await opened(desk, "enter")
        await matches(desk, "login-otp")
        stage.answers["/v1/sessions/fyers-main/otp"] = {"state": "active", "expires_at": None}
        await desk.type("123456")
        await desk.keys("enter")
        await matches(desk, "login-done")


@pytest.mark.parametrize("size", SIZES)
async def test_a_login_by_a_page_whose_gateway_goes(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, stage, clock):
        url = "https://api.broker.example/api/v3/generate-authcode?client_id=AB-100&state=x1"
        stage.answers[LOGIN] = {
            "state": "redirect_required",
            "login_url": url,
            "expires_at": left_until(clock),
        }
        await opened(desk, "enter")
        await matches(desk, "login-redirect")
        await then_gone(desk, stage, clock, "login-gone")
        await desk.type("https://127.0.0.1/?code=1")
        await desk.keys("enter")
        await matches(desk, "login-failed")


@pytest.mark.parametrize("size", SIZES)
async def test_an_order_with_its_timeline_cancelled_and_modified(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, stage, clock):
        await opened(desk, "3")
        await desk.sees("@760.00")
        await desk.keys("G", "enter")
        await desk.sees("send_begin")
        await matches(desk, "order")
        await desk.keys("c")
        await matches(desk, "order-cancel")
        await desk.keys("escape", "m")
        await matches(desk, "order-modify")
        await desk.keys("tab", "tab")
        await desk.type("761.00")
        await desk.keys("enter")
        await matches(desk, "order-modify-question")
        await desk.keys("escape", "escape")
        await then_gone(desk, stage, clock, "order-gone")


@pytest.mark.parametrize("size", SIZES)
async def test_a_ticket_from_empty_to_the_question(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, stage, clock):
        await opened(desk, "3", "n")
        await matches(desk, "ticket")
        for text in ("NSE:SBIN", "fyers-main,hdfc-main", "buy", "limit", "cnc", "10", "760.00"):
            await desk.type(text)
            await desk.keys("tab")
        await desk.sees("✓ fyers-main")
        await matches(desk, "ticket-checked")
        await desk.keys("enter")
        await matches(desk, "ticket-question")
        await desk.keys("escape")
        await then_gone(desk, stage, clock, "ticket-gone")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("key", "name"), [("a", "adopt"), ("x", "absent")])
async def test_settling_a_leg(key, name, size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, _, _):
        await opened(desk, "2")
        await desk.sees("NEEDS_OPERATOR")
        await desk.keys(key)
        await matches(desk, f"resolve-{name}")
        if name == "adopt":
            await desk.keys("enter")
        await desk.type("seen in the broker's app")
        await desk.keys("enter")
        await matches(desk, f"resolve-{name}-question")


@pytest.mark.parametrize("size", SIZES)
async def test_limits_and_the_change_of_one(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, stage, clock):
        await opened(desk, "6")
        await desk.sees("all accounts")
        await desk.keys("m")
        await matches(desk, "limits")
        await desk.keys("enter")
        await matches(desk, "limits-change")
        await desk.keys("escape")
        await then_gone(desk, stage, clock, "limits-gone")


@pytest.mark.parametrize("size", SIZES)
async def test_help_and_the_palette(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, _, _):
        await opened(desk, "question_mark")
        await matches(desk, "help")
        await desk.keys("escape", "colon")
        await desk.type("log in")
        await matches(desk, "palette")


@pytest.mark.parametrize("size", SIZES)
async def test_a_key_that_may_only_read_and_an_alarm(size, monkeypatch):
    async with staged(monkeypatch, size) as (desk, stage, _):
        stage.may = frozenset()
        desk.app.model.alarm = "duplicate at fyers-main: two orders carry one tag"
        desk.app.feed.gateway = stage
        await desk.sees("1 UNRESOLVED")
        await desk.until(lambda: _read_only(desk, stage), "read-only")
        await matches(desk, "overview-read-only-alarm")


def _read_only(desk: Desk, stage: Stage) -> Any:
    desk.app.model.scopes = stage.may
    desk.app._changed(set())
    return "READ-ONLY" in desk.screen
