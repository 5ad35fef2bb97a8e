"""Every account in one look."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Static

from tui.model import Model
from tui.panel import Panel, Row
from tui.views.base import View
from tui.words import SIGNS, clock, left_until, shown


class Overview(View):
    """Accounts with session, breakers, rate headroom, open and unresolved legs, last error."""

    label = "Overview"
    wants = ("accounts",)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "l",
            "app.log_in_all",
            "Log in all",
            id="sessions.all",
            tooltip="Log in every account that has no session, one after the other",
        ),
        Binding(
            "enter", "log_in", "Log in", id="sessions.one", tooltip="Log in the selected account"
        ),
        Binding(
            "R",
            "renew",
            "Renew",
            show=False,
            id="sessions.renew",
            tooltip="Log in the selected account again although its session is good",
        ),
    ]

    def compose(self) -> ComposeResult:
        columns = ("account", "session", "left", "breakers", "rate", "open", "unres", "last error")
        yield Panel(columns, "No account is configured: add one under `accounts:`", id="accounts")
        yield Static("", classes="detail", id="account", markup=False)

    def show(self, model: Model) -> None:
        rows = [Row(row["account"], _cells(row)) for row in model.accounts]
        self.query_one(Panel).show(model.reading("accounts"), model, rows)
        self._detail()

    def opened(self) -> None:
        self.query_one(Panel).grid.focus()

    def on_data_table_row_highlighted(self) -> None:
        self._detail()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_log_in()

    def action_log_in(self) -> None:
        if account := self._selected():
            self.console.log_in([account["account"]], renew=False)

    def action_renew(self) -> None:
        if account := self._selected():
            self.console.log_in([account["account"]], renew=True)

    def _selected(self) -> dict[str, Any] | None:
        key = self.query_one(Panel).grid.selected
        model = self.console.model
        return next((row for row in model.accounts if row["account"] == key), None)

    def _detail(self) -> None:
        account = self._selected()
        self.query_one("#account", Static).update(_detail_words(account) if account else "")


def rate_left(account: dict[str, Any]) -> str:
    """The tightest window of the account's limiter, as `left/size`."""
    limits = account["limits"]
    if limits["paused_s"]:
        return f"held {limits['paused_s']:.0f}s"
    windows = limits["windows"]
    if not windows:
        return "–"
    tightest = min(windows, key=lambda row: row["left"] / max(1, row["count"]))
    return f"{tightest['left']}/{tightest['count']}"


def breakers(account: dict[str, Any]) -> str:
    """The breakers that are not closed, by class of call."""
    open_ones = [f"{name} {state}" for name, state in account["breakers"].items()]
    return ", ".join(words for words in open_ones if not words.endswith(" closed")) or "closed"


def _cells(account: dict[str, Any]) -> tuple[Text | str, ...]:
    session = account["session"]
    state = session["state"]
    good = state == "active"
    held = breakers(account)
    unresolved = account["unresolved"]
    return (
        account["account"],
        Text(f"{SIGNS.get(state, '?')} {state}", "green" if good else "bold yellow"),
        left_until(session["expires_at"]) if good else "",
        held if held == "closed" else Text(f"✗ {held}", "bold red"),
        rate_left(account),
        str(account["open_legs"]),
        Text(f"? {unresolved}", "bold magenta") if unresolved else "0",
        _first_line(session["last_error"]),
    )


def _first_line(text: str | None) -> str:
    line = (text or "").split("\n", 1)[0]
    return line if len(line) <= 60 else line[:59] + "…"


def _detail_words(account: dict[str, Any]) -> str:
    session = account["session"]
    master = account["master"]
    lines = [
        f"{account['account']}  {account['title']}"
        f"  {'ready' if account['ready'] else 'NOT READY: its unknown legs are looked up first'}",
        f"session {session['state']} since {clock(session['logged_in_at']) or '–'}"
        f" until {shown(session['expires_at'])[:16]}"
        + ("" if session["covers_close"] is not False else "  ! ends before the close"),
        f"instruments {master['rows']:,}{' STALE' if master['stale'] else ''}"
        if master
        else "instruments not loaded",
    ]
    if session["last_error"]:
        lines.append(f"last error: {session['last_error']}")
    return "\n".join(lines)
