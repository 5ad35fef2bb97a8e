"""`POST /v1/positions/close`: close what is held, whole or in part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from adapters.sdk.models import Instrument
from gateway.api.orders import idempotency_key
from gateway.api.routing import Answer, Call, Route
from gateway.api.views import OrderView, order_view
from gateway.orchestrator.account import Account
from gateway.orchestrator.account_close import CloseRun
from gateway.orchestrator.closes import PositionCloses, still_left
from gateway.orders.close import (
    CancelledOrder,
    CloseRequest,
    Left,
    Rounded,
    Unresolved,
    close_problems,
)
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.secrets.api_keys import Scope

_WAIT_S = 15.0


class CloseView(msgspec.Struct, kw_only=True):
    """`done` only when nothing is under way, remaining or unresolved.

    `orders` are the closing orders as they are now; `rounded` says where `percent` was no whole
    number of lots.
    """

    close_id: str
    done: bool
    orders: list[OrderView]
    cancelled: list[CancelledOrder]
    remaining: list[Left]
    unresolved: list[Unresolved]
    rounded: list[Rounded]


_decode = msgspec.json.Decoder(CloseRequest)
FindEverywhere = Callable[[str], Awaitable[dict[str, Instrument]]]


class CloseRoutes:
    def __init__(
        self,
        closes: PositionCloses,
        accounts: Mapping[str, Account],
        groups: Mapping[str, Mapping[str, Any]],
        find_everywhere: FindEverywhere,
    ) -> None:
        self._closes = closes
        self._accounts = accounts
        self._groups = groups
        self._find_everywhere = find_everywhere

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/positions/close",
                scope=Scope.TRADE,
                handler=self.close,
                summary="Close positions: cancel their open orders, then protected limits",
                tag="orders",
                request=CloseRequest,
                response=CloseView,
                statuses=(200, 202),
                needs_key=True,
            )
        ]

    async def close(self, call: Call) -> Answer:
        key = idempotency_key(call)
        request: CloseRequest = call.decode(_decode)
        try:
            accounts = await self._checked(call, request)
        except Problem:
            known = await self._closes.known(call.who, key, request)
            if known is None:
                raise
            run, replayed = known, True
        else:
            run, replayed = await self._closes.place(call.who, key, request, accounts, _WAIT_S)
        view = _view(call, run)
        headers = [(b"Idempotency-Replayed", b"true")] if replayed else []
        return Answer(200 if view.done else 202, view, headers)

    async def _checked(self, call: Call, request: CloseRequest) -> list[str]:
        """Resolve the accounts meant. Raises one `Problem` for all that is wrong."""
        errors = close_problems(request)
        accounts = self._targets(call, request.accounts, errors)
        if request.instrument is not None and not errors:
            listed = await self._find_everywhere(request.instrument)
            brokers = {self._accounts[name].broker for name in accounts}
            if not brokers & set(listed):
                message = f"{request.instrument} is in no instrument master of these accounts"
                errors.append(FieldError("instrument", message))
        if errors:
            text = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise Problem(422, "invalid_request", text, errors=errors)
        return accounts

    def _targets(
        self, call: Call, names: tuple[str, ...] | None, errors: list[FieldError]
    ) -> list[str]:
        """The accounts meant, groups expanded; all that the key may touch when none is named."""
        allowed = [name for name in self._accounts if call.who.allows(name)]
        if names is None:
            return allowed
        found: dict[str, None] = {}
        for index, name in enumerate(names):
            members = self._groups.get(name[1:], ()) if name.startswith("@") else (name,)
            if not members or not set(members) <= set(allowed):
                usable = [f"@{g}" for g, of in self._groups.items() if set(of) <= set(allowed)]
                known = ", ".join(sorted(allowed) + usable)
                message = f"{name!r} is not known; known are {known}"
                errors.append(FieldError(f"accounts[{index}]", message))
                continue
            found.update(dict.fromkeys(members))
        return list(found)


def _view(call: Call, run: CloseRun) -> CloseView:
    outcome, allows = run.outcome, call.who.allows
    remaining = [item for item in still_left(run) if allows(item.account)]
    unresolved = [item for item in outcome.unresolved if allows(item.account)]
    return CloseView(
        close_id=run.close.close_id,
        done=outcome.finished and not remaining and not unresolved,
        orders=[order_view(order, allows) for order in run.orders],
        cancelled=[item for item in outcome.cancelled if allows(item.account)],
        remaining=remaining,
        unresolved=unresolved,
        rounded=[item for item in outcome.rounded if allows(item.account)],
    )
