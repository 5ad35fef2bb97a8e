"""Order status words of InvestRight's book to our states (dossier hdfc 5.9).

Only `Traded`, `Rejected` and `CANCELLED` are documented; the rest is the dossier's reading.
Quantities win over words, and a word that is not listed is logged and changes nothing (state
None): the dossier would call such an order open when something is pending, a guess as well.
"""

from __future__ import annotations

import re
from functools import lru_cache

from adapters.hdfc.values import unrecognised
from adapters.sdk.models import BrokerOrderState as State

_WORDS = {
    # Whether traded means all of it is for the quantities to say.
    "TRADED": State.FILLED,
    "EXECUTED": State.FILLED,
    "COMPLETE": State.FILLED,
    "COMPLETED": State.FILLED,
    "FULLY EXECUTED": State.FILLED,
    "PARTIALLY TRADED": State.PARTIALLY_FILLED,
    "PARTIAL TRADE": State.PARTIALLY_FILLED,
    "PARTLY TRADED": State.PARTIALLY_FILLED,
    "PARTLY EXECUTED": State.PARTIALLY_FILLED,
    "REJECTED": State.REJECTED,
    "CANCELLED": State.CANCELLED,
    "CANCELED": State.CANCELLED,
    "CANCEL CONFIRMED": State.CANCELLED,
    "BATCH CANCEL CONFIRMED": State.CANCELLED,
    "AMO CANCEL CONFIRMED": State.CANCELLED,
    "EXPIRED": State.EXPIRED,
    "TRIGGER PENDING": State.TRIGGER_PENDING,
    "SL TRIGGER PENDING": State.TRIGGER_PENDING,
    "SL TRIGGER CONFIRMED": State.TRIGGER_PENDING,
    "TRANSIT": State.PENDING,
    "UNACCEPTED": State.PENDING,
    "VALIDATION PENDING": State.PENDING,
    "OPEN PENDING": State.PENDING,
    "EXCHANGE RESPONSE PENDING": State.PENDING,
    "RMS VALIDATION COMPLETED": State.PENDING,
    "AMO REQ RECEIVED": State.PENDING,
    "AFTER MARKET ORDER REQ RECEIVED": State.PENDING,
    # A rejected cancel or modify is about the request: the order lives on.
    "CANCEL REJECTED": State.OPEN,
    "MODIFY REJECTED": State.OPEN,
    "MODIFY PENDING": State.OPEN,
    "CANCEL PENDING": State.OPEN,
    "CANCEL ACCEPTED": State.OPEN,
    "MODIFY ACCEPTED": State.OPEN,
}
_RESTING = frozenset(
    {"OPEN", "CONFIRMED", "MODIFIED", "MODIFY CONFIRMED", "PLACED", "AMO NEW CONFIRMED"}
)
# "Pending" may be this system's word for resting at the exchange, which an exchange id proves.
_RESTING_AT_EXCHANGE = frozenset({"PENDING", "ACCEPTED", "RECEIVED"})


def order_state(
    status: str,
    *,
    quantity: int,
    filled: int,
    pending: int | None,
    at_exchange: bool,
    is_stop: bool,
) -> State | None:
    """Return the state that a row's word and quantities prove together, None when they do not.

    `pending` is None where the row does not say; `at_exchange`: it has an exchange order id;
    `is_stop`: an SL or SL-M order, whose trigger the book does not report.
    """
    word = _normal(status)
    if word in _RESTING or word in _RESTING_AT_EXCHANGE:
        resting = State.TRIGGER_PENDING if is_stop else State.OPEN
        known = resting if word in _RESTING or at_exchange else State.PENDING
    elif word in _WORDS:
        known = _WORDS[word]
    else:
        unrecognised("order status", status or "(none)")
        return None
    if 0 < quantity <= filled:
        return State.FILLED
    if known in (State.CANCELLED, State.EXPIRED):
        return known
    if filled > 0:
        return State.PARTIALLY_FILLED
    if known in (State.FILLED, State.PARTIALLY_FILLED):
        # "Traded" without a fill: alive if anything is pending, otherwise the row says nothing.
        return State.OPEN if pending else None
    return known


@lru_cache(256)
def _normal(status: str) -> str:
    return " ".join(re.sub(r"[_-]", " ", status.upper()).split())
