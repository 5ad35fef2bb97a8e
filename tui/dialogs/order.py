"""One order: its legs and its timeline, every word of the brokers in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from tui.dialogs.base import Dialog, failure_words
from tui.dialogs.confirm import Confirm
from tui.link import NoAnswer, Problem, Unreachable
from tui.link.api import segment
from tui.model import Model
from tui.panel import Grid, Row
from tui.words import outcome_sign, shown

if TYPE_CHECKING:
    from tui.app import Console


class OrderDialog(Dialog[None]):
    """Follows the order while it is open."""

    DEFAULT_CSS = """
    OrderDialog > Vertical { width: 100%; height: 1fr; }
    OrderDialog Grid { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "cancel", "Cancel", id="order.cancel", tooltip="Cancel this order"),
        Binding(
            "a",
            "cancel_here",
            "Cancel one",
            id="order.cancel_account",
            tooltip="Cancel it at the account of the selected line",
        ),
        Binding("m", "modify", "Modify", id="order.modify", tooltip="Change this order"),
    ]

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__()
        self._order = order
        self._accounts: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("", classes="title", markup=False)
            yield Static("", id="legs", markup=False)
            grid = Grid(cursor_type="row")
            grid.add_columns("time", "account", "to", "event", "try", "ms", "the broker's words")
            yield grid
            yield Static("", classes="said", markup=False)
            yield Static(
                "c cancels · a cancels at the selected line's account · m modifies · Esc leaves",
                classes="keys",
            )

    def on_mount(self) -> None:
        self._draw()
        self.query_one(Grid).focus()
        self.run_worker(self._read(), exclusive=True)

    def show(self, model: Model) -> None:
        rows = model.value("orders", "orders")
        newest = next((row for row in rows if row["order_id"] == self._order["order_id"]), None)
        if newest is not None and newest != self._order:
            self._order = newest
            self._draw()
            self.run_worker(self._read(), exclusive=True)

    def action_cancel(self) -> None:
        if self.console.allowed("trade"):
            self.run_worker(self._cancel(None), group="cancel", exclusive=True)

    def action_cancel_here(self) -> None:
        key = self.query_one(Grid).selected
        account = self._accounts.get(key or "")
        if account is None:
            self.say("Select a line of the account first.")
        elif self.console.allowed("trade"):
            self.run_worker(self._cancel(account), group="cancel", exclusive=True)

    def action_modify(self) -> None:
        from tui.dialogs.modify import ModifyDialog

        if self.console.allowed("trade"):
            self.app.push_screen(ModifyDialog(self._order))

    async def _cancel(self, account: str | None) -> None:
        at = f" at {account}" if account else ""
        words = cancel_words(self._order, account)
        question = Confirm(f"Cancel this order{at}?", words, f"Cancel the order{at}")
        if await self.app.push_screen_wait(question):
            self.say(f"… cancelling{at}")
            path = f"/v1/orders/{segment(self._order['order_id'])}"
            path += f"?{urlencode({'account': account})}" if account else ""
            answer = await self.ask("DELETE", path)
            if answer is not None:
                self.say("✓ over" if answer.status == 200 else "… asked for, not confirmed yet")
            self.console.feed.want("orders", "accounts")

    async def _read(self) -> None:
        path = f"/v1/orders/{segment(self._order['order_id'])}/history"
        answer = await self.ask("GET", path)
        if answer is not None:
            accounts = {leg["leg_id"]: leg["account"] for leg in self._order["legs"]}
            events = answer.body["events"]
            self._accounts = {
                str(n): accounts[row["leg_id"]]
                for n, row in enumerate(events)
                if row["leg_id"] in accounts
            }
            self.query_one(Grid).sync(
                [Row(str(n), _event_cells(row, accounts)) for n, row in enumerate(events)]
            )

    def _draw(self) -> None:
        strategy = f" · {self._order['strategy']}" if self._order["strategy"] else ""
        title = f"{order_words(self._order)}{strategy} · {self._order['order_id']}"
        self.query_one(".title", Static).update(title)
        self.query_one("#legs", Static).update("\n".join(map(_leg_words, self._order["legs"])))


def order_words(order: dict[str, Any]) -> str:
    request = order["request"]
    quantity = request["quantity"] or f"{request['lots']} lots"
    price = f" @{request['price']}" if request["price"] is not None else ""
    return f"{request['side']} {quantity} {request['instrument']}{price}"


def cancel_words(order: dict[str, Any], account: str | None = None) -> list[str]:
    """What a question about cancelling names: the order, then each account, or the one."""
    legs = [
        f"{leg['account']} ({leg['broker']}): {leg['pending_quantity']} of {leg['quantity']} open,"
        f" {leg['state']}"
        for leg in order["legs"]
        if account in (None, leg["account"])
    ]
    return [f"{order_words(order)} {order['request']['order_type']}", *legs]


async def prompted_call(console: Console, method: str, path: str, body: Any) -> Any:
    """Make one call for a view; returns its body, or says how it failed and returns None."""
    try:
        answer = await console.gateway.ask(method, path, body, timeout_s=60.0)
    except (Problem, Unreachable, NoAnswer) as error:
        console.notify(failure_words(error), severity="error", timeout=10, markup=False)
        return None
    finally:
        console.feed.want("orders", "accounts", "unresolved")
    return answer.body


def _leg_words(leg: dict[str, Any]) -> str:
    words = (
        f"{outcome_sign(leg['outcome'])} {leg['account']} {leg['state']}"
        f" {leg['filled_quantity']}/{leg['quantity']} avg {shown(leg['average_price'])}"
        f" sent {leg['sent']['order_type']} {shown(leg['sent']['price'])}"
        f" id {shown(leg['broker_order_id'])}"
    )
    if reason := leg["reason"]:
        words += f"\n    {reason['code']}: {reason['message']}"
        if reason["broker_message"]:
            words += f" · broker: {reason['broker_message']}"
    return words


def _event_cells(event: dict[str, Any], accounts: dict[str, str]) -> tuple[str, ...]:
    broker = " ".join(str(event[name]) for name in ("broker_code", "broker_message") if event[name])
    return (
        (event["at"] or "")[11:23],
        accounts.get(event["leg_id"], event["leg_id"]),
        event["to"],
        event["event"],
        str(event["attempt"]),
        "" if event["ms"] is None else f"{event['ms']:.0f}",
        broker,
    )
