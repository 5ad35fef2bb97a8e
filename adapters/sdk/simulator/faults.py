"""What goes wrong, and when: the fault plan of a simulator.

A rule is `{"call": kind or "any", "action": ..., "count": 1 (null: for ever), "skip": 0,
"params": {...}}`; `actions` lists the actions. Of the rules that match a call, each of the four
that only delay or hide applies, and the first one of the others.

Random mode: `{"seed": 1, "rate": 0.2, "actions": [...], "call": "any", "params": {action: {...}}}`
strikes matching calls that no rule struck; a second one replaces the first.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from adapters.sdk.simulator.actions import Action, Applied, FaultError, fill_in
from adapters.sdk.simulator.http import CallKind

_CALLS = ("any", *(kind.value for kind in CallKind))
_BOOK_ACTIONS = frozenset({Action.BOOK_FAIL, Action.BOOK_LAG, Action.BOOK_OMIT})
_BOOK_CALLS = frozenset({CallKind.BOOK, CallKind.ORDER, CallKind.TRADES})
_MODIFIERS = frozenset({Action.SLOW, Action.SLOW_ANSWER, Action.BOOK_LAG, Action.BOOK_OMIT})
_CONNECTION_ACTIONS = frozenset({Action.REFUSE, Action.CLOSE_IDLE})
_REMEMBERED = 100


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One rule, as `POST /_sim/faults` takes it. `count` None means for ever."""

    action: Action
    call: str = "any"
    count: int | None = 1
    skip: int = 0
    params: dict[str, Any] = {}


class RandomFaults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Faults by chance: each matching call meets one of `actions` at `rate` (0 to 1)."""

    seed: int
    rate: float
    actions: list[Action]
    call: str = "any"
    params: dict[Action, dict[str, Any]] = {}


class Effects(msgspec.Struct, kw_only=True):
    """Everything that happens to one call."""

    main: Applied | None = None
    slow_ms: int = 0
    slow_answer_ms: int = 0
    lag_ms: int | None = None
    omit: dict[str, Any] | None = None

    @property
    def action(self) -> Action | None:
        return self.main.action if self.main else None

    def add(self, applied: Applied) -> None:
        """Let one more action happen to the call."""
        if applied.action is Action.SLOW:
            self.slow_ms += applied.params.ms
        elif applied.action is Action.SLOW_ANSWER:
            self.slow_answer_ms += applied.params.ms
        elif applied.action is Action.BOOK_LAG:
            self.lag_ms = applied.params.ms
        elif applied.action is Action.BOOK_OMIT:
            self.omit = msgspec.structs.asdict(applied.params)
        else:
            self.main = applied


class _Rule:
    """A fault in force, counting what it has seen and done."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.applied = fill_in(fault.action, fault.params)
        self.left = fault.count
        self.to_skip = fault.skip
        self.fired = 0

    def matches(self, kind: CallKind) -> bool:
        if _is_on_connect(self.fault):
            return False
        return _covers(self.fault.call, self.fault.action, kind)

    def spend(self) -> bool:
        """Take one matching call; whether the rule strikes it."""
        if self.to_skip:
            self.to_skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        self.fired += 1
        return True

    def describe(self) -> dict[str, Any]:
        counts = {"left": self.left, "left_to_skip": self.to_skip, "fired": self.fired}
        return {**msgspec.to_builtins(self.fault), **counts}


class _Chance:
    """Random faults in force: the same seed and calls meet the same faults."""

    def __init__(self, faults: RandomFaults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)
        self._applied = {a: fill_in(a, faults.params.get(a, {})) for a in faults.actions}
        self._fired = 0

    def draw(self, kind: CallKind) -> Applied | None:
        call = self._faults.call
        fitting = [action for action in self._faults.actions if _covers(call, action, kind)]
        if not fitting or self._random.random() >= self._faults.rate:
            return None
        self._fired += 1
        return self._applied[self._random.choice(fitting)]

    def describe(self) -> dict[str, Any]:
        return {**msgspec.to_builtins(self._faults), "fired": self._fired}


class FaultPlan:
    """The faults in force. `on_connection_fault` and `on_clear` are the server's to set."""

    def __init__(self) -> None:
        self.on_connection_fault: Callable[[Applied], None] | None = None
        self.on_clear: Callable[[], None] | None = None
        self._rules: list[_Rule] = []
        self._spent: deque[_Rule] = deque(maxlen=_REMEMBERED)
        self._chance: _Chance | None = None

    def add(self, faults: Iterable[Fault | RandomFaults | Mapping[str, Any]]) -> None:
        """Put faults in force, all or none.

        Raises:
            FaultError: one of them makes no sense.
        """
        parsed = [self._parse(fault) for fault in faults]
        rules = [_Rule(fault) for fault in parsed if isinstance(fault, Fault)]
        chances = [_Chance(fault) for fault in parsed if isinstance(fault, RandomFaults)]
        at_once = [rule.applied for rule in rules if _is_immediate(rule.fault)]
        strike = self.on_connection_fault
        if at_once and strike is None:
            raise FaultError("connection faults need a simulator that is serving")
        self._rules += [rule for rule in rules if not _is_immediate(rule.fault)]
        if chances:
            self._chance = chances[-1]
        if strike is not None:
            for applied in at_once:
                strike(applied)

    def clear(self) -> None:
        """Lift every fault; the simulator listens again if it did not."""
        self._rules.clear()
        self._spent.clear()
        self._chance = None
        if self.on_clear is not None:
            self.on_clear()

    def describe(self) -> dict[str, Any]:
        """Show what is in force, with what is left of each rule and how often it struck.

        The last rules that are spent are shown too, first.
        """
        return {
            "faults": [rule.describe() for rule in (*self._spent, *self._rules)],
            "random": self._chance.describe() if self._chance else None,
        }

    def pick(self, kind: CallKind) -> Effects | None:
        """Decide what happens to one call; None means nothing."""
        if not self._rules and self._chance is None:
            return None
        effects = Effects()
        for rule in self._rules:
            is_modifier = rule.applied.action in _MODIFIERS
            if (is_modifier or effects.main is None) and rule.matches(kind) and rule.spend():
                effects.add(rule.applied)
        self._retire()
        if effects.main is None and self._chance is not None:
            drawn = self._chance.draw(kind)
            if drawn is not None:
                effects.add(drawn)
        return effects if effects != Effects() else None

    def strikes_connect(self) -> bool:
        """Decide whether a new connection is reset before anything is read from it."""
        struck = any(_is_on_connect(rule.fault) and rule.spend() for rule in self._rules)
        if struck:
            self._retire()
        return struck

    def _retire(self) -> None:
        if any(rule.left == 0 for rule in self._rules):
            self._spent += [rule for rule in self._rules if rule.left == 0]
            self._rules = [rule for rule in self._rules if rule.left != 0]

    @staticmethod
    def _parse(fault: Fault | RandomFaults | Mapping[str, Any]) -> Fault | RandomFaults:
        parsed: Fault | RandomFaults
        if isinstance(fault, Fault | RandomFaults):
            parsed = fault
        else:
            try:
                if "rate" in fault:
                    parsed = msgspec.convert(fault, RandomFaults)
                else:
                    parsed = msgspec.convert(fault, Fault)
            except msgspec.ValidationError as error:
                raise FaultError(str(error)) from error
        if isinstance(parsed, RandomFaults):
            _check_random(parsed)
        else:
            _check(parsed)
        return parsed


def _check_call(call: str) -> None:
    if call not in _CALLS:
        raise FaultError(f"call must be one of {', '.join(_CALLS)}, not {call!r}")


def _check(fault: Fault) -> None:
    _check_call(fault.call)
    if fault.count is not None and fault.count < 1:
        raise FaultError("count must be at least 1, or null for ever")
    if fault.skip < 0:
        raise FaultError("skip must not be negative")
    if fault.action in _BOOK_ACTIONS and fault.call != "any" and fault.call not in _BOOK_CALLS:
        raise FaultError(f"{fault.action.value} strikes book, order and trades, not {fault.call}")
    if fault.action is Action.CLOSE_IDLE and not _is_immediate(fault):
        raise FaultError("close_idle happens at once: it takes no call and no skip")
    if _is_immediate(fault) and fault.count != 1:
        raise FaultError(f"{fault.action.value} happens once, at once: leave count out")
    if _is_on_connect(fault) and fault.call != "any":
        raise FaultError("on: connect strikes before any call is known: leave call out")


def _check_random(fault: RandomFaults) -> None:
    _check_call(fault.call)
    if not 0 <= fault.rate <= 1:
        raise FaultError("rate must be between 0 and 1")
    if not fault.actions:
        raise FaultError("actions must name at least one action")
    if Action.CLOSE_IDLE in fault.actions:
        raise FaultError("close_idle happens at once and cannot be random")


def _is_immediate(fault: Fault) -> bool:
    return fault.action in _CONNECTION_ACTIONS and fault.call == "any" and fault.skip == 0


def _is_on_connect(fault: Fault) -> bool:
    return fault.action is Action.RESET_BEFORE_READ and fault.params.get("on") == "connect"


def _covers(call: str, action: Action, kind: CallKind) -> bool:
    if action in _BOOK_ACTIONS and kind not in _BOOK_CALLS:
        return False
    return call in ("any", kind)
