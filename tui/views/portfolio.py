"""Positions, holdings and funds of every account, with totals."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.model import Model
from tui.panel import Panel, Row, write
from tui.views.base import View
from tui.words import shown, total

_KINDS = ("positions", "holdings", "funds")
_COLUMNS = ("account", "instrument", "product", "quantity", "average", "last", "P&L")


class Portfolio(View):
    """Each reading costs calls at the brokers: taken when the view opens and on `r`."""

    label = "Portfolio"
    on_demand = _KINDS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "p",
            "next_kind",
            "Positions/holdings/funds",
            id="portfolio.next",
            tooltip="Positions, holdings, funds",
        ),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kind = "positions"

    def compose(self) -> ComposeResult:
        yield Static("", id="kinds", markup=False)
        yield Panel(_COLUMNS, "None at any account · p shows the others", id="positions", ages=True)
        yield Panel(_COLUMNS, "None at any account · p shows the others", id="holdings", ages=True)
        columns = ("account", "available ₹", "used ₹", "opening ₹", "collateral ₹", "")
        yield Panel(columns, "No account · p shows the others", id="funds", ages=True)
        yield Static("", classes="detail", id="totals", markup=False)

    def show(self, model: Model) -> None:
        for kind in _KINDS:
            panel = self.query_one(f"#{kind}", Panel)
            panel.display = kind == self._kind
            results = model.value(kind, "results")
            panel.show(model.reading(kind), model, _rows(kind, results))
        words = " ".join(f"[{kind}]" if kind == self._kind else f" {kind} " for kind in _KINDS)
        write(self, "#kinds", words)
        totals = _totals(self._kind, model.value(self._kind, "results"))
        write(self, "#totals", totals)

    def opened(self) -> None:
        self.query_one(f"#{self._kind}", Panel).grid.focus()

    def action_next_kind(self) -> None:
        self._kind = _KINDS[(_KINDS.index(self._kind) + 1) % len(_KINDS)]
        self.show(self.console.model)
        self.opened()


def _rows(kind: str, results: list[dict[str, Any]]) -> list[Row]:
    rows = []
    for result in results:
        account = result["account"]
        if not result["ok"]:
            why = Text(f"✗ {result['reason']['message']}", "bold red")
            rows.append(Row(account, (account, why)))
        elif kind == "funds":
            data = result["data"]
            figures = [shown(data[name]) for name in ("available", "used", "opening", "collateral")]
            rows.append(Row(account, (account, *figures, "")))
        else:
            rows += [
                Row(f"{account}/{number}", _cells(account, row))
                for number, row in enumerate(result["data"])
            ]
    return rows


def _cells(account: str, row: dict[str, Any]) -> tuple[str, ...]:
    return (
        account,
        shown(row["instrument"] or row.get("isin")),
        row.get("product", "held"),
        str(row["quantity"]),
        shown(row["average_price"]),
        shown(row["last_price"]),
        shown(_gain(row)),
    )


def _gain(row: dict[str, Any]) -> str | None:
    if "pnl" in row:
        return row["pnl"]  # type: ignore[no-any-return]
    gains = [row["realised_pnl"], row["unrealised_pnl"]]
    return None if gains == [None, None] else total(gains)


def _totals(kind: str, results: list[dict[str, Any]]) -> str:
    good = [result for result in results if result["ok"]]
    if not results:
        return ""
    unread = "" if len(good) == len(results) else f" · ✗ {len(results) - len(good)} not read"
    if kind == "funds":
        data = [result["data"] for result in good]
        figures = [f"{name} {total([row[name] for row in data])}" for name in ("available", "used")]
        return f"total ₹: {' · '.join(figures)}{unread}"
    lines = [row for result in good for row in result["data"]]
    gains = [row[name] for row in lines for name in row if name.endswith("pnl")]
    return f"{len(lines)} at {len(good)} accounts · P&L ₹ {total(gains)}{unread}"
