"""The kill switch over the API: look, engage, release."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gateway.api.auth import CONTROL_CLIENT, Keys
from gateway.api.routing import Answer, Call, Route
from gateway.kill import Engagement, Level, Progress, Scope
from gateway.kill.switch import KILL_FILE_SOURCE
from gateway.orchestrator.account import Account
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.cancelling import OrderCancel
from gateway.orchestrator.kill import KillService
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.squaring import Skipped, SquareRun
from gateway.orchestrator.stopping import StopRun
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError, Name
from gateway.orders.states import LegState
from gateway.orders.times import rfc3339
from gateway.secrets.api_keys import Scope as KeyScope

_WAIT_S = 3.0
_MOST_REASON = 500
_MOST_TARGET = 64
CONFIRMATION = "RELEASE"


class EngageRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`target` is left out for the global scope; for `key` it is the API key's id."""

    scope: Scope
    level: Level
    reason: str
    target: str | None = None


class ReleaseRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`confirm` has to be the word RELEASE."""

    scope: Scope
    reason: str
    confirm: str
    target: str | None = None


class OnTheWire(msgspec.Struct, kw_only=True):
    """A write that had already gone when the switch was thrown: `place` or `modify`."""

    order_id: str
    leg_id: str
    account: str
    write: str
    state: LegState


class UnresolvedLeg(msgspec.Struct, kw_only=True):
    order_id: str
    leg_id: str
    account: str
    instrument: str
    state: LegState


class Cancels(msgspec.Struct, kw_only=True):
    """`confirmed` of `total` open orders are over by the book. `problems` is by account."""

    confirmed: int
    total: int
    done: bool
    orders: list[OrderCancel]
    problems: dict[str, str]


class ClosingOrder(msgspec.Struct, kw_only=True):
    order_id: str
    account: str
    instrument: str
    side: str
    product: str
    quantity: int
    filled_quantity: int
    price: Decimal | None
    state: LegState


class SquareOffView(msgspec.Struct, kw_only=True):
    orders: list[ClosingOrder]
    skipped: list[Skipped]


class SwitchView(msgspec.Struct, kw_only=True):
    """One engagement. `id` is null for what engages by itself and lives in memory only."""

    id: str
    scope: Scope
    target: str | None
    level: Level
    reason: str
    source: str
    engaged_at: str | None
    engaged_by: str | None
    progress: Progress
    cancels: Cancels | None
    square_off: SquareOffView | None
    unresolved: list[UnresolvedLeg]


class KillState(msgspec.Struct, kw_only=True):
    """`level` is the highest engaged for everything, null when nothing is engaged globally."""

    engaged: bool
    level: Level | None
    kill_file: bool
    journal_broken: bool
    switches: list[SwitchView]


class EngageAnswer(SwitchView, kw_only=True):
    """`persisted` false: only memory and the emergency log hold it, the journal is broken."""

    blocked_at: str | None
    blocked_in_ms: float
    persisted: bool
    on_the_wire: list[OnTheWire]


_decode_fields = msgspec.json.Decoder(dict[str, Any])


class KillRoutes:
    def __init__(self, kill: KillService, accounts: Mapping[str, Account], keys: Keys) -> None:
        self._kill = kill
        self._accounts = accounts
        self._keys = keys

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/kill-switch",
                scope=KeyScope.READ,
                handler=self.state,
                summary="What is stopped, how far, and how its cancels stand",
                tag="kill switch",
                response=KillState,
            ),
            Route(
                method="POST",
                path="/v1/kill-switch/engage",
                scope=KeyScope.TRADE,
                handler=self.engage,
                summary="Stop new orders, cancel what is open, or close positions",
                tag="kill switch",
                request=EngageRequest,
                response=EngageAnswer,
                statuses=(200, 202),
            ),
            Route(
                method="POST",
                path="/v1/kill-switch/release",
                scope=KeyScope.OPERATE,
                handler=self.release,
                summary="Let orders through again, with a reason and a confirmation",
                tag="kill switch",
                request=ReleaseRequest,
                response=KillState,
            ),
        ]

    async def state(self, call: Call) -> Answer:
        return Answer(body=self._state(call.who))

    async def engage(self, call: Call) -> Answer:
        began = time.perf_counter()
        fields = _Fields(call.decode(_decode_fields), ("scope", "target", "level", "reason"))
        level = fields.one_of("level", Level)
        scope, target = self._place(fields, call.who)
        reason = fields.text("reason", 1, _MOST_REASON)
        fields.raise_errors()
        assert level is not None and scope is not None  # noqa: S101
        self._assert_may_engage(call.who, scope, target, level)
        thrown = await self._kill.engage(
            scope, target, level, reason, call.who.actor(), began=began
        )
        if thrown.run is not None:
            await thrown.run.wait(_WAIT_S)
        answer = EngageAnswer(
            **_plain(self._switch(thrown.engagement, call.who)),
            blocked_at=rfc3339(thrown.blocked_us),
            blocked_in_ms=thrown.blocked_in_ms,
            persisted=thrown.persisted,
            on_the_wire=[
                _on_the_wire(leg, write)
                for leg, write in thrown.on_wire
                if call.who.allows(leg.record.account)
            ],
        )
        running = thrown.run is not None and not thrown.run.done
        return Answer(202 if running else 200, answer)

    async def release(self, call: Call) -> Answer:
        fields = _Fields(call.decode(_decode_fields), ("scope", "target", "reason", "confirm"))
        scope, target = self._place(fields, call.who, known=False)
        reason = fields.text("reason", 3, _MOST_REASON)
        if fields.given.get("confirm") != CONFIRMATION:
            fields.wrong("confirm", f"must be the word {CONFIRMATION}")
        fields.raise_errors()
        assert scope is not None  # noqa: S101
        self._assert_owns(call.who, scope, target, "release")
        await self._kill.release(scope, target, reason, call.who.actor())
        return Answer(body=self._state(call.who))

    def _place(
        self, fields: _Fields, caller: Caller, *, known: bool = True
    ) -> tuple[Scope | None, str | None]:
        """Read scope and target; `known` asks that the target exists here."""
        scope = fields.one_of("scope", Scope)
        given = fields.given.get("target")
        if scope is None:
            return None, None
        if scope is Scope.GLOBAL:
            if given is not None:
                fields.wrong("target", "must be left out for the scope global")
            return scope, None
        target = fields.text("target", 1, _MOST_TARGET)
        if target and known:
            self._check_target(fields, scope, target, caller)
        return scope, target

    def _check_target(self, fields: _Fields, scope: Scope, target: str, caller: Caller) -> None:
        names: set[str] | None = None
        if scope is Scope.ACCOUNT:
            names = set(self._accounts)
        elif scope is Scope.BROKER:
            names = {account.broker for account in self._accounts.values()}
        elif scope is Scope.KEY:
            if target != CONTROL_CLIENT and target not in {key.id for key in self._keys.all()}:
                fields.wrong("target", "is not the id of an API key in use; see GET /v1/keys")
            return
        elif scope is Scope.STRATEGY and not _is_name(target):
            fields.wrong(
                "target",
                "is no name that an order's strategy can have: letters, digits and . _ : - only",
            )
        if names is not None and target not in names:
            mine = {name for name in names if scope is not Scope.ACCOUNT or caller.allows(name)}
            known = ", ".join(sorted(mine)) or "none"
            fields.wrong("target", f"is not a configured {scope}; there are: {known}")

    def _assert_may_engage(
        self, caller: Caller, scope: Scope, target: str | None, level: Level
    ) -> None:
        if level is Level.SQUARE_OFF and not caller.may_operate:
            raise Problem(403, "scope_missing", "SQUARE_OFF needs the scope operate")
        if level in (Level.CANCEL_ALL, Level.SQUARE_OFF):
            self._assert_owns(caller, scope, target, level)

    def _assert_owns(self, caller: Caller, scope: Scope, target: str | None, what: str) -> None:
        """A key with an account list acts on those accounts only, and on what is its own."""
        if scope is Scope.KEY and target == caller.key_id:
            return
        others = [
            account.id
            for account in self._accounts.values()
            if not caller.allows(account.id) and _reaches(scope, target, account)
        ]
        if others:
            raise Problem(
                403,
                "account_not_allowed",
                f"{what} here reaches accounts that this key may not touch; name one of its own,"
                " or engage HALT_NEW, which every trade key may do anywhere",
            )

    def _state(self, caller: Caller) -> KillState:
        switches = [
            engagement
            for engagement in self._kill.switch.all()
            if engagement.scope is not Scope.ACCOUNT or caller.allows(engagement.target or "")
        ]
        levels = [item.level for item in switches if item.scope is Scope.GLOBAL]
        return KillState(
            engaged=bool(switches),
            level=max(levels, key=lambda level: level.rank, default=None),
            kill_file=self._kill.switch.condition(KILL_FILE_SOURCE) is not None,
            journal_broken=self._kill.switch.journal_broken,
            switches=[self._switch(engagement, caller) for engagement in switches],
        )

    def _switch(self, engagement: Engagement, caller: Caller) -> SwitchView:
        run = self._kill.run_of(engagement)
        return SwitchView(
            id=engagement.id,
            scope=engagement.scope,
            target=engagement.target,
            level=engagement.level,
            reason=engagement.reason,
            source=engagement.source,
            engaged_at=rfc3339(engagement.engaged_us),
            engaged_by=engagement.actor.get("client"),
            progress=engagement.progress,
            cancels=_cancels(run, caller.allows) if run else None,
            square_off=_squares(run.squares, caller.allows) if run and run.squares else None,
            unresolved=[
                _unresolved(leg)
                for leg in self._kill.unresolved(engagement)
                if caller.allows(leg.record.account)
            ],
        )


class _Fields:
    """Reads a body field by field, so that an answer can name everything that is wrong with it."""

    def __init__(self, given: dict[str, Any], known: tuple[str, ...]) -> None:
        self.given = given
        self.errors = [
            FieldError(name, "is not a field of this request; check its spelling or leave it out")
            for name in given
            if name not in known
        ]

    def wrong(self, field: str, message: str) -> None:
        self.errors.append(FieldError(field, message))

    def one_of(self, field: str, kind: Callable[[str], Any]) -> Any:
        value = self.given.get(field)
        try:
            return kind(value) if isinstance(value, str) else self._not_one_of(field, kind)
        except ValueError:
            return self._not_one_of(field, kind)

    def text(self, field: str, least: int, most: int) -> str:
        value = self.given.get(field)
        if isinstance(value, str) and least <= len(value.strip()) and len(value) <= most:
            return value
        self.wrong(field, f"must be a text of {least} to {most} characters")
        return ""

    def raise_errors(self) -> None:
        if self.errors:
            text = "; ".join(f"{error.field} {error.message}" for error in self.errors)
            raise Problem(422, "invalid_request", text, errors=self.errors)

    def _not_one_of(self, field: str, kind: Any) -> None:
        self.wrong(field, f"must be one of {', '.join(kind)}")


def _is_name(text: str) -> bool:
    try:
        msgspec.convert(text, Name)
    except msgspec.ValidationError:
        return False
    return True


def _reaches(scope: Scope, target: str | None, account: Account) -> bool:
    if scope is Scope.ACCOUNT:
        return account.id == target
    return scope is not Scope.BROKER or account.broker == target


def _cancels(run: StopRun, allowed: Callable[[str], bool]) -> Cancels:
    counts = run.cancels.counts()
    orders = [order for order in run.cancels.orders.values() if allowed(order.account)]
    problems = {name: why for name, why in run.cancels.problems.items() if allowed(name)}
    done = {account.id for account in run.accounts} <= run.cancels.done
    return Cancels(
        confirmed=counts["confirmed"],
        total=counts["total"],
        done=done,
        orders=orders,
        problems=problems,
    )


def _squares(run: SquareRun, allowed: Callable[[str], bool]) -> SquareOffView:
    return SquareOffView(
        orders=[
            ClosingOrder(
                order_id=closing.order.order.order_id,
                account=closing.account,
                instrument=leg.record.instrument,
                side=leg.record.side,
                product=leg.record.product,
                quantity=leg.record.quantity,
                filled_quantity=leg.record.filled_quantity,
                price=leg.record.price,
                state=leg.state,
            )
            for closing in run.orders
            if allowed(closing.account)
            for leg in closing.order.legs
        ],
        skipped=[skipped for skipped in run.skipped if allowed(skipped.account)],
    )


def _on_the_wire(leg: LiveLeg, write: str) -> OnTheWire:
    record = leg.record
    return OnTheWire(
        order_id=record.order_id,
        leg_id=record.leg_id,
        account=record.account,
        write=write,
        state=record.state,
    )


def _unresolved(leg: LiveLeg) -> UnresolvedLeg:
    record = leg.record
    return UnresolvedLeg(
        order_id=record.order_id,
        leg_id=record.leg_id,
        account=record.account,
        instrument=record.instrument,
        state=record.state,
    )


def _plain(view: SwitchView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in view.__struct_fields__}
