"""What the keys do, made from the bindings that are in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Static

from tui.dialogs.base import Dialog


class Help(Dialog[None]):
    """`groups`: a heading and its bindings. `keys`: what the person gave other keys."""

    def __init__(self, groups: list[tuple[str, list[Binding]]], keys: Mapping[str, str]) -> None:
        super().__init__()
        self._groups = groups
        self._keys = keys

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Keys, and their names for --keys", classes="title")
            for heading, bindings in self._groups:
                yield Static(heading, classes="title")
                yield Static(key_lines(bindings, self._keys), markup=False)
            yield Static("", classes="said")


def key_lines(bindings: Iterable[Binding], keys: Mapping[str, str]) -> str:
    """One line each: the key, what it does, its name for remapping."""
    return "\n".join(
        f" {_key(keys.get(binding.id or '', binding.key)):<9}"
        f" {binding.id or '':<22} {binding.tooltip or binding.description}"
        for binding in bindings
    )


def _key(key: str) -> str:
    names = {
        "exclamation_mark": "!",
        "question_mark": "?",
        "colon": ":",
        "slash": "/",
        "backspace": "Bksp",
        "enter": "Enter",
        "space": "Space",
        "escape": "Esc",
    }
    return names.get(key, key)
