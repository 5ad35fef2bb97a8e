"""Tells, once each, which of Fyers' words the adapter does not know."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

_MOST_KEPT = 200


class Unrecognised:
    """A `Notice` of one account: every reading of a book comes by, the log hears once."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._told: set[tuple[str, str]] = set()

    def __call__(self, field: str, value: str) -> None:
        word = (field, value[:80])
        if word in self._told or len(self._told) >= _MOST_KEPT:
            return
        self._told.add(word)
        log.warning(
            "%s: Fyers says %s %r, which is unrecognised; it is shown as it is and decides nothing",
            self._account,
            *word,
        )
