"""The API of a gateway that is not running: the same routes, on the store, under its lock.

Only what needs no broker and no running order. Nothing is recovered or sent: a stopped
gateway's orders are looked at, never touched.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from gateway.api.auth import control_caller
from gateway.api.problems import problem_answer
from gateway.api.routing import Answer, Call, Route, encode
from gateway.cli.client import Reply
from gateway.cli.configuration import Setup, master_key_of
from gateway.cli.failure import Failure, told
from gateway.orders.problems import Problem
from gateway.runtime import Gateway
from gateway.secrets import Keyring, SealError
from gateway.store import DataDirLock, DataDirLocked, DataDirUnusable
from gateway.store.schema import StoreError, StoreTooNew

_REQUEST_ID = "offline"
_OFFLINE = frozenset(
    {
        ("GET", "/v1/accounts"),
        ("PUT", "/v1/accounts/{account}/credentials"),
        ("GET", "/v1/vault"),
        ("GET", "/v1/alerts"),
        ("PUT", "/v1/alerts/{receiver}/secret"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("POST", "/v1/keys/{id}/rotate"),
        ("DELETE", "/v1/keys/{id}"),
        ("GET", "/v1/orders"),
        ("GET", "/v1/orders/{order_id}"),
        ("GET", "/v1/orders/{order_id}/history"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/audit/verify"),
        ("POST", "/v1/audit/checkpoint"),
        ("GET", "/v1/kill-switch"),
        ("POST", "/v1/kill-switch/release"),
        ("GET", "/v1/reconcile"),
        ("GET", "/v1/kpis"),
    }
)


@contextmanager
def offline_api(setup: Setup) -> Iterator[OfflineApi]:
    """Open the store of a stopped gateway.

    Raises: `Failure` for whatever is in the way, a gateway that runs after all included.
    """
    with ExitStack() as stack:
        with told(DataDirLocked, DataDirUnusable):
            stack.enter_context(DataDirLock(setup.settings.data_dir))
        runner = stack.enter_context(asyncio.Runner())
        keyring = Keyring(master_key_of(setup))
        with told(SealError, StoreTooNew, StoreError, OSError):
            gateway = runner.run(_open(setup, keyring))
        try:
            yield OfflineApi(gateway, runner)
        finally:
            runner.run(gateway.stop())


class OfflineApi:
    """Answers calls in this process, as the same user would be answered on the control socket."""

    def __init__(self, gateway: Gateway, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._routes = [
            (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)))
            for route in gateway.routes()
            if (route.method, route.path) in _OFFLINE
        ]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 0,
    ) -> Reply:
        """Run one route's handler and return its answer as a client would read it."""
        for route, pattern in self._routes:
            found = pattern.fullmatch(path)
            if route.method == method and found is not None:
                return self._run(route, path, found.groupdict(), body, dict(query or {}))
        raise Failure("the gateway is not running; start it with `brokergate serve`")

    def _run(
        self, route: Route, path: str, params: dict[str, str], body: Any, query: dict[str, str]
    ) -> Reply:
        call = Call(
            method=route.method,
            path=path,
            params=params,
            query=query,
            headers={},
            body=encode(body) if body is not None else b"",
            request_id=_REQUEST_ID,
            caller=control_caller(_REQUEST_ID),
        )
        try:
            answer = self._runner.run(_handled(route, call))
        except Problem as problem:
            answer = problem_answer(problem, _REQUEST_ID, on_order_route=False)
        data = answer.body if isinstance(answer.body, bytes) else encode(answer.body)
        return Reply(answer.status, msgspec.json.decode(data) if data else None)


async def _open(setup: Setup, keyring: Keyring) -> Gateway:
    gateway = Gateway(setup.settings, setup.plugins, keyring)
    await gateway.keys.load()
    await gateway.kill.load()
    return gateway


async def _handled(route: Route, call: Call) -> Answer:
    return await route.handler(call)
