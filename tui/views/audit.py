"""The audit log: its tail as it grows, and any earlier part of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from tui.field import Field
from tui.filters import parsed
from tui.link import Gateway, NoAnswer, Problem, Unreachable
from tui.log_view import LogView
from tui.model import Model
from tui.views.base import View

_FILTERS = ("kind", "account", "order_id")
_PAGE = 500
_HELD = 20_000
_DRAW_S = 0.1
_RETRY_S = 1.0


class Audit(View):
    """Follows the newest rows until one moves up; `G` follows again."""

    label = "Audit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause", id="audit.pause", tooltip="Pause, or follow again"),
        Binding("g", "oldest", "Oldest", show=False, id="audit.oldest", tooltip="The first rows"),
        Binding("slash", "filter", "Filter", id="audit.filter", tooltip="Filter the rows"),
        Binding("v", "verify", "Verify", id="audit.verify", tooltip="Check every row's seal"),
        Binding("e", "export", "Export", id="audit.export", tooltip="Write the rows to a file"),
        Binding("enter", "detail", "Detail", show=False, id="audit.detail", tooltip="Whole row"),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._filter: dict[str, str] = {}
        self._waiting: list[dict[str, Any]] = []
        self._note = "… Loading"
        self._whole = False

    def compose(self) -> ComposeResult:
        yield Field(placeholder=f"filter: {'= '.join(_FILTERS)}=   (Enter takes it)", id="filter")
        yield Static("", id="note", markup=False)
        yield LogView(id="rows")
        yield Static("", classes="detail", id="row", markup=False)

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.set_interval(_DRAW_S, self._draw)

    def show(self, model: Model) -> None:
        """The log has a stream of its own."""

    def opened(self) -> None:
        self.query_one(LogView).focus()
        if not any(worker.group == "tail" and worker.is_running for worker in self.workers):
            self._follow()

    def on_log_view_newest(self) -> None:
        self._follow()

    def on_log_view_earlier(self) -> None:
        self.run_worker(self._earlier(), group="earlier", exclusive=True)

    def action_pause(self) -> None:
        log = self.query_one(LogView)
        if log.following:
            log.following = False
        else:
            log.action_newest()

    def action_oldest(self) -> None:
        self.run_worker(self._oldest(), group="earlier", exclusive=True)

    def action_detail(self) -> None:
        self._whole = not self._whole

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            self._filter = parsed(event.value, _FILTERS)
        except ValueError as error:
            self.app.notify(str(error), severity="error")
            return
        event.input.display = False
        log = self.query_one(LogView)
        log.following = True
        log.replace([])
        log.focus()
        self._follow()

    def action_verify(self) -> None:
        self.run_worker(self._verify(), group="verify", exclusive=True)

    def action_export(self) -> None:
        self.run_worker(self._export(), group="export", exclusive=True)

    def _follow(self) -> None:
        self.run_worker(self._tail(), group="tail", exclusive=True)

    async def _tail(self) -> None:
        """Show the last page, then listen; where the gateway goes, go on when it is back."""
        after: int | None = None
        while True:
            try:
                if after is None:
                    head = await newest_seq(self.console.gateway)
                    rows, after = await self._page(max(0, head - _PAGE), 1000)
                    self._waiting.clear()
                    self.query_one(LogView).replace(rows)
                self._note = ""
                path = "/v1/audit/stream"
                path += f"?{urlencode(self._filter)}" if self._filter else ""
                async for together in self.console.gateway.follow(path, after):
                    for event in together:
                        after = event.seq
                        self._waiting.append(event.body)
            except (Unreachable, NoAnswer, Problem) as error:
                self._note = f"✗ Not followed: {error}"
                await asyncio.sleep(_RETRY_S)

    async def _page(self, after: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        query = {**self._filter, "after": str(after), "limit": str(limit)}
        page = await self.console.gateway.get("/v1/audit", query)
        return page["rows"], page["next_after"]

    async def _earlier(self) -> None:
        log = self.query_one(LogView)
        first = log.rows[0]["seq"] if log.rows else 0
        try:
            rows, _ = await self._page(max(0, first - _PAGE - 1), _PAGE)
        except (Unreachable, NoAnswer, Problem) as error:
            self._note = f"✗ Not read: {error}"
            return
        log.prepend([row for row in rows if row["seq"] < first])

    async def _oldest(self) -> None:
        log = self.query_one(LogView)
        log.following = False
        try:
            rows, _ = await self._page(0, 1000)
        except (Unreachable, NoAnswer, Problem) as error:
            self._note = f"✗ Not read: {error}"
            return
        log.replace(rows)

    async def _verify(self) -> None:
        self._note = "… every row is checked"
        try:
            answer = await self.console.gateway.ask("GET", "/v1/audit/verify", timeout_s=600.0)
        except (Unreachable, NoAnswer, Problem) as error:
            self._note = f"✗ Not checked: {error}"
            return
        if answer.body["ok"]:
            self._note = "✓ Every row holds"
        else:
            self._note = f"✗ Row {answer.body['first_bad_seq']}: {answer.body['problem']}"

    async def _export(self) -> None:
        """Write every row that the filter leaves to a new file here, one JSON object a line."""
        path = free_path("audit", ".jsonl")
        after, written = 0, 0
        try:
            while True:
                rows, reached = await self._page(after, 1000)
                add_rows(path, rows)
                written += len(rows)
                self._note = f"… exporting: {written:,} rows"
                if reached == after:
                    break
                after = reached
        except (Unreachable, NoAnswer, Problem, OSError) as error:
            self._note = f"✗ {path} is not whole: {error}"
        else:
            self._note = f"✓ {written:,} rows are in {path.name}"

    def _draw(self) -> None:
        if not self.display:
            del self._waiting[:-_HELD]
            return
        log = self.query_one(LogView)
        if log.following and self._waiting:
            log.append(self._waiting)
            self._waiting = []
        # What comes while paused is read again from the gateway: only its number is needed.
        elif len(self._waiting) > _PAGE:
            del self._waiting[:-_PAGE]
        paused = "" if log.following else "PAUSED · Space or G follows again"
        words = " ".join(f"{name}={value}" for name, value in self._filter.items())
        self.query_one("#note", Static).update("  ".join(filter(None, (self._note, paused, words))))
        row = log.selected
        self.query_one("#row", Static).update(
            detail_of(row) if row and self._whole else "Enter shows the whole row"
        )


async def newest_seq(gateway: Gateway) -> int:
    """Find the number of the newest row this key may see, by halving."""

    async def any_after(seq: int) -> bool:
        return bool((await gateway.get("/v1/audit", {"after": str(seq), "limit": "1"}))["rows"])

    low, high = 0, 1024
    while await any_after(high):
        low, high = high, high * 8
    while low < high:
        middle = (low + high) // 2
        if await any_after(middle):
            low = middle + 1
        else:
            high = middle
    return low


def free_path(name: str, suffix: str) -> Path:
    """Name a file in the current folder that does not exist."""
    number = 1
    while (path := Path(f"{name}-{number}{suffix}").absolute()).exists():
        number += 1
    return path


def add_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("ab") as out:
        out.writelines(msgspec.json.encode(row) + b"\n" for row in rows)


def detail_of(row: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(row), indent=1).decode()
