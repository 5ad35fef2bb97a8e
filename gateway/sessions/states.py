"""The states of an account's login."""

from __future__ import annotations

from enum import StrEnum


class SessionState(StrEnum):
    """`PARKED`: a redirect came back that nothing binds to the pending login; confirm it."""

    MISSING = "missing"
    LOGGING_IN = "logging_in"
    OTP_REQUIRED = "otp_required"
    REDIRECT_REQUIRED = "redirect_required"
    PARKED = "parked"
    ACTIVE = "active"
    EXPIRED = "expired"
    REFUSED = "refused"
