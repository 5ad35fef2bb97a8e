"""Closing positions because the kill switch says so, as ordinary journalled legs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import Product
from gateway.kill import Engagement, Scope
from gateway.orchestrator.account import Account
from gateway.orchestrator.cancelling import CancelRun, CancelState
from gateway.orchestrator.closing import Closer, Sending, Target
from gateway.orchestrator.exposure import CannotLook, Held, Look, Share, left, share_of, unproven
from gateway.orchestrator.live import LiveOrder
from gateway.orders.close import Left
from gateway.orders.records import Purpose, Reason
from gateway.orders.request import OrderRequest
from gateway.orders.states import LegState, Outcome, outcome_of
from gateway.store import Store
from gateway.store.closes import Traded, traded_legs

KILL_CLIENT = "kill-switch"
_PRODUCTS = frozenset({Product.MIS, Product.NRML})
_ENDED_UNFILLED = frozenset({LegState.REFUSED, LegState.REJECTED, LegState.CANCELLED})


class Skipped(msgspec.Struct, kw_only=True):
    """A position that is left alone, and why. `instrument` is None where nobody knows it."""

    account: str
    instrument: str | None
    product: Product | None
    quantity: int | None
    why: str


class Closing(msgspec.Struct, kw_only=True):
    account: str
    order: LiveOrder


class SquareRun(msgspec.Struct, kw_only=True):
    """Progress: the closing orders, and what is left alone. `again`: accounts to come back to."""

    orders: list[Closing] = []
    skipped: list[Skipped] = []
    again: set[str] = set()


Place = Callable[[str, OrderRequest], Awaitable[LiveOrder]]
Find = Callable[[str], Awaitable[LiveOrder | None]]


class SquareOff:
    """Closes MIS and NRML positions. `place` sends an order that the kill switch lets through;
    `find` returns the one that was placed under a key, also by an earlier run.
    """

    def __init__(self, store: Store, closer: Closer, place: Place, find: Find) -> None:
        self._store = store
        self._closer = closer
        self._place = place
        self._find = find

    async def close(
        self,
        account: Account,
        engagement: Engagement,
        cancels: CancelRun,
        run: SquareRun,
        stands: Callable[[], bool],
    ) -> None:
        """Close one account's positions, shorts before what may hedge them.

        May be called again: what was placed stays as it is, what was left alone is looked at anew.
        """
        async with self._closer.turn(account):
            run.skipped[:] = [skipped for skipped in run.skipped if skipped.account != account.id]
            run.again.discard(account.id)

            def leave(item: Left) -> None:
                run.skipped.append(
                    Skipped(
                        account=item.account,
                        instrument=item.instrument,
                        product=item.product,
                        quantity=item.quantity,
                        why=item.reason.message,
                    )
                )
                if item.reason.code in _PASSING:
                    run.again.add(account.id)

            try:
                look = await self._closer.exposure.look(account, _PRODUCTS)
            except CannotLook as error:
                leave(left(account, None, None, None, error.reason))
                return
            await self._close(account, engagement, cancels, run, look, leave, stands)

    async def _close(
        self,
        account: Account,
        engagement: Engagement,
        cancels: CancelRun,
        run: SquareRun,
        look: Look,
        leave: Callable[[Left], None],
        stands: Callable[[], bool],
    ) -> None:
        for item in look.left:
            leave(item)
        obstacle = account.obstacle()
        traded = await self._traded(account, engagement, look.held)
        targets = []
        for held in look.held:
            quantity = held.quantity
            if traded is not None:
                share = _share(engagement, held, traded)
                quantity = share.proven
                if share.proven != share.claimed:
                    why = unproven(share, f"the {engagement.scope} {engagement.target}")
                    rest = share.claimed - share.proven
                    leave(left(account, held.name, held.product, rest, why))
                if not quantity:
                    continue
            earlier = await self._earlier(account, engagement, held)
            for order in earlier:
                if all(known.order is not order for known in run.orders):
                    run.orders.append(Closing(account=account.id, order=order))
            asked = min(abs(quantity), held.free)
            asked -= asked % held.instrument.lot_size
            reason = _unconfirmed(account, held, cancels) or _ended(earlier)
            if reason is None and asked:
                reason = obstacle
            if reason is not None:
                leave(left(account, held.name, held.product, quantity, reason))
                if held.quantity < 0:
                    look.shorts.add(held.underlying)
            elif asked:
                targets.append(Target(held=held, quantity=asked))
            elif held.quantity < 0:
                # Its closing order works; until that is filled, its hedges stay.
                look.shorts.add(held.underlying)

        async def place(held: Held, request: OrderRequest) -> LiveOrder:
            count = len(await self._earlier(account, engagement, held))
            return await self._place(_key(account, engagement, held, count + 1), request)

        sending = Sending(
            place=place,
            on_order=lambda order: run.orders.append(Closing(account=account.id, order=order)),
            on_left=leave,
            stands=stands,
            strategy=engagement.target if engagement.scope is Scope.STRATEGY else None,
            shorts=look.shorts,
        )
        before = len(run.orders)
        await self._closer.send(account, targets, sending)
        for closing in run.orders[before:]:
            for leg in closing.order.legs:
                reason = leg.record.reason
                if outcome_of(leg.state) is Outcome.NOT_SENT and reason and reason.retryable:
                    run.again.add(account.id)

    async def _traded(
        self, account: Account, engagement: Engagement, held: Sequence[Held]
    ) -> list[Traded] | None:
        """What the journal knows of who holds what, where that matters."""
        if engagement.scope not in (Scope.STRATEGY, Scope.KEY):
            return None
        names = {item.name for item in held}
        if not names:
            return []
        return await self._store.read(lambda c: traded_legs(c, account.id, names))

    async def _earlier(
        self, account: Account, engagement: Engagement, held: Held
    ) -> list[LiveOrder]:
        """The orders of this engagement that close this position, by earlier runs too."""
        found: list[LiveOrder] = []
        while True:
            order = await self._find(_key(account, engagement, held, len(found) + 1))
            if order is None:
                return found
            found.append(order)


_PASSING = frozenset(
    {
        ReasonCode.BREAKER_OPEN,
        ReasonCode.BROKER_UNAVAILABLE,
        ReasonCode.RATE_LIMITED,
        ReasonCode.SESSION_EXPIRED,
        ReasonCode.SESSION_MISSING,
    }
)


def _key(account: Account, engagement: Engagement, held: Held, n: int) -> str:
    return f"{engagement.id}:{account.id}:{held.name}:{held.product}:{n}"


def _share(engagement: Engagement, held: Held, traded: Sequence[Traded]) -> Share:
    """The part of a position that is proven to be the strategy's or the key's."""
    target = engagement.target or ""
    if engagement.scope is Scope.STRATEGY:
        return share_of(held, traded, lambda one: one.strategy, target)
    # The switch's own orders close for somebody else than the key that they went out under.
    return share_of(
        held,
        traded,
        lambda one: None if one.purpose is Purpose.SQUARE_OFF else one.key_id,
        target,
    )


def _unconfirmed(account: Account, held: Held, cancels: CancelRun) -> Reason | None:
    """Why a position has to wait for a cancel, or None."""
    for cancel in cancels.orders.values():
        unsure = cancel.state not in (CancelState.CONFIRMED, CancelState.UNRESOLVED)
        if cancel.account == account.id and unsure and cancel.instrument in (held.name, None):
            return Reason(
                code=ReasonCode.UNRESOLVED,
                message=f"the cancel of {cancel.broker_order_id} is not confirmed",
                retryable=True,
            )
    return None


def _ended(earlier: Sequence[LiveOrder]) -> Reason | None:
    """Why no other closing order is sent: one that was sent ended, and not by a fill."""
    for order in earlier:
        for leg in order.legs:
            if leg.state in _ENDED_UNFILLED:
                words = leg.record.reason.message if leg.record.reason else "cancelled"
                return Reason(
                    code=ReasonCode.BROKER_REJECTED,
                    message=f"its closing order {order.order.order_id} is {leg.state}: {words};"
                    " engage again to send another",
                )
    return None
