"""The ASGI application: one wrapper around every route, so that no handler sees raw HTTP.

The wrapper gives each request an id, authenticates, reads the body within bounds, and turns
whatever happens into an answer: a `Problem` as it says, anything else into a bare 500.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from blacksheep import Application, Content, Request, Response, Router, StreamedContent

from gateway.api.auth import Keys, control_caller
from gateway.api.hangup import until_gone
from gateway.api.problems import plain_problem, problem_answer
from gateway.api.ratelimit import Headers, KeyLimits, kind_of
from gateway.api.routing import MAX_BODY_BYTES, Answer, Call, Route, encode, query_of
from gateway.observability.context import actor, enter
from gateway.orders.ids import new_request_id
from gateway.orders.problems import Problem
from gateway.store import StoreBroken

log = logging.getLogger(__name__)

CONTROL_SCOPE = "brokergate.control"
_RECEIVE = "brokergate.receive"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
BODY_S = 20.0
"""How long a request's body may take. It is asked for only once the key has been accepted."""
_REQUEST_ID = b"X-Request-Id"
_NO_QUOTA: Headers = []
_COMMON_HEADERS = [(b"Cache-Control", b"no-store"), (b"X-Content-Type-Options", b"nosniff")]

OnRequest = Callable[[str, str, int, float], None]
ASGI = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


def build_app(
    routes: Iterable[Route], keys: Keys, limits: KeyLimits, on_request: OnRequest
) -> Application:
    """Make the application; it still has to be started by the server.

    `on_request` hears of every answer: method, the route's pattern, status, seconds. Of a stream
    that is the time until it began.
    """
    app = Application(router=Router(), show_error_details=False)
    methods: dict[str, set[str]] = {}
    for route in routes:
        app.router.add(route.method, route.path, _endpoint(route, keys, limits, on_request))
        methods.setdefault(route.path, set()).add(route.method)

    known = [(_pattern(path), ", ".join(sorted(allowed))) for path, allowed in methods.items()]

    async def unknown(request: Request) -> Response:
        path = request.url.path.decode("latin-1")
        for pattern, allowed in known:
            # A method that the router has never heard of, on a path that is there.
            if pattern.fullmatch(path):
                return _refuse_method(request, allowed)
        request_id = _request_id(request)
        problem = plain_problem(
            404, "there is no such path; see /docs for all there are", "path_unknown"
        )
        return _respond(problem_answer(problem, request_id, on_order_route=False), request_id)

    app.router.fallback = unknown
    for path, allowed in methods.items():
        for method in _METHODS - allowed:
            app.router.add(method, path, _not_allowed(", ".join(sorted(allowed))))
    return app


def control_app(app: ASGI) -> ASGI:
    """Mark requests that came in over the control socket: only the same user can open it."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope[CONTROL_SCOPE] = True
        await app(scope, receive, send)

    return without_lifespan(asgi)


def without_lifespan(app: ASGI) -> ASGI:
    """Answer the server's lifespan messages here: two listeners share one application."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            scope[_RECEIVE] = receive
            await app(scope, receive, send)
            return
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return asgi


def _endpoint(
    route: Route, keys: Keys, limits: KeyLimits, on_request: OnRequest
) -> Callable[[Request], Awaitable[Response]]:
    on_order_route = route.path.startswith(("/v1/order", "/v1/baskets", "/v1/positions"))
    kind = kind_of(route)

    async def endpoint(request: Request) -> Response:
        begun = time.perf_counter()
        request_id = _request_id(request)
        quota: Headers = []
        try:
            call = Call(
                method=route.method,
                path=request.url.path.decode(),
                params={k: v or "" for k, v in (request.route_values or {}).items()},
                query={},
                headers={
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in request.headers
                },
                body=b"",
                request_id=request_id,
                raw_query=(request.url.query or b"").decode("latin-1"),
            )
            enter(request_id, call.headers.get("traceparent"))
            if route.scope is not None:
                if request.scope.get(CONTROL_SCOPE):
                    call.caller = control_caller(request_id)
                else:
                    call.caller = keys.authenticate(
                        call.headers.get("authorization"), route, request_id, _source(request)
                    )
                    quota = limits.take(call.caller.key_id, kind)
                actor.set(call.caller.actor())
            call.query = query_of(route, call.raw_query)
            if route.method != "GET":
                call.body = await _body(request, call.headers)
            answer = await route.handler(call)
        except Problem as problem:
            answer = problem_answer(problem, request_id, on_order_route=on_order_route)
        except StoreBroken as error:
            log.error("request %s: %s", request_id, error)
            broken = Problem(503, "journal_broken", f"the journal cannot be written: {error}")
            answer = problem_answer(broken, request_id, on_order_route=on_order_route)
        except Exception:
            log.exception("request %s failed", request_id)
            # What a handler had already started is not known here, so nothing is claimed.
            internal = Problem(500, "internal_error", "an internal error; see the log", sent=None)
            answer = problem_answer(internal, request_id, on_order_route=on_order_route)
        response = _respond(answer, request_id, quota, request.scope)
        on_request(route.method, route.path, answer.status, time.perf_counter() - begun)
        return response

    return endpoint


def _source(request: Request) -> str | None:
    """The address of the other end of the connection; a proxy's, where one stands between."""
    client = request.scope.get("client")
    return str(client[0]) if client else None


def _not_allowed(allowed: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _refuse_method(request, allowed)

    return endpoint


def _refuse_method(request: Request, allowed: str) -> Response:
    problem = plain_problem(405, f"this path takes {allowed}", "method_not_allowed")
    problem.headers["Allow"] = allowed
    request_id = _request_id(request)
    return _respond(problem_answer(problem, request_id, on_order_route=False), request_id)


def _pattern(path: str) -> re.Pattern[str]:
    """What the router takes for a path: a parameter is anything but a slash."""
    parts = re.split(r"\{\w+\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)))


async def _body(request: Request, headers: dict[str, str]) -> bytes:
    """Read the body, refusing one that is too large before it is in memory, or never ends."""
    try:
        async with asyncio.timeout(BODY_S):
            return await _whole_body(request, headers)
    except TimeoutError:
        raise Problem(
            408, "body_too_slow", f"the body did not arrive within {BODY_S:.0f} s; nothing was sent"
        ) from None


async def _whole_body(request: Request, headers: dict[str, str]) -> bytes:
    declared = headers.get("content-length", "")
    too_large = Problem(413, "body_too_large", f"the body may have {MAX_BODY_BYTES} bytes at most")
    if declared.isdigit():
        if int(declared) > MAX_BODY_BYTES:
            raise too_large
        return await request.read() or b""
    parts, size = [], 0
    async for part in request.stream():  # type: ignore[attr-defined]
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _respond(
    answer: Answer,
    request_id: str,
    quota: Headers = _NO_QUOTA,
    scope: Any = None,
) -> Response:
    headers = [(_REQUEST_ID, request_id.encode()), *_COMMON_HEADERS, *answer.headers, *quota]
    if answer.stream is not None and scope is not None:
        stream, receive = answer.stream, scope[_RECEIVE]

        async def pieces() -> AsyncIterator[bytes]:
            async for piece in until_gone(stream, receive):
                yield piece

        return Response(answer.status, headers, StreamedContent(answer.content_type, pieces))
    body = answer.body if isinstance(answer.body, bytes) else encode(answer.body)
    content = Content(answer.content_type, body) if answer.status != 204 else None
    return Response(answer.status, headers, content)


def _request_id(request: Request) -> str:
    given = request.headers.get_first(b"x-request-id")
    if given and len(given) <= 64 and given.isascii() and given.decode("latin-1").isprintable():
        return given.decode("latin-1")
    return new_request_id()
