"""What every view of the console has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tui.model import Model

if TYPE_CHECKING:
    from tui.app import Console


class View(Vertical):
    """A view names the readings it `wants` and draws them from the model, whatever their state.

    `on_demand`: readings that cost calls at brokers, taken when the view opens or on `r`.
    """

    label: ClassVar[str] = ""
    wants: ClassVar[tuple[str, ...]] = ()
    on_demand: ClassVar[tuple[str, ...]] = ()

    DEFAULT_CSS = """
    View { height: 1fr; }
    View .detail { height: auto; max-height: 40%; padding: 0 1; border-top: solid $primary; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape",
            "leave_field",
            "List",
            show=False,
            id="field.leave",
            tooltip="Out of a field, back to the list",
        ),
    ]

    @property
    def console(self) -> Console:
        return cast("Console", self.app)

    def show(self, model: Model) -> None:
        """Draw the model; called often, so it changes only what differs."""
        raise NotImplementedError

    def action_leave_field(self) -> None:
        for field in self.query("#filter"):
            field.display = False
        self.query("Grid, LogView").first().focus()

    def opened(self) -> None:
        """The view has come to the front."""
