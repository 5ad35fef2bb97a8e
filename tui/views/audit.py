"""The audit log: its tail as it grows, and any earlier part of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from urllib.parse import urlencode

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from tui.field import Field
from tui.filters import parsed
from tui.link import NoAnswer, Problem, Unreachable
from tui.log_view import LogView
from tui.model import Model
from tui.panel import write
from tui.views.base import View

_FILTERS = ("kind", "account", "order_id")
_ROW = "row"
_PAGE = 1000
# Rows a check looks at between two words of how far it is; other reads wait for no more than that.
_PART = 20_000
_DRAW_S = 0.1
_RETRY_S = 1.0


class Audit(View):
    """Follows the newest rows until one moves up; `G` follows again."""

    label = "Audit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause", id="audit.pause", tooltip="Pause, or follow again"),
        Binding("g", "oldest", "Oldest", show=False, id="audit.oldest", tooltip="The first rows"),
        Binding(
            "slash",
            "filter",
            "Filter",
            id="audit.filter",
            tooltip="Filter the rows, or go to row=N",
        ),
        Binding("v", "verify", "Verify", id="audit.verify", tooltip="Check every row; again: stop"),
        Binding("e", "export", "Export", id="audit.export", tooltip="Write the rows to a file"),
        Binding("enter", "detail", "Detail", show=False, id="audit.detail", tooltip="Whole row"),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._filter: dict[str, str] = {}
        self._waiting: list[dict[str, Any]] = []
        self._head = 0
        self._missed = False
        # What is told of the log itself, of its check and of its export; each by its own name.
        self._notes = {"log": "… Loading"}
        self._whole = False

    def compose(self) -> ComposeResult:
        names = "= ".join((*_FILTERS, _ROW))
        yield Field(placeholder=f"filter: {names}=   (Enter takes it)", id="filter")
        yield Field(placeholder="file to write; one that exists is left alone", id="export")
        yield Static("", id="note", markup=False)
        yield LogView(id="rows")
        yield Static("", classes="detail", id="row", markup=False)

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.query_one("#export").display = False
        self.set_interval(_DRAW_S, self._draw)

    def show(self, model: Model) -> None:
        """The log has a stream of its own."""

    def opened(self) -> None:
        self.query_one(LogView).focus()
        running = any(worker.group == "tail" and worker.is_running for worker in self.workers)
        if not running or (self._missed and self.query_one(LogView).following):
            self._follow()

    def on_log_view_newest(self) -> None:
        self._follow()

    def on_log_view_earlier(self) -> None:
        self._fetch(self._earlier)

    def on_log_view_later(self) -> None:
        self._fetch(self._later)

    def _fetch(self, page: Callable[[], Awaitable[None]]) -> None:
        """Fetch one page; one that is on its way already is enough."""
        if not any(worker.group == "page" and worker.is_running for worker in self.workers):
            self.run_worker(self._told(page), group="page")

    async def _told(self, page: Callable[[], Awaitable[None]]) -> None:
        try:
            await page()
        except (Unreachable, NoAnswer, Problem) as error:
            self._notes["log"] = f"✗ Not read: {error}"
        else:
            self._notes["log"] = ""

    def action_pause(self) -> None:
        log = self.query_one(LogView)
        if log.following:
            log.following = False
        else:
            log.action_newest()

    def action_oldest(self) -> None:
        self._fetch(self._oldest)

    def action_detail(self) -> None:
        self._whole = not self._whole

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "export":
            event.input.display = False
            self.query_one(LogView).focus()
            path = Path(event.value.strip()).expanduser()
            self.run_worker(self._export(path), group="export", exclusive=True)
            return
        try:
            asked = parsed(event.value, (*_FILTERS, _ROW))
            row = int(asked.pop(_ROW, 0))
        except ValueError as error:
            self.app.notify(str(error), severity="error", markup=False)
            return
        event.input.display = False
        self._filter = asked
        log = self.query_one(LogView)
        log.focus()
        log.following = not row
        if row:
            self._fetch(partial(self._around, row))
        else:
            log.replace([])
            self._follow()

    def action_verify(self) -> None:
        running = [each for each in self.workers if each.group == "verify" and each.is_running]
        if running:
            running[0].cancel()
            self._notes["check"] = "– the check was stopped"
        else:
            self.run_worker(self._verify(), group="verify", exclusive=True)

    def action_export(self) -> None:
        field = self.query_one("#export", Input)
        field.value = str(free_path("audit", ".jsonl").name)
        field.display = True
        field.focus()

    def action_leave_field(self) -> None:
        self.query_one("#export").display = False
        super().action_leave_field()

    def _follow(self) -> None:
        self._missed = False
        self.run_worker(self._tail(), group="tail", exclusive=True)

    async def _tail(self) -> None:
        """Show the last page, then listen; where the gateway goes, go on when it is back."""
        after: int | None = None
        while True:
            try:
                if after is None:
                    rows, after = await self._page(before="end")
                    self._head = after
                    self._waiting.clear()
                    self.query_one(LogView).replace(rows)
                self._notes["log"] = ""
                path = "/v1/audit/stream"
                path += f"?{urlencode(self._filter)}" if self._filter else ""
                async for together in self.console.gateway.follow(path, after):
                    for event in together:
                        self._head = after = event.seq
                        self._waiting.append(event.body)
            except (Unreachable, NoAnswer, Problem) as error:
                self._notes["log"] = f"✗ NOT FOLLOWED, newer rows are missing: {error}"
                await asyncio.sleep(_RETRY_S)

    async def _page(self, **place: str) -> tuple[list[dict[str, Any]], int]:
        query = {**self._filter, **place, "limit": str(_PAGE)}
        page = await self.console.gateway.get("/v1/audit", query)
        return page["rows"], page["next_after"]

    async def _earlier(self) -> None:
        log = self.query_one(LogView)
        first = log.rows[0]["seq"] if log.rows else 0
        # Asked for more than once before the first page came, it is there by now.
        if first > 1 and log.near_first:
            rows, _ = await self._page(before=str(first))
            log.prepend(rows)

    async def _later(self) -> None:
        log = self.query_one(LogView)
        last = log.rows[-1]["seq"] if log.rows else 0
        if log.near_last:
            rows, _ = await self._page(after=str(last))
            if not log.following:
                log.extend(rows)

    async def _oldest(self) -> None:
        log = self.query_one(LogView)
        log.following = False
        rows, _ = await self._page(after="0")
        log.replace(rows)

    async def _around(self, seq: int) -> None:
        """Go to a row, or to the next one that the filter leaves."""
        rows, _ = await self._page(after=str(max(0, seq - _PAGE // 2)))
        self.query_one(LogView).replace(rows, at_seq=seq)

    async def _verify(self) -> None:
        """Check every row, a part at a time, up to what is the newest at the end."""
        after = 0
        while True:
            path = f"/v1/audit/verify?after={after}&limit={_PART}"
            try:
                verdict = (await self.console.gateway.ask("GET", path, timeout_s=120.0)).body
            except (Unreachable, NoAnswer, Problem) as error:
                self._notes["check"] = f"✗ Not checked: {error}"
                return
            after, head = verdict["checked_to"], verdict["head"]
            if not verdict["ok"]:
                words = f"✗ THE LOG DOES NOT HOLD: {verdict['problem']}"
                self._notes["check"] = f"{words}; trust nothing from there on"
                return
            if after >= head:
                self._notes["check"] = f"✓ Every row holds: {after:,} rows"
                return
            self._notes["check"] = f"… {after:,} of {head:,} rows hold ({after * 100 // head} %)"

    async def _export(self, path: Path) -> None:
        """Write every row that the filter leaves to a new file, one JSON object a line."""
        after, written = 0, 0
        try:
            _, head = await self._page(before="end")
            with new_file(path) as out:
                while after < head:
                    rows, after = await self._page(after=str(after))
                    out.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
                    written += len(rows)
                    share = min(100, after * 100 // head)
                    self._notes["export"] = f"… exporting: {written:,} rows ({share} %)"
        except FileExistsError:
            self._notes["export"] = f"✗ Nothing was written: {path} exists"
        except (Unreachable, NoAnswer, Problem, OSError) as error:
            self._notes["export"] = f"✗ {path} is not whole, {written:,} rows: {error}"
        else:
            self._notes["export"] = f"✓ {written:,} rows are in {path}"

    def _draw(self) -> None:
        log = self.query_one(LogView)
        if not self.display:
            if len(self._waiting) > _PAGE:
                self._missed = True
                self._waiting.clear()
            return
        if log.following and self._waiting:
            log.append(self._waiting)
            self._waiting = []
        elif not log.following:
            # What comes while paused is read again from the gateway.
            self._waiting.clear()
        row = log.selected
        write(self, "#note", self._words(row))
        whole = detail_of(row) if row and self._whole else "Enter shows the whole row"
        write(self, "#row", whole)

    def _words(self, row: dict[str, Any] | None) -> str:
        paused = "" if self.query_one(LogView).following else "PAUSED · Space or G follows again"
        filtered = " ".join(f"{name}={value}" for name, value in self._filter.items())
        place = f"row {row['seq']:,} of {max(self._head, row['seq']):,}" if row else ""
        if row is None and not self._notes["log"]:
            place = "No row yet" + (" under this filter · / changes it" if filtered else "")
        return "  ".join(filter(None, (*self._notes.values(), paused, place, filtered)))


def free_path(name: str, suffix: str) -> Path:
    """Name a file in the current folder that does not exist."""
    number = 1
    while (path := Path(f"{name}-{number}{suffix}").absolute()).exists():
        number += 1
    return path


def new_file(path: Path) -> BinaryIO:
    """Make a file that only its owner may read. Raises `OSError`, also where it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "wb")


def detail_of(row: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(row), indent=1).decode()
