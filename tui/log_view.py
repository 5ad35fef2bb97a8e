"""A long log drawn line by line: only what is on the screen costs anything.

Some thousand rows are held around the cursor; near either end of them the next ones are asked for.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

_KEPT = 6_000
# So near to an end of what is held, the rows beyond it are fetched.
_EDGE = 200


class LogView(ScrollView, can_focus=True):
    """`following` keeps the newest row in sight; moving up pauses it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False, id="log.down", tooltip="Next row"),
        Binding("k,up", "move(-1)", "Up", show=False, id="log.up", tooltip="Row before"),
        Binding("pagedown", "page(1)", "Page", show=False, id="log.page_down"),
        Binding("pageup", "page(-1)", "Page", show=False, id="log.page_up"),
        Binding("G,end", "newest", "Newest", show=False, id="log.newest", tooltip="Follow again"),
    ]

    class Earlier(Message):
        """The cursor comes near the first row held: earlier ones are wanted."""

    class Later(Message):
        """The cursor comes near the last row held while nothing is followed."""

    class Newest(Message):
        """The newest rows are wanted, and whatever comes after them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rows: list[dict[str, Any]] = []
        self.following = True
        self.cursor = 0
        # Rows that came or went above since the screen was last moved.
        self._shift = 0

    def replace(self, rows: list[dict[str, Any]], at_seq: int | None = None) -> None:
        """Hold these rows; the cursor goes to the newest while following, else to `at_seq`."""
        self.rows = rows[-_KEPT:] if self.following else rows[:_KEPT]
        self.cursor = len(self.rows) - 1 if self.following else 0
        if at_seq is not None:
            at = (place for place, row in enumerate(self.rows) if row["seq"] >= at_seq)
            self.cursor = next(at, len(self.rows) - 1)
        self._redraw()

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add newest rows and go to the last; only while following."""
        self.rows += rows
        del self.rows[:-_KEPT]
        self.cursor = len(self.rows) - 1
        self._redraw()

    def extend(self, rows: list[dict[str, Any]]) -> None:
        """Add later rows; what is read does not move."""
        self.rows += rows
        dropped = max(0, len(self.rows) - _KEPT)
        del self.rows[:dropped]
        self._moved(-dropped)

    def prepend(self, rows: list[dict[str, Any]]) -> None:
        """Add earlier rows; what is read does not move."""
        self.rows[:0] = rows
        del self.rows[_KEPT:]
        self._moved(len(rows))

    def _moved(self, by: int) -> None:
        self.cursor = max(0, min(len(self.rows) - 1, self.cursor + by))
        self._shift += by
        self._redraw()

    @property
    def selected(self) -> dict[str, Any] | None:
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def near_first(self) -> bool:
        return self.cursor < _EDGE

    @property
    def near_last(self) -> bool:
        return not self.following and self.cursor >= len(self.rows) - _EDGE

    def action_move(self, step: int) -> None:
        if step < 0:
            self.following = False
        self.cursor = max(0, min(len(self.rows) - 1, self.cursor + step))
        self._redraw()
        if step < 0 and self.near_first:
            self.post_message(self.Earlier())
        elif step > 0 and self.near_last:
            self.post_message(self.Later())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.prevent_default().stop()
        self.action_move(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.prevent_default().stop()
        self.action_move(3)

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.size.height - 1))

    def action_newest(self) -> None:
        self.following = True
        self.post_message(self.Newest())

    def render_line(self, y: int) -> Strip:
        place = y + self.scroll_offset.y
        width = self.size.width
        if place >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        style = self.rich_style
        if place == self.cursor:
            style += self.get_component_rich_style("log--cursor")
        text = line_of(self.rows[place])[:width].ljust(width)
        return Strip([Segment(text, style)], width)

    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--cursor"}
    DEFAULT_CSS = """
    LogView { height: 1fr; overflow-x: hidden; }
    LogView > .log--cursor { text-style: reverse; }
    """

    def _redraw(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows))
        self.refresh()
        # The scroll bar learns of the new size only with the next refresh.
        self.call_after_refresh(self._scroll)

    def _scroll(self) -> None:
        """Follow what moved under the eyes, and the cursor where it leaves the screen."""
        height = max(1, self.size.height)
        top = self.scroll_offset.y + self._shift
        self._shift = 0
        top = max(self.cursor - height + 1, min(self.cursor, top))
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False)


def line_of(row: dict[str, Any]) -> str:
    """A row of the audit log on one line; ids by their ends, which tell them apart."""
    body = row["body"] if isinstance(row["body"], dict) else {"": row["body"]}
    words = " ".join(
        f"{name}={value}"
        for name, value in body.items()
        if value not in (None, "") and name != "leg_id"
    )
    order = f"…{row['order_id'][-6:]}" if row["order_id"] else ""
    where = f"{row['account'] or ''} {order}".strip()
    line = f"{row['seq']:>7} {(row['at'] or '')[11:23]} {row['kind']:<8} {where} {words}"
    return "".join(character if character.isprintable() else " " for character in line)
