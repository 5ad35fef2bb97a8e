"""What a broker's codes and texts mean, as rows that a page lists and tests drive."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from adapters.sdk.errors import ReasonCode


class OnWrite(StrEnum):
    """What an answer proves about the place, modify or cancel that it answers.

    REFUSED: the request was not done, and where it was an order, nothing is live. REPEATABLE:
    nothing was created and the same request may be sent again. UNKNOWN: it may have been done.
    SAYS_WHY: explains a refusal that something else in the answer proves.
    """

    REFUSED = "refused"
    REPEATABLE = "repeatable"
    UNKNOWN = "unknown"
    SAYS_WHY = "says why"


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One code, family of codes or text of a broker.

    `broker_code`: as the broker writes it, `HTTP 403` for a status, `1001-1010` for a range, empty
    where the words alone count. `words`: the regular expression that is looked for, any case.
    `source`: the section of the broker's dossier that says so.
    """

    broker_code: str = ""
    words: str = ""
    reason: ReasonCode
    on_write: OnWrite
    source: str
