"""The morning's login of every account, one after the other."""

from __future__ import annotations

from adapters.sdk.models import RedirectRequired
from gateway.sessions import SessionState
from tests.gateway.rig import Rig
from tests.tui.conftest import console
from tui.words import SIGNS


async def test_one_key_logs_every_account_in(tmp_path):
    async with Rig(tmp_path / "data", log_in=False) as rig:
        for broker, simulator in rig.sims.items():
            await rig.gateway.store.set_credentials(
                f"{broker}-main", dict(simulator.credentials), {}
            )
        async with console(rig) as desk:
            await desk.sees("✗ missing")
            await desk.keys("l")
            await desk.sees("open this page", "http")
            step = desk.app.screen._step
            url = await rig.sims["fyers"].complete_login(
                RedirectRequired(
                    login_url=step["login_url"], state=None, expires_at=None, pending={}
                )
            )
            await desk.type(url)
            await desk.keys("enter")
            await desk.until(lambda: desk.app.screen._at != "fyers-main", "the next account")

            for broker in ("mstock", "hdfc"):
                account = f"{broker}-main"
                await desk.until(
                    lambda account=account: (
                        desk.app.screen._at == account
                        and desk.app.screen._step.get("state") == "otp_required"
                    ),
                    f"the question of {account}",
                )
                if broker == "mstock":
                    await desk.type("000000")
                    await desk.keys("enter")
                    await desk.sees("✗ Refused")
                    await desk.keys(*["backspace"] * 6)
                await desk.type(await rig.sims[broker].read_otp())
                await desk.keys("enter")
            await desk.sees("3 of 3 logged in")
            await desk.keys("escape")
            await desk.until(lambda: 3 == desk.screen.count("● active"), "three sessions")


async def test_an_account_can_be_skipped_and_one_without_credentials_holds_up_nobody(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers", "mstock"), log_in=False) as rig:
        simulator = rig.sims["mstock"]
        await rig.gateway.store.set_credentials("mstock-main", dict(simulator.credentials), {})
        async with console(rig) as desk:
            await desk.sees("✗ missing")
            await desk.keys("l")
            await desk.sees("fyers-main       ✗ Refused", "left)")
            await desk.keys("f3")
            await desk.sees("mstock-main      – skipped", "0 of 2 logged in")


def test_every_state_of_a_session_has_a_sign() -> None:
    assert {state.value for state in SessionState} <= set(SIGNS)
