"""Circuit breakers over HTTP: what they think of each broker, and the operator's word on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from gateway.api.routing import Answer, Call, Route
from gateway.calls.breaker import BreakerState, CallClass
from gateway.calls.journal import BreakerJournal
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.orders.times import ist
from gateway.secrets.api_keys import Scope


class BreakerView(msgspec.Struct, kw_only=True):
    """`calls` and `failures` are those of the last 30 seconds, unknown outcomes counted double.

    `retry_in_s`: how long an open breaker stays as it is before a read is tried.
    """

    account: str
    broker: str
    call_class: CallClass = msgspec.field(name="class")
    state: BreakerState
    since: datetime
    reason: str | None
    calls: int
    failures: int
    retry_in_s: float


class BreakerList(msgspec.Struct):
    breakers: list[BreakerView]


class ResetRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`hold` true holds the breaker open until it is reset; `class` left out means every one."""

    account: str
    call_class: CallClass | None = msgspec.field(name="class", default=None)
    hold: bool = False
    reason: str | None = None


_decode = msgspec.json.Decoder(ResetRequest)


class BreakerRoutes:
    def __init__(self, accounts: Mapping[str, Account], journal: BreakerJournal) -> None:
        self._accounts = accounts
        self._journal = journal

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/breakers",
                scope=Scope.READ,
                handler=self.breakers,
                summary="Circuit breakers by account and class of call",
                tag="breakers",
                response=BreakerList,
            ),
            Route(
                method="POST",
                path="/v1/breakers/reset",
                scope=Scope.OPERATE,
                handler=self.reset,
                summary="Close a breaker, or hold it open until it is closed again",
                tag="breakers",
                request=ResetRequest,
                response=BreakerList,
                refusals=(404,),
            ),
        ]

    async def breakers(self, call: Call) -> Answer:
        seen = [account for account in self._accounts.values() if call.who.allows(account.id)]
        return Answer(body=BreakerList([view for account in seen for view in views_of(account)]))

    async def reset(self, call: Call) -> Answer:
        request: ResetRequest = call.decode(_decode)
        account = self._accounts.get(request.account)
        if account is None or not call.who.allows(request.account):
            raise Problem(404, "account_unknown", f"there is no account {request.account!r}")
        classes = list(CallClass) if request.call_class is None else [request.call_class]
        if request.hold and classes == [CallClass.CANCEL]:
            text = "a cancel is never held back"
            raise Problem(422, "invalid_request", text, errors=[FieldError("class", text)])
        health, actor = account.calls.health, call.who.actor()
        for call_class in classes:
            if not request.hold:
                reason = request.reason or "closed by the operator"
                health.reset(call_class, reason, actor)
            elif call_class is not CallClass.CANCEL:
                health.hold(call_class, request.reason or "no reason was given", actor)
        await self._journal.written()
        return Answer(body=BreakerList(views_of(account)))


def views_of(account: Account) -> list[BreakerView]:
    views = []
    for breaker in account.calls.health.breakers.values():
        calls, failures = breaker.counted()
        views.append(
            BreakerView(
                account=account.id,
                broker=account.broker,
                call_class=breaker.call_class,
                state=breaker.state,
                since=ist(breaker.since_us),
                reason=breaker.reason or None,
                calls=calls,
                failures=failures,
                retry_in_s=round(breaker.retry_in_s(), 3),
            )
        )
    return views
