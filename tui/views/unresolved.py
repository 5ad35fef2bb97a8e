"""Legs whose fate is not proven: what was seen, what looks like them, and settling them."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.dialogs.resolve import ResolveDialog, leg_words, suspect_words
from tui.model import Model
from tui.panel import Panel, Row, write
from tui.views.base import View
from tui.words import clock, seconds, shown

_EVIDENCE = 6


class Unresolved(View):
    """Oldest first, with worst-case exposure, evidence and suspects of the selected one."""

    label = "Unresolved"
    wants = ("unresolved",)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "a",
            "resolve('adopt')",
            "Adopt",
            id="unresolved.adopt",
            tooltip="Say which order at the broker is the leg",
        ),
        Binding(
            "x",
            "resolve('absent')",
            "Absent",
            id="unresolved.absent",
            tooltip="Say that the leg's order does not exist at the broker",
        ),
    ]

    def compose(self) -> ComposeResult:
        columns = ("age", "account", "order", "state", "exposure ₹", "suspects", "leg")
        yield Panel(columns, "✓ Nothing is unresolved · 1 shows the accounts", id="unresolved")
        yield Static("", classes="detail", id="evidence", markup=False)

    def show(self, model: Model) -> None:
        rows = [Row(row["leg"]["leg_id"], _cells(row)) for row in model.unresolved]
        self.query_one(Panel).show(model.reading("unresolved"), model, rows)
        self._detail()

    def opened(self) -> None:
        self.query_one(Panel).grid.focus()

    def on_data_table_row_highlighted(self) -> None:
        self._detail()

    def action_resolve(self, action: str) -> None:
        row = self._selected()
        if row is None:
            self.app.notify("Nothing is selected: no leg is unresolved")
        elif self.console.allowed("operate"):
            self.app.push_screen(ResolveDialog(row, action))

    def _selected(self) -> dict[str, Any] | None:
        key = self.query_one(Panel).grid.selected
        rows = self.console.model.unresolved
        return next((row for row in rows if row["leg"]["leg_id"] == key), None)

    def _detail(self) -> None:
        row = self._selected()
        write(self, "#evidence", evidence_words(row) if row else "")


def evidence_words(row: dict[str, Any]) -> str:
    """What is known of the leg: the reason, each suspect, the newest looks at the book."""
    reason = row["leg"]["reason"]
    lines = [leg_words(row)]
    if reason:
        broker = f" · broker: {reason['broker_message']}" if reason["broker_message"] else ""
        lines.append(f"  {reason['code']}: {reason['message']}{broker}")
    lines += map(suspect_words, row["suspects"])
    for look in row["evidence"][-_EVIDENCE:]:
        more = " ".join(f"{k}={v}" for k, v in look.items() if k not in ("at", "what") and v)
        lines.append(f"  {clock(look['at'])} {look['what'].replace('_', ' ')} {more}".rstrip())
    if not row["evidence"]:
        lines.append("  … no look at the book yet")
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> tuple[Text | str, ...]:
    leg = row["leg"]
    order = row.get("request") or {}
    words = (order.get("side"), row["exposure"]["quantity"], order.get("instrument"))
    return (
        seconds(row["age_s"]),
        leg["account"],
        " ".join(str(word) for word in words if word is not None),
        Text(f"? {leg['state']}", "bold magenta"),
        shown(row["exposure"]["value"]),
        str(len(row["suspects"])),
        leg["leg_id"],
    )
