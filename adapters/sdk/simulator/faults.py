"""What goes wrong, and when: the fault plan of a simulator.

A rule is `{"call": kind or "any", "action": ..., "count": 1 (null: for ever), "skip": 0,
"params": {...}}`. "Accepted" below means that the broker's handler ran, so a place is in the
ledger. Of the rules that match a call, every one of the four that only delay or hide
(`slow`, `slow_answer`, `book_lag`, `book_omit`) applies, and the first one of the others.

Before the request is read:
    refuse              the listening socket closes, connects are refused; `ms` (1000; null: until
                        the faults are cleared), `close_idle` (true). Without call and skip it
                        happens at once, otherwise with the answer of the call it matches. The
                        kernel refuses, so connections cannot be counted: time only.
    close_idle          idle keep-alive connections are closed at once; `how`: fin (default), rst
    reset_before_read   RST once the head shows the kind of call, the body not awaited; with
                        `on`: connect (default: request) as soon as a connection stands
Not accepted:
    reset_before_accept whole request read, RST
    hang                never answered
    status              answered by a gateway in front; `status` (503), `body`, `content_type`
    reject              the broker's business refusal; `message`
    rate_limit          the broker's rate-limit answer; `accepted` (false)
    session_expired     the broker's dead-token answer; `accepted` (false), `expire` (false:
                        tokens stay good)
    book_fail           book, order and trades only: as status (500)
Accepted:
    accept_then_reset   RST, no byte of answer
    accept_then_close   FIN, no byte of answer
    accept_then_status  answered by a gateway in front; `status` (502), `body` (an HTML page),
                        `content_type`
    accept_then_html    the same with status 200
    accept_then_empty   empty body; `status` (200)
    accept_then_truncated  answer cut; `bytes` (half of it), `length`: cut (a whole answer of cut
                        JSON) or full (the connection ends inside the announced length)
    accept_then_hang    never answered
    accept_late         never answered; accepted `ms` (100) after the client gave up
    reset_at_byte       `bytes` (20) of the answer, head included, then RST
    duplicate           accepted twice, first answer given
Only delay or hide:
    slow                `ms` (1000) before accepting, whether or not the client still listens
    slow_answer         `ms` (1000) between accepting and answering
    book_lag            book, order and trades only: orders younger than `ms` (1000) are hidden
    book_omit           same calls: orders are left out; `newest` (1), or `tags`,
                        `broker_order_ids`

Random mode: `{"seed": 1, "rate": 0.2, "actions": [...], "call": "any", "params": {action: {...}}}`
strikes matching calls that no rule struck; a second one replaces the first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

from adapters.sdk.simulator.http import CallKind


class Action(StrEnum):
    REFUSE = "refuse"
    CLOSE_IDLE = "close_idle"
    RESET_BEFORE_READ = "reset_before_read"
    RESET_BEFORE_ACCEPT = "reset_before_accept"
    ACCEPT_THEN_RESET = "accept_then_reset"
    ACCEPT_THEN_CLOSE = "accept_then_close"
    ACCEPT_THEN_STATUS = "accept_then_status"
    ACCEPT_THEN_HTML = "accept_then_html"
    ACCEPT_THEN_EMPTY = "accept_then_empty"
    ACCEPT_THEN_TRUNCATED = "accept_then_truncated"
    ACCEPT_THEN_HANG = "accept_then_hang"
    HANG = "hang"
    ACCEPT_LATE = "accept_late"
    STATUS = "status"
    REJECT = "reject"
    RATE_LIMIT = "rate_limit"
    SESSION_EXPIRED = "session_expired"
    RESET_AT_BYTE = "reset_at_byte"
    DUPLICATE = "duplicate"
    SLOW = "slow"
    SLOW_ANSWER = "slow_answer"
    BOOK_FAIL = "book_fail"
    BOOK_LAG = "book_lag"
    BOOK_OMIT = "book_omit"


class FaultError(ValueError):
    """A fault that makes no sense; the text says why."""


class _Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every action's parameters."""


class NoParams(_Params, frozen=True, kw_only=True):
    pass


class RefuseParams(_Params, frozen=True, kw_only=True):
    ms: int | None = 1000
    close_idle: bool = True


class CloseIdleParams(_Params, frozen=True, kw_only=True):
    how: Literal["fin", "rst"] = "fin"


class ResetParams(_Params, frozen=True, kw_only=True):
    on: Literal["request", "connect"] = "request"


class AnswerParams(_Params, frozen=True, kw_only=True):
    status: int = 502
    body: str | None = None
    content_type: str = "text/html; charset=utf-8"


class TruncateParams(_Params, frozen=True, kw_only=True):
    bytes: int | None = None
    length: Literal["cut", "full"] = "cut"


class DelayParams(_Params, frozen=True, kw_only=True):
    ms: int = 1000


class LateParams(_Params, frozen=True, kw_only=True):
    ms: int = 100


class RejectParams(_Params, frozen=True, kw_only=True):
    message: str = "Order rejected by the simulator"


class RateLimitParams(_Params, frozen=True, kw_only=True):
    accepted: bool = False


class ExpiredParams(_Params, frozen=True, kw_only=True):
    accepted: bool = False
    expire: bool = False


class ByteParams(_Params, frozen=True, kw_only=True):
    bytes: int = 20


class OmitParams(_Params, frozen=True, kw_only=True):
    newest: int = 1
    tags: list[str] = []
    broker_order_ids: list[str] = []


_PARAMS: dict[Action, type[_Params]] = {
    Action.REFUSE: RefuseParams,
    Action.CLOSE_IDLE: CloseIdleParams,
    Action.RESET_BEFORE_READ: ResetParams,
    Action.ACCEPT_THEN_STATUS: AnswerParams,
    Action.ACCEPT_THEN_HTML: AnswerParams,
    Action.ACCEPT_THEN_EMPTY: AnswerParams,
    Action.ACCEPT_THEN_TRUNCATED: TruncateParams,
    Action.ACCEPT_LATE: LateParams,
    Action.STATUS: AnswerParams,
    Action.REJECT: RejectParams,
    Action.RATE_LIMIT: RateLimitParams,
    Action.SESSION_EXPIRED: ExpiredParams,
    Action.RESET_AT_BYTE: ByteParams,
    Action.SLOW: DelayParams,
    Action.SLOW_ANSWER: DelayParams,
    Action.BOOK_FAIL: AnswerParams,
    Action.BOOK_LAG: DelayParams,
    Action.BOOK_OMIT: OmitParams,
}
_STATUS: dict[Action, int] = {
    Action.ACCEPT_THEN_HTML: 200,
    Action.ACCEPT_THEN_EMPTY: 200,
    Action.STATUS: 503,
    Action.BOOK_FAIL: 500,
}
_CALLS = ("any", *(kind.value for kind in CallKind))
_BOOK_ACTIONS = frozenset({Action.BOOK_FAIL, Action.BOOK_LAG, Action.BOOK_OMIT})
_BOOK_CALLS = frozenset({CallKind.BOOK, CallKind.ORDER, CallKind.TRADES})
_MODIFIERS = frozenset({Action.SLOW, Action.SLOW_ANSWER, Action.BOOK_LAG, Action.BOOK_OMIT})
_CONNECTION_ACTIONS = frozenset({Action.REFUSE, Action.CLOSE_IDLE})


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


class Applied(msgspec.Struct, frozen=True):
    """One action with its parameters filled in."""

    action: Action
    params: Any


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


class _Rule:
    """A fault in force, counting what it has seen and done."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.applied = _applied(fault.action, fault.params)
        self.left = fault.count
        self.to_skip = fault.skip
        self.fired = 0

    def matches(self, kind: CallKind) -> bool:
        return _covers(self.fault.call, self.fault.action, kind)

    def spend(self) -> bool:
        """Take one matching call; whether the rule strikes it."""
        if self.left == 0:
            return False
        if self.to_skip:
            self.to_skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        self.fired += 1
        return True


class FaultPlan:
    """The faults in force. `on_connection_fault` and `on_clear` are the server's to set."""

    def __init__(self) -> None:
        self.on_connection_fault: Callable[[Applied], None] | None = None
        self.on_clear: Callable[[], None] | None = None
        self._rules: list[_Rule] = []
        self._random: tuple[RandomFaults, random.Random, dict[Action, Applied]] | None = None
        self._random_fired = 0

    def add(self, faults: Iterable[Fault | RandomFaults | Mapping[str, Any]]) -> None:
        """Put faults in force, all or none.

        Raises:
            FaultError: one of them makes no sense.
        """
        parsed = [self._parse(fault) for fault in faults]
        rules = [_Rule(fault) for fault in parsed if isinstance(fault, Fault)]
        at_once = [rule.applied for rule in rules if _is_immediate(rule.fault)]
        if at_once and self.on_connection_fault is None:
            raise FaultError("connection faults need a simulator that is serving")
        for fault in parsed:
            if isinstance(fault, RandomFaults):
                params = {a: _applied(a, fault.params.get(a, {})) for a in fault.actions}
                self._random = (fault, random.Random(fault.seed), params)
        self._rules += [rule for rule in rules if not _is_immediate(rule.fault)]
        for applied in at_once:
            if self.on_connection_fault is not None:
                self.on_connection_fault(applied)

    def clear(self) -> None:
        """Lift every fault; the simulator listens again if it did not."""
        self._rules.clear()
        self._random = None
        self._random_fired = 0
        if self.on_clear is not None:
            self.on_clear()

    def describe(self) -> dict[str, Any]:
        """Show what is in force, with what is left of each rule and how often it struck."""
        return {
            "faults": [
                msgspec.to_builtins(rule.fault)
                | {"left": rule.left, "left_to_skip": rule.to_skip, "fired": rule.fired}
                for rule in self._rules
            ],
            "random": msgspec.to_builtins(self._random[0]) | {"fired": self._random_fired}
            if self._random
            else None,
        }

    def pick(self, kind: CallKind) -> Effects | None:
        """Decide what happens to one call; None means nothing."""
        if not self._rules and self._random is None:
            return None
        effects = Effects()
        for rule in self._rules:
            is_modifier = rule.fault.action in _MODIFIERS
            if (is_modifier or effects.main is None) and rule.matches(kind) and rule.spend():
                if is_modifier:
                    _modify(effects, rule.applied)
                else:
                    effects.main = rule.applied
        if effects.main is None and self._random is not None:
            self._draw(kind, effects)
        return effects if effects != Effects() else None

    def strikes_connect(self) -> bool:
        """Decide whether a new connection is reset before anything is read from it."""
        return any(_is_on_connect(rule.fault) and rule.spend() for rule in self._rules)

    def _draw(self, kind: CallKind, effects: Effects) -> None:
        if self._random is None:
            return
        rule, chance, applied = self._random
        fitting = [action for action in rule.actions if _covers(rule.call, action, kind)]
        if fitting and chance.random() < rule.rate:
            self._random_fired += 1
            drawn = applied[chance.choice(fitting)]
            if drawn.action in _MODIFIERS:
                _modify(effects, drawn)
            else:
                effects.main = drawn

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


def _applied(action: Action, params: Mapping[str, Any]) -> Applied:
    kind = _PARAMS.get(action, NoParams)
    defaults = {"status": _STATUS[action]} if action in _STATUS else {}
    try:
        return Applied(action, msgspec.convert(defaults | dict(params), kind))
    except msgspec.ValidationError as error:
        raise FaultError(f"{action.value}: params: {error}") from error


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
        raise FaultError("close_idle happens at once: it takes no call, count or skip")
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


def _modify(effects: Effects, applied: Applied) -> None:
    if applied.action is Action.SLOW:
        effects.slow_ms += applied.params.ms
    elif applied.action is Action.SLOW_ANSWER:
        effects.slow_answer_ms += applied.params.ms
    elif applied.action is Action.BOOK_LAG:
        effects.lag_ms = applied.params.ms
    else:
        effects.omit = msgspec.structs.asdict(applied.params)
