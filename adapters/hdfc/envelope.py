"""InvestRight's answers, decoded just far enough to be judged; nothing here performs I/O.

Members stay raw JSON until a reader says what it wants: lists may be null and hold rows of
whatever values (dossier hdfc 12.5, 12.7; see `rows` and `values`).
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from adapters.hdfc import values
from adapters.hdfc.values import Value, exact

Members = Mapping[str, msgspec.Raw]

_MESSAGE_KEYS = ("message", "error", "displayMessage", "statusMsg", "detail")
_CODE_KEYS = ("error_code", "errorCode", "code")
_MESSAGE_LENGTH = 300
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SECRET_PARAMETER = re.compile(
    r"(?i)((?:api_?key|request_?token|token_?id|access_?token|api_?secret|password|token)"
    r"(?:=|\"\s*:\s*\"|%3D))[^&\s\"'<>]+"
)

_ANY = msgspec.json.Decoder(float_hook=exact)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


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
        return raw_text((self.members or {}).get(name))

    def message(self) -> str | None:
        """Return the broker's own words, without secrets, or None when it said nothing.

        Source: dossier hdfc 4.1 (order of the keys, then the raw body).
        """
        words = next(filter(None, map(self._words, _MESSAGE_KEYS)), None) or self._meta_words()
        if words is None and self.members is None:
            words = " ".join(self.body[:4096].decode("utf-8", "replace").split())
        return scrub(words, self.secrets)[:_MESSAGE_LENGTH] if words else None

    def has_words(self) -> bool:
        """Tell whether the JSON body itself names a reason (a page of HTML does not count)."""
        return any(map(self._words, _MESSAGE_KEYS))

    def code(self) -> str | None:
        words = next(filter(None, map(self.word, _CODE_KEYS)), None)
        return scrub(words, self.secrets)[:40] if words else None

    def _meta_words(self) -> str | None:
        """Return what the answers without `status` say of themselves, unless it is "OK"."""
        meta = members((self.members or {}).get("meta")) or {}
        words = raw_text(meta.get("statusMsg"))
        return None if words == "OK" else words

    def _words(self, name: str) -> str | None:
        raw = (self.members or {}).get(name)
        nested = members(raw)
        return raw_text(nested.get("message")) if nested is not None else raw_text(raw)

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


def read_answer(status: int, body: bytes, secrets: tuple[str, ...] = ()) -> Answer:
    """Decode a body if it is a JSON object, past a byte order mark; never raises."""
    body = body.removeprefix(BOM_UTF8)
    try:
        return Answer(status, body, _OBJECT.decode(body), secrets)
    except DECODE_ERRORS:
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
    except DECODE_ERRORS:
        return None


def items(raw: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """Decode a list, or None when the value is something else."""
    if raw is None:
        return None
    try:
        return _LIST.decode(raw)
    except DECODE_ERRORS:
        return None


def is_null(raw: msgspec.Raw | None) -> bool:
    return raw is None or bytes(raw).strip() == b"null"


def raw_text(raw: msgspec.Raw | None) -> str | None:
    """Return a string stripped, or a number's digits; None for anything else and for nothing."""
    return None if raw is None else values.text(plain(raw))


def plain(raw: msgspec.Raw) -> Value:
    """Decode any JSON value; one that cannot be is a value that no reader takes."""
    try:
        return _ANY.decode(raw)
    except DECODE_ERRORS:
        return _NO_VALUE


_NO_VALUE = object()
