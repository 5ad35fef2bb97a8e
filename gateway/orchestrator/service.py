"""Orders while they move: what the API calls, what reconcilers tell, and nothing of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from adapters.sdk.errors import Denied, LoginExpired, ReasonCode
from adapters.sdk.models import BrokerOrder, Instrument, ModifyOrder
from gateway.calendar import Calendar
from gateway.kill import KillSwitch, Scope
from gateway.kill.switch import RESTORED
from gateway.orchestrator.acceptance import Acceptance
from gateway.orchestrator.account import Account
from gateway.orchestrator.actions import Actions, Change, Modification, ModifyDenied
from gateway.orchestrator.audience import Audience
from gateway.orchestrator.book import BookView
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.cancelling import Canceller, NameContract
from gateway.orchestrator.elsewhere import Elsewhere
from gateway.orchestrator.evidence import Echo
from gateway.orchestrator.live import LiveLeg, LiveOrder
from gateway.orchestrator.plan import FindInstrument, PlannedLeg, Planner, Suggest
from gateway.orchestrator.pricing import Pricer, ReadQuote
from gateway.orchestrator.reconciler import Reconciler
from gateway.orchestrator.register import Register
from gateway.orchestrator.resolving import Resolving
from gateway.orchestrator.squaring import KILL_CLIENT
from gateway.orchestrator.stops import Stops
from gateway.orders.ids import TAG_MAX, TAG_MIN, TagMint
from gateway.orders.problems import Problem
from gateway.orders.records import Purpose, Reason
from gateway.orders.request import OrderRequest, WaitFor
from gateway.orders.states import (
    AT_BROKER,
    TERMINAL,
    UNPROVEN,
    UNSENT,
    LegState,
)
from gateway.orders.times import now_us
from gateway.prechecks.desk import PrecheckDesk
from gateway.prechecks.verdict import first_failure, reason_of
from gateway.store import Store, StoreBroken

log = logging.getLogger(__name__)

SessionExpired = Callable[[Account, LoginExpired], None]
T = TypeVar("T")
_RECONCILER = "reconciler"
_CANCELLED = "cancel_requested"


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
        calendar: Calendar,
        read_quote: ReadQuote,
        desk: PrecheckDesk,
        suggest: Suggest | None = None,
        on_book_read: Callable[[Account], Awaitable[None]] | None = None,
    ) -> None:
        self._kill = kill
        self._on_book_read = on_book_read
        self.calendar = calendar
        self._on_duplicate = on_duplicate
        self._store = store
        self._accounts = accounts
        self._find_instrument = find_instrument
        self._mint = TagMint()
        self._stops = Stops(kill)
        self._on_session_expired = on_session_expired
        self._register = Register(store)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reconcilers = {
            account.id: Reconciler(account, self, account.pace()) for account in accounts.values()
        }
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._actions = Actions(
            self.instrument_of,
            self._look_now,
            on_session_expired,
            self._may_modify,
            self._judge_modify,
            desk.follow,
        )
        self.elsewhere = Elsewhere(
            store, self._stops, self.read_book, name_contract, on_session_expired
        )
        self.canceller = Canceller(
            store, self._actions, self.read_book, name_contract, on_session_expired
        )
        self._desk = desk
        self.planner = Planner(
            accounts,
            Audience(accounts, groups),
            find_instrument,
            lambda: self._mint.mint(),
            self._stops,
            desk,
            Pricer(accounts, read_quote),
            suggest,
        )
        self._acceptance = Acceptance(
            store,
            self.planner,
            self._register,
            kill,
            self._stops,
            boot_id=boot_id,
            spawn=self.spawn,
            on_run=self._leg_run,
            on_session_expired=on_session_expired,
        )
        self.resolving = Resolving(
            store,
            accounts,
            self.read_book,
            self.instrument_of,
            on_found=self._resolved,
            on_done=self.leg_done,
        )

    async def start(self, unwritten: Sequence[Mapping[str, Any]] = ()) -> None:
        """Take up what an earlier run left behind, by the rules of design section 3.

        `unwritten` is what that run could only keep in the emergency log.
        """
        cancelled = {line.get("leg_id") for line in unwritten if line.get("event") == _CANCELLED}
        self._mint = TagMint(await self._store.highest_tag())
        for order, legs in await self._store.load_open_orders():
            live = self._register.known[order.order_id] = LiveOrder(order, legs, self._store)
            for leg in live.legs:
                await self._recover(leg)
                asked = leg.record.leg_id in cancelled and not leg.record.cancel_requested
                if asked and leg.state not in TERMINAL:
                    await leg.change(None, _CANCELLED, cancel_requested=True)
            self._adopt(live)
        for account in self._accounts.values():
            await self.learned_echo(account)
        for account_id in self._reconcilers:
            self._watch(account_id)

    @property
    def stopping(self) -> bool:
        """Whether no more orders are taken."""
        return self._acceptance.stopping

    async def finish(self, deadline_s: float) -> None:
        """Take no more orders; let legs on the wire finish, then record the rest as unknown."""
        self._acceptance.stop()
        working = [task for task in self._tasks if task.get_name() != _RECONCILER]
        if working:
            _, late = await asyncio.wait(working, timeout=deadline_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def stop(self, deadline_s: float = 5.0) -> None:
        """As `finish`, and look at books no more."""
        for task in self._tasks:
            if task.get_name() == _RECONCILER:
                task.cancel()
        await self.finish(deadline_s)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until every order that is on its way in now has its legs, or has none."""
        await self._acceptance.settled()

    async def learned_echo(self, account: Account) -> None:
        """Take up what earlier runs learned of how an account's broker gives tags back."""
        learned = await self._store.load_meta(f"echo:{account.id}")
        account.echo = Echo(learned) if learned else account.echo

    def take_in(self, account: Account) -> None:
        """Look after an account that the configuration now has, in place of one of that id.

        Its legs of an earlier time, which nobody could follow meanwhile, are followed again.
        """
        self.let_go(account.id)
        for live in self._register.live.values():
            for leg in live.legs:
                if leg.record.account == account.id and leg.state not in TERMINAL:
                    self._follow(leg, account)
        self._reconcilers[account.id] = Reconciler(account, self, account.pace())
        self._watch(account.id)

    def let_go(self, account_id: str) -> None:
        """Look after an account no more. It has no leg that is not over."""
        watching = self._watching.pop(account_id, None)
        if watching is not None:
            watching.cancel()
        self._reconcilers.pop(account_id, None)

    def _watch(self, account_id: str) -> None:
        run = self._reconcilers[account_id].run()
        self._watching[account_id] = self.spawn(run, name=_RECONCILER)

    def wake(self, account_id: str) -> None:
        """Tell the account's reconciler that a session or an order may have changed."""
        reconciler = self._reconcilers.get(account_id)
        if reconciler is not None:
            reconciler.wake()

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
        """Accept an order and start its legs: see `Acceptance.place`."""
        return await self._acceptance.place(caller, key, request, purpose, denial)

    async def check(self, caller: Caller, request: OrderRequest) -> None:
        """Raise the `Problem` that placing this order would raise; place and write nothing."""
        await self._acceptance.check(caller, request)

    async def try_out(self, caller: Caller, request: OrderRequest) -> list[PlannedLeg]:
        """Return the legs that placing this order would make: see `Acceptance.try_out`."""
        return await self._acceptance.try_out(caller, request)

    async def find(self, order_id: str) -> LiveOrder | None:
        """Return an order, from memory while anybody holds it, from the journal otherwise."""
        return await self._register.find(order_id)

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
        leg_id: str | None = None,
    ) -> dict[str, Modification]:
        """Modify the legs at the accounts named, or one of them; answers each with what became
        of it.

        Still running after `wait_s`: `unknown`.
        """
        legs = [
            leg
            for leg in live.legs
            if leg.record.account in changes and leg_id in (None, leg.record.leg_id)
        ]
        tasks = {
            leg.record.leg_id: self.spawn(
                self._modify_leg(leg, changes[leg.record.account], key_id)
            )
            for leg in legs
        }
        if tasks:
            await asyncio.wait(tasks.values(), timeout=wait_s)
        return {
            leg_id: task.result() if task.done() else Modification("unknown")
            for leg_id, task in tasks.items()
        }

    async def _modify_leg(self, leg: LiveLeg, change: Change, key_id: str | None) -> Modification:
        account = self._accounts.get(leg.record.account)
        if account is None:
            return Modification("not_live")
        try:
            return Modification(await self._actions.modify(leg, account, change, key_id))
        except Denied as error:
            details = error.details if isinstance(error, ModifyDenied) else {}
            await leg.change(None, "modify_denied", broker_message=error.message, details=details)
            reason = Reason(code=error.reason, message=error.message, details=details)
            return Modification("refused", reason)

    def _may_modify(self, leg: LiveLeg, key_id: str | None, decreases: bool) -> None:
        """Raise `Denied` for a modify that must not go out now; a decrease always may."""
        self._stops.assert_may_modify(leg, key_id, decreases=decreases)

    async def _judge_modify(self, account: Account, leg: LiveLeg, wanted: ModifyOrder) -> None:
        """Raise `ModifyDenied` for a modify that breaks the contract's rules or a limit."""
        precheck = leg.order.order.request.precheck
        checks = await self._desk.judge_change(account, leg.record, wanted, precheck)
        failure = first_failure(checks)
        if failure is not None:
            reason = reason_of(failure)
            raise ModifyDenied(reason.message, reason=reason.code, details=reason.details)

    async def read_book(self, account: Account) -> BookView | None:
        """Read an account's book now and apply it; None when it could not be read."""
        reconciler = self._reconcilers.get(account.id)
        return await reconciler.read() if reconciler is not None else None

    async def place_closing(self, key: str, request: OrderRequest) -> LiveOrder:
        """Place an order of the kill switch itself; one key is one order, whatever is asked now."""
        known = await self.find_closing(key)
        if known is not None:
            return known
        caller = Caller(client=KILL_CLIENT, key_id=KILL_CLIENT)
        live, _ = await self.place(caller, key, request, Purpose.SQUARE_OFF)
        return live

    async def find_closing(self, key: str) -> LiveOrder | None:
        """Return the order that the kill switch placed under a key, also before a restart."""
        existing = await self._store.find_key(KILL_CLIENT, key)
        return await self.find(existing.order_id) if existing else None

    async def _look_now(self, account: Account) -> bool:
        reconciler = self._reconcilers.get(account.id)
        return await reconciler.look_now() if reconciler is not None else False

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
        self._register.live[live.order.order_id] = live
        for leg in live.legs:
            account = self._accounts.get(leg.record.account)
            if leg.state not in TERMINAL and account is not None:
                self._follow(leg, account)

    def _follow(self, leg: LiveLeg, account: Account) -> None:
        account.moving[leg.record.leg_id] = leg
        if leg.state in UNPROVEN:
            account.recovered = False
            account.try_claim_twin(leg.record)

    def session_expired(self, account: Account, error: LoginExpired) -> None:
        self._on_session_expired(account, error)

    async def leg_tagged(self, broker_tag: int) -> LiveLeg | None:
        return await self._register.leg_tagged(broker_tag)

    async def reopen(self, account: Account, row: BrokerOrder) -> LiveLeg | None:
        return await self._register.reopen(account, row)

    async def _leg_run(self, leg: LiveLeg, account: Account) -> None:
        """The runner has left the leg: free what waited for it, and go on with its order."""
        account.release_twin(leg.record)
        if leg.state in TERMINAL:
            self.leg_done(leg)
            return
        if leg.state in AT_BROKER:
            self._desk.answered(leg.record)
        self.wake(account.id)
        if leg.record.cancel_requested and leg.state in AT_BROKER:
            await self._actions.send_cancel(leg, account)

    def _resolved(self, leg: LiveLeg) -> None:
        self.leg_found(leg)
        self.wake(leg.record.account)

    def leg_found(self, leg: LiveLeg) -> None:
        """Free what waited for the leg's fate, and send the cancel that waited for its order."""
        account = self._accounts[leg.record.account]
        account.release_twin(leg.record)
        self._desk.answered(leg.record)
        if leg.record.cancel_requested:
            self.spawn(self._actions.send_cancel(leg, account))

    def leg_done(self, leg: LiveLeg) -> None:
        account = self._accounts.get(leg.record.account)
        self._desk.settle(leg.record)
        if account is not None:
            account.release_twin(leg.record)
            account.finish(leg)
        if leg.order.terminal:
            self._register.live.pop(leg.order.order.order_id, None)

    def must_read(self, account: Account) -> bool:
        """Whether the account stands still until its book was read: its journal was restored."""
        standing = self._kill.at(Scope.ACCOUNT, account.id)
        return standing is not None and standing.source == RESTORED

    async def whole_book(self, account: Account, rows: Sequence[BrokerOrder]) -> None:
        """Tell of orders that the restored journal knows nothing of, and let the account go on."""
        unknown = [
            row.broker_order_id
            for row in rows
            if row.broker_tag is not None
            and TAG_MIN <= row.broker_tag <= TAG_MAX
            and await self.leg_tagged(row.broker_tag) is None
        ]
        if unknown:
            text = (
                f"orders {', '.join(unknown)} at {account.id} carry tags like ours that the"
                " restored journal does not know: they were placed after the backup, and whoever"
                " repeats their idempotency keys places them again"
            )
            log.error("%s", text)
            body = {"event": "not_in_backup", "text": text, "broker_order_ids": unknown}
            self.spawn(self._audit_alarm(account, body))
        if self._on_book_read is not None:
            await self._on_book_read(account)

    def duplicate(self, account: Account, leg: LiveLeg, ids: list[str]) -> None:
        text = f"orders {', '.join(ids)} at {account.id} all carry one tag"
        self._on_duplicate(account, text)
        self.alarm(account, "duplicate_detected", leg, text)

    def stray(self, account: Account, leg: LiveLeg, row: BrokerOrder) -> None:
        text = f"order {row.broker_order_id} lives at {account.id} although its leg is {leg.state}"
        self._on_duplicate(account, text)
        self.alarm(account, "contradicted", leg, text)

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

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Run work that no client can cancel; stopping waits for it, up to its deadline."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
