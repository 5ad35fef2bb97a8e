"""The gateway's own quotas per key."""

from __future__ import annotations

import pytest

from gateway.api.ratelimit import KeyLimits, KeyRates, Kind, kind_of
from gateway.api.routing import Route
from gateway.orders.problems import Problem
from gateway.secrets.api_keys import Scope
from tests.calls.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> KeyLimits:
    return KeyLimits(KeyRates(requests_per_second=5, orders_per_second=2), clock)


def test_every_answer_tells_the_quota_and_what_is_left(limits, clock):
    assert [
        (b"RateLimit-Policy", b'"requests";q=5;w=1, "orders";q=2;w=1'),
        (b"RateLimit", b'"requests";r=4;t=1, "orders";r=1;t=1'),
    ] == limits.take("k", Kind.ORDER)
    clock.advance(0.5)
    assert b'"requests";r=3;t=1, "orders";r=1;t=1' == limits.take("k", Kind.REQUEST)[1][1]


def test_too_many_are_429_with_the_time_to_wait_until_the_second_is_over(limits, clock):
    for _ in range(5):
        limits.take("k", Kind.REQUEST)
    with pytest.raises(Problem) as caught:
        limits.take("k", Kind.REQUEST)
    problem = caught.value
    assert (429, "rate_limited", False) == (problem.status, problem.code, problem.sent)
    assert "1" == problem.headers["Retry-After"]
    assert problem.headers["RateLimit"].startswith('"requests";r=0;t=1')
    clock.advance(1.0)
    limits.take("k", Kind.REQUEST)


def test_orders_have_a_quota_of_their_own(limits):
    for _ in range(2):
        limits.take("k", Kind.ORDER)
    with pytest.raises(Problem, match="2 orders a second"):
        limits.take("k", Kind.ORDER)
    limits.take("k", Kind.REQUEST)


def test_keys_do_not_share(limits):
    for _ in range(2):
        limits.take("a", Kind.ORDER)
    limits.take("b", Kind.ORDER)


def test_what_stops_orders_is_never_refused(limits):
    for _ in range(50):
        limits.take("k", Kind.URGENT)
    with pytest.raises(Problem):
        limits.take("k", Kind.REQUEST)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/orders", Kind.ORDER),
        ("POST", "/v1/baskets", Kind.ORDER),
        ("PATCH", "/v1/orders/{order_id}", Kind.ORDER),
        ("PATCH", "/v1/orderbook/{account}/{broker_order_id}", Kind.ORDER),
        ("POST", "/v1/orders/validate", Kind.REQUEST),
        ("GET", "/v1/orders", Kind.REQUEST),
        ("GET", "/v1/orderbook", Kind.REQUEST),
        ("DELETE", "/v1/orders/{order_id}", Kind.URGENT),
        ("DELETE", "/v1/orderbook/{account}/{broker_order_id}", Kind.URGENT),
        ("POST", "/v1/orders/cancel-all", Kind.URGENT),
        ("POST", "/v1/positions/close", Kind.URGENT),
        ("POST", "/v1/kill", Kind.URGENT),
        ("POST", "/v1/sessions/{account}/login", Kind.REQUEST),
    ],
)
def test_what_a_route_costs(method, path, kind):
    async def handler(call):
        raise NotImplementedError

    route = Route(
        method=method, path=path, scope=Scope.READ, handler=handler, summary="", tag="orders"
    )
    assert kind is kind_of(route)
