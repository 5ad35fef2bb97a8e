"""One route as a value: what it is called, who may call it, what goes in and what comes out.

The table of routes is what the server, the OpenAPI document and the scope tests are made from,
so a route cannot be served without saying which scope it needs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from gateway.api.wording import STEP, DoubledName, assert_names_once, in_words, key_at
from gateway.orchestrator.caller import Caller
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.secrets.api_keys import Scope

MAX_BODY_BYTES = 256 * 1024
# A decimal's own reader takes underscores, blanks and the digits of every script, which are
# typing errors in a price.
_DECIMAL_TEXTS = re.compile(
    rb'"(price|trigger_price|max_[a-z_]*value|max_daily_loss)"\s*:\s*"([^"]*)"'
)
_DECIMAL = re.compile(rb"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_INVALID_CHOICE = re.compile(r"invalid enum value (.+)")
encode = msgspec.json.Encoder().encode


class Call(msgspec.Struct):
    """One request as a handler sees it: caller known, body read, nothing decoded yet.

    `caller` is None only on routes without a scope.
    """

    method: str
    path: str
    params: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    request_id: str
    raw_query: str = ""
    caller: Caller | None = None

    @property
    def who(self) -> Caller:
        """The caller of a route that has a scope."""
        assert self.caller is not None  # noqa: S101
        return self.caller

    def assert_all_accounts(self, what: str) -> None:
        """Raise `Problem` 403 for a key with an account list: this is about all accounts."""
        if self.who.accounts is not None:
            raise Problem(
                403,
                "account_not_allowed",
                f"{what} is for all accounts, and this key has a list of its own; use a key"
                " without one",
            )

    def decode(self, decoder: msgspec.json.Decoder[Any], code: str = "invalid_request") -> Any:
        """Decode the JSON body, or raise the `Problem` that names the field and the fix."""
        if not self.body:
            raise Problem(400, "malformed_json", "a JSON body is required")
        for name, text in _DECIMAL_TEXTS.findall(self.body):
            if not _DECIMAL.fullmatch(text):
                field = name.decode()
                message = 'must be a number in digits, such as "812.50"'
                raise Problem(422, code, f"{field} {message}", errors=[FieldError(field, message)])
        try:
            decoded = decoder.decode(self.body)
            assert_names_once(self.body)
            return decoded
        except DoubledName as error:
            message = "is given twice in one object; give it once"
            raise Problem(
                400,
                "malformed_json",
                f"{error} {message}",
                errors=[FieldError(str(error), message)],
            ) from error
        except msgspec.ValidationError as error:
            field, message = _where(str(error))
            if field.endswith("[...]"):
                field = field.removesuffix("[...]")
                key = key_at(decoder, self.body, f".{field}")
                field = f"{field}.{key}" if key else field
            if wrong := _INVALID_CHOICE.fullmatch(message):
                message = f"must be one of {_choices(decoder.type, field)}, not {wrong[1]}"
            raise Problem(
                422, code, f"{field} {message}".strip(), errors=[FieldError(field, message)]
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(400, "malformed_json", f"the body is not JSON: {error}") from error


class Answer(msgspec.Struct):
    """What a handler answers. `body` is encoded as JSON unless it is bytes already.

    `stream`: sent piece by piece instead of a body, for as long as it lasts.
    """

    status: int = 200
    body: Any = None
    headers: list[tuple[bytes, bytes]] = []
    content_type: bytes = b"application/json"
    stream: AsyncIterator[bytes] | None = None


Handler = Callable[[Call], Awaitable[Answer]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`scope` None: open to anybody; `or_scope` opens it to those keys too. `tag` groups routes.

    `request` and `response` are the msgspec types of the bodies; `query` names the parameters
    with a line of help each; `needs_key` marks a required Idempotency-Key; `is_stream` one that
    answers server-sent events; `any_query` one whose parameters are not ours to name;
    `refusals` are the statuses of its own problem answers, beside those that come of its form.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Handler
    summary: str
    tag: str
    request: Any = None
    response: Any = None
    statuses: tuple[int, ...] = (200,)
    query: dict[str, str] = {}
    any_query: bool = False
    needs_key: bool = False
    or_scope: Scope | None = None
    is_stream: bool = False
    refusals: tuple[int, ...] = ()

    def refused_with(self) -> list[int]:
        """Every status that a problem answer of this route may have, but for faults of our own."""
        if self.scope is None:
            return []
        found = {401, 403, 422, 429, 503, *self.refusals}
        if "{" in self.path:
            found.add(404)
        if self.method != "GET":
            found |= {400, 408, 409, 413}
        if self.tag == "sessions" and self.method == "POST":
            found |= {410, 502}
        return sorted(found)

    def allows(self, key_allows: Callable[[Scope], bool]) -> bool:
        """Whether a key with these scopes may call the route."""
        if self.scope is None or key_allows(self.scope):
            return True
        return self.or_scope is not None and key_allows(self.or_scope)


def query_of(route: Route, raw: str) -> dict[str, str]:
    """Read the query string. An empty value on a read narrows nothing.

    Raises: `Problem` for a parameter that the route does not know, that is given twice, or that
    is empty on a write: what was meant to narrow a request must never widen it by a typing error.
    """
    if not raw:
        return {}
    pairs = parse_qsl(raw, keep_blank_values=True, errors="replace")
    found: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, value in pairs:
        if route.any_query:
            found.setdefault(name, value)
        elif name not in route.query:
            known = ", ".join(route.query) or "none"
            errors.append(FieldError(name, f"is not a parameter here; there are: {known}"))
        elif name in found:
            errors.append(FieldError(name, "is given twice; give it once"))
        elif not value.strip() and route.method != "GET":
            errors.append(FieldError(name, "is empty; give it a value or leave it out"))
        else:
            found[name] = value
    if errors:
        text = "; ".join(f"{error.field} {error.message}" for error in errors)
        raise Problem(422, "invalid_request", text, errors=errors)
    return {name: value for name, value in found.items() if value}


def _choices(kind: Any, field: str) -> str:
    """Name the values that an enum field takes, which the decoder's own words leave out."""
    for name, index in STEP.findall(f".{field}"):
        kind = _entry_type(kind) if index else _field_type(kind, name)
    return ", ".join(str(value) for value in _enum_values(kind)) or "its values"


def _field_type(kind: Any, name: str) -> Any:
    """The type of a struct's field, or of a map's values."""
    for candidate in _parts(kind):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            found = [each for each in msgspec.structs.fields(candidate) if each.encode_name == name]
            return found[0].type if found else None
        if get_origin(candidate) is dict:
            return get_args(candidate)[1]
    return None


def _entry_type(kind: Any) -> Any:
    """The type of a list's entries."""
    for candidate in _parts(kind):
        if get_origin(candidate) in (list, tuple, set, frozenset):
            return get_args(candidate)[0]
    return None


def _parts(kind: Any) -> tuple[Any, ...]:
    """The type itself and what an optional or annotated one is of."""
    if get_origin(kind) in (Union, UnionType, Annotated):
        return tuple(part for each in get_args(kind) for part in _parts(each))
    return (kind,)


def _enum_values(kind: Any) -> list[Any]:
    for candidate in _parts(kind):
        if isinstance(candidate, type) and issubclass(candidate, Enum):
            return [member.value for member in candidate]
    return []


def _where(text: str) -> tuple[str, str]:
    """Split a decoder's message into the field, as a client writes it, and what is wrong."""
    message, _, place = text.partition(" - at `$")
    field = place.rstrip("`").lstrip(".")
    for marker in ("Object contains unknown field `", "Object missing required field `"):
        if message.startswith(marker):
            name = message.removeprefix(marker).rstrip("`")
            field = f"{field}.{name}" if field else name
            what = (
                "is not a field of this request; check its spelling or leave it out"
                if "unknown" in marker
                else "is required"
            )
            return field, what
    return field or "body", in_words(message)
