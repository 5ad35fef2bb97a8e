"""Orders from acceptance to their last state: what the API calls, and nothing of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec

from adapters.sdk.errors import Denied, LoginExpired, ReasonCode
from adapters.sdk.models import BrokerOrder, Instrument, PlaceOrder
from gateway.calls.permit import Permit
from gateway.kill import KillSwitch
from gateway.kill.switch import JOURNAL
from gateway.orchestrator.account import Account
from gateway.orchestrator.actions import Actions, Change
from gateway.orchestrator.book import BookView
from gateway.orchestrator.cancelling import Canceller, NameContract
from gateway.orchestrator.elsewhere import Elsewhere
from gateway.orchestrator.evidence import Echo, Evidence
from gateway.orchestrator.live import LiveLeg, LiveOrder
from gateway.orchestrator.plan import FindInstrument, PlannedLeg, Planner
from gateway.orchestrator.reconciler import Reconciler
from gateway.orchestrator.runner import LegRunner
from gateway.orchestrator.squaring import KILL_CLIENT
from gateway.orchestrator.stops import Stops
from gateway.orders.ids import TagMint, leg_id_of, new_order_id
from gateway.orders.problems import Problem
from gateway.orders.records import Leg, Order, Purpose, Reason
from gateway.orders.request import OrderRequest, WaitFor, fingerprint
from gateway.orders.states import (
    AT_BROKER,
    TERMINAL,
    UNPROVEN,
    UNSENT,
    LegState,
)
from gateway.orders.times import now_us
from gateway.store import Existing, LegEvent, Store, StoreBroken

log = logging.getLogger(__name__)

SessionExpired = Callable[[Account, LoginExpired], None]
T = TypeVar("T")
_RECONCILER = "reconciler"
_CANCELLED = "cancel_requested"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the API client's name (idempotency belongs to it), and what it may touch."""

    client: str
    key_id: str
    accounts: frozenset[str] | None = None
    request_id: str | None = None
    may_operate: bool = False

    def allows(self, account: str) -> bool:
        return self.accounts is None or account in self.accounts

    def actor(self) -> dict[str, Any]:
        return {"client": self.client, "key_id": self.key_id, "request_id": self.request_id}


class OrderService:
    """Owns every order that is still moving. One per process, on one event loop."""

    def __init__(
        self,
        store: Store,
        accounts: Mapping[str, Account],
        groups: Mapping[str, Mapping[str, Decimal]],
        find_instrument: FindInstrument,
        *,
        boot_id: str,
        kill: KillSwitch,
        on_session_expired: SessionExpired,
        on_duplicate: Callable[[Account, str], None],
        name_contract: NameContract,
    ) -> None:
        self._on_duplicate = on_duplicate
        self._store = store
        self._accounts = accounts
        self._find_instrument = find_instrument
        self._mint = TagMint()
        self._kill = kill
        self._stops = Stops(kill)
        self._planner = Planner(
            accounts, groups, find_instrument, lambda: self._mint.mint(), self._stops
        )
        self._boot_id = boot_id
        self._on_session_expired = on_session_expired
        self._live: dict[str, LiveOrder] = {}
        # Every order in memory, also those that are over: two owners of one leg would each
        # believe a state that the other has changed.
        self._known: WeakValueDictionary[str, LiveOrder] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reconcilers = {
            account.id: Reconciler(account, self, account.pace()) for account in accounts.values()
        }
        self._actions = Actions(
            self.instrument_of, self._look_now, on_session_expired, self._may_modify
        )
        self.elsewhere = Elsewhere(
            store, self._stops, self.read_book, name_contract, on_session_expired
        )
        self.canceller = Canceller(
            store, self._actions, self.read_book, name_contract, on_session_expired
        )
        self._stopping = False

    async def start(self, unwritten: Sequence[Mapping[str, Any]] = ()) -> None:
        """Take up what an earlier run left behind, by the rules of design section 3.

        `unwritten` is what that run could only keep in the emergency log.
        """
        cancelled = {line.get("leg_id") for line in unwritten if line.get("event") == _CANCELLED}
        self._mint = TagMint(await self._store.highest_tag())
        for order, legs in await self._store.load_open_orders():
            live = self._known[order.order_id] = LiveOrder(order, legs, self._store)
            for leg in live.legs:
                await self._recover(leg)
                asked = leg.record.leg_id in cancelled and not leg.record.cancel_requested
                if asked and leg.state not in TERMINAL:
                    await leg.change(None, _CANCELLED, cancel_requested=True)
            self._adopt(live)
        for account in self._accounts.values():
            learned = await self._store.load_meta(f"echo:{account.id}")
            account.echo = Echo(learned) if learned else account.echo
        for reconciler in self._reconcilers.values():
            self.spawn(reconciler.run(), name=_RECONCILER)

    async def stop(self, deadline_s: float = 5.0) -> None:
        """Take no more orders; let legs on the wire finish, then record the rest as unknown."""
        self._stopping = True
        endless = [task for task in self._tasks if task.get_name() == _RECONCILER]
        for task in endless:
            task.cancel()
        working = [task for task in self._tasks if task not in endless]
        if working:
            _, late = await asyncio.wait(working, timeout=deadline_s)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self, account_id: str) -> None:
        """Tell the account's reconciler that a session or an order may have changed."""
        self._reconcilers[account_id].wake()

    def resume_cancels(self, account_id: str) -> None:
        """Send the cancels that a restart or an ended session kept back."""
        account = self._accounts[account_id]
        for leg in account.moving.values():
            if leg.record.cancel_requested and leg.state in AT_BROKER and not leg.cancel_was_sent:
                self.spawn(self._actions.send_cancel(leg, account))

    async def place(
        self,
        caller: Caller,
        key: str,
        request: OrderRequest,
        purpose: Purpose = Purpose.CLIENT,
        denial: Reason | None = None,
    ) -> tuple[LiveOrder, bool]:
        """Accept an order and start its legs; returns it and whether the key was used before.

        What differs by account, the kill switch too, is that leg's result. With `denial` the
        order is journalled as denied for that reason, and nothing of it is sent.

        Raises: `Problem` when the request as a whole is wrong; then the key is not consumed.
        """
        mark = fingerprint(request)
        try:
            if self._stopping:
                raise Problem(503, "stopping", "the gateway is stopping; try again shortly")
            broken = self._kill.condition(JOURNAL)
            if broken is not None:
                raise Problem(503, "journal_broken", f"nothing was sent: {broken.reason}")
            planned = await self._planner.plan(request, caller.allows, caller.key_id, purpose)
            for leg in planned:
                leg.denial = denial or leg.denial
        except Problem:
            existing = await self._store.find_key(caller.client, key)
            if existing is not None:
                return await self._replay(existing, mark), True
            raise
        # Shielded: a client that hangs up must not leave an order journalled but never started.
        accepting = self._accept(caller, key, request, mark, planned, purpose)
        return await asyncio.shield(self.spawn(accepting))

    async def check(self, caller: Caller, request: OrderRequest) -> None:
        """Raise the `Problem` that placing this order would raise; place and write nothing."""
        await self._planner.plan(request, caller.allows, caller.key_id, Purpose.CLIENT)

    async def _accept(
        self,
        caller: Caller,
        key: str,
        request: OrderRequest,
        mark: bytes,
        planned: list[PlannedLeg],
        purpose: Purpose,
    ) -> tuple[LiveOrder, bool]:
        at = now_us()
        order = Order(
            order_id=new_order_id(at // 1000),
            client=caller.client,
            idempotency_key=key,
            fingerprint=mark,
            created_us=at,
            request=request,
            request_id=caller.request_id,
            key_id=caller.key_id,
            purpose=purpose,
        )
        legs: list[Leg] = []
        steps: list[list[tuple[LegState | None, LegState, LegEvent]]] = []
        for n, plan in enumerate(planned, 1):
            leg, history = self._first_steps(order, n, plan)
            legs.append(leg)
            steps.append(history)
        live = self._known[order.order_id] = LiveOrder(order, legs, self._store)
        try:
            existing = await self._store.accept_order(
                order, list(zip(legs, steps, strict=True)), caller.actor()
            )
        except StoreBroken as error:
            self._unclaim(planned, legs)
            self._stops.journal_broke(str(error))
            raise Problem(
                503, "journal_broken", f"nothing was sent: {error}", extra={"order_id": None}
            ) from error
        if existing is not None:
            self._unclaim(planned, legs)
            return await self._replay(existing, mark), True
        self._live[order.order_id] = live
        for plan, leg_ in zip(planned, live.legs, strict=True):
            if leg_.state in TERMINAL:
                continue
            self._start(plan, leg_, request)
        return live, False

    def _unclaim(self, planned: list[PlannedLeg], legs: list[Leg]) -> None:
        """Let go of what legs claimed that never came to be."""
        for plan, leg in zip(planned, legs, strict=True):
            plan.account.release_twin(leg)
            if plan.permit is not None:
                plan.permit.drop()

    def _first_steps(
        self, order: Order, n: int, plan: PlannedLeg
    ) -> tuple[Leg, list[tuple[LegState | None, LegState, LegEvent]]]:
        """Make a leg and the transitions that T1 writes with it.

        Where a connection and a rate token are at hand, SEND_BEGIN joins T1: one sync fewer.
        """
        request, account, at = order.request, plan.account, order.created_us
        leg = Leg(
            order_id=order.order_id,
            n=n,
            leg_id=leg_id_of(order.order_id, n),
            account=account.id,
            broker=account.broker,
            broker_tag=plan.broker_tag,
            instrument=request.instrument,
            side=request.side,
            order_type=request.order_type,
            product=request.product,
            validity=request.validity,
            quantity=plan.quantity,
            created_us=at,
            deadline_us=at + request.ttl_ms * 1000,
            updated_us=at,
            price=request.price,
            trigger_price=request.trigger_price,
            disclosed_quantity=request.disclosed_quantity,
            amo=request.amo,
            sent=plan.sent,
            precheck=plan.precheck,
        )
        steps: list[tuple[LegState | None, LegState, LegEvent]] = [
            (None, LegState.READY, LegEvent(event="accepted", at_us=at))
        ]
        if plan.denial is not None:
            leg.state, leg.reason = LegState.DENIED, plan.denial
            event = LegEvent(event="denied", at_us=at, broker_message=plan.denial.message)
            steps.append((LegState.READY, LegState.DENIED, event))
        elif (
            plan.instrument is not None
            and not plan.must_reduce
            and account.adapter.is_warm()
            and account.try_claim_twin(leg)
            and (permit := account.calls.try_permit(plan.instrument.exchange)) is not None
        ):
            plan.permit = permit
            leg.state, leg.attempts, leg.send_boot = LegState.SENDING, 1, self._boot_id
            leg.send_begin_us = at
            event = LegEvent(event="send_begin", at_us=at, attempt=1)
            steps.append((LegState.READY, LegState.SENDING, event))
        return leg, steps

    def _start(self, plan: PlannedLeg, leg: LiveLeg, request: OrderRequest) -> None:
        account = plan.account
        account.moving[leg.record.leg_id] = leg
        place = plan.place_order(request)
        self.spawn(self._run_leg(leg, account, place, plan.permit))

    async def _run_leg(
        self, leg: LiveLeg, account: Account, place: PlaceOrder, permit: Permit | None
    ) -> None:
        runner = LegRunner(
            leg,
            account,
            place,
            self._stops,
            self._boot_id,
            permit=permit,
            on_session_expired=self._on_session_expired,
        )
        await runner.run()
        account.release_twin(leg.record)
        if leg.state in TERMINAL:
            self.leg_done(leg)
            return
        self.wake(account.id)
        if leg.record.cancel_requested and leg.state in AT_BROKER:
            await self._actions.send_cancel(leg, account)

    async def _replay(self, existing: Existing, mark: bytes) -> LiveOrder:
        if existing.fingerprint != mark:
            raise Problem(
                422,
                "idempotency_key_reused",
                "this Idempotency-Key belongs to another order; use a new key for a new order",
                sent=None,
                extra={"order_id": existing.order_id},
            )
        live = await self.find(existing.order_id)
        if live is None:
            raise Problem(
                409,
                "idempotency_in_flight",
                "the first request with this key is still being written",
                sent=None,
                headers={"Retry-After": "1"},
            )
        return live

    async def find(self, order_id: str) -> LiveOrder | None:
        """Return an order, from memory while anybody holds it, from the journal otherwise."""
        live = self._known.get(order_id)
        if live is not None:
            return live
        loaded = await self._store.load_order(order_id)
        if loaded is None:
            return None
        live = LiveOrder(*loaded, self._store)
        return self._known.setdefault(order_id, live)

    async def wait(self, live: LiveOrder, wait_for: WaitFor, timeout_s: float) -> bool:
        """Wait as the client asked. An ended wait cancels nothing."""
        reached = {
            WaitFor.ACK: lambda: live.acked,
            WaitFor.BOOK: lambda: live.booked,
            WaitFor.FINAL: lambda: live.terminal,
        }[wait_for]
        return await live.wait_until(reached, timeout_s)

    async def cancel(self, live: LiveOrder, account_id: str | None, wait_s: float) -> None:
        """Cancel every leg that is not terminal (or one account's), and wait for the outcome.

        Raises: `Problem` when `account_id` has no leg in this order.
        """
        legs = [leg for leg in live.legs if account_id in (None, leg.record.account)]
        if not legs:
            raise Problem(404, "account_unknown", f"no leg of this order is at {account_id}")
        started = []
        for leg in legs:
            account = self._accounts.get(leg.record.account)
            if leg.state not in TERMINAL and account is not None:
                started.append(self.spawn(self._actions.request_cancel(leg, account)))
        if started:
            await asyncio.wait(started, timeout=wait_s)
        await live.wait_until(lambda: all(leg.state in TERMINAL for leg in legs), wait_s)

    async def modify(
        self,
        live: LiveOrder,
        changes: Mapping[str, Change],
        wait_s: float,
        key_id: str | None = None,
    ) -> dict[str, str]:
        """Modify the legs at the accounts named; answers each leg id with what became of it.

        `applied`, `refused`, `unknown` or `not_live`; still running after `wait_s`: `unknown`.
        """
        legs = [leg for leg in live.legs if leg.record.account in changes]
        tasks = {
            leg.record.leg_id: self.spawn(
                self._modify_leg(leg, changes[leg.record.account], key_id)
            )
            for leg in legs
        }
        if tasks:
            await asyncio.wait(tasks.values(), timeout=wait_s)
        return {
            leg_id: task.result() if task.done() else "unknown" for leg_id, task in tasks.items()
        }

    async def _modify_leg(self, leg: LiveLeg, change: Change, key_id: str | None) -> str:
        account = self._accounts.get(leg.record.account)
        if account is None:
            return "not_live"
        try:
            return await self._actions.modify(leg, account, change, key_id)
        except Denied as error:
            await leg.change(None, "modify_denied", broker_message=error.message)
            return "refused"

    def _may_modify(self, leg: LiveLeg, key_id: str | None, decreases: bool) -> None:
        """Raise `Denied` for a modify that must not go out now; a decrease always may."""
        self._stops.assert_may_modify(leg, key_id, decreases=decreases)

    def unresolved(self) -> list[tuple[LiveLeg, Account, Evidence]]:
        """Every leg whose fate is not proven, oldest first, with what was seen of it."""
        found = [
            (leg, account, account.evidence_of(leg))
            for account in self._accounts.values()
            for leg in account.moving.values()
            if leg.state in UNPROVEN
        ]
        return sorted(found, key=lambda item: item[0].record.created_us)

    async def adopt(
        self, leg: LiveLeg, broker_order_id: str, actor: dict[str, Any], reason: str
    ) -> None:
        """Take an order at the broker for the leg, on the operator's word.

        Raises: `Problem` when the leg is proven already, or the order belongs to another leg.
        """
        account = self._accounts[leg.record.account]
        if broker_order_id in account.claimed_ids():
            raise Problem(409, "order_claimed", f"{broker_order_id} already belongs to another leg")
        adopted = await leg.change(
            LegState.ACKED,
            "adopted_by_operator",
            only_from=UNPROVEN,
            broker_order_id=broker_order_id,
            reason=None,
            details={"actor": actor, "reason": reason},
        )
        if not adopted:
            raise Problem(409, "not_unresolved", f"the leg is {leg.state}: nothing to resolve")
        account.forget_evidence(leg)
        self.leg_found(leg)
        self.wake(account.id)

    async def declare_absent(self, leg: LiveLeg, actor: dict[str, Any], reason: str) -> None:
        """End a leg as absent on the operator's word.

        Raises: `Problem` when the leg is proven already, or more than one order carries its tag.
        """
        details = {"actor": actor, "reason": reason}
        if leg.state is LegState.UNKNOWN:
            await leg.change(LegState.NEEDS_OPERATOR, "needs_operator", details=details)
        allowed = frozenset({LegState.NEEDS_OPERATOR, LegState.NOT_FOUND})
        if not await leg.change(
            LegState.ABSENT, "declared_absent", only_from=allowed, details=details
        ):
            raise Problem(
                409, "not_unresolved", f"the leg is {leg.state}: it cannot be declared absent"
            )
        self.leg_done(leg)

    async def read_book(self, account: Account) -> BookView | None:
        """Read an account's book now and apply it; None when it could not be read."""
        return await self._reconcilers[account.id].read()

    async def place_closing(self, key: str, request: OrderRequest) -> LiveOrder:
        """Place an order of the kill switch itself; one key is one order, whatever is asked now."""
        existing = await self._store.find_key(KILL_CLIENT, key)
        known = await self.find(existing.order_id) if existing else None
        if known is not None:
            return known
        caller = Caller(client=KILL_CLIENT, key_id=KILL_CLIENT)
        live, _ = await self.place(caller, key, request, Purpose.SQUARE_OFF)
        return live

    async def _look_now(self, account: Account) -> bool:
        return await self._reconcilers[account.id].look_now()

    async def _recover(self, leg: LiveLeg) -> None:
        """Nothing accepted before a restart is sent after it; what was on the wire is unknown."""
        if leg.state in UNSENT:
            reason = Reason(
                code=ReasonCode.EXPIRED,
                message="the gateway restarted before anything was sent",
                retryable=True,
            )
            await leg.change(LegState.LAPSED, "restart", reason=reason)
        elif leg.state is LegState.SENDING:
            reason = Reason(
                code=ReasonCode.TIMEOUT,
                message="the gateway restarted while the order was on its way",
            )
            await leg.change(LegState.UNKNOWN, "restart", reason=reason, unknown_since_us=now_us())

    def _adopt(self, live: LiveOrder) -> None:
        if live.terminal:
            return
        self._live[live.order.order_id] = live
        for leg in live.legs:
            account = self._accounts.get(leg.record.account)
            if leg.state in TERMINAL or account is None:
                continue
            account.moving[leg.record.leg_id] = leg
            if leg.state in UNPROVEN:
                account.recovered = False
                account.try_claim_twin(leg.record)

    def session_expired(self, account: Account, error: LoginExpired) -> None:
        self._on_session_expired(account, error)

    def leg_found(self, leg: LiveLeg) -> None:
        """Free what waited for the leg's fate, and send the cancel that waited for its order."""
        account = self._accounts[leg.record.account]
        account.release_twin(leg.record)
        if leg.record.cancel_requested:
            self.spawn(self._actions.send_cancel(leg, account))

    def leg_done(self, leg: LiveLeg) -> None:
        account = self._accounts.get(leg.record.account)
        if account is not None:
            account.release_twin(leg.record)
            account.finish(leg)
        if leg.order.terminal:
            self._live.pop(leg.order.order.order_id, None)

    def duplicate(self, account: Account, leg: LiveLeg, ids: list[str]) -> None:
        text = f"orders {', '.join(ids)} at {account.id} all carry one tag"
        self._on_duplicate(account, text)
        self.alarm(account, "duplicate_detected", leg, text)

    def stray(self, account: Account, leg: LiveLeg, row: BrokerOrder) -> None:
        text = f"order {row.broker_order_id} lives at {account.id} although its leg is {leg.state}"
        self._on_duplicate(account, text)
        self.alarm(account, "contradicted", leg, text)

    async def leg_tagged(self, broker_tag: int) -> LiveLeg | None:
        place = await self._store.find_tag(broker_tag)
        live = await self.find(place[0]) if place else None
        if place is None or live is None:
            return None
        return next((leg for leg in live.legs if leg.record.n == place[1]), None)

    def alarm(self, account: Account, event: str, leg: LiveLeg, text: str) -> None:
        """Tell the log and the audit log what a person should look at."""
        log.error("%s: %s: %s (%s)", account.id, event, text, leg.record.leg_id)
        body = {"event": event, "leg_id": leg.record.leg_id, "text": text}
        self.spawn(self._audit_alarm(account, body))

    async def _audit_alarm(self, account: Account, body: dict[str, Any]) -> None:
        try:
            await self._store.audit("alarm", body, account=account.id)
        except StoreBroken:
            log.error("the alarm %s could not be written to the journal", body["event"])

    async def instrument_of(self, account: Account, instrument: str) -> Instrument | None:
        """Look an instrument up where nothing may fail for want of a master."""
        try:
            return await self._find_instrument(account.broker, instrument)
        except LookupError:
            return None

    async def save_echo(self, account: Account, echo: Echo) -> None:
        body = {"event": "learned", "echo": echo}
        await self._store.save_meta(f"echo:{account.id}", echo, body, account=account.id)

    async def reopen(self, account: Account, row: BrokerOrder) -> LiveLeg | None:
        known = account.finished.get(row.broker_order_id)
        live = await self.find(known.order_id) if known else None
        if known is None or live is None:
            return None
        self._live[known.order_id] = live
        return next((leg for leg in live.legs if leg.record.n == known.n), None)

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Run work that no client can cancel; stopping waits for it, up to its deadline."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
