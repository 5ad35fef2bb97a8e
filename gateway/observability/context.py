"""Which request the running code is for, so that log lines and audit rows can say so.

Tasks take over the context that they were made in: what a leg logs while it is sent carries the
request that its order came with.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
# Who asked, as audit rows name them: client, key, request. None for what the gateway does itself.
actor: ContextVar[dict[str, Any] | None] = ContextVar("actor", default=None)

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def enter(given_request_id: str, given_traceparent: str | None) -> None:
    """Begin a request. A `traceparent` that is not of W3C's form counts as none."""
    request_id.set(given_request_id)
    actor.set(None)
    usable = given_traceparent is not None and _FORM.fullmatch(given_traceparent) is not None
    traceparent.set(given_traceparent if usable else None)


def asked_by() -> dict[str, Any]:
    """Who asked, as a part of an audit row's body; nothing where the gateway acts by itself."""
    who = actor.get()
    return {} if who is None else {"actor": who}
