"""What can go wrong with a call, and the parameters of each (defaults in parentheses).

"Accepted" means that the broker's handler ran, so a place is in the ledger.

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
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec


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


class Applied(msgspec.Struct, frozen=True):
    """One action with its parameters filled in."""

    action: Action
    params: Any


def fill_in(action: Action, params: Mapping[str, Any]) -> Applied:
    """Fill in an action's parameters. Raises `FaultError` for one that is unknown or unfit."""
    kind = _PARAMS.get(action, NoParams)
    defaults = {"status": _STATUS[action]} if action in _STATUS else {}
    try:
        return Applied(action, msgspec.convert(defaults | dict(params), kind))
    except msgspec.ValidationError as error:
        raise FaultError(f"{action.value}: params: {error}") from error


_Natural = Annotated[int, msgspec.Meta(ge=0)]
_Status = Annotated[int, msgspec.Meta(ge=200, le=599)]


class _Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every action's parameters."""


class NoParams(_Params, frozen=True, kw_only=True):
    pass


class RefuseParams(_Params, frozen=True, kw_only=True):
    ms: _Natural | None = 1000
    close_idle: bool = True


class CloseIdleParams(_Params, frozen=True, kw_only=True):
    how: Literal["fin", "rst"] = "fin"


class ResetParams(_Params, frozen=True, kw_only=True):
    on: Literal["request", "connect"] = "request"


class AnswerParams(_Params, frozen=True, kw_only=True):
    status: _Status = 502
    body: str | None = None
    content_type: str = "text/html; charset=utf-8"


class TruncateParams(_Params, frozen=True, kw_only=True):
    bytes: _Natural | None = None
    length: Literal["cut", "full"] = "cut"


class DelayParams(_Params, frozen=True, kw_only=True):
    ms: _Natural = 1000


class LateParams(_Params, frozen=True, kw_only=True):
    ms: _Natural = 100


class RejectParams(_Params, frozen=True, kw_only=True):
    message: str = "Order rejected by the simulator"


class RateLimitParams(_Params, frozen=True, kw_only=True):
    accepted: bool = False


class ExpiredParams(_Params, frozen=True, kw_only=True):
    accepted: bool = False
    expire: bool = False


class ByteParams(_Params, frozen=True, kw_only=True):
    bytes: _Natural = 20


class OmitParams(_Params, frozen=True, kw_only=True):
    newest: _Natural = 1
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
