"""The risk limits of one scope: each with what stands, and changing one behind a question."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Input, Static

from tui.dialogs.base import Dialog
from tui.dialogs.confirm import Confirm
from tui.field import Field
from tui.model import Model
from tui.panel import Grid, Row, write
from tui.words import shown

_MONEY = ("max_order_value", "max_day_value", "max_instrument_value", "max_daily_loss")
_LISTS = ("allowed_", "banned_")
_BY_TYPE = "price_collar_percent"


class LimitsDialog(Dialog[None]):
    """Follows the limits of `scope` and `target` while it is open."""

    DEFAULT_CSS = """
    LimitsDialog > Vertical { height: 1fr; }
    LimitsDialog Grid { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "Change", show=False, id="limits.change", tooltip="Change it"),
        Binding(
            "d",
            "restore",
            "Configured",
            id="limits.restore",
            tooltip="Put the limits of the configuration back",
        ),
    ]

    def __init__(self, scope: str, target: str | None) -> None:
        super().__init__()
        self._scope = scope
        self._target = target

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(
                f"Risk limits of {place_words(self._scope, self._target)}", classes="title"
            )
            grid = Grid(cursor_type="row", zebra_stripes=True)
            grid.add_columns("limit", "stands")
            yield grid
            yield Static("", id="used", markup=False)
            yield Static("", classes="said", markup=False)
            yield Static(
                "Enter changes · d puts the configuration back · Esc leaves", classes="keys"
            )

    def on_mount(self) -> None:
        self.show(self.console.model)
        self.query_one(Grid).focus()

    def show(self, model: Model) -> None:
        row = standing(model, self._scope, self._target)
        if row is None:
            write(self, "#used", "These limits are not known now.")
            return
        self.query_one(Grid).sync(
            [Row(name, (name, value_words(value) or "–")) for name, value in row["limits"].items()]
        )
        used = " · ".join(
            f"{name.replace('_', ' ')} {shown(row['used'][name])}" for name in row["used"]
        )
        write(self, "#used", f"from {row['source']} · used today: {used}")

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_change()

    def action_change(self) -> None:
        row = standing(self.console.model, self._scope, self._target)
        name = self.query_one(Grid).selected
        if row is not None and name is not None and self.console.allowed("operate"):
            self.app.push_screen(ChangeLimit(row, name))

    def action_restore(self) -> None:
        row = standing(self.console.model, self._scope, self._target)
        if row is not None and self.console.allowed("operate"):
            self.app.push_screen(ChangeLimit(row, None))


class ChangeLimit(Dialog[None]):
    """Changes limit `name` of `row`; with None puts those of the configuration back."""

    def __init__(self, row: dict[str, Any], name: str | None) -> None:
        super().__init__()
        self._row = row
        self._name = name

    def compose(self) -> ComposeResult:
        place = place_words(self._row["scope"], self._row["target"])
        with Vertical():
            if self._name is None:
                yield Static(f"Put the configuration's limits back for {place}", classes="title")
            else:
                now = value_words(self._row["limits"][self._name])
                yield Static(f"{self._name} of {place}", classes="title")
                yield Static(f"stands at {now or 'no limit'}", markup=False)
                yield Field(now, placeholder=f"{hint(self._name)}; empty: no limit", id="value")
            yield Field(placeholder="why (3 to 500 characters; it is audited)", id="reason")
            yield Static("", classes="said", markup=False)
            yield Static("Enter in the reason goes on to a question · Esc leaves", classes="keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "value":
            self.query_one("#reason").focus()
            return
        reason = event.value.strip()
        if not 3 <= len(reason) <= 500:
            self.say("Type a reason of 3 to 500 characters.", bad=True)
            return
        try:
            limits = self._wanted()
        except ValueError as error:
            self.say(f"✗ {error}", bad=True)
            return
        self.run_worker(self._put(limits, reason), exclusive=True)

    def _wanted(self) -> dict[str, Any] | None:
        if self._name is None:
            return None
        typed = self.query_one("#value", Input).value
        return {**self._row["limits"], self._name: parsed_value(self._name, typed)}

    async def _put(self, limits: dict[str, Any] | None, reason: str) -> None:
        row = self._row
        place = place_words(row["scope"], row["target"])
        if limits is None or self._name is None:
            change = "the limits of the configuration again"
        else:
            before = value_words(row["limits"][self._name]) or "no limit"
            change = f"{self._name}: {before} → {value_words(limits[self._name]) or 'no limit'}"
        question = Confirm(
            f"Change the limits of {place}?", [change, f"because: {reason}"], "Change"
        )
        if not await self.app.push_screen_wait(question):
            return
        # The call replaces all limits of the scope: what somebody else has set since must stay.
        answer = await self.ask("GET", "/v1/limits")
        if answer is None:
            return
        newest = _find(answer.body["limits"], row["scope"], row["target"])
        if newest is None or newest["limits"] != row["limits"]:
            self.say(
                "✗ Not done: they were changed meanwhile. Leave, look, and try again.", bad=True
            )
            self.console.feed.want("limits")
            return
        body = {"scope": row["scope"], "limits": limits, "reason": reason}
        if row["target"] is not None:
            body["target"] = row["target"]
        done = await self.ask("PUT", "/v1/limits", body)
        self.console.feed.want("limits")
        if done is not None:
            self.dismiss(None)
            self.app.notify(f"Changed for {place}: {change}", markup=False)


def place_words(scope: str, target: str | None) -> str:
    return "all accounts together" if target is None else f"{scope} {target}"


def standing(model: Model, scope: str, target: str | None) -> dict[str, Any] | None:
    """The newest reading of one scope's limits."""
    return _find(model.value("limits", "limits"), scope, target)


def value_words(value: Any) -> str:
    """A limit as a person types it; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def parsed_value(name: str, text: str) -> Any:
    """Read a limit as typed; the gateway judges it. Raises `ValueError` saying how to write it."""
    words = text.split()
    if name.startswith(_LISTS):
        return [word.upper() for word in words]
    if name == _BY_TYPE:
        pairs = [word.partition("=") for word in words]
        if not all(equals and value for _, equals, value in pairs):
            raise ValueError(f"write it as {hint(name)}")
        return {kind.upper(): value for kind, _, value in pairs}
    if not words:
        return None
    if name in _MONEY:
        return words[0]
    if len(words) > 1 or not words[0].isdecimal():
        raise ValueError(f"write it as {hint(name)}")
    return int(words[0])


def hint(name: str) -> str:
    if name.startswith(_LISTS):
        return "names, by blanks"
    if name == _BY_TYPE:
        return "percent by type: EQ=3 FUT=2 OPT=30"
    return "rupees" if name in _MONEY else "a whole number"


def _find(rows: list[dict[str, Any]], scope: str, target: str | None) -> dict[str, Any] | None:
    return next((row for row in rows if (row["scope"], row["target"]) == (scope, target)), None)
