"""The kill switch: level and scope with the arrows, Enter engages, release is typed."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.dialogs.base import Dialog
from tui.dialogs.confirm import Confirm
from tui.field import Field
from tui.model import Model
from tui.panel import write

LEVELS = {
    "REDUCE_ONLY": "only orders that make a position smaller",
    "HALT_NEW": "no new order at all",
    "CANCEL_ALL": "and cancel every open order in the brokers' books",
    "SQUARE_OFF": "and close the positions (asks once more)",
}


class _Scope(NamedTuple):
    scope: str
    target: str | None

    def __str__(self) -> str:
        return "everything" if self.target is None else f"{self.scope} {self.target}"


_EVERYTHING = _Scope("global", None)


class KillDialog(Dialog[None]):
    """Open from anywhere. HALT_NEW for everything is chosen already: Enter stops it all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "engage", "Engage", id="kill.engage", tooltip="Engage what is chosen"),
        Binding("up,k", "level(-1)", "Level", show=False, id="kill.lower"),
        Binding("down,j", "level(1)", "Level", show=False, id="kill.higher"),
        Binding("left,h", "scope(-1)", "Scope", show=False, id="kill.scope_before"),
        Binding("right,l", "scope(1)", "Scope", show=False, id="kill.scope_next"),
        Binding("x", "release(1)", "Release", id="kill.release", tooltip="Release what is engaged"),
        *(Binding(str(n), f"release({n})", "Release", show=False) for n in range(1, 10)),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._level = list(LEVELS).index("HALT_NEW")
        self._scope = _EVERYTHING
        self._busy = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Kill switch", classes="title")
            yield Static("", id="choice", markup=False)
            yield Static("", classes="said", markup=False)
            yield Static("", id="engaged", markup=False)
            yield Static(
                "↑↓ level · ←→ scope · Enter engages · x or 1-9 releases · Esc leaves",
                classes="keys",
            )

    def on_mount(self) -> None:
        self.console.feed.want("kill", "orders", "keys")
        self.set_interval(1.0, self._watch)
        self.show(self.console.model)

    def show(self, model: Model) -> None:
        """Draw what may be chosen, what is engaged, and how far its cancels are."""
        scopes = self._scopes(model)
        text = Text()
        for place, (level, words) in enumerate(LEVELS.items()):
            chosen = place == self._level
            text.append(f"{'▶' if chosen else ' '} {level:<12}", "bold reverse" if chosen else "")
            text.append(f" {words}\n")
        text.append("for ")
        text.append(f"◀ {self._words_of(self._scope)} ▶", "bold reverse")
        text.append(f"  ({scopes.index(self._scope) + 1} of {len(scopes)})")
        write(self, "#choice", text)
        write(self, "#engaged", progress_words(model.kill))

    def action_level(self, step: int) -> None:
        self._level = (self._level + step) % len(LEVELS)
        self.show(self.console.model)

    def action_scope(self, step: int) -> None:
        scopes = self._scopes(self.console.model)
        self._scope = scopes[(scopes.index(self._scope) + step) % len(scopes)]
        self.show(self.console.model)

    def action_engage(self) -> None:
        if self._busy or not self.console.allowed("trade"):
            return
        level = list(LEVELS)[self._level]
        self._busy = True
        self.run_worker(self._engage(level, self._scope), exit_on_error=True)

    def _scopes(self, model: Model) -> list[_Scope]:
        """What can be chosen; the choice itself stays, whatever else comes and goes."""
        scopes = _scopes(model)
        return scopes if self._scope in scopes else [*scopes, self._scope]

    def _words_of(self, place: _Scope) -> str:
        if place.scope != "key":
            return str(place)
        keys = self.console.model.value("keys", "keys")
        name = next((row["name"] for row in keys if row["id"] == place.target), "")
        return f"key {name} {place.target}".replace("  ", " ")

    async def _engage(self, level: str, place: _Scope) -> None:
        try:
            if level == "SQUARE_OFF":
                question = Confirm(
                    "Close positions?",
                    [f"SQUARE_OFF for {place}: open orders are cancelled, MIS and NRML closed."],
                    "Square off",
                )
                if not await self.app.push_screen_wait(question):
                    return
            self.say(f"… engaging {level} for {place}")
            body = {"scope": place.scope, "level": level, "reason": "from the console"}
            if place.target is not None:
                body["target"] = place.target
            answer = await self.ask("POST", "/v1/kill-switch/engage", body)
            if answer is None:
                said = self.query_one(".said", Static)
                self.say(
                    f"{said.content}\nNOT CONFIRMED. On the gateway's machine:"
                    " brokergate kill engage",
                    bad=True,
                )
            else:
                self.say(_engaged_words(answer.body, place))
            self.console.feed.want("kill", "accounts", "orders")
        finally:
            self._busy = False

    def action_release(self, number: int) -> None:
        switches = (self.console.model.kill or {}).get("switches", [])
        if number > len(switches):
            self.say("Nothing to release there.")
        elif self.console.allowed("operate"):
            self.app.push_screen(ReleaseDialog(switches[number - 1]))

    def _watch(self) -> None:
        """Ask again while cancels run; the events tell the rest."""
        kill = self.console.model.kill or {}
        if any(row["cancels"] and not row["cancels"]["done"] for row in kill.get("switches", ())):
            self.console.feed.want("kill")


class ReleaseDialog(Dialog[None]):
    """Lets orders through again: a reason, and the word RELEASE, both typed."""

    def __init__(self, switch: dict[str, Any]) -> None:
        super().__init__()
        self._switch = switch

    def compose(self) -> ComposeResult:
        place = _Scope(self._switch["scope"], self._switch["target"])
        with Vertical():
            yield Static(f"Release {self._switch['level']} for {place}", classes="title")
            yield Static(f"engaged because: {self._switch['reason']}", markup=False)
            yield Field(placeholder="why is it safe again?", id="reason")
            yield Field(placeholder="type RELEASE to let orders through again", id="word")
            yield Static("", classes="said", markup=False)
            yield Static("Enter in the last field releases · Esc leaves", classes="keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "reason":
            self.query_one("#word").focus()
            return
        reason = self.query_one("#reason", Input).value.strip()
        if event.value.strip() != "RELEASE":
            self.say("Nothing was released: type the word RELEASE.", bad=True)
        elif not 3 <= len(reason) <= 500:
            self.say("Nothing was released: say why in 3 to 500 characters.", bad=True)
        else:
            self.run_worker(self._release(reason), exclusive=True)

    async def _release(self, reason: str) -> None:
        body = {"scope": self._switch["scope"], "reason": reason, "confirm": "RELEASE"}
        if self._switch["target"] is not None:
            body["target"] = self._switch["target"]
        answer = await self.ask("POST", "/v1/kill-switch/release", body)
        self.console.feed.want("kill", "accounts")
        if answer is not None:
            self.dismiss(None)
            self.app.notify("Released: orders go through again there", severity="warning")


def progress_words(kill: dict[str, Any] | None) -> str:
    """What is engaged now, one numbered line each, with its cancels and what is in their way."""
    if kill is None:
        return "What is engaged is not known yet."
    lines = []
    for number, row in enumerate(kill["switches"], 1):
        place = _Scope(row["scope"], row["target"])
        lines.append(f"{number} ■ {row['level']} for {place}: {row['reason']}")
        if cancels := row["cancels"]:
            end = "done" if cancels["done"] else "… still at it"
            lines.append(f"    cancels {cancels['confirmed']} of {cancels['total']}, {end}")
            lines += [f"    ✗ in the way: {why}" for why in cancels["problems"].values()]
        for leg in row["unresolved"]:
            lines.append(f"    ? unresolved: {leg['instrument']} at {leg['account']}")
        for order in (row["square_off"] or {}).get("orders", ()):
            lines.append(
                f"    closing {order['side']} {order['filled_quantity']}/{order['quantity']}"
                f" {order['instrument']} at {order['account']}: {order['state']}"
            )
    if kill["kill_file"]:
        lines.append("■ the file KILL is in the data directory: remove it there first")
    return "\n".join(lines) or "Nothing is engaged."


def _engaged_words(answer: dict[str, Any], place: _Scope) -> str:
    words = f"■ {answer['level']} is in force for {place} ({answer['blocked_in_ms']:.1f} ms)"
    if not answer["persisted"]:
        words += "\n! the journal cannot be written: it is held in memory"
    for row in answer["on_the_wire"]:
        words += f"\n! already on the wire: {row['write']} {row['leg_id']} at {row['account']}"
    return words


def _scopes(model: Model) -> list[_Scope]:
    accounts = model.accounts
    brokers = sorted({row["broker"] for row in accounts})
    strategies = {row.get("strategy") for row in model.value("orders", "orders")} - {None}
    return [
        _EVERYTHING,
        *(_Scope("account", row["account"]) for row in accounts),
        *(_Scope("broker", broker) for broker in brokers),
        *(_Scope("strategy", str(strategy)) for strategy in sorted(map(str, strategies))),
        *(_Scope("key", row["id"]) for row in model.value("keys", "keys")),
    ]
