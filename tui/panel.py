"""A table with its states drawn: loading, empty, aged, stale, failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import DataTable, Static

from tui.model import Model, Reading
from tui.words import seconds

Cell = str | Text


def write(parent: Widget, place: str, words: str | Text) -> None:
    """Put words into a line, which costs nothing where they stand there already."""
    line = parent.query_one(place, Static)
    if line.content != words:
        line.update(words)


class Row(NamedTuple):
    """One line; `key` stays the same while its cells change."""

    key: str
    cells: tuple[Cell, ...]


class Grid(DataTable[Cell]):
    """A table that is moved in as in vi, and changed by the cell."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False, id="grid.down", tooltip="Next line"),
        Binding("k", "cursor_up", "Up", show=False, id="grid.up", tooltip="Line before"),
        Binding("g", "scroll_top", "Top", show=False, id="grid.top", tooltip="First line"),
        Binding("G", "scroll_bottom", "End", show=False, id="grid.end", tooltip="Last line"),
    ]

    def sync(self, rows: Sequence[Row]) -> None:
        """Show exactly these rows; the cursor stays with the row it is on."""
        keys = [str(row.key.value) for row in self.ordered_rows]
        if keys != [row.key for row in rows]:
            self._fill(rows, self.selected)
            return
        for place, row in enumerate(rows):
            for column, cell in enumerate(row.cells):
                if self.get_cell_at((place, column)) != cell:  # type: ignore[arg-type]
                    self.update_cell(
                        row.key, self.ordered_columns[column].key, cell, update_width=True
                    )

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        if not self.row_count:
            return None
        return self.ordered_rows[min(self.cursor_row, self.row_count - 1)].key.value

    def _fill(self, rows: Sequence[Row], selected: str | None) -> None:
        scroll = self.scroll_y
        self.clear()
        for row in rows:
            self.add_row(*row.cells, key=row.key)
        places = [place for place, row in enumerate(rows) if row.key == selected]
        if places:
            self.move_cursor(row=places[0], scroll=False)
            self.scroll_to(y=scroll, animate=False)


class Panel(Vertical):
    """Shows a reading as rows, or says why there are none. `empty` names the next useful key.

    `ages`: it is read only when somebody asks for it, so its age always stands above it.
    """

    DEFAULT_CSS = """
    Panel { height: 1fr; }
    Panel > .note { height: auto; padding: 0 1; display: none; }
    Panel.loading > .note, Panel.empty > .note, Panel.aged > .note, Panel.stale > .note,
    Panel.failed > .note { display: block; }
    Panel.loading > .note, Panel.aged > .note { color: $text-muted; }
    Panel.stale > .note { text-style: bold; background: $warning; color: $background; }
    Panel.failed > .note { background: $error; color: $text; }
    Panel > Grid { height: 1fr; }
    """

    def __init__(
        self, columns: Sequence[str], empty: str, *, ages: bool = False, **options: str
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._columns = columns
        self._ages = ages
        self._empty = empty
        self.state = "loading"

    def compose(self) -> ComposeResult:
        yield Static("Loading…", classes="note", markup=False)
        grid = Grid(cursor_type="row", zebra_stripes=True)
        grid.add_columns(*self._columns)
        yield grid

    def on_mount(self) -> None:
        self.add_class("loading")

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)

    @property
    def note(self) -> str:
        """What is written above the table now; empty when there is nothing to say."""
        note = self.query_one(".note", Static)
        return str(note.content) if self.state != "good" else ""

    def show(self, reading: Reading, model: Model, rows: Sequence[Row]) -> None:
        state, words = self._state(reading, model, bool(rows))
        if state != self.state:
            self.remove_class(self.state)
            self.add_class(state)
            self.state = state
        write(self, ".note", words)
        self.grid.sync(rows)

    def _state(self, reading: Reading, model: Model, any_rows: bool) -> tuple[str, str]:
        why = reading.error or ("" if model.connected else model.gone_why)
        if reading.value is None:
            if why:
                return "failed", f"✗ Cannot be read: {why} · r tries again"
            return "loading", "… Loading"
        if why:
            return "stale", f"! As it was {seconds(reading.age_s)} ago: {why}"
        age = f"read {seconds(reading.age_s)} ago · r reads again" if self._ages else ""
        if not any_rows:
            return "empty", f"{self._empty} · {age}" if age else self._empty
        return ("aged", age) if age else ("good", "")
