"""Modify and cancel of legs: one at a time per leg, each journalled before it is sent.

A cancel may be repeated, a modify never. Neither's answer is the truth about the order: only the
book is, so after each the book is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.errors import (
    Denied,
    GatewayError,
    LoginExpired,
    NotSent,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import Instrument, ModifyOrder, OrderRef, OrderType, Session
from gateway.calls.retry import CANCEL
from gateway.observability.context import asked_by
from gateway.orchestrator.account import Account
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.pricing import UNPRICED, assert_may_become
from gateway.orchestrator.wire import answered, sent_action
from gateway.orders.records import Action, ActionKind, ActionState, Leg, Reason, Sent
from gateway.orders.states import AT_BROKER, LIVE, TERMINAL, LegState
from gateway.orders.times import now_us

CANCEL_ATTEMPTS = CANCEL.tries
_MODIFY_WAIT_S = 5.0
_CONFIRM_LOOKS = 4
_CONFIRM_PAUSE_S = 0.3

FindInstrument = Callable[[Account, str], Awaitable[Instrument | None]]
LookNow = Callable[[Account], Awaitable[bool]]
SessionExpired = Callable[[Account, LoginExpired], None]
MayModify = Callable[[LiveLeg, str | None, bool], None]
JudgeModify = Callable[[Account, LiveLeg, ModifyOrder], Awaitable[None]]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants changed about a live order; None keeps the value."""

    quantity: int | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    order_type: OrderType | None = None


class Modification(msgspec.Struct, frozen=True):
    """`outcome`: applied, refused, unknown or not_live. `reason`: why it was not even sent."""

    outcome: str
    reason: Reason | None = None


class ModifyDenied(Denied):
    """A modify that the checks refuse; `details` name the check, the field and the numbers."""

    def __init__(self, message: str, *, reason: ReasonCode, details: dict[str, Any]) -> None:
        super().__init__(message, reason=reason)
        self.details = details


class Actions:
    """Sends cancels and modifies.

    `may_modify` raises `Denied` for a modify that must not go now, `judge_modify` for one whose
    numbers forbid it; `on_settled` hears of a leg whose modify was refused or applied.
    """

    def __init__(
        self,
        find_instrument: FindInstrument,
        look_now: LookNow,
        on_session_expired: SessionExpired,
        may_modify: MayModify,
        judge_modify: JudgeModify,
        on_settled: Callable[[Leg], None],
    ) -> None:
        self._find_instrument = find_instrument
        self._look_now = look_now
        self._on_session_expired = on_session_expired
        self._ask_to_modify = may_modify
        self._judge_modify = judge_modify
        self._on_settled = on_settled

    async def request_cancel(self, leg: LiveLeg, account: Account) -> None:
        """Ask for a leg's end, whatever state it is in; sent as soon as its order is known."""
        if not leg.record.cancel_requested:
            await leg.note("cancel_requested", details=asked_by(), cancel_requested=True)
        if leg.state in AT_BROKER:
            await self.send_cancel(leg, account)

    async def send_cancel(self, leg: LiveLeg, account: Account) -> None:
        """Cancel an order at the broker; repeats while nothing proves what became of it."""
        async with leg.action_lock:

            async def attempt(number: int) -> bool:
                if number > 1:
                    await self._look_now(account)
                if leg.state not in AT_BROKER or account.session is None:
                    return True
                return await self._cancel_once(leg, account, number)

            await account.calls.retry.cancel(attempt)

    async def send_cancel_blindly(self, leg: LiveLeg, account: Account, attempt: int) -> None:
        """Send one cancel for a caller that cancels many, and reads the book once for all."""
        async with leg.action_lock:
            if leg.state in AT_BROKER and account.session is not None:
                await self._cancel_once(leg, account, attempt, look=False)

    async def modify(
        self, leg: LiveLeg, account: Account, change: Change, key_id: str | None = None
    ) -> str:
        """Change a live order; returns `applied`, `refused`, `unknown` or `not_live`.

        `key_id` is the API key that asks, for the kill switch.

        Raises: `Denied` before anything is sent.
        """
        async with leg.action_lock:
            await self._await_book(leg, account)
            if leg.state not in LIVE or leg.record.cancel_requested:
                return "not_live"
            session = account.session
            instrument = await self._find_instrument(account, leg.record.instrument)
            if session is None or instrument is None:
                return "refused"
            change = _as_sent(leg.record, change)
            assert_may_become(account, change.order_type)
            wanted = _changed(leg.record, instrument, change)
            assert_meant(change, wanted.order_type)
            _assert_settled(leg.record)
            account.adapter.check_modify(wanted)
            # What was counted for it is put right below, unless nobody knows what came of it.
            outcome = "unknown"
            try:
                if not _only_decreases(leg.record, wanted):
                    await self._judge_modify(account, leg, wanted)
                outcome = await self._send_modify(leg, account, wanted, session, key_id)
            except Denied:
                outcome = "refused"
                raise
            finally:
                if outcome in ("refused", "applied"):
                    self._on_settled(leg.record)
            return outcome

    async def _await_book(self, leg: LiveLeg, account: Account) -> None:
        """Read the book until it shows an order that the broker has just acknowledged.

        Raises: `Denied` where it does not: not to see an order yet says nothing of its life.
        """
        for look in range(_CONFIRM_LOOKS):
            if leg.state is not LegState.ACKED or leg.record.cancel_requested:
                return
            if look:
                await asyncio.sleep(_CONFIRM_PAUSE_S)
            await self._look_now(account)
        if leg.state is LegState.ACKED and not leg.record.cancel_requested:
            raise Denied(
                "the broker's book does not show the order yet; ask again",
                reason=ReasonCode.UNRESOLVED,
            )

    async def _send_modify(
        self,
        leg: LiveLeg,
        account: Account,
        wanted: ModifyOrder,
        session: Session,
        key_id: str | None,
    ) -> str:
        deadline = time.monotonic() + _MODIFY_WAIT_S
        action = Action(
            kind=ActionKind.MODIFY,
            state=ActionState.SENDING,
            requested_us=now_us(),
            attempts=1,
            quantity=wanted.quantity,
            price=wanted.price,
            trigger_price=wanted.trigger_price,
            order_type=wanted.order_type,
        )
        gate = _Gate(leg, action, lambda: self._may_modify(leg, wanted, key_id))
        try:
            try:
                await account.calls.modify_order(session, wanted, gate, deadline)
            finally:
                leg.on_wire = None
        except (Refused, NotSent) as error:
            await _end(leg, action, ActionState.REFUSED, "modify_refused", error)
            return "refused"
        except Denied:
            if gate.begun:
                await _end(leg, action, ActionState.DROPPED, "modify_dropped", None)
            raise
        except GatewayError as error:
            if isinstance(error, LoginExpired):
                self._on_session_expired(account, error)
            await _end(leg, action, ActionState.UNKNOWN, "modify_unknown", error)
        else:
            await _end(leg, action, ActionState.SENT, "modify_sent", None)
        return await self._confirm(leg, account, wanted)

    def _may_modify(self, leg: LiveLeg, wanted: ModifyOrder, key_id: str | None) -> None:
        if leg.record.cancel_requested:
            raise Denied("a cancel replaced this modify", reason=ReasonCode.EXPIRED)
        self._ask_to_modify(leg, key_id, _only_decreases(leg.record, wanted))

    async def _confirm(self, leg: LiveLeg, account: Account, wanted: ModifyOrder) -> str:
        """Read the book until it shows the change, a few times; unproven stays unknown."""
        for look in range(_CONFIRM_LOOKS):
            if look:
                await asyncio.sleep(_CONFIRM_PAUSE_S)
            if not await self._look_now(account):
                continue
            record = leg.record
            if record.action is not None and record.action.state is ActionState.APPLIED:
                return "applied"
            if record.state not in LIVE:
                return "not_live"
        return "unknown"

    async def _cancel_once(
        self, leg: LiveLeg, account: Account, attempt: int, *, look: bool = True
    ) -> bool:
        """Send one cancel; True when sending another would not help."""
        session, record = account.session, leg.record
        assert session is not None and record.broker_order_id is not None  # noqa: S101
        instrument = await self._find_instrument(account, record.instrument)
        exchange = record.instrument.partition(":")[0]
        action = Action(
            kind=ActionKind.CANCEL,
            state=ActionState.SENDING,
            requested_us=now_us(),
            attempts=attempt,
        )
        gate = _Gate(leg, action, None)
        try:
            ref = order_ref(record, instrument)
            await account.calls.cancel_order(session, ref, gate, exchange)
        except Denied:
            return False
        except LoginExpired as error:
            self._on_session_expired(account, error)
            await _end(leg, action, ActionState.UNKNOWN, "cancel_unknown", error)
            return True
        except Refused as error:
            # It may be over already, or the broker may not cancel it now: only the book can say.
            await _end(leg, action, ActionState.REFUSED, "cancel_refused", error)
            if look:
                await self._look_now(account)
            return not error.repeatable
        except NotSent as error:
            await _end(leg, action, ActionState.WAITING, "cancel_not_sent", error)
            return False
        except GatewayError as error:
            await _end(leg, action, ActionState.UNKNOWN, "cancel_unknown", error)
            return False
        await _end(leg, action, ActionState.SENT, "cancel_sent", None)
        if look:
            await self._look_now(account)
        return True


class _Gate:
    """Journals an action just before its first byte, and looks once more."""

    def __init__(self, leg: LiveLeg, action: Action, check: Callable[[], None] | None) -> None:
        self._leg = leg
        self._action = action
        self._check = check
        self.begun = False

    async def ready(self) -> None:
        if self._check is not None:
            self._check()
        event = f"{self._action.kind}_begin"
        details = sent_action(self._action, self._leg.record.broker_order_id)
        if self._action.kind is ActionKind.MODIFY:
            # A cancel is often sent long after it was asked for, which is told then.
            details |= asked_by()
        if self._action.kind is ActionKind.CANCEL:
            await self._leg.note(event, details=details, action=self._action)
        else:
            await self._leg.change(None, event, details=details, action=self._action)
        self.begun = True

    def check(self) -> None:
        if self._check is not None:
            self._check()
        if self._action.kind is ActionKind.MODIFY:
            self._leg.on_wire = "modify"


def _only_decreases(leg: Leg, wanted: ModifyOrder) -> bool:
    """Whether a modify takes quantity away and does nothing else that could make it trade."""
    as_it_is = _changed(leg, wanted.instrument, Change())
    return (
        wanted.quantity < wanted.previous_quantity
        and msgspec.structs.replace(as_it_is, quantity=wanted.quantity) == wanted
    )


def order_ref(leg: Leg, instrument: Instrument | None) -> OrderRef:
    """Name a leg's order in the way that its adapter needs."""
    assert leg.broker_order_id is not None  # noqa: S101
    return OrderRef(
        broker_order_id=leg.broker_order_id,
        instrument=instrument,
        order_type=leg.sent.order_type if leg.sent else leg.order_type,
        amo=leg.amo,
    )


async def _end(
    leg: LiveLeg, action: Action, state: ActionState, event: str, error: GatewayError | None
) -> None:
    if leg.state in TERMINAL and leg.state is not LegState.REJECTED:
        # The book was faster than the answer: the leg's history is closed.
        return
    ended = msgspec.structs.replace(action, state=state, message=error.message if error else None)
    await leg.note(
        event,
        broker_code=error.broker_code if error else None,
        broker_message=(error.broker_message or error.message) if error else None,
        details=answered(error, None),
        action=ended,
    )


def _assert_settled(leg: Leg) -> None:
    """Deny a modify on top of one whose effect is not proven."""
    action = leg.action
    unproven = (ActionState.SENDING, ActionState.SENT, ActionState.UNKNOWN)
    if action is not None and action.kind is ActionKind.MODIFY and action.state in unproven:
        raise Denied(
            "the modify before this one is not proven yet; read the order again shortly",
            reason=ReasonCode.UNRESOLVED,
        )


def _as_sent(leg: Leg, change: Change) -> Change:
    """Asking again for MARKET or SL-M is no change: the protected order in its place stands."""
    if leg.sent is not None and leg.order_type in UNPRICED and change.order_type is leg.order_type:
        return msgspec.structs.replace(change, order_type=None)
    return change


def assert_meant(change: Change, becomes: OrderType) -> None:
    """Deny a price that the order will not have: a change that changes nothing is a mistake."""
    for field, given, types in (
        ("price", change.price, (OrderType.LIMIT, OrderType.SL)),
        ("trigger_price", change.trigger_price, (OrderType.SL, OrderType.SL_M)),
    ):
        if given is not None and becomes not in types:
            raise Denied(
                f"a {becomes} order has no {field}; leave it out, or give the order_type too",
                reason=ReasonCode.INVALID_ORDER,
            )


def _changed(leg: Leg, instrument: Instrument, change: Change) -> ModifyOrder:
    """The order as it is to become. A price the new type does not have is left out."""
    assert leg.broker_order_id is not None  # noqa: S101
    now = leg.sent or Sent(
        order_type=leg.order_type, price=leg.price, trigger_price=leg.trigger_price
    )
    order_type = change.order_type or now.order_type
    price = change.price if change.price is not None else now.price
    trigger = change.trigger_price if change.trigger_price is not None else now.trigger_price
    return ModifyOrder(
        broker_order_id=leg.broker_order_id,
        instrument=instrument,
        side=leg.side,
        order_type=order_type,
        product=leg.product,
        validity=leg.validity,
        quantity=change.quantity if change.quantity is not None else leg.quantity,
        previous_quantity=leg.quantity,
        filled_quantity=leg.filled_quantity,
        price=price if order_type in (OrderType.LIMIT, OrderType.SL) else None,
        trigger_price=trigger if order_type in (OrderType.SL, OrderType.SL_M) else None,
        disclosed_quantity=leg.disclosed_quantity,
        amo=leg.amo,
    )
