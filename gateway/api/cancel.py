"""Cancelling beyond one order of ours: many at once, and orders that were placed elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from gateway.api.routing import Answer, Call, Route
from gateway.instruments import InstrumentService
from gateway.orchestrator.account import Account
from gateway.orchestrator.cancelling import (
    Canceller,
    CancelRun,
    CancelState,
    OrderCancel,
    Selection,
)
from gateway.orchestrator.live import LiveLeg
from gateway.orders.margins import AccountNames
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError, Name, instrument_problems
from gateway.secrets.api_keys import Scope
from gateway.store import OrderFilter, Store

log = logging.getLogger(__name__)

_WAIT_S = 15.0
_ONE_WAIT_S = 3.0
_WORK_S = 300.0


class Include(StrEnum):
    OURS = "ours"
    ALL = "all"


class CancelAllRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out narrows nothing. Orders placed elsewhere belong to no strategy."""

    accounts: AccountNames | None = None
    instrument: str | None = None
    strategy: Name | None = None
    include: Include = Include.OURS


class CancelAllAnswer(msgspec.Struct, kw_only=True):
    """`confirmed` of `total` are over by the broker's book. `problems` is by account."""

    confirmed: int
    total: int
    unresolved: int
    done: bool
    orders: list[OrderCancel]
    problems: dict[str, str]


_decode = msgspec.json.Decoder(CancelAllRequest)


class CancelRoutes:
    """The sweeps go on when the client hangs up; `stop` ends them with the gateway."""

    def __init__(
        self,
        canceller: Canceller,
        accounts: Mapping[str, Account],
        groups: Mapping[str, Mapping[str, Any]],
        instruments: InstrumentService,
        store: Store,
    ) -> None:
        self._instruments = instruments
        self._store = store
        self._canceller = canceller
        self._accounts = accounts
        self._groups = groups
        self._tasks: set[asyncio.Task[bool]] = set()

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/orders/cancel-all",
                scope=Scope.TRADE,
                handler=self.cancel_all,
                summary="Cancel every open order of ours, or every one in the brokers' books",
                tag="orders",
                request=CancelAllRequest,
                response=CancelAllAnswer,
                statuses=(200, 202),
            ),
            Route(
                method="DELETE",
                path="/v1/orderbook/{account}/{broker_order_id}",
                scope=Scope.TRADE,
                handler=self.cancel_one,
                summary="Cancel an order by the broker's id, whoever placed it",
                tag="orderbook",
                response=OrderCancel,
                statuses=(200, 202),
            ),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel_all(self, call: Call) -> Answer:
        request = call.decode(_decode) if call.body else CancelAllRequest()
        accounts = self._targets(call, request.accounts)
        if request.instrument is not None:
            await self._assert_known(request.instrument)

        def ours(leg: LiveLeg) -> bool:
            return request.strategy in (None, leg.order.order.request.strategy)

        selection = Selection(
            ours=ours,
            elsewhere=request.include is Include.ALL and request.strategy is None,
            instrument=request.instrument,
            unsent=True,
        )
        run = CancelRun()
        await self._sweep(call, accounts, selection, run, _WAIT_S)
        answer = CancelAllAnswer(
            **run.counts(),
            done={account.id for account in accounts} <= run.done,
            orders=list(run.orders.values()),
            problems=run.problems,
        )
        settled = answer.done and answer.confirmed == len(answer.orders)
        return Answer(200 if settled else 202, answer)

    async def cancel_one(self, call: Call) -> Answer:
        account_id, wanted = call.params["account"], call.params["broker_order_id"]
        account = self._accounts.get(account_id)
        if account is None or not call.who.allows(account_id):
            raise Problem(404, "account_unknown", f"there is no account {account_id!r}")
        run = CancelRun()
        view, row = await self._canceller.look_up(account, wanted, run)
        if view is None:
            detail = f"{run.problems[account_id]}; nothing was sent"
            raise Problem(503, "broker_unavailable", detail)
        if row is None:
            raise Problem(404, "order_unknown", f"the book of {account_id} has no order {wanted}")
        cancel = run.orders[(account_id, wanted)]
        if cancel.state is not CancelState.CONFIRMED:
            selection = Selection(
                ours=lambda leg: leg.record.broker_order_id == wanted, elsewhere=True, only=wanted
            )
            await self._sweep(call, [account], selection, run, _ONE_WAIT_S)
        return Answer(200 if cancel.state is CancelState.CONFIRMED else 202, cancel)

    async def _assert_known(self, instrument: str) -> None:
        """Refuse an id that cannot be meant: "nothing to cancel" would be read as done.

        One that orders of ours have passes though it has left the masters, and every one does
        while a broker's master is missing: a cancel is not held up for want of one.
        """
        errors = instrument_problems(instrument)
        near: list[str] = []
        if not errors:
            try:
                if await self._may_be_meant(instrument):
                    return
                near = await self._instruments.suggest(instrument)
            except Exception:
                log.exception("whether there is %s cannot be told; cancelling goes on", instrument)
                return
            errors = [FieldError("instrument", f"{instrument} is in no instrument master")]
        text = f"instrument {errors[0].message}; nothing was cancelled"
        raise Problem(422, "invalid_request", text, errors=errors, extra={"did_you_mean": near})

    async def _may_be_meant(self, instrument: str) -> bool:
        return bool(
            await self._instruments.find_everywhere(instrument)
            or await self._store.search_orders(OrderFilter(instrument=instrument, limit=1))
            or await self._instruments.missing()
        )

    async def _sweep(
        self,
        call: Call,
        accounts: list[Account],
        selection: Selection,
        run: CancelRun,
        wait_s: float,
    ) -> None:
        """Sweep the accounts side by side, and wait for as long as an answer may take."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _WORK_S
        actor = call.who.actor()
        tasks = [
            self._spawn(
                self._canceller.sweep(account, selection, run, actor, lambda: loop.time() < end)
            )
            for account in accounts
        ]
        if tasks:
            await asyncio.wait(tasks, timeout=wait_s)

    def _targets(self, call: Call, names: tuple[str, ...] | None) -> list[Account]:
        """The accounts meant, groups expanded; all that the key may touch when none is named."""
        if names is None:
            return [item for item in self._accounts.values() if call.who.allows(item.id)]
        found: dict[str, Account] = {}
        errors = []
        for index, name in enumerate(names):
            members = self._groups.get(name[1:], ()) if name.startswith("@") else (name,)
            known = [
                self._accounts[member]
                for member in members
                if member in self._accounts and call.who.allows(member)
            ]
            if not known or len(known) < len(members):
                message = f"{name!r} is not known; known are {self._known(call)}"
                errors.append(FieldError(f"accounts[{index}]", message))
            found.update({account.id: account for account in known})
        if errors:
            text = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise Problem(422, "invalid_request", text, errors=errors)
        return list(found.values())

    def _known(self, call: Call) -> str:
        allowed = {name for name in self._accounts if call.who.allows(name)}
        groups = [f"@{name}" for name, of in self._groups.items() if set(of) <= allowed]
        return ", ".join(sorted(allowed) + groups) or "none"

    def _spawn(self, work: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
