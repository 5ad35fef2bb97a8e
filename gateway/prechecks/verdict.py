"""Saying what a check found: passed, failed with a code and a field, or skipped with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from adapters.sdk.errors import ReasonCode
from gateway.orders.checks import Check, Verdict
from gateway.orders.records import Reason


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


def is_worth_keeping(check: Check) -> bool:
    """Whether a verdict says more than that all is well."""
    return check.verdict is not Verdict.PASSED or bool(check.details)


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
