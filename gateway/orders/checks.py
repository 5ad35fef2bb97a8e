"""What a check before sending says of a leg, as the journal and the answers keep it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode


class Verdict(StrEnum):
    """SKIPPED: it could not be told. What that means is the order's `precheck` to say."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`field` is the order's field to mend. `code` and `message` say why it failed or was skipped.

    `details` are the numbers; money in them is `Decimal`, so it shows as a string.
    """

    check: str
    verdict: Verdict
    code: ReasonCode | None = None
    field: str | None = None
    message: str | None = None
    details: dict[str, Any] = {}
