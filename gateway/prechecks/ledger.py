"""What an account's orders of the day use up: quantities, rupees, margin. In memory, no I/O.

An order is entered before anything is sent, in the same breath in which it is checked, so that
two orders can never use the same room. It is struck out once it is proven that nothing of it
lives or traded; until then all of it counts.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import date
from decimal import Decimal

import msgspec

from adapters.sdk.models import OrderType, Product, Side
from gateway.orders.records import Leg
from gateway.orders.states import Outcome, outcome_of

_ZERO = Decimal(0)
_NOTHING_OF_IT = frozenset({Outcome.REJECTED, Outcome.NOT_SENT, Outcome.ABSENT})


class Look(msgspec.Struct, frozen=True):
    """What makes two orders look alike."""

    instrument: str
    side: Side
    order_type: OrderType
    product: Product
    quantity: int
    price: Decimal | None
    trigger_price: Decimal | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One leg. `value` and `margin` are rupees, `value` None where no price was known."""

    tag: int
    day: date
    instrument: str
    quantity: int
    value: Decimal | None
    margin: Decimal | None
    at_s: float
    order_id: str | None = None
    look: Look | None = None


class Ledger:
    """One account. `at_s` are monotonic seconds; sums are those of one day."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._day: date | None = None
        self._recent: deque[Entry] = deque()
        self.day_quantity = 0
        self.day_value = _ZERO
        self.quantities: Counter[str] = Counter()
        self.values: dict[str, Decimal] = {}
        self.margin = _ZERO

    def turn_to(self, day: date) -> None:
        """Begin a day's sums anew; what was entered on another day no longer counts."""
        if day == self._day:
            return
        self._day = day
        entries = [entry for entry in self._entries.values() if entry.day == day]
        self._entries = {}
        self.day_quantity, self.day_value, self.margin = 0, _ZERO, _ZERO
        self.quantities, self.values = Counter(), {}
        for entry in entries:
            self._add(entry)

    def enter(self, entry: Entry) -> None:
        """Count an order from now on."""
        self.turn_to(entry.day)
        self._add(entry)
        self._recent.append(entry)

    def strike(self, tag: int) -> None:
        """Count an order no longer: nothing of it lives or traded."""
        entry = self._entries.pop(tag, None)
        if entry is not None:
            self._sum(entry, -1)

    def forget(self, tag: int) -> None:
        """As `strike`, and it was not even asked for: it does not count as made."""
        self.strike(tag)
        self._recent = deque(entry for entry in self._recent if entry.tag != tag)

    def name_order(self, tag: int, order_id: str) -> None:
        """Say which order an entry became."""
        entry = self._entries.get(tag)
        if entry is not None:
            self._entries[tag] = msgspec.structs.replace(entry, order_id=order_id)

    def settle(self, leg: Leg) -> None:
        """Count of a leg that is over only what it did."""
        entry = self._entries.get(leg.broker_tag)
        if entry is None:
            return
        if outcome_of(leg.state) in _NOTHING_OF_IT or leg.filled_quantity == 0:
            self.strike(leg.broker_tag)
            return
        share = Decimal(leg.filled_quantity) / Decimal(entry.quantity)
        value = entry.value * share if entry.value is not None else None
        if leg.average_price is not None:
            value = leg.average_price * leg.filled_quantity
        margin = entry.margin * share if entry.margin is not None else None
        self.strike(leg.broker_tag)
        self._add(
            msgspec.structs.replace(entry, quantity=leg.filled_quantity, value=value, margin=margin)
        )

    def margin_since(self, at_s: float) -> Decimal:
        """The margin of what was entered after a moment: what funds read then do not know of."""
        return sum(
            (
                entry.margin
                for entry in self._entries.values()
                if entry.margin is not None and entry.at_s >= at_s
            ),
            start=_ZERO,
        )

    def margin_of(self, tag: int, *, before_s: float) -> Decimal:
        """The margin of one order, if it was entered before a moment."""
        entry = self._entries.get(tag)
        if entry is None or entry.margin is None or entry.at_s >= before_s:
            return _ZERO
        return entry.margin

    def entered_since(self, at_s: float) -> int:
        """How many orders were entered after a moment, also those that were struck out since."""
        self._forget_before(at_s - 3600)
        return sum(1 for entry in self._recent if entry.at_s >= at_s)

    def lookalike(self, look: Look, since_s: float) -> Entry | None:
        """Return an order that looks the same, entered since then and not struck out."""
        for entry in reversed(self._recent):
            if entry.at_s < since_s:
                return None
            if entry.look == look and entry.tag in self._entries:
                return self._entries[entry.tag]
        return None

    def _add(self, entry: Entry) -> None:
        self._entries[entry.tag] = entry
        self._sum(entry, 1)

    def _sum(self, entry: Entry, sign: int) -> None:
        self.day_quantity += sign * entry.quantity
        self.quantities[entry.instrument] += sign * entry.quantity
        if entry.value is not None:
            self.day_value += sign * entry.value
            self.values[entry.instrument] = (
                self.values.get(entry.instrument, _ZERO) + sign * entry.value
            )
        if entry.margin is not None:
            self.margin += sign * entry.margin

    def _forget_before(self, at_s: float) -> None:
        while self._recent and self._recent[0].at_s < at_s:
            self._recent.popleft()
