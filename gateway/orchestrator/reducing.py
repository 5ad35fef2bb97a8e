"""Whether an order can only reduce a position: what REDUCE_ONLY asks before it lets one through.

The proof is a fresh read of the broker's positions and of its open orders, less everything of ours
that may still trade. What is not proven opens.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from adapters.sdk.models import BrokerOrder, BrokerPosition, Instrument, Product, Session, Side
from gateway.calls.bulkhead import Priority
from gateway.orchestrator.account import Account
from gateway.orchestrator.live import LiveLeg
from gateway.orders.states import TERMINAL, UNSENT

FRESH_S = 3.0
_TOO_OLD_S = 5.0


class Seen(msgspec.Struct, kw_only=True):
    """One look at an account. `filled` is what was known of our own legs when it began.

    `at` is monotonic seconds; `finished` the account's count of legs over at that time.
    """

    at: float
    finished: int
    positions: list[BrokerPosition]
    orders: list[BrokerOrder]
    filled: dict[str, int]


class NotReducing(Exception):
    """Why an order is not known to reduce, with the figures."""

    def __init__(self, why: str, **details: Any) -> None:
        super().__init__(why)
        self.why = why
        self.details = details


class Reducer:
    """Judges the orders of one account. `look` reads, `judge` only thinks."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._seen: Seen | None = None
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Make sure of a look that is at most some seconds old.

        Raises: `GatewayError` when the broker could not be read; `NotReducing` without a session.
        """
        async with self._looking:
            seen = self._seen
            if seen is not None and self._is_valid(seen, FRESH_S):
                return
            self._seen = None
            account = self._account
            if account.session is None:
                raise NotReducing(f"{account.id} is not logged in, so its positions are not known")
            self._seen = await self._read(account.session)

    def judge(
        self, instrument: Instrument, side: Side, product: Product, quantity: int, leg_id: str
    ) -> None:
        """Raise `NotReducing` unless the order can only bring its position nearer to zero."""
        seen = self._seen
        if seen is None or not self._is_valid(seen, _TOO_OLD_S):
            raise NotReducing("the account's positions are not known freshly enough; try again")
        age_ms = round((time.monotonic() - seen.at) * 1000)
        held = self._held(seen, instrument, product)
        if held is None:
            raise NotReducing(
                "what the broker says of this position cannot be read for certain",
                positions_age_ms=age_ms,
            )
        reserved = self._reserved(seen, instrument, side, product, leg_id)
        available = (held if side is Side.SELL else -held) - reserved
        if quantity > available:
            raise NotReducing(
                f"{side} {quantity} could cross zero: the position is {held}, and {reserved} of it"
                " are spoken for by open or unproven orders",
                position=held,
                reserved=reserved,
                positions_age_ms=age_ms,
            )

    async def fresh(self, session: Session) -> Seen:
        """Look at the account now, whatever was seen before. Raises as the reads do."""
        return await self._read(session)

    def spoken_for(self, seen: Seen, instrument: Instrument, side: Side, product: Product) -> int:
        """How much of a position open or unproven orders of that side may still take."""
        return self._reserved(seen, instrument, side, product, "")

    async def _read(self, session: Session) -> Seen:
        account = self._account
        at, finished = time.monotonic(), account.finished_count
        filled = {leg_id: leg.record.filled_quantity for leg_id, leg in account.moving.items()}
        positions = await account.calls.positions(session, Priority.RECONCILE)
        orders = await account.calls.order_book(session, Priority.RECONCILE)
        return Seen(at=at, finished=finished, positions=positions, orders=orders, filled=filled)

    def _is_valid(self, seen: Seen, most_s: float) -> bool:
        # A leg that filled since then is in no list any more, and not in those positions either.
        age = time.monotonic() - seen.at
        return age <= most_s and seen.finished == self._account.finished_count

    def _held(self, seen: Seen, instrument: Instrument, product: Product) -> int | None:
        """The net quantity in this product; None where a row leaves that open."""
        held = 0
        for row in seen.positions:
            if not self._account.is_contract(row.codes, instrument):
                continue
            if row.product is None and row.quantity:
                return None
            if row.product is product:
                held += row.quantity
        return held

    def _reserved(
        self, seen: Seen, instrument: Instrument, side: Side, product: Product, leg_id: str
    ) -> int:
        """What may still trade on the same side: our legs, and orders placed elsewhere."""
        account = self._account
        ours = sum(
            _may_trade(leg, seen)
            for leg in account.moving.values()
            if leg.record.leg_id != leg_id
            and (leg.cleared or leg.state not in UNSENT)
            and leg.record.instrument == instrument.instrument
            and leg.record.side is side
            and leg.record.product is product
        )
        claimed = account.claimed_ids()
        theirs = sum(
            max(row.quantity - row.filled_quantity, 0)
            for row in seen.orders
            if row.broker_order_id not in claimed
            and (row.state is None or not row.state.is_final)
            and row.side in (side, None)
            and row.product in (product, None)
            and account.is_contract(row.codes, instrument)
        )
        return ours + theirs


def _may_trade(leg: LiveLeg, seen: Seen) -> int:
    """How much of a leg is not in the positions that were read, in the worst case."""
    if leg.state in TERMINAL:
        return 0
    record = leg.record
    known = seen.filled.get(record.leg_id, 0)
    return max(record.quantity - record.cancelled_quantity - known, 0)
