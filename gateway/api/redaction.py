"""What a key with an account list must not learn: that other accounts exist, and what ails them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from gateway.orders.records import Leg, Reason
from gateway.orders.request import OrderRequest

_OTHER = "another account"


def hidden_of(
    request: OrderRequest, legs: Collection[Leg], allowed: Callable[[str], bool]
) -> frozenset[str]:
    """The accounts of an order that the caller's key may not see."""
    named = [name for name in (*request.accounts, *request.quantities) if name[:1] != "@"]
    return frozenset(name for name in (*named, *(leg.account for leg in legs)) if not allowed(name))


def shown_request(
    request: OrderRequest, legs: Collection[Leg], hidden: frozenset[str]
) -> OrderRequest:
    """The request as the key may see it: a group with others in it becomes the key's accounts."""
    if not hidden:
        return request
    accounts = dict.fromkeys(leg.account for leg in legs if leg.account not in hidden)
    return msgspec.structs.replace(
        request,
        accounts=tuple(accounts),
        quantities={k: v for k, v in request.quantities.items() if k not in hidden},
    )


def shown_leg(leg: Leg, hidden: frozenset[str]) -> Leg:
    """The leg with a reason that tells nothing of the hidden accounts."""
    if not hidden or leg.reason is None:
        return leg
    return msgspec.structs.replace(leg, reason=_shown_reason(leg.reason, hidden))


def without(value: Any, hidden: Collection[str]) -> Any:
    """A JSON value with the hidden accounts' names taken out of texts and keys.

    Where `details.account` is a hidden one, `message` speaks of it and is replaced as a whole.
    """
    if not hidden:
        return value
    words = "|".join(map(re.escape, sorted(hidden, key=len, reverse=True)))
    return _without(value, re.compile(rf"(?<![\w-])(?:{words})(?![\w-])"), frozenset(hidden))


def _without(value: Any, names: re.Pattern[str], hidden: frozenset[str]) -> Any:
    if isinstance(value, str):
        return names.sub(_OTHER, value)
    if isinstance(value, list | tuple):
        return [_without(item, names, hidden) for item in value]
    if not isinstance(value, dict):
        return value
    shown = {key: _without(item, names, hidden) for key, item in value.items() if key not in hidden}
    details = value.get("details")
    if isinstance(details, dict) and details.get("account") in hidden and "message" in shown:
        shown["message"] = f"not sent because of {_OTHER} (require: all)"
        shown["details"] = {}
    return shown


def _shown_reason(reason: Reason, hidden: frozenset[str]) -> Reason:
    if reason.details.get("account") in hidden:
        return msgspec.structs.replace(
            reason, message=f"not sent because of {_OTHER} (require: all)", details={}
        )
    return msgspec.structs.replace(
        reason,
        message=without(reason.message, hidden),
        details=without(reason.details, hidden),
    )
