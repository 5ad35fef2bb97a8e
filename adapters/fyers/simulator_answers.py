"""How the simulated Fyers words its answers, and what it takes for a JSON body."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapters.sdk.simulator import BrokerSimulator, SimRequest, SimResponse


class Invalid(Exception):
    """A request that Fyers refuses with a code of its own, creating nothing."""

    def __init__(self, message: str, code: int = -50) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def ok(message: str = "", *, code: int = 200, **payload: Any) -> SimResponse:
    return SimResponse(200, {"s": "ok", "code": code, "message": message, **payload})


def error(
    code: int, message: str, *, status: int = 200, order_id: str | None = None
) -> SimResponse:
    """Answer `s: error`; an order that was created and rejected comes with its id."""
    body: dict[str, Any] = {"s": "error", "code": code, "message": message}
    if order_id is not None:
        body["id"] = order_id
    return SimResponse(status, body)


def invalid(refused: Invalid) -> SimResponse:
    return error(refused.code, refused.message, status=400)


def html(status: int, page: str) -> SimResponse:
    return SimResponse(status, page.encode(), {"content-type": "text/html; charset=utf-8"})


def json_object(simulator: BrokerSimulator, request: SimRequest) -> dict[str, Any] | None:
    """Return the body where it is declared as JSON and is an object; else it is as good as none."""
    if request.content_type != "application/json":
        simulator.violation(request, "a body that is not declared as JSON")
        return None
    try:
        body = request.json()
    except ValueError:
        simulator.violation(request, "a body that is not JSON")
        return None
    return body if isinstance(body, dict) else None


def text(body: dict[str, Any], name: str) -> str:
    """Read a field that must be a string. This and the next two raise `Invalid`."""
    value = body.get(name)
    if not isinstance(value, str):
        raise Invalid(f"Invalid input: {name}")
    return value


def whole(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"Invalid input: {name}")
    return value


def number(body: dict[str, Any], name: str) -> Decimal:
    value = body.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise Invalid(f"Invalid input: {name}")
    return Decimal(str(value))


def choice(body: dict[str, Any], name: str, choices: dict[int, Any]) -> Any:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value not in choices:
        raise Invalid(f"Invalid input: {name}")
    return choices[value]
