"""The kill switch from the console."""

from __future__ import annotations

from tests.gateway.rig import ORDER, Rig
from tests.tui.conftest import console


async def test_two_keys_stop_everything_and_release_is_typed(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("exclamation_mark", "enter")
        await desk.sees("HALT_NEW is in force for everything", "■ KILL SWITCH ENGAGED")
        [switch] = (await rig.call("GET", "/v1/kill-switch")).json["switches"]
        assert ("global", "HALT_NEW") == (switch["scope"], switch["level"])

        await desk.keys("x")
        await desk.type("looked at it")
        await desk.keys("enter")
        await desk.type("release")
        await desk.keys("enter")
        await desk.sees("type the word RELEASE")
        assert (await rig.call("GET", "/v1/kill-switch")).json["engaged"]

        await desk.keys(*["backspace"] * 7)
        await desk.type("RELEASE")
        await desk.keys("enter")
        await desk.sees("Nothing is engaged")
        assert not (await rig.call("GET", "/v1/kill-switch")).json["engaged"]


async def test_keys_that_arrive_in_one_bunch_reach_the_fields_they_were_typed_for(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        desk.bunch("exclamation_mark", "enter")
        await desk.sees("■ KILL SWITCH ENGAGED", "1 ■ HALT_NEW")
        desk.bunch("x", *"allgood", "enter", *"RELEASE", "enter")
        await desk.sees("Nothing is engaged")
        audit = (await rig.call("GET", "/v1/audit?kind=kill")).json
        assert "allgood" == audit["rows"][-1]["body"]["reason"], audit


async def test_a_question_is_not_answered_by_keys_pressed_before_it_could_be_read(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        desk.bunch("exclamation_mark", "down", "down", "enter", "tab", "enter")
        await desk.sees("Close positions?")
        await desk.app.keyline.idle()
        assert "Close positions?" in desk.screen
        assert not (await rig.call("GET", "/v1/kill-switch")).json["engaged"]
        await desk.keys("escape")
        await desk.until(lambda: "Close positions?" not in desk.screen)


async def test_the_scope_that_was_chosen_stays_when_the_list_of_scopes_changes(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc", "fyers")) as rig, console(rig) as desk:
        await desk.sees("● connected", "fyers-main", "hdfc-main")
        await desk.keys("exclamation_mark", *["right"] * 4)
        await desk.sees("◀ broker hdfc ▶")
        desk.app.model.reading("accounts").value["accounts"].pop(0)
        desk.app.screen.show(desk.app.model)
        await desk.sees("◀ broker hdfc ▶")


async def test_one_api_key_is_stopped_by_its_name(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        key = await rig.new_key("momentum", ["trade"])
        await desk.sees("● connected")
        await desk.keys("exclamation_mark")
        await desk.until(lambda: desk.app.model.value("keys", "keys"), "the keys")
        while "◀ key momentum" not in desk.screen:
            await desk.keys("right")
        await desk.keys("enter")
        await desk.sees("■ KILL SWITCH ENGAGED: HALT_NEW key")
        body = {**ORDER, "accounts": ["hdfc-main"]}
        placed = await rig.call("POST", "/v1/orders", body, key=key, idempotency_key="k")
        assert "kill_switch" == placed.leg("hdfc-main")["reason"]["code"], placed.json
        assert [] == rig.ledger("hdfc")


async def test_cancels_of_one_account_are_followed_until_they_are_done(tmp_path):
    async with Rig(tmp_path / "data") as rig, console(rig) as desk:
        for number in range(3):
            placed = await rig.place(f"k{number}", accounts=["hdfc-main"], price="760.00")
            assert 201 == placed.status, placed.json
        await desk.sees("● connected", "hdfc-main")
        await desk.keys("exclamation_mark", "down", "right", "right", "right")
        await desk.sees("▶ CANCEL_ALL", "◀ account hdfc-main ▶")
        await desk.keys("enter")
        await desk.sees("cancels 3 of 3, done")
        assert all(order.state.name == "CANCELLED" for order in rig.ledger("hdfc"))


async def test_square_off_asks_once_more_with_cancel_in_focus(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("exclamation_mark", "down", "down", "enter")
        await desk.sees("Close positions?")
        await desk.keys("enter")
        await desk.until(lambda: "Close positions?" not in desk.screen)
        assert not (await rig.call("GET", "/v1/kill-switch")).json["engaged"]
        await desk.keys("enter")
        await desk.sees("Close positions?")
        await desk.keys("tab", "enter")
        await desk.sees("■ KILL SWITCH ENGAGED: SQUARE_OFF")


async def test_the_kill_switch_opens_over_a_dialog_that_is_being_typed_in(tmp_path):
    async with Rig(tmp_path / "data", brokers=("mstock",), log_in=False) as rig:
        simulator = rig.sims["mstock"]
        await rig.gateway.store.set_credentials("mstock-main", dict(simulator.credentials), {})
        async with console(rig) as desk:
            await desk.sees("✗ missing")
            await desk.keys("l")
            await desk.sees("F2 resend code", "left)")
            await desk.keys("exclamation_mark", "enter")
            await desk.sees("HALT_NEW is in force")


async def test_an_engagement_that_may_not_have_arrived_is_not_called_done(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await rig.stop_gateway()
        await desk.keys("exclamation_mark", "enter")
        await desk.sees("NOT CONFIRMED", "brokergate kill engage")
        await rig.start_gateway()
