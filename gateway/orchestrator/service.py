"""Orders from acceptance to their last state: what the API calls, and nothing of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.models import Instrument, OrderRef, PlaceOrder
from gateway.orchestrator.account import Account
from gateway.orchestrator.follower import BookFollower
from gateway.orchestrator.halt import Halt
from gateway.orchestrator.live import LiveLeg, LiveOrder
from gateway.orchestrator.plan import FindInstrument, PlannedLeg, Planner
from gateway.orchestrator.runner import LegRunner
from gateway.orders.ids import TagMint, leg_id_of, new_order_id
from gateway.orders.problems import Problem
from gateway.orders.records import Leg, Order, Reason
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


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the API client's name (idempotency belongs to it), and what it may touch."""

    client: str
    key_id: str
    accounts: frozenset[str] | None = None
    request_id: str | None = None

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
        halt: Halt,
        on_session_expired: SessionExpired,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._find_instrument = find_instrument
        self._mint = TagMint()
        self._planner = Planner(accounts, groups, find_instrument, lambda: self._mint.mint())
        self._boot_id = boot_id
        self._halt = halt
        self._on_session_expired = on_session_expired
        self._live: dict[str, LiveOrder] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._followers = {
            account.id: BookFollower(
                account,
                on_session_expired=on_session_expired,
                on_found=self._found,
                on_done=self._done,
            )
            for account in accounts.values()
        }
        self._stopping = False

    async def start(self) -> None:
        """Take up what an earlier run left behind, by the rules of design section 3."""
        self._mint = TagMint(await self._store.highest_tag())
        for order, legs in await self._store.load_open_orders():
            live = LiveOrder(order, legs, self._store)
            for leg in live.legs:
                await self._recover(leg)
            self._adopt(live)
        for follower in self._followers.values():
            self._spawn(follower.run())

    async def stop(self, deadline_s: float = 5.0) -> None:
        """Take no more orders; let legs on the wire finish, then record the rest as unknown."""
        self._stopping = True
        followers = [t for t in self._tasks if t.get_name() == "follower"]
        for task in followers:
            task.cancel()
        working = [t for t in self._tasks if t not in followers]
        if working:
            _, late = await asyncio.wait(working, timeout=deadline_s)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self, account_id: str) -> None:
        """Tell the account's follower that a session or an order may have changed."""
        self._followers[account_id].wake()

    async def place(
        self, caller: Caller, key: str, request: OrderRequest
    ) -> tuple[LiveOrder, bool]:
        """Accept an order and start its legs; returns it and whether the key was used before.

        Raises: `Problem` when the request as a whole is wrong; then the key is not consumed.
        """
        mark = fingerprint(request)
        try:
            if self._stopping:
                raise Problem(503, "stopping", "the gateway is stopping; try again shortly")
            if self._halt.engaged:
                raise Problem(503, "kill_switch", f"sending is stopped: {self._halt.reason}")
            planned = await self._planner.plan(request, caller.allows)
        except Problem:
            existing = await self._store.find_key(caller.client, key)
            if existing is not None:
                return await self._replay(existing, mark), True
            raise
        # Shielded: a client that hangs up must not leave an order journalled but never started.
        return await asyncio.shield(self._spawn(self._accept(caller, key, request, mark, planned)))

    async def _accept(
        self,
        caller: Caller,
        key: str,
        request: OrderRequest,
        mark: bytes,
        planned: list[PlannedLeg],
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
        )
        legs: list[Leg] = []
        steps: list[list[tuple[LegState | None, LegState, LegEvent]]] = []
        for n, plan in enumerate(planned, 1):
            leg, history = self._first_steps(order, n, plan)
            legs.append(leg)
            steps.append(history)
        live = LiveOrder(order, legs, self._store)
        try:
            existing = await self._store.accept_order(
                order, list(zip(legs, steps, strict=True)), caller.actor()
            )
        except StoreBroken as error:
            self._halt.engage(str(error))
            raise Problem(
                503, "journal_broken", f"nothing was sent: {error}", extra={"order_id": None}
            ) from error
        if existing is not None:
            return await self._replay(existing, mark), True
        self._live[order.order_id] = live
        for plan, leg_ in zip(planned, live.legs, strict=True):
            if leg_.state in TERMINAL:
                continue
            self._start(plan, leg_, request)
        return live, False

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
            and account.adapter.is_warm()
            and account.limiter.try_take(plan.instrument.exchange)
        ):
            leg.state, leg.attempts, leg.send_boot = LegState.SENDING, 1, self._boot_id
            leg.send_begin_us = at
            event = LegEvent(event="send_begin", at_us=at, attempt=1)
            steps.append((LegState.READY, LegState.SENDING, event))
        return leg, steps

    def _start(self, plan: PlannedLeg, leg: LiveLeg, request: OrderRequest) -> None:
        account = plan.account
        account.moving[leg.record.leg_id] = leg
        place = plan.place_order(request)
        self._spawn(self._run_leg(leg, account, place))

    async def _run_leg(self, leg: LiveLeg, account: Account, place: PlaceOrder) -> None:
        runner = LegRunner(
            leg,
            account,
            place,
            self._halt,
            self._boot_id,
            has_token=leg.state is LegState.SENDING,
            on_session_expired=self._on_session_expired,
        )
        await runner.run()
        if leg.state in TERMINAL:
            self._done(leg)
            return
        self.wake(account.id)
        if leg.record.cancel_requested and leg.state in AT_BROKER:
            await self._cancel_at_broker(leg, account)

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
        """Return an order, from memory while it moves, from the journal when it is over."""
        live = self._live.get(order_id)
        if live is not None:
            return live
        loaded = await self._store.load_order(order_id)
        return LiveOrder(*loaded, self._store) if loaded else None

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
        started = [self._spawn(self._cancel_leg(leg)) for leg in legs if leg.state not in TERMINAL]
        if started:
            await asyncio.wait(started, timeout=wait_s)
        await live.wait_until(lambda: all(leg.state in TERMINAL for leg in legs), wait_s)

    async def _cancel_leg(self, leg: LiveLeg) -> None:
        account = self._accounts.get(leg.record.account)
        if not leg.record.cancel_requested:
            moved = await leg.change(leg.state, "cancel_requested", cancel_requested=True)
            if not moved:
                return
        if leg.state in UNSENT or account is None:
            # The leg's own task sees the request at its next step, before anything is sent.
            return
        if leg.state in AT_BROKER:
            await self._cancel_at_broker(leg, account)

    async def _cancel_at_broker(self, leg: LiveLeg, account: Account) -> None:
        session, record = account.session, leg.record
        if session is None or record.broker_order_id is None:
            return
        ref = order_ref(record, await self._instrument_or_none(account, record.instrument))
        exchange = record.instrument.partition(":")[0]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if not await account.limiter.take(exchange, begun + 30):
            return
        try:
            await account.adapter.cancel_order(session, ref)
        except LoginExpired as error:
            self._on_session_expired(account, error)
            await leg.change(leg.state, "cancel_unknown", broker_message=error.message)
        except GatewayError as error:
            await leg.change(
                leg.state,
                "cancel_failed",
                broker_code=error.broker_code,
                broker_message=error.broker_message or error.message,
                ms=round((loop.time() - begun) * 1000, 3),
            )
        else:
            await leg.change(leg.state, "cancel_sent", ms=round((loop.time() - begun) * 1000, 3))
        self.wake(account.id)

    async def _instrument_or_none(self, account: Account, instrument: str) -> Instrument | None:
        """Look an instrument up for a cancel, which must not fail for want of a master."""
        try:
            return await self._find_instrument(account.broker, instrument)
        except LookupError:
            return None

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

    def _found(self, leg: LiveLeg) -> None:
        """Send the cancel that waited for an order whose fate was unknown."""
        account = self._accounts.get(leg.record.account)
        if leg.record.cancel_requested and account is not None:
            self._spawn(self._cancel_at_broker(leg, account))

    def _done(self, leg: LiveLeg) -> None:
        account = self._accounts.get(leg.record.account)
        if account is not None:
            account.moving.pop(leg.record.leg_id, None)
        if leg.order.terminal:
            self._live.pop(leg.order.order.order_id, None)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        name = "follower" if getattr(work, "__qualname__", "").startswith("BookFollower") else None
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def order_ref(leg: Leg, instrument: Instrument | None) -> OrderRef:
    """Name a leg's order in the way that its adapter needs."""
    assert leg.broker_order_id is not None  # noqa: S101
    return OrderRef(
        broker_order_id=leg.broker_order_id,
        instrument=instrument,
        order_type=leg.sent.order_type if leg.sent else leg.order_type,
        amo=leg.amo,
    )
