"""Risk limits: what the owner forbids, globally and per account. Shape, merging, contradictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated

import msgspec

from adapters.sdk.models import Exchange, InstrumentType, Product

_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
LONGEST_LOOK_S = 3600
_Pattern = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}:[A-Z0-9&\-_ .]*\*?$", max_length=64)]


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Null or empty: no such limit. Quantities are units, money is rupees.

    A day is a calendar day in IST. What was refused or rejected is not counted; of a cancelled
    order its fills are; what is not known to have failed is counted whole. Instruments may end
    in `*`. `price_collar_percent`: how far a price may be from the last one, by type.
    `lookalike_s`: an order like one of the last so many seconds, under another key, is refused.
    `max_daily_loss`: the day's loss at which the account's kill switch engages HALT_NEW.
    """

    max_order_quantity: _Count | None = None
    max_order_value: Decimal | None = None
    max_day_quantity: _Count | None = None
    max_day_value: Decimal | None = None
    max_instrument_quantity: _Count | None = None
    max_instrument_value: Decimal | None = None
    max_open_orders: _Count | None = None
    max_orders_per_minute: _Count | None = None
    max_daily_loss: Decimal | None = None
    lookalike_s: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_LOOK_S)] | None = None
    price_collar_percent: dict[InstrumentType, Decimal] = {}
    allowed_instruments: tuple[_Pattern, ...] = ()
    banned_instruments: tuple[_Pattern, ...] = ()
    allowed_products: tuple[Product, ...] = ()
    banned_products: tuple[Product, ...] = ()
    allowed_exchanges: tuple[Exchange, ...] = ()
    banned_exchanges: tuple[Exchange, ...] = ()


_MOST_PERCENT = 100
NO_LIMITS = RiskLimits()


def problems_of_limits(limits: RiskLimits) -> Iterator[tuple[str, str]]:
    """Yield field and problem of every figure that is no limit, or contradicts another one."""
    for field in ("max_order_value", "max_day_value", "max_instrument_value", "max_daily_loss"):
        money = getattr(limits, field)
        if money is not None and not (money.is_finite() and money > 0):
            yield field, f"{money} must be above 0"
            return
    for kind, percent in limits.price_collar_percent.items():
        if not (percent.is_finite() and 0 < percent <= _MOST_PERCENT):
            yield "price_collar_percent", f"{kind} must be above 0 and at most {_MOST_PERCENT}"
            return
    for small, large in (
        ("max_order_quantity", "max_instrument_quantity"),
        ("max_order_quantity", "max_day_quantity"),
        ("max_instrument_quantity", "max_day_quantity"),
        ("max_order_value", "max_instrument_value"),
        ("max_order_value", "max_day_value"),
        ("max_instrument_value", "max_day_value"),
    ):
        low, high = getattr(limits, small), getattr(limits, large)
        if low is not None and high is not None and low > high:
            yield small, f"{low} is above {large} {high}; no order could ever use it"
    for what in ("products", "exchanges", "instruments"):
        allowed, banned = getattr(limits, f"allowed_{what}"), getattr(limits, f"banned_{what}")
        if what == "instruments":
            both = [name for name in allowed if any(_covers(ban, name) for ban in banned)]
        else:
            both = [name for name in allowed if name in banned]
        if both:
            names = ", ".join(both)
            yield f"allowed_{what}", f"{names}: banned_{what} forbids it; take it out of one"


def matches(pattern: str, instrument: str) -> bool:
    """Whether a pattern, which may end in `*`, names the instrument."""
    if pattern.endswith("*"):
        return instrument.startswith(pattern[:-1])
    return pattern == instrument


def any_matches(patterns: Iterable[str], instrument: str) -> bool:
    return any(matches(pattern, instrument) for pattern in patterns)


def _covers(pattern: str, other: str) -> bool:
    """Whether whatever `other` names, `pattern` names too."""
    if pattern.endswith("*"):
        return other.removesuffix("*").startswith(pattern[:-1])
    return pattern == other
