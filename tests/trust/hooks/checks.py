"""Checks of our own for schemathesis, which runs them in an environment of its own."""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

# Whether every request comes with credentials that are none.
_BROKEN = os.environ.get("TRUST_CREDENTIALS") == "broken"
_counts: Counter[str] = Counter()
_FIELDS = ("type", "title", "status", "detail", "code", "request_id", "errors")
# For a person's browser, and for probes that read one word.
_NO_PROBLEMS = ("/v1/callback/{account}", "/readyz", "/livez")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give every request the run's key, and keep the tool from ending that key."""
    key = os.environ["TRUST_KEY"]
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}"}
    given = case.path_parameters or {}
    if case.operation.path.startswith("/v1/keys/") and given.get("id") == key.split("_")[2]:
        case.path_parameters = {"id": "nobody"}


@atexit.register
def write_counts() -> None:
    """Leave behind how many answers had which status."""
    if _counts:
        Path(os.environ["TRUST_COUNTS"]).write_text(json.dumps(_counts))


@schemathesis.check
def nothing_breaks(ctx: Any, response: Any, case: Any) -> None:
    """No 5xx, but that a broker cannot be asked: the tool logs accounts out and opens breakers."""
    _counts[str(response.status_code)] += 1
    if response.status_code >= 500:
        known = response.status_code == 503 and b'"code":"broker_unavailable"' in response.content
        assert known, f"{response.status_code}: {response.content[:300]!r}"


@schemathesis.check
def error_is_a_problem(ctx: Any, response: Any, case: Any) -> None:
    """Every error is a whole problem document with the request's id."""
    if response.status_code < 400 or case.operation.path in _NO_PROBLEMS:
        return
    kind = _header(response, "content-type")
    assert kind.startswith("application/problem+json"), f"{response.status_code} is {kind!r}"
    problem = response.json()
    lacking = [name for name in _FIELDS if name not in problem]
    assert not lacking, f"the problem has no {lacking}"
    assert problem["status"] == response.status_code
    assert problem["request_id"] == _header(response, "x-request-id")


@schemathesis.check
def status_is_listed(ctx: Any, response: Any, case: Any) -> None:
    """The status is among the operation's own: its `default` is for what nobody foresaw."""
    if case.method.upper() != case.operation.method.upper():
        return
    listed = set(case.operation.definition.raw["responses"]) - {"default"}
    assert str(response.status_code) in listed, f"{response.status_code} is not in {sorted(listed)}"


@schemathesis.check
def broken_credentials_are_refused(ctx: Any, response: Any, case: Any) -> None:
    """Without a key nothing that needs one is answered with anything else."""
    if not _BROKEN or not case.operation.definition.raw.get("security"):
        return
    if case.method.upper() == case.operation.method.upper():
        assert response.status_code in (401, 429), f"let in: {response.status_code}"


def _header(response: Any, name: str) -> str:
    value = response.headers.get(name) or [""]
    return str(value[0] if isinstance(value, list) else value)
