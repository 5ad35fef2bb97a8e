"""An alert: which rule it is of, how bad it is, and what a person reads."""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from gateway.orders.times import ist, now_us

_MOST_TEXT = 1000


class Rule(StrEnum):
    """What is told of. A receiver may ask for some of them only."""

    SESSION_EXPIRING = "session_expiring"
    SESSION_ENDED = "session_ended"
    KILL_SWITCH = "kill_switch"
    BREAKER = "breaker"
    UNRESOLVED_LEG = "unresolved_leg"
    LATE_ORDER = "late_order"
    DUPLICATE_ORDER = "duplicate_order"
    MAX_DAILY_LOSS = "max_daily_loss"
    AUDIT_FAILURE = "audit_failure"
    DISK = "disk"
    KEYS_REFUSED = "keys_refused"
    CERTIFICATE = "certificate"
    ALARM = "alarm"
    TEST = "test"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """`subject`: what two alerts have in common that are one and the same, told once in a while.

    `repeated`: how many of the same were held back since the last one that was told. `seq` is the
    row of the audit log that it comes from.
    """

    type: str = "alert"
    id: str
    rule: Rule
    severity: Severity
    at: datetime
    text: str
    subject: str
    account: str | None = None
    order_id: str | None = None
    seq: int | None = None
    details: dict[str, Any] = {}
    repeated: int = 0


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """The newest row of the audit log and its seal, told where a rewritten file cannot follow."""

    type: str = "audit.head"
    id: str
    at: datetime
    seq: int
    mac: str


def make_alert(
    rule: Rule,
    severity: Severity,
    text: str,
    subject: str,
    *,
    at_us: int | None = None,
    account: str | None = None,
    order_id: str | None = None,
    seq: int | None = None,
    details: dict[str, Any] | None = None,
) -> Alert:
    """Make an alert, at `at_us` or now. One that comes from a row has the same id every time."""
    return Alert(
        id=new_id() if seq is None else f"alr_{seq}",
        rule=rule,
        severity=severity,
        at=ist(at_us if at_us is not None else now_us()),
        text=" ".join(text.split())[:_MOST_TEXT],
        subject=subject,
        account=account,
        order_id=order_id,
        seq=seq,
        details=details or {},
    )


def new_id() -> str:
    return "alr_" + secrets.token_hex(8)
