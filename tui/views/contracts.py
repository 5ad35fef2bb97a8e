"""Search contracts by name."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.field import Field
from tui.link import NoAnswer, Problem, Unreachable
from tui.model import Model, Reading
from tui.panel import Panel, Row
from tui.views.base import View
from tui.words import shown


class Contracts(View):
    """Type a name; the best matches of every broker's master."""

    label = "Contracts"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "app.refresh", "Name", id="contracts.name", tooltip="Type another name"),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._found = Reading(value={"instruments": []})

    def compose(self) -> ComposeResult:
        yield Field(placeholder="name, symbol or NFO:NIFTY…, then Enter", id="query")
        columns = ("instrument", "name", "type", "expiry", "strike", "lot", "tick", "brokers")
        yield Panel(columns, "Nothing found · / goes back to the name", id="instruments")

    def show(self, model: Model) -> None:
        rows = [Row(row["instrument"], _cells(row)) for row in self._found.value["instruments"]]
        self.query_one(Panel).show(self._found, model, rows)

    def opened(self) -> None:
        self.query_one(Field).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.run_worker(self._search(event.value.strip()), exclusive=True)

    async def _search(self, text: str) -> None:
        exchange, colon, symbol = text.partition(":")
        query = {"query": symbol if colon else text, "limit": "100"}
        if colon:
            query["exchange"] = exchange.upper()
        try:
            self._found.took(await self.console.gateway.get("/v1/instruments", query))
        except (Problem, Unreachable, NoAnswer) as error:
            self._found.error = str(error)
        self.show(self.console.model)
        if self._found.value["instruments"]:
            self.query_one(Panel).grid.focus()


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["instrument"],
        shown(row["name"]),
        row["type"],
        row["expiry"] or "",
        shown(row["strike"]) if row["strike"] is not None else "",
        shown(row["lot_size"]),
        shown(row["tick_size"]),
        " ".join(row["brokers"]),
    )
