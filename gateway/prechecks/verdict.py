"""What one check says of one leg, with the numbers that led to it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode
from gateway.orders.records import Reason


class Verdict(StrEnum):
    """SKIPPED: it could not be told. What that means is the order's `precheck` to say."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`field` is the order's field to mend. `code` and `message` say why it failed or was skipped.

    `details` are the numbers; money in them is `Decimal`, so it shows as a string.
    """

    check: str
    verdict: Verdict
    code: ReasonCode | None = None
    field: str | None = None
    message: str | None = None
    details: dict[str, Any] = {}


def passed(check: str, **details: Any) -> Check:
    return Check(check=check, verdict=Verdict.PASSED, details=details)


def failed(check: str, code: ReasonCode, field: str, message: str, **details: Any) -> Check:
    return Check(
        check=check,
        verdict=Verdict.FAILED,
        code=code,
        field=field,
        message=message,
        details=details,
    )


def skipped(check: str, message: str, **details: Any) -> Check:
    return Check(check=check, verdict=Verdict.SKIPPED, message=message, details=details)


def first_failure(checks: Iterable[Check]) -> Check | None:
    return next((check for check in checks if check.verdict is Verdict.FAILED), None)


def reason_of(check: Check) -> Reason:
    """The leg's reason for a check that failed."""
    details = {"check": check.check, "field": check.field, **check.details}
    return Reason(
        code=check.code or ReasonCode.INVALID_ORDER,
        message=check.message or f"the check {check.check} failed",
        details=msgspec.to_builtins(details),
    )


def summary(checks: Iterable[Check]) -> str:
    """The leg's `precheck`: failed where one failed, skipped where one could not be told."""
    verdicts = {check.verdict for check in checks}
    for verdict in (Verdict.FAILED, Verdict.SKIPPED):
        if verdict in verdicts:
            return str(verdict)
    return str(Verdict.PASSED)
