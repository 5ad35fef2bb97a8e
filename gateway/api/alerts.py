"""Alert receivers over the API: how they fare, their secrets, a test."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec

from gateway.alerts.alert import Rule
from gateway.alerts.desk import AlertDesk, Delivery
from gateway.alerts.receivers import SECRET, Receiver, vault_account
from gateway.alerts.signing import new_secret
from gateway.api.problems import wrong_field
from gateway.api.routing import Answer, Call, Route
from gateway.orders.problems import Problem
from gateway.orders.times import ist
from gateway.secrets.api_keys import Scope
from gateway.store import Store, StoreBroken

log = logging.getLogger(__name__)

_SHORTEST_SECRET = 16
_LONGEST_SECRET = 1024


class ReceiverView(msgspec.Struct, kw_only=True):
    """`address`: host and port only. `rules` empty: all. Counts are since the gateway started."""

    name: str
    kind: str
    address: str
    rules: list[Rule]
    has_secret: bool
    waiting: int
    delivered: int
    failed: int
    dropped: int
    delivered_at: datetime | None
    failed_at: datetime | None
    last_error: str | None


class AlertsView(msgspec.Struct):
    receivers: list[ReceiverView]


class TestRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`receiver` None: every one of them."""

    receiver: str | None = None


class TestResults(msgspec.Struct):
    ok: bool
    results: list[Delivery]


class SecretRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`secret` None: one is made, for webhooks."""

    secret: str | None = None


class NewSecret(msgspec.Struct, kw_only=True):
    """`secret` is there when it was made here, and in this answer only."""

    receiver: str
    secret: str | None


_decode_test = msgspec.json.Decoder(TestRequest)
_decode_secret = msgspec.json.Decoder(SecretRequest)


class AlertRoutes:
    def __init__(self, desk: AlertDesk, store: Store) -> None:
        self._desk = desk
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/alerts",
                scope=Scope.OPERATE,
                handler=self.show,
                summary="Who is told of troubles, and whether it gets through",
                tag="alerts",
                response=AlertsView,
            ),
            Route(
                method="POST",
                path="/v1/alerts/test",
                scope=Scope.OPERATE,
                handler=self.test,
                summary="Send a test alert now and say how it went",
                tag="alerts",
                request=TestRequest,
                response=TestResults,
            ),
            Route(
                method="PUT",
                path="/v1/alerts/{receiver}/secret",
                scope=Scope.ADMIN,
                handler=self.set_secret,
                summary="Seal a receiver's signing secret or password",
                tag="alerts",
                request=SecretRequest,
                response=NewSecret,
            ),
        ]

    async def show(self, call: Call) -> Answer:
        call.assert_all_accounts("who is told of alerts")
        waiting = await self._desk.waiting()
        views = [
            await self._view(receiver, waiting[receiver.name])
            for receiver in self._desk.receivers.values()
        ]
        return Answer(body=AlertsView(views))

    async def test(self, call: Call) -> Answer:
        call.assert_all_accounts("who is told of alerts")
        request: TestRequest = call.decode(_decode_test)
        if request.receiver is not None and request.receiver not in self._desk.receivers:
            message = f"{request.receiver!r} is not configured; there are: {self._known()}"
            raise wrong_field("receiver", message)
        names = [request.receiver] if request.receiver else list(self._desk.receivers)
        if not names:
            raise Problem(
                409, "no_receivers", "no alert receiver is configured: see docs/alerts.md"
            )
        results = await self._desk.test(names)
        body = {
            "event": "tested",
            "actor": call.who.actor(),
            "told": [result.receiver for result in results if result.ok],
            "not_told": [result.receiver for result in results if not result.ok],
        }
        try:
            await self._store.audit("alert", body)
        except StoreBroken as error:
            # Whether people can be told of it matters most just then.
            log.error("a test of alerts could not be written to the journal: %s", error)
        return Answer(body=TestResults(all(result.ok for result in results), results))

    async def set_secret(self, call: Call) -> Answer:
        call.assert_all_accounts("who is told of alerts")
        receiver = self._desk.receivers.get(call.params["receiver"])
        if receiver is None:
            detail = f"there is no alert receiver {call.params['receiver']!r}; configured: "
            raise Problem(404, "receiver_unknown", detail + self._known())
        request: SecretRequest = call.decode(_decode_secret)
        secret, made = request.secret, None
        if secret is None:
            if receiver.kind != "webhook":
                raise wrong_field("secret", "is required: the password of the mail account")
            secret = made = new_secret()
        elif receiver.kind == "webhook" and len(secret) < _SHORTEST_SECRET:
            raise wrong_field("secret", f"must have {_SHORTEST_SECRET} characters or more")
        elif not secret or len(secret) > _LONGEST_SECRET:
            raise wrong_field("secret", f"must have 1 to {_LONGEST_SECRET} characters")
        account = vault_account(receiver.name)
        await self._store.set_credentials(account, {SECRET: secret}, call.who.actor())
        self._desk.wake(receiver.name)
        return Answer(body=NewSecret(receiver=receiver.name, secret=made))

    async def _view(self, receiver: Receiver, waiting: int) -> ReceiverView:
        state = self._desk.states[receiver.name]
        return ReceiverView(
            name=receiver.name,
            kind=receiver.kind,
            address=receiver.address,
            rules=sorted(receiver.rules),
            has_secret=await self._desk.has_secret(receiver),
            waiting=waiting,
            delivered=state.delivered,
            failed=state.failed,
            dropped=state.dropped,
            delivered_at=_time(state.delivered_us),
            failed_at=_time(state.failed_us),
            last_error=state.last_error,
        )

    def _known(self) -> str:
        return ", ".join(self._desk.receivers) or "none"


def _time(us: int | None) -> datetime | None:
    return ist(us) if us is not None else None
