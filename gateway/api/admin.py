"""Accounts, credentials, health: what an operator looks at and sets up."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from gateway.api.instruments import MasterView
from gateway.api.routing import Answer, Call, Route
from gateway.calls.breaker import BreakerState, CallClass
from gateway.calls.limits import WindowView
from gateway.observability.fills import DayFills
from gateway.orchestrator.account import Account
from gateway.orchestrator.kill import KillService
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.orders.states import UNPROVEN
from gateway.orders.times import rfc3339
from gateway.secrets.api_keys import Scope
from gateway.sessions import SessionManager, SessionView
from gateway.store import Store


class LimitsView(msgspec.Struct, kw_only=True):
    """`orders_per_second` is kept to: the lower one of what the configuration asks for and of the
    adapter's own figure. `paused_s`: how long the broker's own rate-limit answer still holds orders
    and reads back.
    """

    orders_per_second: int
    orders_per_second_configured: int
    orders_per_second_adapter: int
    paused_s: float
    windows: list[WindowView]


class AccountError(msgspec.Struct, kw_only=True):
    """How the last call to the broker that did not go well ended; in its words where it had any.

    It stays until the next such call or a restart, whatever went well since.
    """

    at: str | None
    call: CallClass
    text: str


class FilledToday(msgspec.Struct, kw_only=True):
    """Of the orders made today in India: legs with fills, and the units filled in all."""

    legs: int
    quantity: int


class AccountView(msgspec.Struct, kw_only=True):
    account: str
    broker: str
    title: str
    session: SessionView
    unresolved: int
    open_legs: int
    ready: bool
    breakers: dict[CallClass, BreakerState]
    limits: LimitsView
    master: MasterView | None
    filled_today: FilledToday
    last_error: AccountError | None


class AccountList(msgspec.Struct):
    accounts: list[AccountView]


class CredentialsRequest(msgspec.Struct, forbid_unknown_fields=True):
    fields: Annotated[dict[str, str], msgspec.Meta(min_length=1, max_length=32)]


_decode_credentials = msgspec.json.Decoder(CredentialsRequest)

Masters = Callable[[], Awaitable[dict[str, MasterView]]]


class AdminRoutes:
    def __init__(
        self,
        store: Store,
        accounts: Mapping[str, Account],
        sessions: SessionManager,
        kill: KillService,
        masters: Masters,
        is_stopping: Callable[[], bool],
        fills: DayFills,
        configured: Callable[[str], int],
    ) -> None:
        """`configured`: the orders per second that the configuration asks for, by account."""
        self._fills = fills
        self._configured = configured
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._kill = kill
        self._masters = masters
        self._is_stopping = is_stopping

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/livez",
                scope=None,
                handler=self.live,
                summary="Whether the process answers",
                tag="health",
            ),
            Route(
                method="GET",
                path="/readyz",
                scope=None,
                handler=self.ready,
                summary="Whether orders can be taken",
                tag="health",
                statuses=(200, 503),
            ),
            Route(
                method="GET",
                path="/v1/accounts",
                scope=Scope.READ,
                handler=self.accounts,
                summary="Accounts with their sessions and what is open at them",
                tag="accounts",
                response=AccountList,
            ),
            Route(
                method="PUT",
                path="/v1/accounts/{account}/credentials",
                scope=Scope.ADMIN,
                handler=self.set_credentials,
                summary="Seal an account's broker credentials",
                tag="accounts",
                request=CredentialsRequest,
                statuses=(204,),
            ),
        ]

    async def live(self, call: Call) -> Answer:
        return Answer(200, b"ok\n", content_type=b"text/plain")

    async def ready(self, call: Call) -> Answer:
        if self._kill.switch.journal_broken or self._is_stopping():
            return Answer(503, b"no\n", content_type=b"text/plain")
        return Answer(200, b"ok\n", content_type=b"text/plain")

    async def accounts(self, call: Call) -> Answer:
        seen = [account for account in self._accounts.values() if call.who.allows(account.id)]
        masters = await self._masters()
        views = [self._account_view(account, masters.get(account.broker)) for account in seen]
        return Answer(body=AccountList(views))

    def _account_view(self, account: Account, master: MasterView | None) -> AccountView:
        legs = account.moving.values()
        filled_legs, filled_quantity = self._fills.of(account.id)
        error = account.calls.health.last_error
        return AccountView(
            account=account.id,
            broker=account.broker,
            title=account.plugin.title,
            session=self._sessions.view(account.id),
            unresolved=sum(1 for leg in legs if leg.state in UNPROVEN),
            open_legs=len(legs),
            breakers={
                name: breaker.state for name, breaker in account.calls.health.breakers.items()
            },
            limits=LimitsView(
                orders_per_second=account.policy.orders_per_second,
                orders_per_second_configured=self._configured(account.id),
                orders_per_second_adapter=account.plugin.capabilities.orders_per_second,
                paused_s=round(account.calls.limits.pause.left_s(time.monotonic()), 3),
                windows=account.calls.limits.views(),
            ),
            master=master,
            ready=account.obstacle() is None and self._kill.on(account) is None,
            filled_today=FilledToday(legs=filled_legs, quantity=filled_quantity),
            last_error=None
            if error is None
            else AccountError(at=rfc3339(error.at_us), call=error.call, text=error.text),
        )

    async def set_credentials(self, call: Call) -> Answer:
        account = self._accounts.get(call.params["account"])
        if account is None or not call.who.allows(account.id):
            known = ", ".join(filter(call.who.allows, self._accounts)) or "none"
            detail = f"there is no account {call.params['account']!r}; configured: {known}"
            raise Problem(404, "account_unknown", detail)
        request: CredentialsRequest = call.decode(_decode_credentials)
        errors = credential_errors(account, request.fields)
        if errors:
            text = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise Problem(422, "invalid_request", text, errors=errors)
        await self._store.set_credentials(account.id, request.fields, call.who.actor())
        await self._sessions.credentials_changed(account, call.who.actor())
        return Answer(204, b"")


def credential_errors(account: Account, fields: dict[str, str]) -> list[FieldError]:
    """Say which credential fields this broker does not have, and which it still needs."""
    known = {field.name: field for field in account.plugin.capabilities.credentials}
    errors = [
        FieldError(name, f"is no credential of {account.broker}; it has {', '.join(known)}")
        for name in fields
        if name not in known
    ]
    errors.extend(
        FieldError(name, "is required")
        for name, field in known.items()
        if field.required and not fields.get(name)
    )
    errors.extend(
        FieldError(name, "must be a whole address, such as https://your-host/v1/callback/ACCOUNT")
        for name, value in fields.items()
        if name in known and name.endswith("_uri") and value and not _is_address(value)
    )
    errors.extend(
        FieldError(name, "has blanks around it; was more copied than the value?")
        for name, value in fields.items()
        if name in known and "password" not in name and value != value.strip()
    )
    return errors


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
