"""Cancelling many orders at once: ours as journalled actions, others' straight from the book.

The book is the judge: it is read, what is open in it is cancelled, and it is read again until it
shows the end of each. A cancel's own answer proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from adapters.sdk.errors import Denied, GatewayError, LoginExpired, NotSent, Refused
from adapters.sdk.models import BrokerOrder, BrokerOrderState, Instrument, OrderRef
from gateway.orchestrator.account import Account
from gateway.orchestrator.actions import CANCEL_ATTEMPTS, Actions
from gateway.orchestrator.book import BookView, final_state
from gateway.orchestrator.live import LiveLeg
from gateway.orders.ids import leg_id_of
from gateway.orders.records import ActionState
from gateway.orders.states import AT_BROKER, BROKER_FINAL, TERMINAL, UNPROVEN, UNSENT, LegState
from gateway.store import Store, StoreBroken

_RETRY_S = 0.5
_LOOKS_AFTER_LAST = 5
_SLOT_WAIT_S = 600.0
# Orders whose contract the row does not tell are paced with the segment that most orders are in.
_ANY_EXCHANGE = "NSE"

NameContract = Callable[[Account, Mapping[str, str]], Awaitable[Instrument | None]]
ReadBook = Callable[[Account], Awaitable[BookView | None]]
SessionExpired = Callable[[Account, LoginExpired], None]


class CancelState(StrEnum):
    """CONFIRMED: the book shows that the order is over, however it ended.

    UNRESOLVED: nobody knows yet whether the order exists; it is cancelled as soon as it is found.
    """

    WAITING = "waiting"
    NOT_SENT = "not_sent"
    SENT = "sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    UNRESOLVED = "unresolved"
    CONFIRMED = "confirmed"


class OrderCancel(msgspec.Struct, kw_only=True):
    """What became of one order's cancel. Ours have a leg; `ended` is the state that ended it."""

    account: str
    broker_order_id: str | None
    order_id: str | None = None
    leg_id: str | None = None
    instrument: str | None = None
    state: CancelState = CancelState.WAITING
    ended: str | None = None
    message: str | None = None
    attempts: int = 0


class CancelRun(msgspec.Struct, kw_only=True):
    """Progress of one sweep. `problems` names accounts whose book cannot be read now, and why.

    `orders` is by account and broker order id, or leg id for a leg that has none yet; `legs` are
    those of the latter.
    """

    orders: dict[tuple[str, str], OrderCancel] = {}
    legs: dict[str, LiveLeg] = {}
    problems: dict[str, str] = {}
    done: set[str] = set()

    def follow_legs(self) -> None:
        """Bring the legs without a broker's order id up to what became of them."""
        for (account, name), cancel in list(self.orders.items()):
            leg = self.legs.get(name)
            if leg is None or cancel.state is CancelState.CONFIRMED:
                continue
            if leg.state in TERMINAL:
                cancel.state, cancel.ended = CancelState.CONFIRMED, leg.state
                cancel.broker_order_id = leg.record.broker_order_id
            elif leg.state in UNPROVEN:
                cancel.state = CancelState.UNRESOLVED
            elif leg.state in AT_BROKER:
                # Found: the book has a row for it, which is listed by itself.
                del self.orders[(account, name)]

    def counts(self) -> dict[str, int]:
        self.follow_legs()
        states = [order.state for order in self.orders.values()]
        unresolved = states.count(CancelState.UNRESOLVED)
        return {
            "confirmed": states.count(CancelState.CONFIRMED),
            "total": len(states) - unresolved,
            "unresolved": unresolved,
        }


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders are meant. `instrument` narrows both ours and others'.

    `ours` says whether a leg is meant; `elsewhere` whether orders that are not ours are, too.
    `unsent`: legs that were not sent yet are to end as well (a kill switch stops those itself).
    `only`: nothing but the order that the broker calls this. `instruments`, where there are any,
    narrow as `instrument` does.
    """

    ours: Callable[[LiveLeg], bool]
    elsewhere: bool
    instrument: str | None = None
    unsent: bool = False
    only: str | None = None
    instruments: frozenset[str] = frozenset()

    def covers(self, instrument: str | None) -> bool:
        """Whether orders in the instrument are meant; one that is not told may be a meant one."""
        if instrument is None:
            return True
        named = not self.instruments or instrument in self.instruments
        return named and self.instrument in (None, instrument)


class Canceller:
    """Sweeps books. One for the process; sweeps of one account may overlap without harm."""

    def __init__(
        self,
        store: Store,
        actions: Actions,
        read_book: ReadBook,
        name_contract: NameContract,
        on_session_expired: SessionExpired,
    ) -> None:
        self._store = store
        self._actions = actions
        self._read_book = read_book
        self._name_contract = name_contract
        self._on_session_expired = on_session_expired

    async def sweep(
        self,
        account: Account,
        selection: Selection,
        run: CancelRun,
        actor: dict[str, Any],
        go_on: Callable[[], bool],
        most: int = CANCEL_ATTEMPTS,
    ) -> bool:
        """Cancel what is selected and open at one account, until the book shows all of it over.

        True when it does. Ends early when `go_on` says so, and when every order that is left was
        asked for `most` times. What is in `run` stays true while this works.
        """
        looks_left = _LOOKS_AFTER_LAST
        gap_s = account.pace().book_min_gap_s
        while go_on() and looks_left:
            view = await self._look(account, run)
            legs = self._legs(account, selection)
            await self._note_legs(account, selection, legs, run, actor)
            # What the book does not show, or nobody can read, is cancelled by what is known of it.
            rows = [_row_of(leg) for leg in legs if _is_missing(leg, view)]
            if view is not None:
                rows += await self._open_rows(account, selection, view, legs)
                self._note_view(account, view, run)
                if not rows and not any(_may_still_come(leg, selection) for leg in legs):
                    run.done.add(account.id)
                    return True
            due = [row for row in rows if self._order(account, row, run).attempts < most]
            if due:
                sending = (self._cancel(account, row, run, actor) for row in _riskiest_first(due))
                await asyncio.gather(*sending)
            elif rows:
                looks_left -= 1
            await asyncio.sleep(gap_s if view is not None else max(gap_s, _RETRY_S))
        return False

    async def look_up(
        self, account: Account, broker_order_id: str, run: CancelRun
    ) -> tuple[BookView | None, BrokerOrder | None]:
        """Read the book, and find one order in it. A final one is noted in `run` as it ended."""
        view = await self._look(account, run)
        row = view.order(broker_order_id) if view else None
        if view is not None and row is not None:
            self._order(account, row, run)
            self._note_view(account, view, run)
        return view, row

    async def _look(self, account: Account, run: CancelRun) -> BookView | None:
        if account.session is None:
            run.problems[account.id] = f"{account.id} is not logged in"
            return None
        view = await self._read_book(account)
        if view is None:
            run.problems[account.id] = f"the order book of {account.id} cannot be read"
            return None
        run.problems.pop(account.id, None)
        return view

    def _legs(self, account: Account, selection: Selection) -> list[LiveLeg]:
        return [
            leg
            for leg in account.moving.values()
            if selection.covers(leg.record.instrument) and selection.ours(leg)
        ]

    async def _note_legs(
        self,
        account: Account,
        selection: Selection,
        legs: list[LiveLeg],
        run: CancelRun,
        actor: dict[str, Any],
    ) -> None:
        """Ask for the end of each leg, and list those that no row of the book stands for."""
        for leg in legs:
            exists = leg.state in AT_BROKER | UNPROVEN or leg.on_wire is not None
            asked = leg.state in TERMINAL or leg.record.cancel_requested
            if (exists or selection.unsent) and not asked:
                details = {"actor": actor}
                await leg.note("cancel_requested", details=details, cancel_requested=True)
            if leg.state not in AT_BROKER | TERMINAL and (exists or selection.unsent):
                run.legs[leg.record.leg_id] = leg
                run.orders.setdefault((account.id, leg.record.leg_id), _of_leg(leg))

    async def _open_rows(
        self, account: Account, selection: Selection, view: BookView, legs: list[LiveLeg]
    ) -> list[BrokerOrder]:
        """The rows to cancel: a status that the adapter does not know may be an open one."""
        ours = {leg.record.broker_order_id for leg in legs}
        claimed = account.claimed_ids()
        found = []
        for row in view.rows:
            if row.state is not None and row.state.is_final:
                continue
            if selection.only not in (None, row.broker_order_id):
                continue
            if row.broker_order_id in ours:
                found.append(row)
            elif row.broker_order_id not in claimed and selection.elsewhere:
                contract = await self._name_contract(account, row.codes)
                name = contract.instrument if contract else row.instrument
                if selection.covers(name):
                    found.append(row)
        return found

    def _note_view(self, account: Account, view: BookView, run: CancelRun) -> None:
        """Bring the list up to what the book shows: what is over, and what was found after all."""
        run.follow_legs()
        for cancel in run.orders.values():
            if cancel.account != account.id or cancel.state is CancelState.CONFIRMED:
                continue
            row = view.order(cancel.broker_order_id)
            if row is not None and row.state is not None and row.state.is_final:
                cancel.state, cancel.ended = CancelState.CONFIRMED, final_state(row)

    def _order(self, account: Account, row: BrokerOrder, run: CancelRun) -> OrderCancel:
        leg = account.leg_at(row.broker_order_id)
        fresh = OrderCancel(account=account.id, broker_order_id=row.broker_order_id)
        if leg is not None:
            fresh = _of_leg(leg)
        known = account.finished.get(row.broker_order_id)
        if known is not None:
            fresh.order_id, fresh.leg_id = known.order_id, leg_id_of(known.order_id, known.n)
        return run.orders.setdefault((account.id, row.broker_order_id), fresh)

    async def _cancel(
        self, account: Account, row: BrokerOrder, run: CancelRun, actor: dict[str, Any]
    ) -> None:
        cancel = self._order(account, row, run)
        cancel.attempts += 1
        leg = account.leg_at(row.broker_order_id)
        if leg is None:
            await self._cancel_elsewhere(account, row, cancel, actor)
            return
        await self._actions.send_cancel_blindly(leg, account, cancel.attempts)
        action = leg.record.action
        if leg.state in BROKER_FINAL:
            cancel.state, cancel.ended = CancelState.CONFIRMED, leg.state
        elif action is not None:
            cancel.state = _STATES.get(action.state, CancelState.UNKNOWN)
            cancel.message = action.message

    async def _cancel_elsewhere(
        self, account: Account, row: BrokerOrder, cancel: OrderCancel, actor: dict[str, Any]
    ) -> None:
        """Cancel an order that is not ours; its audit row is written before it is sent."""
        session = account.session
        contract = await self._name_contract(account, row.codes)
        exchange = contract.exchange if contract else _ANY_EXCHANGE
        cancel.instrument = contract.instrument if contract else row.instrument
        if session is None:
            cancel.state = CancelState.NOT_SENT
            return
        gate = _Gate(self._store, account.id, row.broker_order_id, actor, cancel.attempts)
        ref = OrderRef(
            broker_order_id=row.broker_order_id, instrument=contract, order_type=row.order_type
        )
        try:
            await account.calls.cancel_order(session, ref, gate, exchange, wait_s=_SLOT_WAIT_S)
        except Denied:
            cancel.state = CancelState.NOT_SENT
            return
        except LoginExpired as error:
            self._on_session_expired(account, error)
            cancel.state, cancel.message = CancelState.UNKNOWN, error.message
        except Refused as error:
            cancel.state, cancel.message = CancelState.REFUSED, error.message
        except NotSent as error:
            cancel.state, cancel.message = CancelState.NOT_SENT, error.message
        except GatewayError as error:
            cancel.state, cancel.message = CancelState.UNKNOWN, error.message
        else:
            cancel.state, cancel.message = CancelState.SENT, None
        await gate.note("cancel_" + cancel.state, cancel.message)


class _Gate:
    """Audits a cancel of an order that is not ours; a broken journal keeps it elsewhere."""

    def __init__(
        self, store: Store, account: str, broker_order_id: str, actor: dict[str, Any], attempt: int
    ) -> None:
        self._store = store
        self._account = account
        self._body = {"actor": actor, "broker_order_id": broker_order_id, "attempt": attempt}

    async def ready(self) -> None:
        await self.note("cancel_begin", None)

    def check(self) -> None:
        """A cancel is never stopped."""

    async def note(self, event: str, message: str | None) -> None:
        body = {"event": event, **self._body, "message": message}
        try:
            await self._store.audit("orderbook", body, account=self._account)
        except StoreBroken:
            body["account"] = self._account
            self._store.emergency.append(event, body)


_STATES = {
    ActionState.WAITING: CancelState.NOT_SENT,
    ActionState.SENT: CancelState.SENT,
    ActionState.REFUSED: CancelState.REFUSED,
    ActionState.UNKNOWN: CancelState.UNKNOWN,
}


def _may_still_come(leg: LiveLeg, selection: Selection) -> bool:
    """Whether a leg may turn into an open order that this sweep has to cancel."""
    if leg.state in UNSENT:
        return selection.unsent
    return leg.state is LegState.SENDING


def _is_missing(leg: LiveLeg, view: BookView | None) -> bool:
    """Whether the broker acknowledged the leg and its book does not show it."""
    shown = view is not None and view.order(leg.record.broker_order_id) is not None
    return leg.state in AT_BROKER and not shown


def _row_of(leg: LiveLeg) -> BrokerOrder:
    """The row that a leg will have once its broker's book has caught up."""
    record = leg.record
    return BrokerOrder(
        broker_order_id=record.broker_order_id or "",
        state=BrokerOrderState.PENDING,
        raw_state="",
        codes={},
        side=record.side,
        order_type=record.sent.order_type if record.sent else record.order_type,
        product=record.product,
        quantity=record.quantity,
        filled_quantity=record.filled_quantity,
        price=record.price,
    )


def _of_leg(leg: LiveLeg) -> OrderCancel:
    record = leg.record
    return OrderCancel(
        account=record.account,
        broker_order_id=record.broker_order_id,
        order_id=record.order_id,
        leg_id=record.leg_id,
        instrument=record.instrument,
    )


def _riskiest_first(rows: list[BrokerOrder]) -> list[BrokerOrder]:
    """Market orders, which show no price, before limits; then by what is still open of each."""
    return sorted(
        rows,
        key=lambda row: (
            bool(row.price),
            -max(row.quantity - row.filled_quantity, 0) * (row.price or 1),
        ),
    )
