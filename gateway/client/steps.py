"""How a call goes, without doing it: send, wait, send again or stop. Both clients drive these.

Nothing here repeats what may have been done, but for calls that are the same when done twice: an
order whose answer was lost is asked for by its idempotency key, and sent again under that key
only when the gateway has no order of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from gateway.client import calls
from gateway.client.calls import Repeat, Request
from gateway.client.errors import FixRequest, GatewayError, LogIn, LookFirst, RetryLater
from gateway.client.models import Leg, ModifiedOrder, Next, Order, OrderPage

T = TypeVar("T")
Clock = Callable[[], float]

FINAL = frozenset(
    ("DENIED", "LAPSED", "REFUSED", "FILLED", "CANCELLED", "REJECTED", "EXPIRED", "ABSENT")
)
_LARGEST_PAGE = 500
# What an order has to share with a request to be the one that it made.
_SAME = ("instrument", "side", "order_type", "product", "quantity")
_BUSY_CODES = ("rate_limited", "stopping", "too_many_streams", "idempotency_in_flight")
_LATER_CODES = ("login_in_progress", "breaker_open", "broker_unavailable", "not_kept")


@dataclass(frozen=True)
class Policy:
    """`retry_for_s`: how long safe repeats go on; 0 sends once. `wait_s`: how long a placed
    order may be pending before `LookFirst`. Pauses double from `first_pause_s`.
    """

    retry_for_s: float = 20.0
    wait_s: float = 30.0
    first_pause_s: float = 0.2
    longest_pause_s: float = 2.0

    def pause_s(self, tries: int) -> float:
        return min(self.first_pause_s * 2.0 ** min(tries, 16), self.longest_pause_s)


class Send(NamedTuple):
    request: Request[Any]


class Sleep(NamedTuple):
    seconds: float


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


class Unreachable(NamedTuple):
    """No connection: nothing of the request has left. `for_good`: trying again cannot help."""

    text: str
    for_good: bool = False


class Lost(NamedTuple):
    """Something was sent and no usable answer came."""

    text: str


Answer = Reply | Unreachable | Lost
Step = Send | Sleep
Steps = Generator[Step, Answer | None, T]


def exchange(request: Request[T], policy: Policy, clock: Clock) -> Steps[T]:
    """Send a request until it is answered, as far as repeating is safe. Raises `GatewayError`."""
    until = clock() + policy.retry_for_s
    in_doubt = False
    tries = 0
    while True:
        answer = _answered((yield Send(request)))
        judged = _judged(request, answer)
        if isinstance(judged, Done):
            return judged.value
        error, again = judged
        in_doubt = in_doubt or isinstance(error, LookFirst)
        pause = max(policy.pause_s(tries), getattr(error, "retry_after_s", None) or 0.0)
        if not again or clock() + pause > until:
            raise _in_doubt(error, request) if in_doubt else error
        yield Sleep(pause)
        tries += 1
        if in_doubt and request.look is not None:
            found = yield from _looked_up(request)
            if found is not None:
                return found


def placing(
    request: Request[Order], policy: Policy, clock: Clock, wait_s: float | None
) -> Steps[Order]:
    """Place an order, follow it while it is pending, and raise where no leg was accepted."""
    order = yield from exchange(request, policy, clock)
    order = yield from settling(order, policy, clock, wait_s, request.key)
    if not order.accepted and order.failed:
        raise failure_of(order, request.key)
    return order


def settling(
    order: Order, policy: Policy, clock: Clock, wait_s: float | None, key: str | None
) -> Steps[Order]:
    """Ask for an order until it is not pending. Raises `LookFirst` with what was seen last."""
    until = clock() + (policy.wait_s if wait_s is None else wait_s)
    tries = 0
    while order.is_pending:
        pause = policy.pause_s(tries)
        if clock() + pause > until:
            states = ", ".join(f"{leg.account} {leg.state}" for leg in order.unknown)
            text = f"{order.order_id} is still pending: {states}"
            raise LookFirst(text, order=order, idempotency_key=key)
        yield Sleep(pause)
        tries += 1
        order = yield from _seen_again(order, policy, clock, "was pending", key)
    return order


def cancelling(
    request: Request[Order], account: str | None, policy: Policy, clock: Clock, wait_s: float | None
) -> Steps[Order]:
    """Cancel, and ask until what was meant is final. Raises `LookFirst` where it is not."""
    order = yield from exchange(request, policy, clock)
    until = clock() + (policy.wait_s if wait_s is None else wait_s)
    tries = 0
    while not _is_over(order, account):
        pause = policy.pause_s(tries)
        if clock() + pause > until:
            raise LookFirst(f"{order.order_id} is not cancelled yet", order=order)
        yield Sleep(pause)
        tries += 1
        order = yield from _seen_again(order, policy, clock, "is being cancelled")
    return order


def paging(query: dict[str, str], limit: int, policy: Policy, clock: Clock) -> Steps[list[Order]]:
    """Read as many pages as `limit` orders take."""
    found: list[Order] = []
    cursor: str | None = None
    while len(found) < limit:
        size = str(min(limit - len(found), _LARGEST_PAGE))
        request = calls.orders(**query, limit=size, cursor=cursor)
        page = yield from exchange(request, policy, clock)
        found += page.orders
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def modifying(
    request: Request[ModifiedOrder], policy: Policy, clock: Clock
) -> Steps[ModifiedOrder]:
    """Modify once. Raises `LookFirst` where it may have been applied, and where no leg was."""
    order = yield from exchange(request, policy, clock)
    said = {leg.account: leg.modify for leg in order.legs if leg.modify is not None}
    if "unknown" in said.values():
        raise LookFirst(f"{order.order_id} may have been modified: {said}", order=order)
    if said and "applied" not in said.values():
        reasons = [leg.modify_reason.message for leg in order.legs if leg.modify_reason]
        words = "; ".join(reasons) or str(said)
        raise FixRequest(f"{order.order_id} was not modified: {words}", order=order)
    return order


def failure_of(order: Order, key: str | None = None) -> GatewayError:
    """Return what the legs that failed mean for the program: the gravest of them first."""
    failed = order.failed
    words = "; ".join(f"{leg.account}: {_words(leg)}" for leg in failed)
    text = f"{order.order_id} {order.summary}: {words}"
    more: dict[str, Any] = {"order": order, "idempotency_key": key}
    if order.unknown:
        return LookFirst(text, **more)
    nexts = {leg.next for leg in failed}
    if Next.FIX in nexts:
        return FixRequest(text, **more)
    if Next.LOG_IN in nexts:
        accounts = [leg.account for leg in failed if leg.next is Next.LOG_IN]
        return LogIn(text, accounts=accounts, **more)
    return RetryLater(text, **more)


def _seen_again(
    order: Order, policy: Policy, clock: Clock, was: str, key: str | None = None
) -> Steps[Order]:
    """Ask for an order that something was done to, so that no failure proves that nothing was."""
    try:
        return (yield from exchange(calls.order(order.order_id), policy, clock))
    except GatewayError as error:
        text = f"{order.order_id} {was} and cannot be asked for: {error}"
        raise LookFirst(text, order=order, idempotency_key=key) from error


def _words(leg: Leg) -> str:
    return f"{leg.reason.code}, {leg.reason.message}" if leg.reason else leg.state


def _is_over(order: Order, account: str | None) -> bool:
    return all(leg.state in FINAL for leg in order.legs if account in (None, leg.account))


def _looked_up(request: Request[T]) -> Generator[Step, Answer | None, T | None]:
    """Ask for the order of a key. None: there is none like it, or it cannot be told now.

    Sending again under the key is safe then: the gateway says so where the key is of another order.
    """
    assert request.look is not None  # noqa: S101
    answer = _answered((yield Send(request.look)))
    if not isinstance(answer, Reply) or answer.status != 200:
        return None
    try:
        page = msgspec.json.decode(answer.content, type=OrderPage)
    except msgspec.MsgspecError:
        return None
    found: Any = page.orders[0] if page.orders else None
    if found is None or any(found.request.get(name) != request.body.get(name) for name in _SAME):
        return None
    return found  # type: ignore[no-any-return]


def _answered(answer: Answer | None) -> Answer:
    assert answer is not None  # noqa: S101
    return answer


@dataclass(frozen=True)
class Done(Generic[T]):
    value: T


def _judged(request: Request[T], answer: Answer) -> Done[T] | tuple[GatewayError, bool]:
    """Return the value, or what to raise and whether the request may be sent again."""
    if isinstance(answer, Unreachable):
        if answer.for_good:
            return FixRequest(answer.text), False
        return RetryLater(answer.text), True
    if isinstance(answer, Lost):
        return _lost(request, answer.text), request.repeat is not Repeat.ONCE
    if answer.status >= 300:
        return _problem(request, answer)
    try:
        return Done(_decoded(request, answer))
    except msgspec.MsgspecError as error:
        return _lost(request, f"the answer is not understood: {error}"), False


def _decoded(request: Request[T], answer: Reply) -> T:
    if not answer.content:
        return msgspec.convert(None, request.answer)
    if "json" not in answer.headers.get("content-type", "json"):
        return msgspec.convert(answer.content.decode(), request.answer)
    return msgspec.json.decode(answer.content, type=request.answer)


def _problem(request: Request[Any], answer: Reply) -> tuple[GatewayError, bool]:
    problem = _problem_document(answer)
    if problem is None:
        # A proxy's own page: it says nothing of what the gateway did.
        text = f"HTTP {answer.status} and no word of the gateway"
        if answer.status >= 500:
            return _lost(request, text, answer.status), request.repeat is not Repeat.ONCE
        return FixRequest(text, status=answer.status), False
    text = problem_words(problem)
    more: dict[str, Any] = {"status": answer.status, "problem": problem}
    code = problem.get("code")
    after = _seconds(answer.headers.get("retry-after"))
    if code == "idempotency_in_flight":
        return LookFirst(text, idempotency_key=request.key, **more), True
    may_be_done = problem.get("sent") is not False and code not in (*_BUSY_CODES, *_LATER_CODES)
    if answer.status >= 500 and may_be_done and request.repeat is not Repeat.READ:
        doubt = LookFirst(text, idempotency_key=request.key, **more)
        return doubt, request.repeat is not Repeat.ONCE
    if answer.status == 429 or answer.status >= 500 or code in _LATER_CODES:
        later = RetryLater(text, retry_after_s=after, idempotency_key=request.key, **more)
        return later, code in _BUSY_CODES
    if code == "idempotency_key_reused":
        return FixRequest(text, idempotency_key=request.key, **more), False
    return FixRequest(text, **more), False


def _lost(request: Request[Any], text: str, status: int | None = None) -> GatewayError:
    if request.repeat is Repeat.READ:
        return RetryLater(text, status=status)
    return LookFirst(text, status=status, idempotency_key=request.key)


def _in_doubt(error: GatewayError, request: Request[Any]) -> GatewayError:
    """An earlier try may have arrived, whatever the last one was answered."""
    if isinstance(error, LookFirst):
        return error
    doubt = LookFirst(
        f"an earlier try may have arrived, and now: {error}",
        status=error.status,
        problem=error.problem,
        idempotency_key=request.key,
    )
    doubt.__cause__ = error
    return doubt


def _problem_document(answer: Reply) -> dict[str, Any] | None:
    try:
        problem = msgspec.json.decode(answer.content)
    except msgspec.MsgspecError:
        return None
    return problem if isinstance(problem, dict) and "code" in problem else None


def problem_words(problem: dict[str, Any]) -> str:
    """Say what a problem answer says, with the broker's own words where it has them."""
    words = str(problem.get("detail") or problem.get("title") or problem.get("code"))
    broker = problem.get("broker_message")
    return f"{words} (the broker says: {broker})" if broker and broker not in words else words


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None


def refusal(request: Request[Any], answer: Reply) -> GatewayError:
    """Return what an answer that is no success means."""
    return _problem(request, answer)[0]
