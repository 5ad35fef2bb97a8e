"""Breakers, which can be reset, and risk limits with what is used of them."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.dialogs.confirm import Confirm
from tui.dialogs.order import prompted_call
from tui.model import Model
from tui.panel import Panel, Row
from tui.views.base import View
from tui.words import clock, seconds


class Guards(View):
    """What holds orders back."""

    label = "Guards"
    wants = ("breakers", "limits")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "reset", "Reset", id="breakers.reset", tooltip="Close the selected breaker"),
    ]

    def compose(self) -> ComposeResult:
        columns = ("account", "calls", "state", "since", "failed", "next try", "why")
        yield Panel(columns, "No account is configured", id="breakers")
        yield Static("", classes="detail", id="limits", markup=False)

    def show(self, model: Model) -> None:
        rows = [Row(_key(row), _cells(row)) for row in model.value("breakers", "breakers")]
        self.query_one(Panel).show(model.reading("breakers"), model, rows)
        self.query_one("#limits", Static).update(limit_words(model))

    def opened(self) -> None:
        self.query_one(Panel).grid.focus()

    def action_reset(self) -> None:
        key = self.query_one(Panel).grid.selected
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


def limit_words(model: Model) -> str:
    """The risk limits that are set, with their use, as the gateway gives them."""
    reading = model.reading("limits")
    if reading.value is None:
        return f"risk limits: {reading.error or '…'}"
    return "\n".join(["risk limits and their use", *map(_limit_line, reading.value["limits"])])


def _limit_line(row: dict[str, Any]) -> str:
    place = " ".join(str(row[name]) for name in ("scope", "target") if row.get(name))
    return f"{place}: {_flat(row['limits']) or 'none set'} · used: {_flat(row['used']) or 'none'}"


def _flat(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_words(value)}"
        for name, value in values.items()
        if value not in (None, [])
    )


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
