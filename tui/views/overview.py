"""Every account in one look."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Static

from tui import moment
from tui.model import Model
from tui.panel import Panel, Row, write
from tui.views.base import View
from tui.words import SIGNS, clock, left_until, seconds, shown

_TROUBLES = 3


class Overview(View):
    """The gateway's own figures; accounts with session, breakers, rate headroom, legs, fills."""

    label = "Overview"
    wants = ("accounts", "figures")
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
        columns = (
            "account",
            "session",
            "left",
            "breakers",
            "rate",
            "open",
            "unres",
            "fills",
            "trouble",
        )
        yield Static("", id="gateway", markup=False)
        yield Panel(columns, "No account is configured: add one under `accounts:`", id="accounts")
        yield Static("", classes="detail", id="account", markup=False)

    def show(self, model: Model) -> None:
        rows = [Row(row["account"], _cells(row)) for row in model.accounts]
        write(self, "#gateway", gateway_words(model, moment.wall()))
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
        words = _detail_words(account, self.console.model) if account else ""
        write(self, "#account", words)


def gateway_words(model: Model, now: float) -> Text:
    """The gateway's health in one line. `now`: seconds since 1970, for its uptime."""
    reading, figures = model.reading("figures"), model.figures
    if figures is None:
        why = reading.error or ("" if model.connected else model.gone_why)
        return Text(f" gateway: ✗ {why}" if why else " gateway: …")
    text = Text(" gateway ")
    if figures.journal_broken:
        text.append("✗ JOURNAL BROKEN", "bold red")
    else:
        text.append("✓ journal")
    if figures.started_at is not None:
        text.append(f" · up {seconds(now - figures.started_at)}")
    text.append(f" · orders {figures.own or '–'}")
    if figures.memory_bytes is not None:
        text.append(f" · {figures.memory_bytes / 1_000_000:.0f} MB")
    if reading.error or not model.connected:
        text.append(f" · {seconds(reading.age_s)} ago", "bold")
    return text


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
    good = state in ("active", "expiring")
    held = breakers(account)
    unresolved = account["unresolved"]
    filled = account["filled_today"]
    return (
        account["account"],
        Text(f"{SIGNS.get(state, '?')} {state}", "green" if state == "active" else "bold yellow"),
        _left(session) if good else "",
        held if held == "closed" else Text(f"✗ {held}", "bold red"),
        rate_left(account),
        str(account["open_legs"]),
        Text(f"? {unresolved}", "bold magenta") if unresolved else "0",
        f"{filled['legs']}/{filled['quantity']}" if filled["legs"] else "0",
        _first_line(trouble(account)),
    )


def _left(session: dict[str, Any]) -> str:
    early = "" if session["covers_close"] is not False else " !"
    return left_until(session["expires_at"]) + early


def trouble(account: dict[str, Any]) -> str:
    """The newest that went wrong: what the session says of itself, or a call's last words."""
    if words := account["session"]["last_error"]:
        return str(words)
    error = account["last_error"]
    return f"{clock(error['at'])} {error['call']}: {error['text']}" if error else ""


def _first_line(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= 60 else line[:59] + "…"


def _detail_words(account: dict[str, Any], model: Model) -> str:
    session = account["session"]
    master = account["master"]
    filled = account["filled_today"]
    placing = model.figures.placing.get(account["account"]) if model.figures else None
    ready = "ready" if account["ready"] else "NOT READY for new orders"
    lines = [
        f"{account['account']}  {account['title']}  {ready}",
        f"session {session['state']} since {clock(session['logged_in_at']) or '–'}"
        f" until {shown(session['expires_at'])[:16].replace('T', ' ')}"
        + ("" if session["covers_close"] is not False else "  ! ends before the close"),
        f"today {filled['legs']} orders filled, {filled['quantity']} units"
        f" · placing at the broker {placing or '–'}"
        + (
            f" · instruments {master['rows']:,}{' STALE' if master['stale'] else ''}"
            if master
            else " · instruments not loaded"
        ),
    ]
    troubles = [f"✗ {row['account']} {words}" for row in model.accounts if (words := trouble(row))]
    return "\n".join([*lines, *troubles[:_TROUBLES]])
