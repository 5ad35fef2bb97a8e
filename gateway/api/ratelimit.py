"""How often one API key may call: quotas by the second, told in the draft's header fields.

Fields as in draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` names the quotas, `RateLimit`
what is left of them. They hold for the gateway itself; what a broker takes is another matter
(see docs/limits.md). A cancel, a stop or a square-off counts but is never refused.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import StrEnum

import msgspec

from gateway.api.routing import Route
from gateway.orders.problems import Problem

Headers = list[tuple[bytes, bytes]]

_WINDOW_S = 1.0
_ORDER_PATHS = ("/v1/orders", "/v1/baskets", "/v1/orderbook")
_NEVER_REFUSED = ("/v1/kill", "/v1/positions/close", "/v1/orders/cancel-all")


class Kind(StrEnum):
    """What a route costs: a request, or a request and an order; URGENT is never refused."""

    REQUEST = "request"
    ORDER = "order"
    URGENT = "urgent"


class KeyRates(msgspec.Struct, frozen=True, kw_only=True):
    """Quotas of each key, by the second."""

    requests_per_second: int = 1000
    orders_per_second: int = 500


def kind_of(route: Route) -> Kind:
    if route.path.startswith(_NEVER_REFUSED):
        return Kind.URGENT
    if route.path.startswith(_ORDER_PATHS):
        if route.method == "DELETE":
            return Kind.URGENT
        if route.method in ("POST", "PATCH") and not route.path.endswith("/validate"):
            return Kind.ORDER
    return Kind.REQUEST


class KeyLimits:
    """Counts the calls of every key. Each second of a key begins with its first call in it."""

    def __init__(self, rates: KeyRates, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = rates
        self._clock = clock
        self._seconds: dict[str, _Second] = {}
        self._policy = (
            b"RateLimit-Policy",
            b'"requests";q=%d;w=1, "orders";q=%d;w=1'
            % (rates.requests_per_second, rates.orders_per_second),
        )

    def take(self, key_id: str, kind: Kind) -> Headers:
        """Count one call and return the header fields of its answer.

        Raises: `Problem` 429 with the same fields and `Retry-After`; nothing was done then.
        """
        now = self._clock()
        second = self._seconds.get(key_id)
        if second is None or now - second.begun >= _WINDOW_S:
            second = self._seconds[key_id] = _Second(now)
        requests, orders = self._rates.requests_per_second, self._rates.orders_per_second
        if kind is not Kind.URGENT:
            for spent, quota, what in (
                (second.requests, requests, "requests"),
                (second.orders if kind is Kind.ORDER else -1, orders, "orders"),
            ):
                if spent >= quota:
                    raise self._too_many(second, now, quota, what)
        second.requests += 1
        if kind is Kind.ORDER:
            second.orders += 1
        return [self._policy, (b"RateLimit", self._left(second, now))]

    def _left(self, second: _Second, now: float) -> bytes:
        reset_s = math.ceil(second.begun + _WINDOW_S - now)
        return b'"requests";r=%d;t=%d, "orders";r=%d;t=%d' % (
            max(self._rates.requests_per_second - second.requests, 0),
            reset_s,
            max(self._rates.orders_per_second - second.orders, 0),
            reset_s,
        )

    def _too_many(self, second: _Second, now: float, quota: int, what: str) -> Problem:
        wait_s = math.ceil(second.begun + _WINDOW_S - now)
        name, value = self._policy
        return Problem(
            429,
            "rate_limited",
            f"this API key may make {quota} {what} a second; nothing was sent. Try again after"
            f" {wait_s} s, or raise server.rate_limits",
            headers={
                "Retry-After": str(wait_s),
                name.decode(): value.decode(),
                "RateLimit": self._left(second, now).decode(),
            },
        )


class _Second:
    __slots__ = ("begun", "orders", "requests")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.requests = 0
        self.orders = 0
