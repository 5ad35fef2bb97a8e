"""A table with four drawn states: loading, empty, stale, failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from tui.model import Model, Reading
from tui.words import seconds

Cell = str | Text


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
    """Shows a reading as rows, or says why there are none. `empty` names the next useful key."""

    DEFAULT_CSS = """
    Panel { height: 1fr; }
    Panel > .note { height: auto; padding: 0 1; display: none; }
    Panel.loading > .note, Panel.empty > .note, Panel.stale > .note, Panel.failed > .note
    { display: block; }
    Panel.loading > .note { color: $text-muted; }
    Panel.stale > .note { background: $warning; color: $background; }
    Panel.failed > .note { background: $error; color: $text; }
    Panel > Grid { height: 1fr; }
    """

    def __init__(self, columns: Sequence[str], empty: str, **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._columns = columns
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
        self.query_one(".note", Static).update(words)
        self.grid.sync(rows)

    def _state(self, reading: Reading, model: Model, any_rows: bool) -> tuple[str, str]:
        why = reading.error or ("" if model.connected else model.gone_why)
        if reading.value is None:
            if why:
                return "failed", f"✗ Cannot be read: {why} · r tries again"
            return "loading", "… Loading"
        if why:
            return "stale", f"! As it was {seconds(reading.age_s)} ago: {why}"
        if not any_rows:
            return "empty", self._empty
        return "good", ""
