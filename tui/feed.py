"""Keeps the model fresh: hears events, reads again what they touch, comes back after a break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from tui import moment
from tui.link import Event, Gateway, NoAnswer, Problem, Unreachable
from tui.link.api import segment
from tui.model import Model

QUESTIONS = {
    "accounts": "/v1/accounts",
    "kill": "/v1/kill-switch",
    "unresolved": "/v1/unresolved",
    "orders": "/v1/orders?limit=100",
    "breakers": "/v1/breakers",
    "limits": "/v1/limits",
    "positions": "/v1/positions",
    "holdings": "/v1/holdings",
    "funds": "/v1/funds",
    "keys": "/v1/keys",
}
_ALWAYS = ("accounts", "kill", "unresolved")
_TOUCHED = {
    "order": ("accounts", "unresolved", "orders", "limits"),
    "session": ("accounts",),
    "kill": ("kill",),
    "breaker": ("accounts", "breakers"),
    "alarm": ("accounts", "unresolved"),
}
_COALESCE_S = 0.25
_SLOW_S = 10.0
_RETRY_S = (0.3, 0.6, 1.0, 2.0)


class Feed:
    """`changed(names)` is called on the event loop after each round of reading.

    `wanted()` names what the open view shows beside what is always read. What the brokers are
    asked for (positions, holdings, funds) is read only when asked, never by itself.
    """

    def __init__(
        self,
        gateway: Gateway,
        model: Model,
        wanted: Callable[[], Iterable[str]],
        changed: Callable[[set[str]], None],
    ) -> None:
        self.gateway = gateway
        self.model = model
        self._wanted = wanted
        self._changed = changed
        self._paths = dict(QUESTIONS)
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._last_seq: int | None = None

    def want(self, *names: str) -> None:
        """Read these soon; several wishes become one read."""
        self._dirty.update(names)
        self._wake.set()

    def ask_for(self, name: str, path: str) -> None:
        """Ask this question by another path from now on, and soon."""
        self._paths[name] = path
        self.want(name)

    async def run(self) -> None:
        """Stay connected for ever; a gateway that goes is waited for."""
        failures = 0
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    ready = asyncio.Event()
                    reading = tasks.create_task(self._read_on(ready))
                    try:
                        await self._listen(ready)
                    finally:
                        reading.cancel()
            except* (Unreachable, NoAnswer, Problem) as group:
                failures = 0 if self.model.connected else failures + 1
                self._gone(str(group.exceptions[0]))
            await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])

    async def read(self, name: str) -> None:
        """Ask one question now and keep the answer, or why there is none."""
        reading = self.model.reading(name)
        try:
            if name == "figures":
                value: Any = await self.gateway.figures()
            else:
                value = await self.gateway.get(self._paths[name])
            if name == "unresolved":
                await self._name_orders(value["unresolved"])
            reading.took(value)
        except (Unreachable, NoAnswer, Problem) as error:
            reading.error = str(error)

    async def _name_orders(self, rows: list[dict[str, Any]]) -> None:
        """Put each leg's request beside it: the list itself has neither instrument nor side."""
        known = {row["order_id"]: row.get("request") for row in self.model.unresolved}
        for row in rows:
            request = known.get(row["order_id"])
            if request is None:
                order = await self.gateway.get(f"/v1/orders/{segment(row['order_id'])}")
                request = known[row["order_id"]] = order["request"]
            row["request"] = request

    async def _listen(self, ready: asyncio.Event) -> None:
        async for together in self.gateway.follow("/v1/events", self._last_seq):
            if not ready.is_set():
                await self._arrived()
                ready.set()
            self._heard(together)

    async def _arrived(self) -> None:
        """What each connection begins with; the gateway may have another version or state."""
        self.model.scopes = await self.gateway.scopes()
        self.model.connected, self.model.gone_since, self.model.gone_why = True, None, ""
        self.want(*_ALWAYS, "figures", *self._wanted())
        self._changed(set())

    def _heard(self, together: list[Event]) -> None:
        for event in together:
            self._last_seq = event.seq
            shown = {*_ALWAYS, *self._wanted()}
            self._dirty.update(name for name in _TOUCHED.get(event.kind, ()) if name in shown)
            if event.kind == "alarm" and isinstance(event.body, dict):
                self.model.alarm = _alarm_words(event.body)
        if self._dirty:
            self._wake.set()

    async def _read_on(self, ready: asyncio.Event) -> None:
        await ready.wait()
        while True:
            names = self._dirty & {*self._paths, "figures"}
            self._dirty -= names
            await asyncio.gather(*(self.read(name) for name in names))
            self._changed(names)
            self._wake.clear()
            if not self._dirty:
                try:
                    async with asyncio.timeout(_SLOW_S):
                        await self._wake.wait()
                except TimeoutError:
                    self.want(*_ALWAYS, *self._wanted())
            await asyncio.sleep(_COALESCE_S)

    def _gone(self, why: str) -> None:
        model = self.model
        model.connected, model.gone_why = False, why
        if model.gone_since is None:
            model.gone_since = moment.monotonic()
        self._changed(set())


def _alarm_words(body: dict[str, Any]) -> str:
    place = f" at {body['account']}" if body.get("account") else ""
    return f"{body.get('event', 'alarm')}{place}: {body.get('text') or ''}"
