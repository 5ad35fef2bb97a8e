"""Every route against every scope, over real sockets, by rules that are written down here.

    python -m tests.trust.scopes

The routes come from the running gateway's own table, the rules from this page: a route that has no
rule fails, and so does a rule whose route is gone. Then a key that may use one account asks every
route that reads for the other's, and may hear of it nowhere.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from gateway.api.routing import Route
from tests.gateway.rig import Rig

_ANYBODY = ("nothing", "read", "trade", "login", "operate", "admin")
_READ = ("read", "trade", "operate", "admin")
_TRADE = ("trade", "operate", "admin")
_LOGIN = ("login", "operate", "admin")
_SESSIONS = ("read", "trade", "login", "operate", "admin")
_OPERATE = ("operate", "admin")
_ADMIN = ("admin",)
WHO = ("nothing", "wrong", "read", "trade", "login", "operate", "admin")
"""No key, a well-formed key that is none, and a key with each one scope alone."""

RULES: dict[str, tuple[str, ...]] = {
    "GET /livez": _ANYBODY,
    "GET /readyz": _ANYBODY,
    "GET /docs": _ANYBODY,
    "GET /openapi.json": _ANYBODY,
    "GET /v1/callback/{account}": _ANYBODY,
    "GET /metrics": _READ,
    "GET /v1/accounts": _READ,
    "GET /v1/audit": _READ,
    "GET /v1/audit/stream": _READ,
    "GET /v1/breakers": _READ,
    "GET /v1/candles": _READ,
    "GET /v1/depth": _READ,
    "GET /v1/events": _READ,
    "GET /v1/expiries": _READ,
    "GET /v1/funds": _READ,
    "GET /v1/holdings": _READ,
    "GET /v1/instruments": _READ,
    "GET /v1/instruments/masters": _READ,
    "GET /v1/instruments/{id}": _READ,
    "GET /v1/kill-switch": _READ,
    "GET /v1/kpis": _READ,
    "GET /v1/limits": _READ,
    "GET /v1/market/holidays": _READ,
    "GET /v1/market/status": _READ,
    "GET /v1/orderbook": _READ,
    "GET /v1/orders": _READ,
    "GET /v1/orders/{order_id}": _READ,
    "GET /v1/orders/{order_id}/history": _READ,
    "GET /v1/positions": _READ,
    "GET /v1/quotes": _READ,
    "GET /v1/reconcile": _READ,
    "GET /v1/trades": _READ,
    "GET /v1/unresolved": _READ,
    "POST /v1/margins": _READ,
    "POST /v1/orders/validate": _READ,
    "GET /v1/sessions": _SESSIONS,
    "POST /v1/sessions/{account}/login": _LOGIN,
    "POST /v1/sessions/{account}/otp": _LOGIN,
    "POST /v1/sessions/{account}/otp/resend": _LOGIN,
    "POST /v1/sessions/{account}/callback": _LOGIN,
    "POST /v1/sessions/{account}/confirm": _LOGIN,
    "DELETE /v1/sessions/{account}": _LOGIN,
    "POST /v1/orders": _TRADE,
    "PATCH /v1/orders/{order_id}": _TRADE,
    "DELETE /v1/orders/{order_id}": _TRADE,
    "POST /v1/orders/cancel-all": _TRADE,
    "POST /v1/baskets": _TRADE,
    "PATCH /v1/orderbook/{account}/{broker_order_id}": _TRADE,
    "DELETE /v1/orderbook/{account}/{broker_order_id}": _TRADE,
    "POST /v1/positions/close": _TRADE,
    "POST /v1/kill-switch/engage": _TRADE,
    "POST /v1/kill-switch/release": _OPERATE,
    "POST /v1/unresolved/{leg_id}/resolve": _OPERATE,
    "POST /v1/audit/checkpoint": _OPERATE,
    "POST /v1/breakers/reset": _OPERATE,
    "POST /v1/instruments/refresh": _OPERATE,
    "PUT /v1/limits": _OPERATE,
    "PUT /v1/market/holidays": _OPERATE,
    "GET /v1/alerts": _OPERATE,
    "POST /v1/alerts/test": _OPERATE,
    "PUT /v1/alerts/{receiver}/secret": _ADMIN,
    "GET /v1/audit/export": _ADMIN,
    "GET /v1/audit/verify": _ADMIN,
    "GET /v1/keys": _ADMIN,
    "POST /v1/keys": _ADMIN,
    "POST /v1/keys/{id}/rotate": _ADMIN,
    "DELETE /v1/keys/{id}": _ADMIN,
    "GET /v1/vault": _ADMIN,
    "PUT /v1/accounts/{account}/credentials": _ADMIN,
    "POST /v1/config/reload": _ADMIN,
}
MINE, OTHERS = "fyers-main", "mstock-main"
_STREAM_S = 1.0


@dataclass
class Matrix:
    """`wrong`: what was answered otherwise than the rules say."""

    requests: int = 0
    routes: int = 0
    leaks_tried: int = 0
    wrong: list[str] = field(default_factory=list)


def uncovered(routes: list[Route]) -> list[str]:
    """Routes without a rule, and rules without a route."""
    there = {_name(route) for route in routes}
    return [f"{name} has no rule" for name in sorted(there - RULES.keys())] + [
        f"{name} has a rule, but is no route" for name in sorted(RULES.keys() - there)
    ]


async def try_all(folder: Path) -> Matrix:
    """Ask every route as everybody, and look for the other account as who may use one."""
    matrix = Matrix()
    # Nobody is slowed here: what is asked is who may, not how often.
    settings = {"server": {"rate_limits": {"requests_per_second": 100_000}}}
    async with Rig(folder / "data", brokers=("fyers", "mstock"), settings=settings) as rig:
        routes = rig.gateway.routes()
        matrix.wrong += uncovered(routes)
        matrix.routes = len(routes)
        keys = {"nothing": None, "wrong": await _revoked(rig)}
        for scope in WHO[2:]:
            keys[scope] = await rig.new_key(f"only-{scope}", [scope])
        for route in routes:
            for who, key in keys.items():
                status, body = await _ask(rig, route.method, _filled(route.path), key)
                matrix.requests += 1
                said = _verdict(status, body)
                wanted = _wanted(route, who)
                if said != wanted:
                    matrix.wrong.append(f"{_name(route)} as {who}: {said}, not {wanted} ({status})")
        await _look_for_leaks(rig, routes, matrix)
    return matrix


def _wanted(route: Route, who: str) -> str:
    allowed = RULES.get(_name(route), ())
    if who in allowed or (who == "wrong" and "nothing" in allowed):
        return "let in"
    return "no key" if who in ("nothing", "wrong") else "no scope"


def _verdict(status: int, body: bytes) -> str:
    if status == 401 or (status == 429 and b"refused keys" in body):
        return "no key"
    return "no scope" if status == 403 and b'"scope_missing"' in body else "let in"


async def _look_for_leaks(rig: Rig, routes: list[Route], matrix: Matrix) -> None:
    """Ask for the other account's things by every way there is, with a key for one alone."""
    theirs = await rig.place("theirs", accounts=[OTHERS], strategy="of-the-other", price="700.00")
    [leg] = theirs.json["legs"]
    order_id, broker_order_id = theirs.json["order_id"], leg["broker_order_id"]
    whole_key = await rig.call("POST", "/v1/keys", {"name": "whole", "scopes": ["read"]})
    stop = {"scope": "account", "target": OTHERS, "level": "REDUCE_ONLY", "reason": "a test"}
    await rig.call("POST", "/v1/kill-switch/engage", stop)
    narrow = await rig.new_key("narrow", ["admin"], [MINE])
    secrets = [order_id, leg["leg_id"], leg["broker_tag"], broker_order_id, "of-the-other"]
    words = [OTHERS.encode(), *(str(secret).encode() for secret in secrets)]
    values = {
        "account": OTHERS,
        "order_id": order_id,
        "broker_order_id": broker_order_id,
        "leg_id": leg["leg_id"],
        "id": whole_key.json["id"],
        "receiver": "nobody",
    }
    for route in (route for route in routes if route.scope is not None):
        path = re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), route.path)
        queries = [""]
        for name, value in (("account", OTHERS), ("accounts", OTHERS), ("order_id", order_id)):
            if name in route.query:
                queries.append(f"?{name}={value}")
        if route.is_stream:
            queries = [f"{each}{'&' if each else '?'}after=0" for each in queries]
        for query in queries:
            status, body = await _ask(rig, route.method, path + query, narrow)
            matrix.leaks_tried += 1
            # What the caller itself wrote may come back to it.
            asked = (path + query).encode()
            leaked = [word.decode() for word in words if word in body and word not in asked]
            named = status < 400 and OTHERS in path
            if leaked or named:
                matrix.wrong.append(f"{_name(route)}{query} tells a narrow key of {leaked or path}")
    after = await rig.call("GET", f"/v1/orders/{order_id}")
    same = ("cancel_requested", "price", "quantity", "filled_quantity")
    now = after.json["legs"][0]
    if now["state"] == "CANCELLED" or any(now[name] != leg[name] for name in same):
        matrix.wrong.append(f"a narrow key changed the other's leg: {now}")
    for request in (
        {"name": "wide", "scopes": ["read"]},
        {"name": "w", "scopes": ["read"], "accounts": [OTHERS]},
    ):
        made = await rig.call("POST", "/v1/keys", request, key=narrow)
        matrix.leaks_tried += 1
        if made.status != 403:
            matrix.wrong.append(f"a narrow key made a wider one: {made.status}")
    still = (await rig.call("GET", "/v1/keys")).json["keys"]
    if whole_key.json["id"] not in {key["id"] for key in still}:
        matrix.wrong.append("a narrow key ended a wider one")


async def _revoked(rig: Rig) -> str:
    """A key of the right form that was one and is none."""
    made = (await rig.call("POST", "/v1/keys", {"name": "gone", "scopes": ["admin"]})).json
    await rig.call("DELETE", f"/v1/keys/{made['id']}")
    return str(made["key"])


async def _ask(rig: Rig, method: str, path: str, key: str | None) -> tuple[int, bytes]:
    """Make one request and read what comes; of a stream, what comes in a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    try:
        credentials = f"Authorization: Bearer {key}\r\n" if key else ""
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: gate\r\n{credentials}"
            "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        status = int(head.split()[1])
        body = b""
        within_s = _STREAM_S if b"text/event-stream" in head.lower() else 60.0
        try:
            async with asyncio.timeout(within_s):
                while piece := await reader.read(65536):
                    body += piece
        except TimeoutError:
            assert within_s == _STREAM_S, f"{method} {path} never ended"
        return status, body
    finally:
        writer.close()


def _filled(path: str) -> str:
    """Fill in names that nothing has, so that whoever is let in changes nothing."""
    return re.sub(r"\{\w+\}", "nobody", path)


def _name(route: Route) -> str:
    return f"{route.method} {route.path}"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        matrix = asyncio.run(try_all(Path(folder)))
    counts = {
        "routes": matrix.routes,
        "requests of route by scope": matrix.requests,
        "looks for another account's things": matrix.leaks_tried,
        "wrong": len(matrix.wrong),
    }
    sys.stdout.write("".join(f"{name}: {count}\n" for name, count in counts.items()))
    sys.stdout.write("".join(f"  {line}\n" for line in matrix.wrong))
    return 1 if matrix.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
