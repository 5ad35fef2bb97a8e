"""The configuration as flat keys, and what differs between two of them.

What stands in a log is without secrets: the path of a webhook's URL is one at many services, so
of it only a digest is kept, and nothing of that is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel

from gateway.config.settings import Settings, Webhook

Flat = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """One key. `before` or `after` None: it was not there, or is no more. A URL that may hold a
    secret is shown up to its host, so that both may look the same.
    """

    key: str
    before: Any
    after: Any


class Kept(msgspec.Struct, frozen=True):
    """What is remembered of a configuration: `values` may be told, `digests` are compared only."""

    values: Flat
    digests: dict[str, str]


def kept_of(settings: Settings) -> Kept:
    """Flatten: `accounts.fyers-main.limits.orders_per_second`, lists of named things by name."""
    kept = Kept({}, {})
    for key, value in _flat(settings, ""):
        kept.values[key] = value
    for hook in settings.alerts.webhooks:
        key = f"alerts.webhooks.{hook.name}.url"
        kept.digests[key] = sha256(hook.url.encode()).hexdigest()
    return kept


def changes(before: Kept, after: Kept) -> list[Change]:
    """Say what differs, in the order of the keys."""
    keys = {*before.values, *after.values, *before.digests, *after.digests}
    return [
        Change(key, before.values.get(key), after.values.get(key))
        for key in sorted(keys)
        if before.values.get(key) != after.values.get(key)
        or before.digests.get(key) != after.digests.get(key)
    ]


def _flat(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    for name, item in _items(value):
        key = f"{at}.{name}" if at else name
        if isinstance(value, Webhook) and name == "url":
            yield key, _shown(item)
        elif _is_branch(item):
            yield from _flat(item, key)
        else:
            yield key, _plain(item)


def _is_branch(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return bool(value) and all(isinstance(item, BaseModel) for item in value)
    return isinstance(value, BaseModel | msgspec.Struct | Mapping)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        yield from ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, msgspec.Struct):
        yield from ((name, getattr(value, name)) for name in value.__struct_fields__)
    elif isinstance(value, Mapping):
        yield from value.items()
    else:
        for item in value:
            yield str(getattr(item, "id", None) or getattr(item, "name", "")), item


def _plain(value: Any) -> Any:
    """As JSON has it, and so that 1 and 1.0 rupees are one amount."""
    if isinstance(value, tuple | list | set | frozenset):
        items = [_plain(item) for item in value]
        return sorted(items) if isinstance(value, set | frozenset) else items
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, PurePath):
        return str(value)
    return msgspec.to_builtins(value)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/..."
