"""Risk limits: which stand, what the day has used of them, and putting others in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec

from gateway.api.etags import assert_unchanged, etag
from gateway.api.problems import wrong_field
from gateway.api.routing import Answer, Call, Route
from gateway.orchestrator.account import Account
from gateway.orchestrator.caller import Caller
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.prechecks.book import LimitBook, LimitScope, Standing
from gateway.prechecks.ledger import Ledger
from gateway.prechecks.limits import RiskLimits, problems_of_limits
from gateway.secrets.api_keys import Scope


class Used(msgspec.Struct, kw_only=True):
    """What the day's orders count against the limits. Money is rupees."""

    quantity: int
    value: Decimal
    open_orders: int


class LimitView(msgspec.Struct, kw_only=True):
    """`source`: config, or api where it was set at run time."""

    scope: LimitScope
    target: str | None
    limits: RiskLimits
    source: str
    used: Used


class LimitList(msgspec.Struct):
    limits: list[LimitView]


class PutLimits(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`limits` null: those of the configuration again. They replace what stands, whole."""

    scope: LimitScope
    limits: RiskLimits | None
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]
    target: str | None = None


_decode = msgspec.json.Decoder(PutLimits)


class LimitRoutes:
    """`ledger_of` gives what an account's day has used, and with None what all have."""

    def __init__(
        self,
        book: LimitBook,
        accounts: Mapping[str, Account],
        ledger_of: Callable[[str | None], Ledger],
    ) -> None:
        self._book = book
        self._accounts = accounts
        self._ledger_of = ledger_of
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/limits",
                scope=Scope.READ,
                handler=self.show,
                summary="Risk limits, global and per account, and what the day has used of them",
                tag="limits",
                response=LimitList,
            ),
            Route(
                method="PUT",
                path="/v1/limits",
                scope=Scope.OPERATE,
                handler=self.put,
                summary="Put risk limits in the place of those that stand",
                tag="limits",
                request=PutLimits,
                response=LimitList,
                refusals=(412,),
            ),
        ]

    async def show(self, call: Call) -> Answer:
        return self._answer(call.who)

    async def put(self, call: Call) -> Answer:
        asked: PutLimits = call.decode(_decode)
        target = self._target(asked, call.who)
        if asked.limits is not None:
            errors = [
                FieldError(f"limits.{field}", problem)
                for field, problem in problems_of_limits(asked.limits)
            ]
            if errors:
                text = "; ".join(f"{error.field} {error.message}" for error in errors)
                raise Problem(422, "invalid_request", text, errors=errors)
        async with self._one_at_a_time:
            assert_unchanged(call, self._standing(call.who))
            await self._book.put(target, asked.limits, call.who.actor(), asked.reason)
        return self._answer(call.who)

    def _answer(self, caller: Caller) -> Answer:
        return Answer(body=self._view(caller), headers=etag(self._standing(caller)))

    def _standing(self, caller: Caller) -> list[Standing]:
        """What the caller sees and may put, without what the day has used of it."""
        return [
            each for each in self._book.all() if each.target is None or caller.allows(each.target)
        ]

    def _target(self, asked: PutLimits, caller: Caller) -> str | None:
        if asked.scope is LimitScope.GLOBAL:
            if asked.target is not None:
                raise wrong_field("target", "must be left out for the scope global")
            if caller.accounts is not None:
                raise Problem(
                    403, "account_not_allowed", "this key has accounts; global limits are for all"
                )
            return None
        if asked.target is None or asked.target not in self._visible(caller):
            known = ", ".join(self._visible(caller)) or "none"
            raise wrong_field("target", f"must be an account that this key may use: {known}")
        return asked.target

    def _visible(self, caller: Caller) -> list[str]:
        return [account for account in self._accounts if caller.allows(account)]

    def _view(self, caller: Caller) -> LimitList:
        views = []
        for standing in self._standing(caller):
            target = standing.target
            ledger = self._ledger_of(target)
            views.append(
                LimitView(
                    scope=standing.scope,
                    target=target,
                    limits=standing.limits,
                    source="config" if standing.from_config else "api",
                    used=Used(
                        quantity=ledger.day_quantity,
                        value=ledger.day_value,
                        open_orders=self._open_orders(target),
                    ),
                )
            )
        return LimitList(views)

    def _open_orders(self, target: str | None) -> int:
        accounts = self._accounts.values() if target is None else [self._accounts[target]]
        return sum(len(account.moving) for account in accounts)
