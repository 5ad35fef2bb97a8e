"""RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gateway.api.routing import Answer
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError

CONTENT_TYPE = b"application/problem+json"
# A name, not an address: it is compared, never fetched. docs/api.md says what each code means.
_TYPE = "urn:brokergate:problem:"


def problem_answer(problem: Problem, request_id: str, *, on_order_route: bool) -> Answer:
    """Render a problem; `sent` appears on order routes, where it is what the client must know."""
    body: dict[str, Any] = {
        "type": _TYPE + problem.code,
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
        "errors": problem.errors,
        **problem.extra,
    }
    if on_order_route:
        body["sent"] = problem.sent
    return Answer(
        problem.status,
        body,
        [(name.encode(), value.encode()) for name, value in problem.headers.items()],
        CONTENT_TYPE,
    )


def plain_problem(status: int, detail: str, code: str | None = None) -> Problem:
    """A problem named after its HTTP status."""
    return Problem(status, code or HTTPStatus(status).phrase.lower().replace(" ", "_"), detail)


def wrong_field(field: str, message: str) -> Problem:
    """A problem with one field or parameter of a request, 422."""
    return Problem(
        422, "invalid_request", f"{field} {message}", errors=[FieldError(field, message)]
    )
