"""The decoder's complaints in words for people, and the check for names given twice."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object {...}",
    "null": "null",
}
_TYPE = re.compile(r"Expected `([^`]+)`, got `(\w+)`")
_BOUND = re.compile(r"Expected `(int|float|decimal)` (>=|<=|>|<) (\S+)")
_LENGTH = re.compile(r"Expected `(\w+)` of length (>=|<=) (\d+)")
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_NAME = "Expected `str` matching regex '^[A-Za-z0-9._:-]+$'"
STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class DoubledName(ValueError):
    """An object of the body has a name twice; which of the two is meant nobody can tell."""


def in_words(message: str) -> str:
    """Say a decoder's message so that it can follow a field's name."""
    if message == _NAME:
        return "may have letters, digits and . _ : - only"
    if message == "Invalid RFC3339 encoded datetime":
        return "must be a time with its offset, such as 2026-12-31T15:30:00+05:30"
    if message == "Invalid decimal string":
        return 'must be a number in digits, such as "812.50"'
    if found := _BOUND.fullmatch(message):
        kind = _KINDS[found[1]]
        return f"must be {kind} of {_BOUNDS[found[2]]} {found[3]}"
    if message.startswith("Expected `str` matching regex"):
        return "has characters that it may not have, or not the form that the API guide describes"
    if found := _LENGTH.fullmatch(message):
        if found[2] == ">=" and found[3] == "1":
            return "must not be empty"
        what = "entries" if found[1] in ("array", "object") else "characters"
        return f"must have {_BOUNDS[found[2]]} {found[3]} {what}"
    if found := _TYPE.fullmatch(message):
        kinds = [_KINDS.get(kind.strip(), kind.strip()) for kind in found[1].split("|")]
        wanted = " or ".join(dict.fromkeys(kinds))
        got = _KINDS.get(found[2], found[2])
        if found[2] == "float" and "a whole number" in kinds:
            got = "one with a decimal point"
        return f"must be {wanted}, not {got}"
    return message[:1].lower() + message[1:]


def key_at(decoder: msgspec.json.Decoder[Any], body: bytes, place: str) -> str:
    """Name the entry of a map that the decoder complains of as `place[...]`; "" if none is found.

    It is found by decoding the body again with one entry at a time.
    """
    plain = msgspec.json.decode(body)
    parent, last, here = plain, None, plain
    for name, index in STEP.findall(place):
        parent, last = here, name or int(index)
        here = parent[last]
    if last is None or not isinstance(here, dict):
        return ""
    for key, value in here.items():
        parent[last] = {key: value}
        try:
            decoder.decode(msgspec.json.encode(plain))
        except msgspec.ValidationError as error:
            if f"`${place}[...]`" in str(error):
                return str(key)
    return ""


def assert_names_once(body: bytes) -> None:
    """Raise `DoubledName` for `{"a": 1, "a": 2}`, of which a decoder silently takes the last."""
    try:
        _once.decode(body.decode())
    except DoubledName:
        raise
    except (ValueError, RecursionError):
        # Python's reader is the stricter one here; the body has been decoded already.
        return


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise DoubledName(name)
            seen.add(name)
    return found


_once = json.JSONDecoder(object_pairs_hook=_pairs)
