"""The simulated m.Stock's envelopes, and the refusals that come before any handler."""

from __future__ import annotations

from typing import Any

from adapters.mstock.constants import API_VERSION
from adapters.sdk.simulator import BrokerSimulator, SimRequest, SimResponse

_KEY_IS_DEAD = "API is suspended/expired for use. Please check your API subscription and try again."


class Rejected(Exception):
    """The request is not taken; `response` says so in the broker's way.

    `what` names the broken rule where the documents forbid the request, and is then counted.
    """

    def __init__(self, response: SimResponse, what: str = "") -> None:
        super().__init__("rejected")
        self.response = response
        self.what = what


def envelope(
    status: str | bool, message: str, errorcode: str | None, data: object, *, http: int = 200
) -> SimResponse:
    """Wrap as the broker does; it writes its status as text here and as a boolean there."""
    return SimResponse(
        http, {"status": status, "message": message, "errorcode": errorcode, "data": data}
    )


def success(data: object) -> SimResponse:
    return envelope("true", "SUCCESS", "", data)


def problem(message: str, code: str, *, http: int = 200) -> SimResponse:
    """Wrap a failure; HTTP 200 with an error inside is normal here."""
    return envelope("false", message, code, None, http=http)


def type_a_problem(message: str, error_type: str | None, *, http: int = 200) -> SimResponse:
    """Wrap a failure as Type A does, which some Type B routes do too (dossier 4.1, shape 3)."""
    body = {"status": "error", "message": message, "data": None}
    if error_type is not None:
        body["error_type"] = error_type
    return SimResponse(http, body)


def missing(*fields: str) -> Rejected:
    """Refuse as ASP.NET's validation does, naming the fields (shape 5)."""
    body = {
        "type": "https://tools.ietf.org/html/rfc9110#section-15.5.1",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "errors": {name: [f"The {name} field is required."] for name in fields},
        "traceId": "00-00000000000000000000000000000000-0000000000000000-00",
    }
    headers = {"content-type": "application/problem+json; charset=utf-8"}
    what = f"missing or of the wrong type: {', '.join(fields)}"
    return Rejected(SimResponse(400, body, headers), what)


def invalid(message: str) -> Rejected:
    """Refuse a value as the gateway does."""
    return Rejected(envelope("False", message, "IA400", None, http=400), message)


def json_body(request: SimRequest) -> dict[str, Any]:
    """Return the JSON object of a body. Raises `Rejected`."""
    try:
        found = request.json()
    except ValueError:
        found = None
    if request.content_type != "application/json" or not isinstance(found, dict):
        raise missing("body")
    return found


def check_version(simulator: BrokerSimulator, request: SimRequest) -> None:
    """Want `X-Mirae-Version: 1`. Raises `Rejected`."""
    if request.headers.get("x-mirae-version") != API_VERSION:
        simulator.violation(request, "no X-Mirae-Version: 1")
        raise Rejected(type_a_problem("Please provide valid api version.", "VersionException"))


def check_key(
    simulator: BrokerSimulator, request: SimRequest, *, is_valid: bool, code: str | None
) -> None:
    """Want the account's `X-PrivateKey`; login routes have no code for it (dossier 3.4).

    Raises `Rejected`.
    """
    if request.headers.get("x-privatekey") != simulator.credentials["api_key"]:
        simulator.violation(request, "wrong X-PrivateKey")
    elif is_valid:
        return
    if code is None:
        raise Rejected(type_a_problem(_KEY_IS_DEAD, None, http=403))
    raise Rejected(problem(_KEY_IS_DEAD, code, http=403))
