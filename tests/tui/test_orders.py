"""Orders in the console: the live list, timelines, cancelling, and the ticket."""

from __future__ import annotations

from tests.gateway.rig import Rig
from tests.tui.conftest import Desk, console
from tui.panel import Grid


async def fill_ticket(desk: Desk, account: str, *, price: str = "760.00") -> None:
    await desk.keys("n")
    await desk.sees("New order")
    for text in ("NSE:SBIN", account, "buy", "limit", "cnc", "10", price):
        await desk.type(text)
        await desk.keys("tab")


async def test_an_order_placed_elsewhere_appears_with_its_timeline_and_is_cancelled(tmp_path):
    async with Rig(tmp_path / "data") as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("3")
        await desk.sees("No order yet")
        await rig.place(price="760.00", wait_for="book")
        await desk.sees("BUY 10 NSE:SBIN @760.00", "✓ OPEN")
        await desk.keys("enter")
        await desk.sees("hdfc-main OPEN 0/10", "send_begin", "acked")

        await desk.keys("c")
        await desk.sees("Cancel this order?", "mstock-main (mstock): 10 of 10 open")
        await desk.keys("enter")
        await desk.until(lambda: "Cancel this order?" not in desk.screen, "the question to go")
        assert all(order.state.name != "CANCELLED" for order in rig.ledger("hdfc"))

        await desk.keys("c")
        await desk.sees("Cancel this order?")
        await desk.keys("tab", "enter")
        await desk.sees("hdfc-main CANCELLED", "fyers-main CANCELLED", "mstock-main CANCELLED")


async def test_an_order_is_modified_and_cancelled_at_one_account(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers", "hdfc")) as rig, console(rig) as desk:
        placed = await rig.place(
            accounts=["fyers-main", "hdfc-main"], price="760.00", wait_for="book"
        )
        path = f"/v1/orders/{placed.json['order_id']}"
        await desk.sees("● connected")
        await desk.keys("3")
        await desk.sees("✓ OPEN")
        await desk.keys("m")
        await desk.sees("Modify BUY 10 NSE:SBIN @760.00", "hdfc-main OPEN 0/10")
        await desk.keys("enter")
        await desk.sees("Nothing changes")
        await desk.type("fyers-main")
        await desk.keys("tab", "tab")
        await desk.type("761.00")
        await desk.keys("enter")
        await desk.sees("price: 760.00 → 761.00", "at fyers-main")
        await desk.keys("tab", "enter")
        await desk.sees("✓ fyers-main: applied")
        prices = {
            leg["account"]: leg["price"] for leg in (await rig.call("GET", path)).json["legs"]
        }
        assert {"fyers-main": "761.00", "hdfc-main": "760.00"} == prices

        await desk.keys("escape", "enter")
        await desk.sees("hdfc-main OPEN", "send_begin")
        await desk.keys("G")
        account = desk.app.screen._accounts[desk.app.screen.query_one(Grid).selected]
        await desk.keys("a")
        await desk.sees(f"Cancel this order at {account}?")
        await desk.keys("tab", "enter")
        await desk.sees(f"{account} CANCELLED")
        states = {
            leg["account"]: leg["state"] for leg in (await rig.call("GET", path)).json["legs"]
        }
        assert {account} == {name for name, state in states.items() if state == "CANCELLED"}


async def test_cancel_all_takes_what_the_filter_leaves(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers", "hdfc")) as rig, console(rig) as desk:
        for number, account in enumerate(("fyers-main", "hdfc-main", "hdfc-main")):
            await rig.place(f"k{number}", accounts=[account], price="760.00", wait_for="book")
        await desk.sees("● connected")
        await desk.keys("3", "slash")
        await desk.type("accounts=hdfc-main")
        await desk.keys("enter")
        await desk.sees("accounts=hdfc-main: write")
        await desk.keys(*["backspace"] * 18)
        await desk.type("account=hdfc-main")
        await desk.keys("enter")
        await desk.until(lambda: "fyers-main" not in desk.screen, "the filtered list")
        await desk.keys("C")
        await desk.sees("Cancel all orders?", "at hdfc-main")
        await desk.keys("tab", "enter")
        await desk.sees("2 of 2 confirmed over")
        [untouched] = rig.ledger("fyers")
        assert "CANCELLED" != untouched.state.name


async def test_a_ticket_is_checked_as_typed_and_placed_behind_a_question(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("3")
        await fill_ticket(desk, "hdfc-main", price="760.01")
        await desk.sees("tick_size")
        await desk.keys("shift+tab")
        await desk.type("760.00")
        await desk.sees("✓ hdfc-main")
        await desk.keys("enter")
        await desk.sees("Place this order?", "BUY 10 NSE:SBIN", "LIMIT 760.00 CNC")
        await desk.sees("at hdfc-main (hdfc)")
        await desk.keys("enter")
        await desk.until(lambda: "Place this order?" not in desk.screen, "the question to go")
        assert [] == rig.ledger("hdfc")

        await desk.keys("enter")
        await desk.sees("Place this order?")
        await desk.keys("tab", "enter")
        await desk.sees("accepted: hdfc-main", "BUY 10 NSE:SBIN @760.00")
        assert 1 == len(rig.ledger("hdfc"))


async def test_a_ticket_placed_again_after_a_lost_answer_places_nothing_more(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",)) as rig, console(rig) as desk:
        await desk.sees("● connected")
        await desk.keys("3")
        await fill_ticket(desk, "hdfc-main")
        await desk.sees("✓ hdfc-main")
        key = desk.app.screen._key
        body = desk.app.screen.body()
        # The order of this very ticket, whose answer the console never saw.
        placed = await rig.call(
            "POST", "/v1/orders", body, idempotency_key=key, key=await client_key(rig)
        )
        assert 201 == placed.status
        await desk.keys("enter")
        await desk.sees("Place this order?")
        await desk.keys("tab", "enter")
        await desk.until(lambda: "New order" not in desk.screen, "the ticket to close")
        assert 1 == len(rig.ledger("hdfc"))


async def client_key(rig: Rig) -> str:
    """A key of the name under which the control socket's calls are known."""
    return await rig.new_key("control", ["admin"])
