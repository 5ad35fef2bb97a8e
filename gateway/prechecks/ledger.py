"""What an account's orders of the day use up: quantities, rupees, margin. In memory, no I/O.

An order is entered before anything is sent, in the same breath in which it is checked, so that
two orders can never use the same room. It is struck out once it is proven that nothing of it
lives or traded; until then all of it counts.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import msgspec

from adapters.sdk.models import OrderType, Product, Side
from gateway.orders.records import Leg
from gateway.orders.states import Outcome, outcome_of

_ZERO = Decimal(0)
_NOTHING_OF_IT = frozenset({Outcome.REJECTED, Outcome.NOT_SENT, Outcome.ABSENT})
MADE_KEPT_S = 60.0


class Look(msgspec.Struct, frozen=True, gc=False):
    """What makes two orders look alike."""

    instrument: str
    side: Side
    order_type: OrderType
    product: Product
    quantity: int
    price: Decimal | None
    trigger_price: Decimal | None


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One leg. `value` and `margin` are rupees, `value` None where no price was known.

    `request` tells the legs of one request from those of others. `known_s`: since when its broker
    certainly has it, None until then: funds that were read before do not know of it.
    """

    tag: int
    day: date
    instrument: str
    quantity: int
    value: Decimal | None
    margin: Decimal | None
    at_s: float
    order_id: str | None = None
    look: Look | None = None
    request: int = 0
    known_s: float | None = None


class Ledger:
    """One account, or all. `at_s` are monotonic seconds; sums are those of one day.

    `open` are the tags of what was entered and is not over. `keeps_margin`: whether
    `margin_since` will be asked for.
    """

    def __init__(self, *, keeps_margin: bool = True) -> None:
        self._keeps_margin = keeps_margin
        self._entries: dict[int, Entry] = {}
        self._day: date | None = None
        self._made: dict[int, float] = {}
        self._made_s = float("-inf")
        # Made when it is first asked for: most have no such limit.
        self._looks: dict[Look, dict[int, None]] | None = None
        self._unread: dict[int, Decimal] = {}
        self._unread_sum = _ZERO
        self._read_s = float("-inf")
        self.open: set[int] = set()
        self.day_quantity = 0
        self.day_value = _ZERO
        self.quantities: Counter[str] = Counter()
        self.values: dict[str, Decimal] = {}

    def turn_to(self, day: date) -> None:
        """Begin a day's sums anew; what was entered on another day no longer counts."""
        if day == self._day:
            return
        self._day = day
        entries = [entry for entry in self._entries.values() if entry.day == day]
        self._entries, self._looks = {}, None
        self._unread, self._unread_sum = {}, _ZERO
        self.day_quantity, self.day_value = 0, _ZERO
        self.quantities, self.values = Counter(), {}
        for entry in entries:
            self.add(entry)
        self.open &= self._entries.keys()

    def enter(self, entry: Entry) -> None:
        """Count an order from now on."""
        self.turn_to(entry.day)
        self.add(entry)
        self.open.add(entry.tag)
        if entry.at_s >= self._made_s - MADE_KEPT_S:
            # Counting wants them in order. Only what a restart found may come late: of its last
            # minute it counts a little longer than it would have.
            self._made_s = max(self._made_s, entry.at_s)
            self._made[entry.tag] = self._made_s
            self._forget_before(self._made_s - MADE_KEPT_S)

    def count(self, instrument: str, quantity: int, value: Decimal) -> None:
        """Put what was traded today into the sums."""
        self.day_quantity += quantity
        self.day_value += value
        self.quantities[instrument] += quantity
        self.values[instrument] = self.values.get(instrument, _ZERO) + value

    def keep(self, entry: Entry) -> None:
        """Have the entry of an order that is over and was counted: it can be found, no more."""
        self._entries[entry.tag] = entry
        if self._looks is not None:
            self._note_look(self._looks, entry)

    def entry(self, tag: int) -> Entry | None:
        return self._entries.get(tag)

    def replace(self, entry: Entry) -> None:
        """Count an order that is entered for something else from now on."""
        before = self._entries.get(entry.tag)
        if before is None:
            return
        self._entries[entry.tag] = entry
        self._note_unread(entry)
        # Mostly the sums stay as they are: orders are filled whole.
        if before.quantity != entry.quantity or before.value != entry.value:
            self._sum(before, -1)
            self._sum(entry, 1)

    def answered(self, tag: int, at_s: float) -> Entry | None:
        """Say that the broker has an order now: funds read from here on know of it.

        Returns the entry as it is now, None where there is none.
        """
        entry = self._entries.get(tag)
        if entry is not None and entry.known_s is None:
            entry = msgspec.structs.replace(entry, known_s=at_s)
            self.replace(entry)
        return entry

    def take_over(self, tag: int, entry: Entry | None) -> None:
        """Count a leg that is over as another ledger does: both then hold the same entry."""
        self.open.discard(tag)
        if entry is None:
            self.strike(tag)
        else:
            self.replace(entry)

    def strike(self, tag: int) -> None:
        """Count an order no longer: nothing of it lives or traded."""
        self.open.discard(tag)
        if tag in self._entries:
            self.drop(tag)

    def forget(self, tag: int) -> None:
        """As `strike`, and it was not even asked for: it does not count as made."""
        self.strike(tag)
        self._made.pop(tag, None)

    def name_order(self, tag: int, order_id: str) -> None:
        """Say which order an entry became."""
        entry = self._entries.get(tag)
        if entry is not None:
            self._entries[tag] = msgspec.structs.replace(entry, order_id=order_id)

    def settle(self, leg: Leg, at_s: float) -> Entry | None:
        """Count of a leg that is over only what it did. Returns its entry, None where none is left.

        What did not change is kept, not made anew: a day has thousands of entries.
        """
        self.open.discard(leg.broker_tag)
        entry = self._entries.get(leg.broker_tag)
        if entry is None:
            return None
        if outcome_of(leg.state) in _NOTHING_OF_IT or leg.filled_quantity == 0:
            self.strike(leg.broker_tag)
            return None
        filled = leg.filled_quantity
        value, margin = entry.value, entry.margin
        if filled != entry.quantity:
            value = value * filled / entry.quantity if value is not None else None
            margin = margin * filled / entry.quantity if margin is not None else None
        if leg.average_price is not None and value != leg.average_price * filled:
            value = leg.average_price * filled
        entry = msgspec.structs.replace(
            entry,
            quantity=filled,
            value=value,
            margin=margin,
            known_s=at_s if entry.known_s is None else entry.known_s,
        )
        self.replace(entry)
        return entry

    def margin_since(self, begun_s: float) -> Decimal:
        """The margin of what funds, whose reading began then, may not know of.

        That is what was not certainly at the broker before. Moments never go back.
        """
        if begun_s > self._read_s:
            self._read_s = begun_s
            for tag in list(self._unread):
                known_s = self._entries[tag].known_s
                if known_s is not None and known_s < begun_s:
                    self._unread_sum -= self._unread.pop(tag)
        return self._unread_sum

    def entered_since(self, at_s: float) -> int:
        """How many were entered in the last minute, also those that were struck out since."""
        self._forget_before(at_s)
        return len(self._made)

    def lookalike(self, look: Look, since_s: float, request: int = 0) -> Entry | None:
        """Return an order of another request that looks the same, entered since, not struck."""
        if self._looks is None:
            self._looks = {}
            for entry in self._entries.values():
                self._note_look(self._looks, entry)
        for tag in reversed(self._looks.get(look, {})):
            entry = self._entries[tag]
            if entry.at_s >= since_s and (entry.request != request or request == 0):
                return entry
        return None

    def add(self, entry: Entry) -> None:
        """Put an entry into the sums; it is neither made nor opened by that."""
        self._entries[entry.tag] = entry
        if self._looks is not None:
            self._note_look(self._looks, entry)
        self._note_unread(entry)
        self._sum(entry, 1)

    def drop(self, tag: int) -> None:
        """Take an entry out of the sums, whatever becomes of its order."""
        entry = self._entries.pop(tag)
        if self._looks is not None and entry.look is not None:
            alike = self._looks[entry.look]
            del alike[tag]
            if not alike:
                del self._looks[entry.look]
        self._unread_sum -= self._unread.pop(tag, _ZERO)
        self._sum(entry, -1)

    @staticmethod
    def _note_look(looks: dict[Look, dict[int, None]], entry: Entry) -> None:
        if entry.look is not None:
            looks.setdefault(entry.look, {})[entry.tag] = None

    def _note_unread(self, entry: Entry) -> None:
        """Count an entry's margin among what funds may not know of, for as long as they may not."""
        if not self._keeps_margin:
            return
        before = self._unread.pop(entry.tag, None)
        known_s, margin = entry.known_s, entry.margin
        if margin and (known_s is None or known_s >= self._read_s):
            self._unread[entry.tag] = margin
            if margin is not before:
                self._unread_sum += margin - (before or _ZERO)
        elif before is not None:
            self._unread_sum -= before

    def _sum(self, entry: Entry, sign: int) -> None:
        self.day_quantity += sign * entry.quantity
        self.quantities[entry.instrument] += sign * entry.quantity
        if entry.value is not None:
            self.day_value += sign * entry.value
            self.values[entry.instrument] = (
                self.values.get(entry.instrument, _ZERO) + sign * entry.value
            )

    def _forget_before(self, at_s: float) -> None:
        while self._made:
            oldest = next(iter(self._made))
            if self._made[oldest] >= at_s:
                return
            del self._made[oldest]
