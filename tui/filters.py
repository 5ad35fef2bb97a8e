"""Filters as a person types them: `account=fyers-main state=OPEN`."""

from __future__ import annotations

from collections.abc import Collection


def parsed(text: str, known: Collection[str]) -> dict[str, str]:
    """Read `name=value` words. Raises `ValueError` naming the word and what there is."""
    query = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not (equals and value and name in known):
            raise ValueError(f"{word}: write name=value with a name of {', '.join(known)}")
        query[name] = value
    return query
