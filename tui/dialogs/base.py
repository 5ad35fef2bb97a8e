"""What dialogs have in common: a frame, Esc to leave, and how a call's end is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import moment
from tui.link import Answer, NoAnswer, Problem, Unreachable
from tui.model import Model
from tui.words import seconds

if TYPE_CHECKING:
    from tui.app import Console

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A box over the view. Its `.said` line tells how the last call ended.

    `seen_from`: keys pressed before that moment were meant for something else and are dropped.
    """

    seen_from = 0.0

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    /* The header's two lines, the kill switch's among them, stay in sight. */
    Dialog > Vertical {
        margin: 2 0 0 0; width: 78; max-width: 100%; height: auto; max-height: 100%;
        border: thick $primary; background: $surface; padding: 0 1; overflow-y: auto;
    }
    Dialog .title { text-style: bold; }
    Dialog .said { height: auto; }
    Dialog .said.bad { background: $error; color: white; }
    Dialog .gone { display: none; background: $warning; color: $background; height: auto; }
    Dialog .gone.told { display: block; }
    Dialog .keys { color: $text-muted; height: auto; }
    Dialog Input { height: 3; }
    Dialog Horizontal { height: auto; }
    Dialog Button { margin: 0 2 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", id="dialog.leave", tooltip="Leave; changes nothing"),
    ]

    @property
    def console(self) -> Console:
        return cast("Console", self.app)

    def on_mount(self) -> None:
        self.query_one(Vertical).mount(Static("", classes="gone", markup=False), before=0)
        self.show_link(self.console.model)

    def show_link(self, model: Model) -> None:
        """Say in here too that the gateway is gone: the header may be covered."""
        for line in self.query(".gone").results(Static):
            line.set_class(model.gone_since is not None, "told")
            if model.gone_since is not None:
                gone = seconds(moment.monotonic() - model.gone_since)
                line.update(f"! The gateway is gone for {gone}: what stands here is older")

    def show(self, model: Model) -> None:
        """Draw what the model now says; a dialog that follows nothing leaves it."""

    def action_leave(self) -> None:
        self.dismiss(None)

    def say(self, words: str, *, bad: bool = False) -> None:
        said = self.query_one(".said", Static)
        said.set_class(bad, "bad")
        said.update(words)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 20.0,
    ) -> Answer | None:
        """Make one call and say how it failed; None then. It is never made a second time."""
        try:
            return await self.console.gateway.ask(
                method, path, body, headers=headers, timeout_s=timeout_s
            )
        except (Problem, Unreachable, NoAnswer) as error:
            self.say(failure_words(error), bad=True)
        return None


def failure_words(error: Exception) -> str:
    """Say how a call failed: refused, not made, or made with an end that nobody knows."""
    if isinstance(error, Problem):
        return f"✗ Refused: {error}"
    if isinstance(error, Unreachable):
        return f"✗ Not done, the gateway cannot be reached: {error}"
    return f"? It may have been done: {error}. Look before you repeat it."
