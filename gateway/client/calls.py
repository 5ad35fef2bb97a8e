"""Every call as a value: what is sent, what comes back, and whether it may be sent again."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote, urlencode

from gateway.client import books, models, operating

T = TypeVar("T")
Price = Decimal | str | int

_ANSWER_S = 15.0
# Longer than what the gateway itself waits for before it answers.
_SPARE_S = 10.0
_DEFAULT_WAIT_MS = 3000
_BASKET_WAIT_S = 60.0
_CLOSE_WAIT_S = 15.0


class Repeat(Enum):
    """READ changes nothing; KEYED has an idempotency key; AGAIN is the same when done twice."""

    READ = "read"
    KEYED = "keyed"
    AGAIN = "again"
    ONCE = "once"


@dataclass(frozen=True)
class Request(Generic[T]):
    """One call. `look` finds out, without doing anything, what a lost answer was."""

    method: str
    path: str
    answer: type[T]
    repeat: Repeat
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    key: str | None = None
    timeout_s: float = _ANSWER_S
    look: Request[models.OrderPage] | None = None

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


class _Needed(TypedDict):
    instrument: str
    side: str
    order_type: str
    product: str
    accounts: Sequence[str]


class OrderFields(_Needed, total=False):
    """An order's fields, as in docs/api.md. Prices are `Decimal`, text or whole rupees."""

    validity: str
    quantity: int
    lots: int
    price: Price
    trigger_price: Price
    disclosed_quantity: int
    quantities: Mapping[str, int]
    strategy: str
    amo: bool
    slice: bool
    require: str
    precheck: str
    ttl_ms: int
    wait_ms: int
    wait_for: str


def new_key() -> str:
    """Make an idempotency key that nothing else has."""
    return uuid.uuid4().hex


def place(order: OrderFields, key: str) -> Request[models.Order]:
    body = order_body(order)
    wait_ms = body.get("wait_ms", _DEFAULT_WAIT_MS)
    return Request(
        "POST",
        "/v1/orders",
        models.Order,
        Repeat.KEYED,
        body=body,
        key=key,
        timeout_s=wait_ms / 1000 + _SPARE_S,
        look=of_key(key),
    )


def basket(
    entries: Iterable[OrderFields], key: str, sequence: str, stop_on: str
) -> Request[models.Basket]:
    body = {
        "orders": [order_body(order) for order in entries],
        "sequence": sequence,
        "stop_on": stop_on,
    }
    return Request(
        "POST",
        "/v1/baskets",
        models.Basket,
        Repeat.KEYED,
        body=body,
        key=key,
        timeout_s=_BASKET_WAIT_S + _SPARE_S,
    )


def close(key: str, **narrowing: Any) -> Request[models.Closed]:
    return Request(
        "POST",
        "/v1/positions/close",
        models.Closed,
        Repeat.KEYED,
        body=given(narrowing),
        key=key,
        timeout_s=_CLOSE_WAIT_S + _SPARE_S,
    )


def validate(order: OrderFields) -> Request[models.Trial]:
    return Request("POST", "/v1/orders/validate", models.Trial, Repeat.READ, body=order_body(order))


def orders(**query: str | None) -> Request[models.OrderPage]:
    return Request("GET", "/v1/orders", models.OrderPage, Repeat.READ, query=texts(query))


def of_key(key: str) -> Request[models.OrderPage]:
    """Ask for the order of a key; another client may have used the same."""
    return orders(idempotency_key=key, mine="true", limit="1")


def order(order_id: str) -> Request[models.Order]:
    return Request("GET", f"/v1/orders/{segment(order_id)}", models.Order, Repeat.READ)


def history(order_id: str) -> Request[models.History]:
    path = f"/v1/orders/{segment(order_id)}/history"
    return Request("GET", path, models.History, Repeat.READ)


def modify(order_id: str, account: str | None, **changes: Any) -> Request[models.ModifiedOrder]:
    for name in ("price", "trigger_price"):
        assert_exact(name, changes.get(name))
    return Request(
        "PATCH",
        f"/v1/orders/{segment(order_id)}",
        models.ModifiedOrder,
        Repeat.ONCE,
        query=texts({"account": account}),
        body=given(changes),
        timeout_s=15 + _SPARE_S,
    )


def cancel(order_id: str, account: str | None) -> Request[models.Order]:
    return Request(
        "DELETE",
        f"/v1/orders/{segment(order_id)}",
        models.Order,
        Repeat.AGAIN,
        query=texts({"account": account}),
    )


def cancel_all(**narrowing: Any) -> Request[models.CancelledAll]:
    return Request(
        "POST",
        "/v1/orders/cancel-all",
        models.CancelledAll,
        Repeat.AGAIN,
        body=given(narrowing),
        timeout_s=30.0,
    )


def unresolved() -> Request[models.UnresolvedList]:
    return Request("GET", "/v1/unresolved", models.UnresolvedList, Repeat.READ)


def resolve(
    leg_id: str, action: str, reason: str, broker_order_id: str | None
) -> Request[models.Order]:
    body = {"action": action, "reason": reason, "broker_order_id": broker_order_id}
    path = f"/v1/unresolved/{segment(leg_id)}/resolve"
    return Request("POST", path, models.Order, Repeat.ONCE, body=given(body))


def read(name: str, answer: type[T], **query: Any) -> Request[T]:
    return Request("GET", f"/v1/{name}", answer, Repeat.READ, query=texts(query), timeout_s=30.0)


def candles(
    instrument: str,
    interval: str,
    since: date | datetime,
    until: date | datetime | None,
    account: str | None,
) -> Request[books.Candles]:
    query = {"instrument": instrument, "interval": interval, "from": since, "to": until}
    return read("candles", books.Candles, account=account, **query)


def margins(
    entries: Iterable[OrderFields], accounts: Sequence[str] | None
) -> Request[books.Read[books.Margin]]:
    body = {"orders": [order_body(order) for order in entries], "accounts": accounts}
    return Request(
        "POST",
        "/v1/margins",
        books.Read[books.Margin],
        Repeat.READ,
        body=given(body),
        timeout_s=30.0,
    )


def instrument(name: str) -> Request[books.Instrument]:
    path = f"/v1/instruments/{quote(name, safe=':')}"
    return Request("GET", path, books.Instrument, Repeat.READ)


def login_step(account: str, step: str, body: Mapping[str, Any]) -> Request[operating.LoginStep]:
    """A login is never repeated by itself: wrong tries lock accounts."""
    path = f"/v1/sessions/{segment(account)}/{step}"
    return Request("POST", path, operating.LoginStep, Repeat.ONCE, body=dict(body), timeout_s=60.0)


def logout(account: str) -> Request[operating.Session]:
    path = f"/v1/sessions/{segment(account)}"
    return Request("DELETE", path, operating.Session, Repeat.AGAIN, timeout_s=30.0)


def engage(level: str, reason: str, scope: str, target: str | None) -> Request[operating.Engaged]:
    body = {"scope": scope, "target": target, "level": level, "reason": reason}
    path = "/v1/kill-switch/engage"
    return Request("POST", path, operating.Engaged, Repeat.AGAIN, body=given(body))


def release(reason: str, scope: str, target: str | None) -> Request[operating.KillSwitch]:
    body = {"scope": scope, "target": target, "reason": reason, "confirm": "RELEASE"}
    path = "/v1/kill-switch/release"
    return Request("POST", path, operating.KillSwitch, Repeat.ONCE, body=given(body))


def any_call(
    method: str,
    path: str,
    body: Any,
    query: Mapping[str, Any] | None,
    key: str | None,
    timeout_s: float,
) -> Request[Any]:
    """A call that has no function here."""
    repeat = Repeat.READ if method == "GET" else Repeat.KEYED if key else Repeat.ONCE
    return Request(
        method,
        path,
        Any,
        repeat,
        query=texts(query or {}),
        body=body,
        key=key,
        timeout_s=timeout_s,
    )


def order_body(order: OrderFields) -> dict[str, Any]:
    """Check what only a program can get wrong: a price that went through a float."""
    body = given(dict(order))
    for name in ("price", "trigger_price"):
        assert_exact(name, body.get(name))
    body["accounts"] = list(order["accounts"])
    return body


def assert_exact(name: str, price: Any) -> None:
    """Raise `TypeError` for a float, whose digits are not those that were meant."""
    if isinstance(price, float):
        raise TypeError(f'{name} is a float; write it as a Decimal or as text, such as "812.50"')


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Write the parameters of a query; lists by commas, times with their offset."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def segment(text: str) -> str:
    """Write a name as one segment of a path."""
    return quote(text, safe="")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no offset; give an aware time")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(str, value))
    return str(value)
