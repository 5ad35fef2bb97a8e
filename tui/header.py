"""The lines that every screen shows: where this is, whether it answers, whether all is stopped."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui import moment
from tui.model import Model
from tui.panel import write
from tui.words import seconds


class Header(Vertical):
    DEFAULT_CSS = """
    Header { height: auto; dock: top; }
    Header > Static { height: 1; padding: 0 1; }
    Header > #link { background: $panel; }
    Header > #link.gone { background: $warning; color: $background; text-style: bold; }
    Header > #kill { color: $text-muted; }
    Header > #kill.engaged { background: $error; color: white; text-style: bold; }
    Header > #alarm { display: none; background: $warning; color: $background; }
    Header > #alarm.told { display: block; }
    """

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def compose(self) -> ComposeResult:
        yield Static("", id="link", markup=False)
        yield Static("", id="kill", markup=False)
        yield Static("", id="alarm", markup=False)

    def show(self, model: Model) -> None:
        link = self.query_one("#link", Static)
        link.set_class(model.gone_since is not None, "gone")
        write(self, "#link", link_words(model, self._where))
        kill = self.query_one("#kill", Static)
        kill.set_class(bool(model.kill and model.kill["engaged"]), "engaged")
        write(self, "#kill", kill_words(model))
        alarm = self.query_one("#alarm", Static)
        alarm.set_class(bool(model.alarm), "told")
        write(self, "#alarm", f"‼ {model.alarm} · Backspace clears")


def link_words(model: Model, where: str) -> Text:
    """The connection, the version, what this key may do, and what waits for a person."""
    if model.gone_since is not None:
        gone = seconds(moment.monotonic() - model.gone_since)
        return Text(f"✗ GATEWAY GONE for {gone}, trying again: {model.gone_why}")
    if not model.connected:
        return Text(f"… connecting to {where}")
    # What matters most stands first: the end is cut off in a narrow terminal.
    text = Text("● connected")
    if unresolved := len(model.unresolved):
        text.append("  ")
        text.append(f"? {unresolved} UNRESOLVED", "bold reverse")
    if model.read_only or not model.scopes:
        text.append("  READ-ONLY", "bold")
    elif "operate" not in model.scopes:
        text.append(f"  may: {' '.join(sorted(model.scopes))}")
    version = f" {model.figures.version}" if model.figures else ""
    text.append(f"  brokergate{version}  {where}")
    return text


def kill_words(model: Model) -> str:
    """What is stopped, the widest first; what is not known is not called released."""
    kill = model.kill
    if kill is None:
        return "Kill switch: not known yet"
    stale = "" if model.connected else " (as last seen)"
    if not kill["engaged"]:
        return f"Kill switch: not engaged{stale} · ! opens it"
    parts = []
    if kill["kill_file"]:
        parts.append("HALT_NEW by the file KILL")
    if kill["journal_broken"]:
        parts.append("HALT_NEW, the journal is broken")
    parts += [
        " ".join(str(part) for part in (row["level"], row["scope"], row["target"]) if part)
        for row in kill["switches"]
    ]
    return f"■ KILL SWITCH ENGAGED{stale}: {' · '.join(parts)} · ! opens it"
