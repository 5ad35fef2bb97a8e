"""The OpenAPI 3.1 document, made from the same table of routes that is served.

Its examples are `examples.json`: requests and answers of `docs/calls.md`, as a demo gave them
(`tests/docs/record.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib import resources
from typing import Any

import msgspec

from gateway.api.routing import Answer, Call, Route
from gateway.orders.request import FieldError

_REF = "#/components/schemas/{name}"
_DESCRIPTIONS = {202: "Not all of it is settled yet: ask again", 204: "Done", 503: "Not now"}
# What is answered without a shape of its own, where that is not plain text.
_KINDS = {
    "/docs": "text/html",
    "/v1/audit/export": "application/jsonl",
    "/v1/callback/{account}": "text/html",
    "/openapi.json": "application/json",
    "/v1/instruments/refresh": "application/json",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "One value per order you mean; the same when you repeat a request.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "b2f1c7d0-first-order",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the answer that you read: 412 where that has changed since.",
    "schema": {"type": "string"},
    "example": '"5d41402abc4b2a76b9719d911017c592"',
}
_UNAUTHENTICATED = {
    "type": "urn:brokergate:problem:unauthenticated",
    "title": "Unauthenticated",
    "status": 401,
    "detail": "send your API key as: Authorization: Bearer bg_live_...",
    "code": "unauthenticated",
    "request_id": "req_0123456789abcdef",
    "errors": [],
}
_CHANGED = 412
Schemas = Mapping[Any, dict[str, Any]]


class ProblemDocument(msgspec.Struct, kw_only=True):
    """RFC 9457. `sent`: false means that nothing of the request went to any broker."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError]
    sent: bool | None = None


class Shown(msgspec.Struct, kw_only=True):
    """The examples of one call: parameters by name, the body, answers by status, a refusal."""

    parameters: dict[str, str] = {}
    request: Any = None
    answers: dict[str, Any] = {}
    problem: Any = None


def openapi_document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Describe every route: parameters, bodies, answers, the scope it needs, with examples."""
    routes = list(routes)
    types = [t for route in routes for t in (route.request, route.response) if t is not None]
    kinds = [*dict.fromkeys(types), ProblemDocument]
    found, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schemas = dict(zip(kinds, found, strict=True))
    _take_numbers(components, [schemas[r.request] for r in routes if r.request is not None])
    examples = _examples()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        shown = examples.get(f"{route.method} {route.path}", Shown())
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, shown)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "brokergate",
            "version": version,
            "summary": "One order API over several broker accounts",
            "description": "Prices are decimal strings in answers; strings or JSON numbers in"
            " requests, taken by their digits. Times are RFC 3339 with offset. Fields that a call"
            " does not know are refused. What the calls mean: docs/api.md of the project.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "bg_live_... from `brokergate keys create`",
                }
            },
        },
    }


def openapi_route(routes: Sequence[Route], version: str) -> Route:
    """The route that serves the document of `routes` and of itself."""
    encoded: list[bytes] = []

    async def serve(call: Call) -> Answer:
        if not encoded:
            encoded.append(msgspec.json.encode(openapi_document([*routes, route], version)))
        return Answer(body=encoded[0])

    route = Route(
        method="GET",
        path="/openapi.json",
        scope=None,
        handler=serve,
        summary="This document",
        tag="health",
    )
    return route


def _examples() -> dict[str, Shown]:
    data = resources.files("gateway.api").joinpath("examples.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, Shown])


def _operation(route: Route, schemas: Schemas, shown: Shown) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route, shown),
        "responses": _responses(route, schemas, shown),
    }
    if route.scope is None:
        operation["security"] = []
    else:
        other = f" or `{route.or_scope}`" if route.or_scope else ""
        operation["security"] = [{"apiKey": []}]
        operation["description"] = f"Needs the scope `{route.scope}`{other}."
    if route.request is not None:
        content = _with_example({"schema": schemas[route.request]}, shown.request)
        operation["requestBody"] = {
            "required": route.needs_key,
            "content": {"application/json": content},
        }
    return operation


def _parameters(route: Route, shown: Shown) -> list[dict[str, Any]]:
    text = {"type": "string"}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    parameters.extend(
        {"name": name, "in": "query", "description": words, "schema": text}
        for name, words in route.query.items()
    )
    found = [_with_example(each, shown.parameters.get(each["name"])) for each in parameters]
    if _CHANGED in route.refusals:
        found.append(_IF_MATCH)
    return [*found, _KEY] if route.needs_key else found


def _responses(route: Route, schemas: Schemas, shown: Shown) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in route.statuses:
        answer: dict[str, Any] = {"description": _DESCRIPTIONS.get(status, route.summary)}
        if status != 204:
            kind, schema = _answered(route, schemas)
            # Answers of one shape differ by status in little.
            example = shown.answers.get(str(status), next(iter(shown.answers.values()), None))
            content = _with_example({"schema": schema}, example)
            answer["content"] = {kind: content}
        responses[str(status)] = answer
    if route.scope is not None:
        problem = _with_example(
            {"schema": schemas[ProblemDocument]}, shown.problem or _UNAUTHENTICATED
        )
        wrong = {
            "description": "What is wrong with the request, as a problem document",
            "content": {"application/problem+json": problem},
        }
        for status in route.refused_with():
            phrase = HTTPStatus(status).phrase
            responses[str(status)] = {**wrong, "description": f"{phrase}: a problem document"}
        responses["default"] = wrong
    return responses


def _answered(route: Route, schemas: Schemas) -> tuple[str, dict[str, Any]]:
    if route.response is not None:
        return "application/json", schemas[route.response]
    kind = "text/event-stream" if route.is_stream else _KINDS.get(route.path, "text/plain")
    return kind, {"type": "object" if kind == "application/json" else "string"}


def _with_example(content: dict[str, Any], example: Any) -> dict[str, Any]:
    return content if example is None else {**content, "example": example}


def _take_numbers(components: dict[str, Any], requests: list[dict[str, Any]]) -> None:
    """Let the decimals of requests be numbers too; in answers they are always text."""
    waiting, seen = [name for schema in requests for name in _named(schema)], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_named(components[name]))
            for part in _parts(components[name]):
                if part.get("format") == "decimal":
                    part["type"] = ["string", "number"]


def _named(schema: Any) -> Iterator[str]:
    """The components that a schema refers to."""
    for part in _parts(schema):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _parts(value)


def _operation_id(route: Route) -> str:
    words = re.sub(r"[{}]", "", route.path).strip("/").replace("v1/", "", 1)
    return route.method.lower() + "_" + re.sub(r"\W+", "_", words)
