"""The OpenAPI 3.1 document, made from the same table of routes that is served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.api.routing import Answer, Call, Route
from gateway.orders.request import FieldError

_REF = "#/components/schemas/{name}"


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


def openapi_document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Describe every route: parameters, bodies, answers, the scope it needs."""
    routes = list(routes)
    types = [t for route in routes for t in (route.request, route.response) if t is not None]
    _, components = msgspec.json.schema_components(
        [*dict.fromkeys(types), ProblemDocument], ref_template=_REF
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "brokergate",
            "version": version,
            "description": "One order API over several broker accounts. Prices are decimal strings"
            " in answers; strings or JSON numbers in requests. Times are RFC 3339 with offset.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
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


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _responses(route),
    }
    if route.scope is not None:
        operation["security"] = [{"apiKey": []}]
        operation["description"] = f"Needs the scope `{route.scope}`."
    if route.request is not None:
        operation["requestBody"] = {
            "required": route.needs_key,
            "content": {"application/json": {"schema": _schema(route.request)}},
        }
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    parameters.extend(
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in route.query.items()
    )
    if route.needs_key:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "One value per order you mean; the same when you repeat a request.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        )
    return parameters


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in route.statuses:
        answer: dict[str, Any] = {"description": route.summary}
        if route.is_stream:
            answer["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
        elif route.response is not None:
            answer["content"] = {"application/json": {"schema": _schema(route.response)}}
        responses[str(status)] = answer
    if route.scope is not None:
        responses["default"] = {
            "description": "What is wrong with the request, as a problem document",
            "content": {"application/problem+json": {"schema": _schema(ProblemDocument)}},
        }
    return responses


def _schema(type_: Any) -> dict[str, Any]:
    return {"$ref": _REF.format(name=type_.__name__)}


def _operation_id(route: Route) -> str:
    words = re.sub(r"[{}]", "", route.path).strip("/").replace("v1/", "", 1)
    return route.method.lower() + "_" + re.sub(r"\W+", "_", words)
