"""`brokergate` with the moments of each order written down: what `benchmarks.stages` measures.

Started in the place of the command, it wraps the functions that an order passes through; each
wrapper only reads the clock. Orders have to come one at a time. The moments, in nanoseconds, go
to the file that BENCHMARK_STAGES names, when the gateway stops.
"""

from __future__ import annotations

import atexit
import os
from functools import wraps
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec

from gateway.api import app as api_app
from gateway.api.orders import OrderRoutes
from gateway.calls.account_calls import AccountCalls
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.plan import Planner
from gateway.orchestrator.runner import LegRunner
from gateway.orchestrator.service import OrderService
from gateway.store import Store

VARIABLE = "BENCHMARK_STAGES"
MOMENTS = (
    "in",
    "handler",
    "decoded",
    "planned",
    "journalling",
    "journalled",
    "first_byte",
    "answered",
    "settled",
    "shown",
    "out",
)
_done: list[list[int]] = []
_now: dict[str, int] = {}


def main() -> None:
    _wrap_entry()
    _wrap(OrderRoutes, "place", "handler", "shown")
    _wrap(OrderService, "place", "decoded", None)
    _wrap(Planner, "plan", None, "planned")
    _wrap_future(Store, "accept_order", "journalling", "journalled")
    _wrap_plain(LegRunner, "check", "first_byte")
    _wrap(AccountCalls, "place_order", None, "answered")
    _wrap_settled()
    path = Path(os.environ[VARIABLE])
    atexit.register(lambda: path.write_bytes(msgspec.json.encode(_done)))
    from gateway.cli.main import main as brokergate

    brokergate()


def _mark(name: str | None) -> None:
    if name is not None and _now:
        _now.setdefault(name, perf_counter_ns())


def _wrap(owner: type, name: str, before: str | None, after: str | None) -> None:
    inner = getattr(owner, name)

    @wraps(inner)
    async def outer(*args: Any, **options: Any) -> Any:
        _mark(before)
        try:
            return await inner(*args, **options)
        finally:
            _mark(after)

    setattr(owner, name, outer)


def _wrap_future(owner: type, name: str, before: str, after: str) -> None:
    inner = getattr(owner, name)

    @wraps(inner)
    def outer(*args: Any, **options: Any) -> Any:
        _mark(before)
        future = inner(*args, **options)
        future.add_done_callback(lambda _: _mark(after))
        return future

    setattr(owner, name, outer)


def _wrap_plain(owner: type, name: str, after: str) -> None:
    inner = getattr(owner, name)

    @wraps(inner)
    def outer(*args: Any, **options: Any) -> Any:
        result = inner(*args, **options)
        _mark(after)
        return result

    setattr(owner, name, outer)


def _wrap_settled() -> None:
    inner = LiveLeg.change

    @wraps(inner)
    async def outer(self: LiveLeg, new: Any, event: str, **options: Any) -> bool:
        changed = await inner(self, new, event, **options)
        if event == "acked":
            _mark("settled")
        return changed

    LiveLeg.change = outer  # type: ignore[method-assign]


def _wrap_entry() -> None:
    inner = api_app.without_lifespan

    def outer(app: Any) -> Any:
        async def entry(scope: Any, receive: Any, send: Any) -> None:
            is_order = scope["type"] == "http" and (scope["method"], scope["path"]) == (
                "POST",
                "/v1/orders",
            )
            if not is_order:
                await app(scope, receive, send)
                return
            _now.clear()
            _now["in"] = perf_counter_ns()
            await app(scope, receive, send)
            _mark("out")
            if len(_now) == len(MOMENTS):
                _done.append([_now[name] for name in MOMENTS])
            _now.clear()

        return inner(entry)

    api_app.without_lifespan = outer


if __name__ == "__main__":
    main()
