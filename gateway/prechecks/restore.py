"""What earlier runs placed today, entered into the ledgers again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from gateway.orders.records import Leg
from gateway.orders.states import TERMINAL, UNPROVEN, LegState
from gateway.prechecks.ledger import MADE_KEPT_S, Entry, Ledger, Look
from gateway.prechecks.limits import LONGEST_LOOK_S
from gateway.store.day import FilledLeg

_MAYBE_THERE = UNPROVEN | {LegState.SENDING}
_ZERO = Decimal(0)


class Now(msgspec.Struct, frozen=True):
    """One moment: the day, since when it lasts, and what both clocks say."""

    day: date
    begun_us: int
    at_us: int
    clock_s: float

    def age_s(self, leg: Leg | FilledLeg) -> float:
        return max((self.at_us - leg.created_us) / 1e6, 0.0)


class Restoring:
    """`everything` is the ledger of all accounts together.

    The funds are read anew and know of these legs, but for what is not known to be at the broker:
    that counts with its whole value.
    """

    def __init__(self, ledgers: Mapping[str, Ledger], everything: Ledger, now: Now) -> None:
        self._ledgers = ledgers
        self._everything = everything
        self._now = now
        for ledger in (*ledgers.values(), everything):
            ledger.turn_to(now.day)

    def take(self, legs: Iterable[Leg]) -> None:
        """Enter legs as they are, and settle those that are over."""
        for leg in legs:
            if self._counts(leg) and leg.state is not LegState.DENIED:
                doubtful = leg.state in _MAYBE_THERE
                self._enter(leg, value_of(leg, leg.quantity), doubtful=doubtful)
                if leg.state in TERMINAL:
                    for ledger in (self._ledgers[leg.account], self._everything):
                        ledger.settle(leg, self._now.clock_s)

    def take_filled(self, legs: Iterable[FilledLeg]) -> None:
        """Count filled legs for what they came to: most of a day's, so they are summed up first.

        No limit asks for the legs themselves once they are an hour old.
        """
        sums: dict[tuple[str, str], tuple[int, Decimal]] = {}
        for leg in legs:
            if not self._counts(leg) or leg.filled_quantity == 0:
                continue
            value = value_of(leg, leg.filled_quantity)
            age_s = self._now.age_s(leg)
            if age_s <= MADE_KEPT_S:
                self._enter(leg, value)
                for ledger in (self._ledgers[leg.account], self._everything):
                    ledger.open.discard(leg.broker_tag)
                continue
            key = (leg.account, leg.instrument)
            quantity, total = sums.get(key, (0, _ZERO))
            sums[key] = quantity + leg.filled_quantity, total + (value or _ZERO)
            if age_s <= LONGEST_LOOK_S:
                entry = self._entry(leg, value)
                self._ledgers[leg.account].keep(entry)
                self._everything.keep(entry)
        for (account, instrument), (quantity, total) in sums.items():
            for ledger in (self._ledgers[account], self._everything):
                ledger.count(instrument, quantity, total)

    def _counts(self, leg: Leg | FilledLeg) -> bool:
        return leg.created_us >= self._now.begun_us and leg.account in self._ledgers

    def _enter(
        self, leg: Leg | FilledLeg, value: Decimal | None, *, doubtful: bool = False
    ) -> None:
        entry = self._entry(leg, value, doubtful=doubtful)
        self._ledgers[leg.account].enter(entry)
        self._everything.enter(entry)

    def _entry(
        self, leg: Leg | FilledLeg, value: Decimal | None, *, doubtful: bool = False
    ) -> Entry:
        now_s = self._now.clock_s
        return Entry(
            tag=leg.broker_tag,
            day=self._now.day,
            instrument=leg.instrument,
            quantity=leg.filled_quantity if isinstance(leg, FilledLeg) else leg.quantity,
            value=value,
            margin=value if doubtful else None,
            at_s=now_s - self._now.age_s(leg),
            order_id=leg.order_id,
            look=look_of(leg),
            known_s=None if doubtful else now_s,
        )


def value_of(leg: Leg | FilledLeg, quantity: int) -> Decimal | None:
    sent = leg.sent
    price = leg.average_price or leg.price or (sent.price if sent else None) or leg.trigger_price
    return price * quantity if price is not None else None


def look_of(leg: Leg | FilledLeg) -> Look | None:
    """None of a slice: what it looks like is a part of another order."""
    if leg.slice is not None:
        return None
    sent = leg.sent
    return Look(
        leg.instrument,
        leg.side,
        sent.order_type if sent else leg.order_type,
        leg.product,
        leg.quantity,
        sent.price if sent else leg.price,
        sent.trigger_price if sent else leg.trigger_price,
    )
