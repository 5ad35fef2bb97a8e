"""Numbers, times and states as the console writes them. No screen, no I/O."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tui import moment

# A sign beside every colour, so that no state is told by colour alone.
SIGNS = {
    "active": "●",
    "expiring": "◔",
    "logging_in": "…",
    "blocked": "✗",
    "otp_required": "?",
    "redirect_required": "?",
    "parked": "?",
    "expired": "✗",
    "missing": "✗",
    "refused": "✗",
}
OUTCOMES = {
    "accepted": ("✓", "green"),
    "rejected": ("✗", "red"),
    "not_sent": ("–", "yellow"),
    "absent": ("0", "yellow"),
    "pending": ("…", "cyan"),
    "unknown": ("?", "magenta"),
}


def outcome_sign(outcome: str) -> str:
    """The sign of a leg's outcome; unknown has one of its own, never that of a rejection."""
    return OUTCOMES.get(outcome, ("?", ""))[0]


def colour_of(outcome: str) -> str:
    return OUTCOMES.get(outcome, ("?", "magenta"))[1]


def seconds(value: float) -> str:
    """A length of time in at most two units: 45s, 12m, 3h05m, 2d4h."""
    whole = max(0, int(value))
    if whole < 120:
        return f"{whole}s"
    if whole < 7200:
        return f"{whole // 60}m"
    if whole < 172_800:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600}h"


def left_until(at: str | None) -> str:
    """How long until an RFC 3339 time; empty where there is none."""
    if not at:
        return ""
    remaining = datetime.fromisoformat(at).timestamp() - moment.wall()
    return seconds(remaining) if remaining > 0 else "over"


def clock(at: str | None) -> str:
    """The time of day of an RFC 3339 time, as the gateway gave it (IST)."""
    return at[11:19] if at else ""


def shown(value: Any) -> str:
    """A figure, or a dash for what is not known; never a made-up zero."""
    return "–" if value is None else str(value)


def total(values: list[Any]) -> str:
    """Add decimal strings; a dash where none is known, and a word where some are not."""
    known = [amount for value in values if (amount := _decimal(value)) is not None]
    if not known:
        return "–"
    return f"{sum(known, Decimal(0))}" + ("" if len(known) == len(values) else " (some unknown)")


def _decimal(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
