"""The storm: what goes wrong at a simulated broker, drawn by a seed, call by call."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from adapters.sdk.simulator import CallKind, FaultPlan
from adapters.sdk.simulator.actions import Action, Applied, fill_in
from adapters.sdk.simulator.faults import Effects

TAG = re.compile(rb"(?<!\d)(\d{15})(?!\d)")

# Weights: what leaves a client waiting for its time-out is rare, for it also holds a connection.
_PLACE: tuple[tuple[float, Action, dict[str, Any]], ...] = (
    (3, Action.REFUSE, {"ms": 150}),
    (3, Action.RESET_BEFORE_READ, {}),
    (3, Action.RESET_BEFORE_ACCEPT, {}),
    (0.3, Action.HANG, {}),
    (2, Action.STATUS, {"status": 503}),
    (2, Action.STATUS, {"status": 500, "body": '{"status":"error"}'}),
    (2, Action.REJECT, {}),
    (1, Action.RATE_LIMIT, {"accepted": False}),
    (1, Action.RATE_LIMIT, {"accepted": True}),
    (0.3, Action.SESSION_EXPIRED, {"accepted": False, "expire": True}),
    (6, Action.ACCEPT_THEN_RESET, {}),
    (4, Action.ACCEPT_THEN_CLOSE, {}),
    (2, Action.ACCEPT_THEN_STATUS, {"status": 500}),
    (3, Action.ACCEPT_THEN_STATUS, {"status": 502}),
    (2, Action.ACCEPT_THEN_STATUS, {"status": 504}),
    (3, Action.ACCEPT_THEN_HTML, {}),
    (3, Action.ACCEPT_THEN_EMPTY, {}),
    (3, Action.ACCEPT_THEN_TRUNCATED, {"length": "cut"}),
    (3, Action.ACCEPT_THEN_TRUNCATED, {"length": "full"}),
    (0.3, Action.ACCEPT_THEN_HANG, {}),
    (0.3, Action.ACCEPT_LATE, {"ms": 200}),
    (2, Action.RESET_AT_BYTE, {"bytes": 1}),
    (2, Action.RESET_AT_BYTE, {"bytes": 60}),
    (3, Action.SLOW, {"ms": 300}),
    (3, Action.SLOW_ANSWER, {"ms": 300}),
)
# The broker makes two orders of one request: the account then stops by itself.
DOUBLED: tuple[float, Action, dict[str, Any]] = (3, Action.DUPLICATE, {})
# Fyers' dossier does not prove that a place answered so made nothing; those of the others do.
EXPIRED_YET_TAKEN: tuple[float, Action, dict[str, Any]] = (
    0.3,
    Action.SESSION_EXPIRED,
    {"accepted": True},
)
_READ: tuple[tuple[float, Action, dict[str, Any]], ...] = (
    (2, Action.BOOK_FAIL, {"status": 500}),
    (2, Action.BOOK_LAG, {"ms": 500}),
    (2, Action.BOOK_OMIT, {"newest": 1}),
    (2, Action.BOOK_OMIT, {"newest": 3}),
    (1, Action.ACCEPT_THEN_HTML, {}),
    (1, Action.ACCEPT_THEN_EMPTY, {}),
    (2, Action.ACCEPT_THEN_TRUNCATED, {"length": "cut"}),
    (2, Action.ACCEPT_THEN_TRUNCATED, {"length": "full"}),
    (1, Action.RESET_AT_BYTE, {"bytes": 40}),
    (1, Action.RESET_BEFORE_READ, {}),
    (1, Action.STATUS, {"status": 503}),
    (1, Action.SLOW_ANSWER, {"ms": 200}),
    (0.1, Action.SESSION_EXPIRED, {"expire": True}),
)
_CHANGE: tuple[tuple[float, Action, dict[str, Any]], ...] = (
    (2, Action.RESET_BEFORE_ACCEPT, {}),
    (2, Action.ACCEPT_THEN_RESET, {}),
    (2, Action.ACCEPT_THEN_STATUS, {"status": 502}),
    (2, Action.ACCEPT_THEN_EMPTY, {}),
    (2, Action.REJECT, {}),
    (1, Action.RATE_LIMIT, {"accepted": False}),
    (1, Action.SLOW, {"ms": 200}),
)
_READS = (CallKind.BOOK, CallKind.ORDER, CallKind.TRADES)
_CHANGES = (CallKind.CANCEL, CallKind.MODIFY)
# Of which a read that is struck can still be called a good one.
HARMLESS_TO_READS = frozenset({Action.SLOW, Action.SLOW_ANSWER})
# What a broker may do to a place that is neither its last word nor a fault that passes.
NOT_TRANSIENT = frozenset({Action.REJECT.value, Action.DUPLICATE.value})


class Storm(FaultPlan):
    """A fault plan that also strikes by chance while `raging`. Only kinds of trading calls.

    `on_struck` is told of every fault, the scripted ones too. `extras` join those of a place.
    """

    def __init__(
        self,
        seed: int,
        on_struck: Callable[[CallKind, Effects], None],
        *,
        place_rate: float,
        other_rate: float,
        extras: tuple[tuple[float, Action, dict[str, Any]], ...] = (),
    ) -> None:
        super().__init__()
        self.raging = False
        self._on_struck = on_struck
        self._random = random.Random(seed)
        place = (*_PLACE, *extras)
        self._tables: dict[CallKind, tuple[float, list[float], list[Applied]]] = {
            kind: (rate, [weight for weight, _, _ in table], [fill_in(a, p) for _, a, p in table])
            for kinds, rate, table in (
                ((CallKind.PLACE,), place_rate, place),
                (_READS, other_rate, _READ),
                (_CHANGES, other_rate, _CHANGE),
            )
            for kind in kinds
        }

    def pick(self, kind: CallKind) -> Effects | None:
        effects = super().pick(kind)
        if effects is None and self.raging and kind in self._tables:
            rate, weights, choices = self._tables[kind]
            if self._random.random() < rate:
                effects = Effects()
                effects.add(self._random.choices(choices, weights)[0])
        if effects is not None:
            self._on_struck(kind, effects)
        return effects


def name_of(effects: Effects) -> str:
    """Name what happens to a call, in the fault vocabulary's words."""
    if effects.main is not None:
        return effects.main.action.value
    if effects.lag_ms is not None:
        return Action.BOOK_LAG.value
    if effects.omit is not None:
        return Action.BOOK_OMIT.value
    return Action.SLOW.value if effects.slow_ms else Action.SLOW_ANSWER.value
