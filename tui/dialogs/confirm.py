"""The last question before something acts. Cancel has the focus."""

from __future__ import annotations

import math
import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from tui.dialogs.base import Dialog

# Nobody has read a question sooner: what is pressed until then was on its way before it was asked.
_READ_S = 0.25


class Confirm(Dialog[bool]):
    """Answers True only if the named button was chosen, by keys pressed after it could be read."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "app.focus_previous", "Left", show=False, id="dialog.left"),
        Binding("right,l", "app.focus_next", "Right", show=False, id="dialog.right"),
    ]

    def __init__(self, title: str, lines: list[str], verb: str) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._verb = verb
        self.seen_from = math.inf

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._title, classes="title", markup=False)
            yield Static("\n".join(self._lines), markup=False)
            with Horizontal():
                yield Button("Cancel", id="cancel")
                yield Button(self._verb, id="go", variant="error")
            yield Static("Tab or arrows move, Enter chooses, Esc cancels", classes="keys")

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()
        self.seen_from = time.monotonic() + _READ_S

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "go")

    def action_leave(self) -> None:
        self.dismiss(False)
