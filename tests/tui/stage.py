"""A console before canned answers and a clock that stands still, so that its screens repeat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.tui.conftest import Desk
from tui import moment
from tui.app import Console
from tui.link import Answer, Event, Figures, Gateway, Problem, Unreachable, Where
from tui.link.figures import figures

CANNED: dict[str, Any] = json.loads(Path(__file__).with_name("canned.json").read_text())
_EMPTY: dict[str, Any] = {
    "/v1/accounts": {"accounts": []},
    "/v1/kill-switch": {
        "engaged": False,
        "level": None,
        "kill_file": False,
        "journal_broken": False,
        "switches": [],
    },
    "/v1/unresolved": {"unresolved": []},
    "/v1/orders": {"orders": [], "next_cursor": None},
    "/v1/breakers": {"breakers": []},
    "/v1/limits": {"limits": []},
    "/v1/positions": {"results": []},
    "/v1/holdings": {"results": []},
    "/v1/funds": {"results": []},
    "/v1/keys": {"keys": []},
    "/v1/audit": {"rows": [], "next_after": 0},
    "/v1/instruments": {"instruments": []},
}
_FULL: dict[str, Any] = {
    **{f"/v1/{name}": CANNED[name] for name in CANNED},
    "/v1/kill-switch": CANNED["kill"],
    "/v1/orders/validate": CANNED["validated"],
    f"/v1/orders/{CANNED['order']['order_id']}/history": CANNED["history"],
    f"/v1/orders/{CANNED['lost']['order_id']}": CANNED["lost"],
}
REFUSED = {"detail": "the journal cannot be read: disk I/O error", "code": "journal_broken"}


class Clock:
    """Stands still; `later` moves it."""

    def __init__(self) -> None:
        newest = CANNED["audit"]["rows"][-1]["at"]
        self._wall = datetime.fromisoformat(newest).timestamp()
        self._monotonic = 1000.0

    def later(self, seconds: float) -> None:
        self._wall += seconds
        self._monotonic += seconds

    def hold(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(moment, "wall", lambda: self._wall)
        patch.setattr(moment, "monotonic", lambda: self._monotonic)


class Stage(Gateway):
    """A gateway that answers what `state` says: loading, full, empty, failed or gone.

    `answers` stand before the canned ones, by path; `asked` are the calls that were made.
    """

    def __init__(self) -> None:
        super().__init__(Where(socket="/var/lib/brokergate/control.sock"))
        self.state = "full"
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.may = frozenset({"trade", "operate", "login"})
        self.events: asyncio.Queue[list[Event]] = asyncio.Queue()
        self._left = asyncio.Event()

    def leave(self) -> None:
        """Be gone: streams break off and nothing connects."""
        self.state = "gone"
        self._left.set()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
    ) -> Answer:
        self.asked.append((method, path, body))
        return Answer(200, await self._answer(urlsplit(path).path))

    async def figures(self) -> Figures:
        await self._answer("/v1/accounts")
        if self.state == "empty":
            return figures("")
        return figures("\n".join(CANNED["metrics"]))

    async def scopes(self) -> frozenset[str]:
        return self.may

    async def follow(self, path: str, after: int | None) -> AsyncIterator[list[Event]]:
        if self.state == "gone":
            raise Unreachable("[Errno 111] Connection refused")
        yield []
        left = asyncio.create_task(self._left.wait())
        try:
            while not left.done():
                heard = asyncio.create_task(self.events.get())
                await asyncio.wait({left, heard}, return_when=asyncio.FIRST_COMPLETED)
                if heard.done() and "audit" not in path:
                    yield heard.result()
                heard.cancel()
        finally:
            left.cancel()
        raise Unreachable("[Errno 111] Connection refused")

    async def _answer(self, path: str) -> Any:
        if path in self.answers and self.state != "gone":
            return json.loads(json.dumps(self.answers[path]))
        if self.state == "loading":
            await asyncio.Event().wait()
        if self.state == "gone":
            raise Unreachable("[Errno 111] Connection refused")
        if self.state == "failed":
            raise Problem(Answer(503, REFUSED))
        # Each time another object: the console keeps what it was given.
        return json.loads(json.dumps((_EMPTY if self.state == "empty" else _FULL)[path]))


@asynccontextmanager
async def staged(
    patch: pytest.MonkeyPatch, size: tuple[int, int], state: str = "full", **options: Any
) -> AsyncIterator[tuple[Desk, Stage, Clock]]:
    """Run a console of `size` before a stage."""
    clock, stage = Clock(), Stage()
    clock.hold(patch)
    stage.state = state
    patch.setattr("tui.app.Gateway", lambda where: stage)
    app = Console(stage.where, **options)
    app.animation_level = "none"
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Desk(app, pilot), stage, clock
