"""Breakers, which can be reset, and risk limits with what is used of them."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from tui.dialogs.confirm import Confirm
from tui.dialogs.limits import value_words
from tui.dialogs.order import prompted_call
from tui.model import Model
from tui.panel import Panel, Row
from tui.views.base import View
from tui.words import clock, seconds, shown


class Guards(View):
    """What holds orders back."""

    label = "Guards"
    wants = ("breakers", "limits")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "reset", "Reset", id="breakers.reset", tooltip="Close the selected breaker"),
        Binding(
            "m", "limits", "Limits", id="limits.open", tooltip="Look at limits and change them"
        ),
    ]

    def compose(self) -> ComposeResult:
        columns = ("account", "calls", "state", "since", "failed", "next try", "why")
        yield Panel(columns, "No account is configured", id="breakers")
        figures = ("risk limits of", "from", "set", "units used", "₹ used", "open")
        yield Panel(figures, "No limits are known", id="limits")

    def show(self, model: Model) -> None:
        # What holds orders back stands first.
        found = sorted(
            model.value("breakers", "breakers"), key=lambda row: row["state"] == "closed"
        )
        panel = self.query_one("#breakers", Panel)
        panel.show(model.reading("breakers"), model, [Row(_key(row), _cells(row)) for row in found])
        limits = [Row(_place(row), _limit_cells(row)) for row in model.value("limits", "limits")]
        self.query_one("#limits", Panel).show(model.reading("limits"), model, limits)

    def opened(self) -> None:
        self.query_one("#breakers", Panel).grid.focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if event.control is self.query_one("#limits", Panel).grid:
            self.action_limits()

    def action_limits(self) -> None:
        """Open the limits of the selected scope."""
        from tui.dialogs.limits import LimitsDialog

        key = self.query_one("#limits", Panel).grid.selected
        rows = self.console.model.value("limits", "limits")
        row = next((row for row in rows if _place(row) == key), None)
        if row is None:
            self.app.notify("Not now: the limits are not known", severity="warning")
        else:
            self.app.push_screen(LimitsDialog(row["scope"], row["target"]))

    def action_reset(self) -> None:
        key = self.query_one("#breakers", Panel).grid.selected
        rows = self.console.model.value("breakers", "breakers")
        row = next((row for row in rows if _key(row) == key), None)
        if row is not None and self.console.allowed("operate"):
            self.run_worker(self._reset(row))

    async def _reset(self, row: dict[str, Any]) -> None:
        lines = [f"{row['account']}: {row['class']} is {row['state']}", row["reason"] or ""]
        if not await self.app.push_screen_wait(Confirm("Reset this breaker?", lines, "Reset")):
            return
        body = {"account": row["account"], "class": row["class"], "reason": "from the console"}
        if await prompted_call(self.console, "POST", "/v1/breakers/reset", body) is not None:
            self.app.notify(f"Reset: {row['account']} {row['class']}")
        self.console.feed.want("breakers")


def _key(row: dict[str, Any]) -> str:
    return f"{row['account']}/{row['class']}"


def _cells(row: dict[str, Any]) -> tuple[Text | str, ...]:
    closed = row["state"] == "closed"
    return (
        row["account"],
        row["class"],
        "✓ closed" if closed else Text(f"✗ {row['state']}", "bold red"),
        clock(row["since"]),
        f"{row['failures']}/{row['calls']}",
        seconds(row["retry_in_s"]) if row["retry_in_s"] else "",
        row["reason"] or "",
    )


def _place(row: dict[str, Any]) -> str:
    return " ".join(str(row[name]) for name in ("scope", "target") if row[name])


def _limit_cells(row: dict[str, Any]) -> tuple[str, ...]:
    words = [
        f"{name.replace('_', ' ')} {value_words(value)}"
        for name, value in row["limits"].items()
        if value not in (None, [], {})
    ]
    used = row["used"]
    place = "all accounts" if row["target"] is None else str(row["target"])
    figures = (shown(used["quantity"]), shown(used["value"]), shown(used["open_orders"]))
    return (place, row["source"], ", ".join(words) or "none", *figures)
