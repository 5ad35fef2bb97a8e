"""Which rows of the audit log are worth an alert, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.alerts.alert import Alert, Rule, Severity, make_alert
from gateway.store.audit import AuditRow

KINDS = frozenset({"session", "kill", "breaker", "alarm", "key"})
"""The kinds of rows that alerts are made from. Rows of legs, which are most, are not looked at."""

Body = dict[str, Any]
_Words = tuple[Rule, Severity, str, str]
_FAILED_STATES = ("open", "isolated")
_ALARMS = {
    "needs_operator": (Rule.UNRESOLVED_LEG, Severity.CRITICAL),
    "book_gone": (Rule.UNRESOLVED_LEG, Severity.CRITICAL),
    "late_found": (Rule.LATE_ORDER, Severity.CRITICAL),
    "corrected": (Rule.LATE_ORDER, Severity.CRITICAL),
    "duplicate_detected": (Rule.DUPLICATE_ORDER, Severity.CRITICAL),
    "contradicted": (Rule.DUPLICATE_ORDER, Severity.CRITICAL),
    "max_daily_loss": (Rule.MAX_DAILY_LOSS, Severity.CRITICAL),
}
# The watch tells these itself: it must be able to when the journal cannot be written.
_TOLD_BY_THE_WATCH = frozenset({"disk"})
_SESSIONS = {
    "expiring": (Rule.SESSION_EXPIRING, Severity.WARNING, "ends soon"),
    "login_due": (Rule.SESSION_EXPIRING, Severity.WARNING, "is to be begun, by a person"),
    "expired": (Rule.SESSION_ENDED, Severity.CRITICAL, "has ended"),
    "refused": (Rule.SESSION_ENDED, Severity.CRITICAL, "could not be begun: the broker refused"),
    "blocked": (Rule.SESSION_ENDED, Severity.CRITICAL, "is blocked"),
}


def alert_of(row: AuditRow) -> Alert | None:
    """Return the alert that a row means, None for none."""
    words = _WORDS.get(row.kind)
    try:
        body = msgspec.json.decode(row.body)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
        # Nothing that the gateway wrote: it must not keep the rows after it from being told.
        text = f"row {row.seq} of the audit log cannot be read; run: brokergate audit verify"
        return make_alert(Rule.AUDIT_FAILURE, Severity.CRITICAL, text, "unreadable row")
    found = words(row, body) if words is not None and isinstance(body, dict) else None
    if found is None:
        return None
    rule, severity, text, subject = found
    return make_alert(
        rule,
        severity,
        text,
        subject,
        at_us=row.at_us,
        account=row.account,
        order_id=row.order_id,
        seq=row.seq,
        details={key: value for key, value in body.items() if key in _SHOWN},
    )


def _session(row: AuditRow, body: Body) -> _Words | None:
    event = str(body.get("event"))
    if event not in _SESSIONS:
        return None
    rule, severity, what = _SESSIONS[event]
    until = f" (at {body['expires_at']})" if body.get("expires_at") else ""
    again = f"log in again: brokergate login {row.account}"
    return (
        rule,
        severity,
        f"the session of {row.account} {what}{until}; {again}",
        (f"{row.account} {event}"),
    )


def _kill(row: AuditRow, body: Body) -> _Words | None:
    event = body.get("event")
    place = " ".join(str(body[key]) for key in ("scope", "target") if body.get(key))
    if event == "engaged":
        level = body.get("level", "?")
        text = f"the kill switch engaged {level} for {place}: {body.get('reason') or 'no reason'}"
        return Rule.KILL_SWITCH, Severity.CRITICAL, text, f"{place} {level}"
    if event == "released":
        text = f"the kill switch was released for {place}: {body.get('reason') or 'no reason'}"
        return Rule.KILL_SWITCH, Severity.INFO, text, f"{place} released"
    return None


def _breaker(row: AuditRow, body: Body) -> _Words | None:
    new, old = body.get("to"), body.get("from")
    name = f"{row.account} {body.get('class')}"
    reason = body.get("reason") or "no reason given"
    if new in _FAILED_STATES:
        text = f"the breaker of {name} went from {old} to {new}: {reason}"
        return Rule.BREAKER, Severity.CRITICAL, text, f"{name} open"
    if new == "closed":
        text = f"the breaker of {name} is closed again"
        return Rule.BREAKER, Severity.INFO, text, f"{name} closed"
    return None


def _alarm(row: AuditRow, body: Body) -> _Words | None:
    event = str(body.get("event"))
    if event in _TOLD_BY_THE_WATCH:
        return None
    default = (Rule.ALARM, Severity.WARNING)
    if event.startswith("audit"):
        default = (Rule.AUDIT_FAILURE, Severity.CRITICAL)
    elif event.startswith("certificate"):
        default = (Rule.CERTIFICATE, Severity.WARNING)
    rule, severity = _ALARMS.get(event, default)
    about = f"{row.account}: " if row.account else ""
    text = f"{about}{event}: {body.get('text') or 'see the log'}"
    subject = " ".join(str(part) for part in (event, row.account, body.get("leg_id")) if part)
    return rule, severity, text, subject


def _key(row: AuditRow, body: Body) -> _Words | None:
    if body.get("event") != "keys_refused":
        return None
    refused = body.get("refused")
    counts = refused if isinstance(refused, dict) else {}
    listed = ", ".join(f"{count} from {address}" for address, count in counts.items())
    text = f"wrong API keys were refused: {listed or 'unknown'}"
    return Rule.KEYS_REFUSED, Severity.WARNING, text, "keys"


# What goes out with an alert: nothing that a row of the future may hold by accident.
_SHOWN = frozenset(
    {"event", "state", "expires_at", "scope", "target", "level", "class", "from", "to", "leg_id"}
    | {"refused", "broker"}
)
_WORDS: dict[str, Callable[[AuditRow, Body], _Words | None]] = {
    "session": _session,
    "kill": _kill,
    "breaker": _breaker,
    "alarm": _alarm,
    "key": _key,
}
