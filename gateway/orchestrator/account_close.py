"""Closing the positions of one account because a client asks for it: cancels, orders, proof."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import ROUND_FLOOR

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import Product
from gateway.kill import Subject
from gateway.orchestrator.account import Account
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.cancelling import (
    Canceller,
    CancelRun,
    CancelState,
    OrderCancel,
    Selection,
)
from gateway.orchestrator.closing import NO_PRICE, Closer, Sending, Target, filled, protected_price
from gateway.orchestrator.exposure import CannotLook, Held, Look, Share, left, share_of, unproven
from gateway.orchestrator.live import LiveLeg, LiveOrder
from gateway.orchestrator.service import OrderService
from gateway.orchestrator.stops import Stops
from gateway.orders.close import (
    ALL,
    CancelledOrder,
    Close,
    CloseOutcome,
    Left,
    Rounded,
    Unresolved,
)
from gateway.orders.records import Reason
from gateway.orders.request import OrderRequest
from gateway.orders.states import TERMINAL, UNPROVEN
from gateway.store import Store
from gateway.store.closes import Traded, traded_legs

_CANCEL_S = 20.0
_SETTLE_S = 4.0
_LAST_LOOKS = 4


class CloseRun(msgspec.Struct, kw_only=True):
    """One request with its orders and what became of it so far, at `working` accounts not all."""

    close: Close
    orders: list[LiveOrder] = []
    outcome: CloseOutcome = msgspec.field(default_factory=CloseOutcome)
    working: set[str] = set()


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What closing works with."""

    service: OrderService
    store: Store
    closer: Closer
    stops: Stops


class AccountClose:
    """A request's work at one account, from the first look to the last. Needs its turn."""

    def __init__(self, desk: Desk, caller: Caller, run: CloseRun, account: Account) -> None:
        self._desk = desk
        self._caller = caller
        self._run = run
        self._outcome = run.outcome
        self._request = run.close.request
        self._account = account
        self._orders: list[LiveOrder] = []
        self._claims: dict[tuple[str, Product], Share] = {}

    async def close(self) -> None:
        obstacle = self._obstacle()
        if obstacle is not None:
            # Cancelling what protects a position that cannot be closed would only do harm.
            self._leave(left(self._account, self._request.instrument, None, None, obstacle))
            return
        try:
            look = await self._look()
            names = await self._closable(look)
            if names:
                cancels = await self._cancel(names)
                look = await self._look()
                await self._send(look, names, cancels)
            else:
                self._leave(*look.left)
                self._note_unowned(look)
        except CannotLook as error:
            self._leave(left(self._account, self._request.instrument, None, None, error.reason))
        self._note_unproven()

    def _obstacle(self) -> Reason | None:
        account, caller = self._account, self._caller
        subject = Subject(
            account=account.id,
            broker=account.broker,
            strategy=self._request.strategy,
            keys=(caller.key_id,),
        )
        return account.obstacle() or self._desk.stops.judge_any(subject)

    async def _look(self) -> Look:
        closer = self._desk.closer
        return await closer.exposure.look(
            self._account, self._request.products, self._request.instrument
        )

    async def _closable(self, look: Look) -> frozenset[str]:
        """The instruments that could be closed now: only of those are orders cancelled."""
        shares = await self._shares(look.held)
        quotes = await self._desk.closer.quotes(
            self._account, [held.instrument for held, share in shares if share]
        )
        names = set()
        for held, share in shares:
            if not share:
                continue
            quote = quotes.get(held.name)
            priced = quote and protected_price(
                self._account, held.instrument, held.side, quote.last_price
            )
            if not priced:
                look.left.append(left(self._account, held.name, held.product, share, NO_PRICE))
            else:
                names.add(held.name)
        named = self._request.instrument
        if named is not None and not look.held and not look.left:
            # Flat now, and an open order of it may end that.
            names.add(named)
        return frozenset(names)

    async def _shares(self, positions: Sequence[Held]) -> list[tuple[Held, int]]:
        """How much of each position is in question: all, or what is proven to be the strategy's."""
        strategy = self._request.strategy
        if strategy is None:
            return [(held, held.quantity) for held in positions]
        names = {held.name for held in positions}
        traded: list[Traded] = []
        if names:
            account = self._account.id
            traded = await self._desk.store.read(lambda c: traded_legs(c, account, names))
        found = []
        for held in positions:
            share = share_of(held, traded, lambda one: one.strategy, strategy)
            self._claims[held.name, held.product] = share
            found.append((held, share.proven))
        return found

    async def _cancel(self, names: frozenset[str]) -> CancelRun:
        """Cancel the open orders of these instruments, until the book shows that they are over."""
        strategy = self._request.strategy

        def ours(leg: LiveLeg) -> bool:
            return strategy in (None, leg.order.order.request.strategy)

        selection = Selection(ours=ours, elsewhere=strategy is None, unsent=True, instruments=names)
        cancels = CancelRun()
        loop = asyncio.get_running_loop()
        end = loop.time() + _CANCEL_S
        canceller: Canceller = self._desk.service.canceller
        await canceller.sweep(
            self._account, selection, cancels, self._caller.actor(), lambda: loop.time() < end
        )
        cancels.follow_legs()
        for cancel in cancels.orders.values():
            self._note_cancel(cancel)
        return cancels

    def _note_cancel(self, cancel: OrderCancel) -> None:
        if cancel.state is CancelState.CONFIRMED:
            self._outcome.cancelled.append(
                CancelledOrder(
                    account=cancel.account,
                    broker_order_id=cancel.broker_order_id,
                    order_id=cancel.order_id,
                    leg_id=cancel.leg_id,
                    instrument=cancel.instrument,
                    ended=cancel.ended,
                )
            )
            return
        words = f": {cancel.message}" if cancel.message else ""
        self._outcome.unresolved.append(
            Unresolved(
                account=cancel.account,
                instrument=cancel.instrument,
                order_id=cancel.order_id,
                leg_id=cancel.leg_id,
                broker_order_id=cancel.broker_order_id,
                message=f"its cancel is not confirmed ({cancel.state}){words}",
            )
        )

    async def _send(self, look: Look, names: frozenset[str], cancels: CancelRun) -> None:
        self._leave(*look.left)
        targets = []
        for held, share in await self._shares(look.held):
            reason = None
            if share and held.name not in names:
                reason = again("it came to be while others were closed; close again")
            elif share:
                reason = _unconfirmed(cancels, self._account, held)
            if reason is not None:
                self._leave(left(self._account, held.name, held.product, share, reason))
                if held.quantity < 0:
                    look.shorts.add(held.underlying)
                continue
            target = self._target(held, share) if share else None
            if target is not None:
                targets.append(target)

        async def place(_: Held, request: OrderRequest) -> LiveOrder:
            close = self._run.close
            key = close.order_key(self._account.id, len(self._orders) + 1)
            live, _replayed = await self._desk.service.place(self._caller, key, request)
            return live

        def on_order(live: LiveOrder) -> None:
            self._orders.append(live)
            self._run.orders.append(live)

        self._note_unowned(look)
        unsent: list[Left] = []
        await self._desk.closer.send(
            self._account,
            targets,
            Sending(
                place=place,
                on_order=on_order,
                on_left=unsent.append,
                strategy=self._request.strategy,
                shorts=look.shorts,
            ),
        )
        await self._settle()
        self._note_left(targets, unsent)
        mine = [item for item in self._outcome.remaining if item.account == self._account.id]
        if targets and not mine and self._request.percent == ALL:
            await self._last_look()

    def _note_unowned(self, look: Look) -> None:
        """Say what of each position is not closed for the strategy because it is not proven its."""
        strategy = self._request.strategy
        if strategy is None:
            return
        for held in look.held:
            share = self._claims[held.name, held.product]
            if share.proven != share.claimed:
                rest, reason = share.claimed - share.proven, unproven(share, strategy)
            elif not share.claimed and self._request.instrument is not None:
                rest = held.quantity
                message = f"nothing of it is {strategy}'s by the journal, so nothing is closed"
                reason = Reason(code=ReasonCode.UNRESOLVED, message=message)
            else:
                continue
            self._leave(left(self._account, held.name, held.product, rest, reason))

    def _target(self, held: Held, share: int) -> Target | None:
        """How much to close: whole lots of the percentage, and what no other order may take."""
        lot, percent = held.instrument.lot_size, self._request.percent
        exact = abs(share) * percent / ALL
        asked = int((exact / lot).to_integral_value(ROUND_FLOOR)) * lot
        if exact != asked:
            self._outcome.rounded.append(
                Rounded(
                    account=self._account.id,
                    instrument=held.name,
                    product=held.product,
                    position=share,
                    percent=percent,
                    lot_size=lot,
                    quantity=asked,
                )
            )
        quantity = min(asked, held.free)
        if quantity < asked:
            message = "open orders that are not cancelled may take it; they come first"
            rest = asked - quantity
            signed = rest if held.quantity > 0 else -rest
            reason = again(message)
            self._leave(left(self._account, held.name, held.product, signed, reason))
        return Target(held=held, quantity=quantity) if quantity else None

    async def _settle(self) -> None:
        """Wait, bounded, for the book to show the end of every closing order."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLE_S
        for order in self._orders:
            await order.wait_until(
                lambda order=order: order.terminal,  # type: ignore[misc]
                deadline - loop.time(),
            )

    def _note_left(self, targets: Sequence[Target], unsent: Sequence[Left]) -> None:
        """Say what of each target was not filled, and the best reason that is known for it."""
        why = {(item.instrument, item.product): item.reason for item in unsent}
        for target in targets:
            held = target.held
            orders = [
                order
                for order in self._orders
                if (order.order.request.instrument, order.order.request.product)
                == (held.name, held.product)
            ]
            rest = target.quantity - filled(orders)
            if rest <= 0:
                continue
            reason = why.get((held.name, held.product)) or _why_left(orders)
            signed = rest if held.quantity > 0 else -rest
            self._leave(left(self._account, held.name, held.product, signed, reason))

    async def _last_look(self) -> None:
        """Believe that all is closed only when the broker's positions show it."""
        for turn in range(_LAST_LOOKS):
            if turn:
                await asyncio.sleep(self._account.pace().book_min_gap_s)
            look = await self._look()
            shares = [item for item in await self._shares(look.held) if item[1]]
            if not shares and not look.left:
                return
        for held, share in shares:
            reason = again("the broker still shows it; see whether it changes, then close again")
            self._leave(left(self._account, held.name, held.product, share, reason))
        self._leave(*look.left)

    def _note_unproven(self) -> None:
        """List the legs whose fate keeps a position from being closed, and closing ones alike."""
        wanted, noted = self._request.instrument, {item.leg_id for item in self._outcome.unresolved}
        skipped = {item.instrument for item in self._outcome.remaining}
        for leg in self._account.moving.values():
            record = leg.record
            meant = record.instrument == wanted or record.instrument in skipped
            if leg.state in UNPROVEN and meant and record.leg_id not in noted:
                self._outcome.unresolved.append(
                    Unresolved(
                        account=record.account,
                        instrument=record.instrument,
                        order_id=record.order_id,
                        leg_id=record.leg_id,
                        broker_order_id=record.broker_order_id,
                        message=f"whether it lives is not known ({leg.state}); see /v1/unresolved",
                    )
                )

    def _leave(self, *items: Left) -> None:
        self._outcome.remaining.extend(items)


def _unconfirmed(cancels: CancelRun, account: Account, held: Held) -> Reason | None:
    for cancel in cancels.orders.values():
        unsure = cancel.state is not CancelState.CONFIRMED
        if cancel.account == account.id and unsure and cancel.instrument in (held.name, None):
            name = cancel.broker_order_id or cancel.leg_id
            return again(f"the cancel of {name} is not confirmed")
    problem = cancels.problems.get(account.id)
    return None if problem is None else again(problem)


def _why_left(orders: Sequence[LiveOrder]) -> Reason:
    for order in orders:
        for leg in order.legs:
            record = leg.record
            if leg.state in TERMINAL and record.reason is not None:
                return record.reason
            if leg.state in UNPROVEN:
                return again(f"the fate of {record.leg_id} is not proven; see /v1/unresolved")
            if leg.state not in TERMINAL:
                return Reason(
                    code=ReasonCode.TIMEOUT,
                    message=f"{record.order_id} is {leg.state} at {record.price}, not filled yet",
                    retryable=True,
                )
            if record.filled_quantity < record.quantity:
                return again(f"{record.order_id} ended as {leg.state} before it was filled")
    return again("no order was sent for it; close again")


def again(message: str) -> Reason:
    return Reason(code=ReasonCode.UNRESOLVED, message=message, retryable=True)
