"""Orders, newest first, live; their legs and what happened to them; cancelling."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Input

from tui.dialogs.confirm import Confirm
from tui.dialogs.order import OrderDialog, cancel_words, order_words, prompted_call
from tui.field import Field
from tui.filters import parsed
from tui.link.api import segment
from tui.model import Model
from tui.panel import Panel, Row
from tui.views.base import View
from tui.words import clock, colour_of, outcome_sign

_FILTERS = ("account", "state", "open", "strategy", "instrument")
_SIGNS = {"accepted": "✓", "partial": "±", "rejected": "✗", "not_sent": "–", "pending": "?"}


class Orders(View):
    """One line each; Enter shows legs and timeline."""

    label = "Orders"
    wants = ("orders",)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "ticket", "New", id="orders.new", tooltip="Place an order"),
        Binding("c", "cancel", "Cancel", id="orders.cancel", tooltip="Cancel the selected order"),
        Binding(
            "C",
            "cancel_all",
            "Cancel all",
            id="orders.cancel_all",
            tooltip="Cancel every open order that the filter leaves",
        ),
        Binding("m", "modify", "Modify", id="orders.modify", tooltip="Change the selected order"),
        Binding("o", "open_only", "Open", id="orders.open", tooltip="Only open orders, or all"),
        Binding("slash", "filter", "Filter", id="orders.filter", tooltip="Filter the list"),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._filter: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield Field(placeholder=f"filter: {'= '.join(_FILTERS)}=   (Enter takes it)", id="filter")
        columns = ("time", "", "order", "filled", "state", "accounts", "strategy")
        yield Panel(columns, "No order yet · n places one, / changes the filter", id="orders")

    def on_mount(self) -> None:
        self.query_one("#filter").display = False

    def show(self, model: Model) -> None:
        rows = [Row(row["order_id"], _cells(row)) for row in model.value("orders", "orders")]
        self.query_one(Panel).show(model.reading("orders"), model, rows)

    def opened(self) -> None:
        self.query_one(Panel).grid.focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if order := self._selected():
            self.app.push_screen(OrderDialog(order))

    def action_ticket(self) -> None:
        from tui.dialogs.ticket import TicketDialog

        if self.console.allowed("trade"):
            self.app.push_screen(TicketDialog())

    def action_cancel(self) -> None:
        order = self._selected()
        if order and self.console.allowed("trade"):
            self.run_worker(self._cancel(order))

    def action_modify(self) -> None:
        from tui.dialogs.modify import ModifyDialog

        order = self._selected()
        if order and self.console.allowed("trade"):
            self.app.push_screen(ModifyDialog(order))

    def action_cancel_all(self) -> None:
        if self.console.allowed("trade"):
            self.run_worker(self._cancel_all())

    def action_open_only(self) -> None:
        if "open" in self._filter:
            del self._filter["open"]
        else:
            self._filter["open"] = "true"
        self._filtered()

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.value = " ".join(f"{name}={value}" for name, value in self._filter.items())
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            self._filter = parsed(event.value, _FILTERS)
        except ValueError as error:
            self.app.notify(str(error), severity="error")
            return
        event.input.display = False
        self._filtered()
        self.opened()

    def _filtered(self) -> None:
        self.console.feed.ask_for(
            "orders", f"/v1/orders?{urlencode({'limit': '100', **self._filter})}"
        )
        words = " ".join(f"{name}={value}" for name, value in self._filter.items())
        self.query_one(Panel).border_title = words
        self.app.notify(f"Showing: {words or 'all orders'}", timeout=2)

    def _selected(self) -> dict[str, Any] | None:
        key = self.query_one(Panel).grid.selected
        rows = self.console.model.value("orders", "orders")
        return next((row for row in rows if row["order_id"] == key), None)

    async def _cancel(self, order: dict[str, Any]) -> None:
        question = Confirm("Cancel this order?", cancel_words(order), "Cancel the order")
        if await self.app.push_screen_wait(question):
            await prompted_call(
                self.console, "DELETE", f"/v1/orders/{segment(order['order_id'])}", None
            )

    async def _cancel_all(self) -> None:
        body: dict[str, Any] = {
            name: value
            for name, value in self._filter.items()
            if name in ("instrument", "strategy")
        }
        accounts = self._filter.get("account")
        if accounts:
            body["accounts"] = accounts.split(",")
        where = ", ".join(body.get("accounts", ["every account"]))
        only = " ".join(
            f"{name} {body[name]}" for name in ("instrument", "strategy") if name in body
        )
        lines = [f"at {where}", only or "every instrument and strategy", "orders placed here"]
        if await self.app.push_screen_wait(Confirm("Cancel all orders?", lines, "Cancel them all")):
            answer = await prompted_call(self.console, "POST", "/v1/orders/cancel-all", body)
            if answer is not None:
                done = f"{answer['confirmed']} of {answer['total']} confirmed over"
                words = "" if answer["done"] else "; not all yet: look, then repeat"
                self.app.notify(
                    done + words, severity="information" if answer["done"] else "warning"
                )


def _cells(order: dict[str, Any]) -> tuple[Text | str, ...]:
    legs = order["legs"]
    worst = next((leg for leg in legs if leg["outcome"] == "unknown"), legs[0] if legs else None)
    filled = sum(leg["filled_quantity"] for leg in legs)
    quantity = sum(leg["quantity"] for leg in legs)
    states = sorted({leg["state"] for leg in legs})
    outcome = worst["outcome"] if worst else ""
    kind = order["request"]["order_type"]
    accounts = list(dict.fromkeys(leg["account"] for leg in legs))
    return (
        clock(order["created_at"]),
        Text(_SIGNS.get(order["summary"], "?"), colour_of(outcome)),
        f"{order_words(order)}{'' if kind == 'LIMIT' else f' {kind}'}",
        f"{filled}/{quantity}",
        Text(f"{outcome_sign(outcome)} {' '.join(states)}", colour_of(outcome)),
        f"{accounts[0]} +{len(accounts) - 1}" if len(accounts) > 1 else "".join(accounts),
        order["strategy"] or "",
    )
