"""InvestRight's answers, decoded just far enough to be judged; nothing here performs I/O.

Numbers may arrive as strings with thousands separators, ids as numbers, lists as null
(dossier hdfc 12.5, 12.7), so members stay raw JSON until a reader says what it wants. Numbers
are taken by their digits and never pass through a float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import quote

import msgspec

Members = Mapping[str, msgspec.Raw]

_MESSAGE_KEYS = ("message", "error", "displayMessage", "statusMsg", "detail")
_CODE_KEYS = ("error_code", "errorCode", "code")
_MESSAGE_LENGTH = 300
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SECRET_PARAMETER = re.compile(
    r"(?i)((?:api_?key|request_?token|token_?id|access_?token|api_?secret|password|token)"
    r"(?:=|\"\s*:\s*\"|%3D))[^&\s\"'<>]+"
)

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class Unreadable(ValueError):
    """A member is not the kind of value that the dossier describes."""


class Answer(msgspec.Struct, frozen=True):
    """A whole HTTP answer. `members` is None when the body is not a JSON object."""

    status: int
    body: bytes
    members: dict[str, msgspec.Raw] | None = None
    secrets: tuple[str, ...] = ()

    @property
    def is_2xx(self) -> bool:
        return 200 <= self.status < 300

    def word(self, name: str) -> str | None:
        """Return a member's text, or None when it is missing, empty or not a scalar."""
        return text((self.members or {}).get(name))

    def message(self) -> str | None:
        """Return the broker's own words, without secrets, or None when it said nothing.

        Source: dossier hdfc 4.1 (order of the keys, then the raw body).
        """
        words = next(filter(None, map(self._words, _MESSAGE_KEYS)), None)
        if words is None and self.members is None:
            words = " ".join(self.body[:4096].decode("utf-8", "replace").split())
        return scrub(words, self.secrets)[:_MESSAGE_LENGTH] if words else None

    def has_words(self) -> bool:
        """Tell whether the JSON body itself names a reason (a page of HTML does not count)."""
        return any(map(self._words, _MESSAGE_KEYS))

    def code(self) -> str | None:
        words = next(filter(None, map(self.word, _CODE_KEYS)), None)
        return scrub(words, self.secrets)[:40] if words else None

    def _words(self, name: str) -> str | None:
        raw = (self.members or {}).get(name)
        nested = members(raw)
        return text(nested.get("message")) if nested is not None else text(raw)

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


def read_answer(status: int, body: bytes, secrets: tuple[str, ...] = ()) -> Answer:
    """Decode a body if it is a JSON object; never raises."""
    try:
        return Answer(status, body, _OBJECT.decode(body), secrets)
    except _DECODE_ERRORS:
        return Answer(status, body, None, secrets)


def scrub(words: str, secrets: tuple[str, ...] = ()) -> str:
    """Take keys, tokens and passwords out of a text; the API key sits in every URL (2.a)."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        words = words.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return _SECRET_PARAMETER.sub(r"\1***", words)


def members(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw] | None:
    """Decode an object, or None when the value is something else."""
    if raw is None:
        return None
    try:
        return _OBJECT.decode(raw)
    except _DECODE_ERRORS:
        return None


def items(raw: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """Decode a list, or None when the value is something else."""
    if raw is None:
        return None
    try:
        return _LIST.decode(raw)
    except _DECODE_ERRORS:
        return None


def is_null(raw: msgspec.Raw | None) -> bool:
    return raw is None or bytes(raw).strip() == b"null"


def text(raw: msgspec.Raw | None) -> str | None:
    """Return a string stripped, or a number's digits; None for anything else and for nothing."""
    if raw is None:
        return None
    written = bytes(raw).strip()
    if written[:1] == b'"':
        try:
            return msgspec.json.decode(written, type=str).strip() or None
        except _DECODE_ERRORS:
            return None
    if written[:1] in b"-0123456789" and written:
        return written.decode("ascii", "replace")
    return None


def number(raw: msgspec.Raw | None) -> Decimal | None:
    """Return a number by its digits, from a JSON number or a string; None when it is empty.

    Raises:
        Unreadable: text that is no number, or one beyond anything money or shares can be.
    """
    if is_null(raw):
        return None
    written = text(raw)
    if written is None:
        if raw is not None and bytes(raw).strip().startswith(b'"'):
            return None
        raise Unreadable("not a number")
    try:
        value = Decimal(written.replace(",", ""))
    except InvalidOperation:
        raise Unreadable("not a number") from None
    if not value.is_finite() or abs(value.adjusted()) > 18:
        raise Unreadable("not a usable number")
    return value


def integer(raw: msgspec.Raw | None) -> int | None:
    """Return a whole number, accepting `10.0`; None when it is empty.

    Raises:
        Unreadable: text that is no number, or has a fraction.
    """
    value = number(raw)
    if value is None:
        return None
    if value != value.to_integral_value():
        raise Unreadable("not a whole number")
    return int(value)
