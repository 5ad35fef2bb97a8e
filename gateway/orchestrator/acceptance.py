"""From the request to running legs: idempotency, the plan, T1, and whoever repeats the key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from adapters.sdk.errors import LoginExpired
from adapters.sdk.models import PlaceOrder
from gateway.calls.permit import Permit
from gateway.kill import KillSwitch
from gateway.kill.switch import JOURNAL
from gateway.observability.context import traceparent
from gateway.orchestrator.account import Account
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.live import LiveLeg, LiveOrder
from gateway.orchestrator.plan import PlannedLeg, Planner
from gateway.orchestrator.pricing import UNPRICED
from gateway.orchestrator.register import Register
from gateway.orchestrator.runner import LegRunner
from gateway.orchestrator.stops import Stops
from gateway.orchestrator.wire import sent_order
from gateway.orders.ids import leg_id_of, new_order_id
from gateway.orders.problems import Problem
from gateway.orders.records import Leg, Order, Purpose, Reason
from gateway.orders.request import OrderRequest, fingerprint
from gateway.orders.states import TERMINAL, LegState
from gateway.orders.times import now_us
from gateway.store import Existing, LegEvent, Store, StoreBroken

# Keys that are known to have been used without asking the journal.
_USED_KEPT = 2_000
Spawn = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]


class Acceptance:
    """`spawn` runs what no client can cancel; `on_run` hears of each leg that its runner left.

    `stopping`: no more orders are taken.
    """

    def __init__(
        self,
        store: Store,
        planner: Planner,
        register: Register,
        kill: KillSwitch,
        stops: Stops,
        *,
        boot_id: str,
        spawn: Spawn,
        on_run: Callable[[LiveLeg, Account], Awaitable[None]],
        on_session_expired: Callable[[Account, LoginExpired], None],
    ) -> None:
        self._store = store
        self._planner = planner
        self._register = register
        self._kill = kill
        self._stops = stops
        self._boot_id = boot_id
        self._spawn = spawn
        self._on_run = on_run
        self._on_session_expired = on_session_expired
        self.stopping = False
        self._planning: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._accepting: set[asyncio.Task[Any]] = set()
        self._used: dict[tuple[str, str], None] = {}

    def stop(self) -> None:
        """Take no more orders."""
        self.stopping = True

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
        slot = (caller.client, key)
        # One at a time under a key: a repeated request must not take room that limits count.
        while (busy := self._planning.get(slot)) is not None:
            await asyncio.wait({busy})
        busy = self._planning[slot] = asyncio.get_running_loop().create_future()
        try:
            return await self._place(caller, key, request, purpose, denial)
        finally:
            del self._planning[slot]
            busy.set_result(None)

    async def _place(
        self,
        caller: Caller,
        key: str,
        request: OrderRequest,
        purpose: Purpose,
        denial: Reason | None,
    ) -> tuple[LiveOrder, bool]:
        mark = fingerprint(request)
        try:
            if self.stopping:
                raise Problem(503, "stopping", "the gateway is stopping; try again shortly")
            broken = self._kill.condition(JOURNAL)
            if broken is not None:
                raise Problem(503, "journal_broken", f"nothing was sent: {broken.reason}")
            if (caller.client, key) in self._used or request.order_type in UNPRICED:
                # A repeated request needs no room, nor a price that a broker is asked for.
                existing = await self._store.find_key(caller.client, key)
                if existing is not None:
                    return await self._replay(existing, mark), True
            planned = await self._planner.plan(request, caller.allows, caller.key_id, purpose)
            if denial is not None:
                for leg in planned:
                    leg.denial = denial
                    self._planner.give_back(leg)
        except Problem:
            existing = await self._store.find_key(caller.client, key)
            if existing is not None:
                return await self._replay(existing, mark), True
            raise
        # Shielded: a client that hangs up must not leave an order journalled but never started.
        self._remember((caller.client, key))
        accepting = self._spawn(self._accept(caller, key, request, mark, planned, purpose))
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)
        accepted: tuple[LiveOrder, bool] = await asyncio.shield(accepting)
        return accepted

    async def settled(self) -> None:
        """Wait until every order that is on its way in now has its legs, or has none."""
        waiting = {*self._planning.values(), *self._accepting}
        while waiting := {each for each in waiting if not each.done()}:
            await asyncio.wait(waiting)
            # A plan that was made has become an order that is being written.
            waiting = set(self._accepting)

    def _remember(self, slot: tuple[str, str]) -> None:
        self._used[slot] = None
        if len(self._used) > _USED_KEPT:
            del self._used[next(iter(self._used))]

    async def check(self, caller: Caller, request: OrderRequest) -> None:
        """Raise the `Problem` that placing this order would raise; place and write nothing."""
        self._planner.assert_whole(request, caller.allows)

    async def try_out(self, caller: Caller, request: OrderRequest) -> list[PlannedLeg]:
        """Return the legs that placing this order would make, judged to the end, none placed.

        Raises: `Problem` as placing it would.
        """
        return await self._planner.plan(
            request, caller.allows, caller.key_id, Purpose.CLIENT, trial=True
        )

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
            traceparent=traceparent.get(),
            key_id=caller.key_id,
            purpose=purpose,
        )
        legs: list[Leg] = []
        steps: list[list[tuple[LegState | None, LegState, LegEvent]]] = []
        for n, plan in enumerate(planned, 1):
            leg, history = self._first_steps(order, n, plan)
            legs.append(leg)
            steps.append(history)
        live = self._register.known[order.order_id] = LiveOrder(order, legs, self._store)
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
        self._register.live[order.order_id] = live
        self._planner.became(order.order_id, planned)
        for plan, leg_ in zip(planned, live.legs, strict=True):
            if leg_.state in TERMINAL:
                continue
            self._start(plan, leg_, request)
        return live, False

    def _unclaim(self, planned: list[PlannedLeg], legs: list[Leg]) -> None:
        """Let go of what legs claimed that never came to be."""
        for plan, leg in zip(planned, legs, strict=True):
            plan.account.release_twin(leg)
            self._planner.give_back(plan)
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
            disclosed_quantity=min(request.disclosed_quantity, plan.quantity),
            amo=request.amo,
            sent=plan.sent,
            precheck=plan.precheck,
            checks=tuple(plan.checks),
            slice=plan.slice,
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
            details = sent_order(plan.place_order(request))
            event = LegEvent(event="send_begin", at_us=at, attempt=1, details=details)
            steps.append((LegState.READY, LegState.SENDING, event))
        return leg, steps

    def _start(self, plan: PlannedLeg, leg: LiveLeg, request: OrderRequest) -> None:
        account = plan.account
        account.moving[leg.record.leg_id] = leg
        place = plan.place_order(request)
        self._spawn(self._run_leg(leg, account, place, plan.permit))

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
        await self._on_run(leg, account)

    async def _replay(self, existing: Existing, mark: bytes) -> LiveOrder:
        if existing.fingerprint != mark:
            raise Problem(
                422,
                "idempotency_key_reused",
                "this Idempotency-Key belongs to another order; use a new key for a new order",
                sent=None,
                extra={"order_id": existing.order_id},
            )
        live = await self._register.find(existing.order_id)
        if live is None:
            raise Problem(
                409,
                "idempotency_in_flight",
                "the first request with this key is still being written",
                sent=None,
                headers={"Retry-After": "1"},
            )
        return live
