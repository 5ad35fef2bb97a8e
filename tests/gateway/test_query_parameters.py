"""Query parameters: one that a route does not know is refused, so that a typing error in what
was to narrow a request can never widen it."""

from __future__ import annotations

import re
from pathlib import Path

import gateway.api
from tests.gateway.rig import Rig


async def test_a_mistyped_account_cancels_nothing(rig: Rig) -> None:
    order = (await rig.place()).json["order_id"]

    reply = await rig.call("DELETE", f"/v1/orders/{order}?accounts=mstock-main")

    assert (reply.status, reply.json["code"]) == (422, "invalid_request")
    assert reply.json["errors"] == [
        {"field": "accounts", "message": "is not a parameter here; there are: account"}
    ]
    assert reply.json["sent"] is False
    legs = (await rig.call("GET", f"/v1/orders/{order}")).json["legs"]
    assert [leg["cancel_requested"] for leg in legs] == [False, False, False]


async def test_a_parameter_given_twice_or_left_empty_on_a_write_is_refused(one: Rig) -> None:
    order = (await one.place(accounts=["fyers-main"])).json["order_id"]

    for query in ("account=fyers-main&account=x", "account=", "account", "account=%20"):
        reply = await one.call("DELETE", f"/v1/orders/{order}?{query}")
        assert (reply.status, reply.json["errors"][0]["field"]) == (422, "account"), query

    assert not (await one.call("GET", f"/v1/orders/{order}")).json["legs"][0]["cancel_requested"]


async def test_every_route_refuses_a_parameter_that_it_does_not_know(one: Rig) -> None:
    routes = one.gateway.routes()
    assert len(routes) > 40
    for route in routes:
        path = re.sub(r"\{\w+\}", "x", route.path)
        reply = await one.call(route.method, f"{path}?no_such_thing=1")
        if route.any_query:
            assert reply.content.startswith(b"<!doctype html>"), route.path
            continue
        assert (reply.status, reply.json["code"]) == (422, "invalid_request"), route.path
        [error] = reply.json["errors"]
        assert error["field"] == "no_such_thing"
        assert all(name in error["message"] for name in route.query)


async def test_every_parameter_that_a_handler_reads_is_declared_by_a_route(one: Rig) -> None:
    declared = {name for route in one.gateway.routes() for name in route.query}
    folder = Path(gateway.api.__file__).parent
    reads = re.compile(r"""(?:call\.query|\bquery)(?:\.get\(|\[)\s*"(\w+)\"""")

    read = {name for page in folder.glob("*.py") for name in reads.findall(page.read_text())}

    assert len(read) > 20
    assert read <= declared
