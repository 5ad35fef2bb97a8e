"""An order against the risk limits that apply to it. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import InstrumentType
from gateway.orders.checks import Check
from gateway.prechecks.contract import Draft
from gateway.prechecks.ledger import Ledger, Look
from gateway.prechecks.limits import RiskLimits, any_matches
from gateway.prechecks.verdict import failed, passed, skipped

_MINUTE_S = 60.0
_HUNDRED = Decimal(100)


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A leg to be judged. `value` is rupees, None where no price is known.

    `last_price` is fresh, or None. `open_orders` is how many are not over, `orders` how many
    this one makes. `request` is whose legs are not taken for look-alikes of each other.
    """

    draft: Draft
    value: Decimal | None
    last_price: Decimal | None
    open_orders: int
    now_s: float
    orders: int = 1
    request: int = 0

    @property
    def look(self) -> Look:
        draft = self.draft
        return Look(
            draft.instrument.instrument,
            draft.side,
            draft.order_type,
            draft.product,
            draft.quantity,
            draft.price,
            draft.trigger_price,
        )


def check_risk(
    limits: RiskLimits, ledger: Ledger, candidate: Candidate, *, scope: str
) -> Iterator[Check]:
    """Yield a verdict for each limit that is set. `scope` is whose limits they are, for words."""
    yield from _permitted(limits, candidate.draft, scope)
    yield from _sizes(limits, ledger, candidate, scope)
    yield from _rates(limits, ledger, candidate, scope)
    yield from _collar(limits, candidate, scope)


def check_change(
    limits: RiskLimits,
    ledger: Ledger,
    candidate: Candidate,
    *,
    more_quantity: bool,
    more_value: bool,
    scope: str,
) -> Iterator[Check]:
    """Yield verdicts for an order at the broker as it is to become; the ledger is without it."""
    if more_quantity or more_value:
        yield from _permitted(limits, candidate.draft, scope)
    for check in _sizes(limits, ledger, candidate, scope):
        if more_value if check.check.endswith("_value") else more_quantity:
            yield check
    yield from _collar(limits, candidate, scope)


def _permitted(limits: RiskLimits, draft: Draft, scope: str) -> Iterator[Check]:
    instrument = draft.instrument
    for field, value, allowed, banned in (
        ("instrument", instrument.exchange, limits.allowed_exchanges, limits.banned_exchanges),
        ("product", draft.product, limits.allowed_products, limits.banned_products),
    ):
        if value in banned or (allowed and value not in allowed):
            yield failed(
                "risk_permitted",
                ReasonCode.RISK_LIMIT,
                field,
                f"the {scope} limits do not permit {value}",
                scope=scope,
            )
            return
    name = instrument.instrument
    outside = limits.allowed_instruments and not any_matches(limits.allowed_instruments, name)
    if outside or any_matches(limits.banned_instruments, name):
        yield failed(
            "risk_permitted",
            ReasonCode.RISK_LIMIT,
            "instrument",
            f"the {scope} limits do not permit {name}",
            scope=scope,
        )


def _sizes(limits: RiskLimits, ledger: Ledger, candidate: Candidate, scope: str) -> Iterator[Check]:
    draft = candidate.draft
    name = draft.instrument.instrument
    for limit, used in (
        ("max_order_quantity", 0),
        ("max_day_quantity", ledger.day_quantity),
        ("max_instrument_quantity", ledger.quantities[name]),
    ):
        most = getattr(limits, limit)
        if most is not None:
            yield _size(limit, most, used, draft.quantity, "quantity", scope)
    for limit, spent in (
        ("max_order_value", Decimal(0)),
        ("max_day_value", ledger.day_value),
        ("max_instrument_value", ledger.values.get(name, Decimal(0))),
    ):
        most = getattr(limits, limit)
        if most is None:
            continue
        if candidate.value is None:
            yield skipped(limit, "no fresh price says what the order is worth", scope=scope)
        else:
            yield _size(limit, most, spent, candidate.value, "value", scope)


def _size(
    limit: str,
    most: Decimal | int,
    used: Decimal | int,
    wanted: Decimal | int,
    unit: str,
    scope: str,
) -> Check:
    numbers = {"limit": most, "used": used, unit: wanted, "scope": scope}
    if used + wanted > most:
        so_far = f" with {used} used already" if used else ""
        return failed(
            limit,
            ReasonCode.RISK_LIMIT,
            "quantity",
            f"{unit} {wanted}{so_far} is above the {scope} {limit} of {most}",
            **numbers,
        )
    return passed(limit, **numbers)


def _rates(limits: RiskLimits, ledger: Ledger, candidate: Candidate, scope: str) -> Iterator[Check]:
    if limits.max_open_orders is not None:
        most, have = limits.max_open_orders, candidate.open_orders
        if have + candidate.orders > most:
            yield failed(
                "max_open_orders",
                ReasonCode.RISK_LIMIT,
                "accounts",
                f"{have} orders are open{_more(candidate)}, and the {scope} max_open_orders is"
                f" {most}",
                limit=most,
                open=have,
                orders=candidate.orders,
                scope=scope,
            )
        else:
            yield passed("max_open_orders", limit=most, open=have, scope=scope)
    if limits.max_orders_per_minute is not None:
        most = limits.max_orders_per_minute
        made = ledger.entered_since(candidate.now_s - _MINUTE_S)
        if made + candidate.orders > most:
            yield failed(
                "max_orders_per_minute",
                ReasonCode.RISK_LIMIT,
                "accounts",
                f"{made} orders in the last minute{_more(candidate)}; the {scope}"
                f" max_orders_per_minute is {most}",
                limit=most,
                made=made,
                orders=candidate.orders,
                scope=scope,
            )
        else:
            yield passed("max_orders_per_minute", limit=most, made=made, scope=scope)
    if limits.lookalike_s is not None:
        since_s = candidate.now_s - limits.lookalike_s
        twin = ledger.lookalike(candidate.look, since_s, candidate.request)
        if twin is not None:
            yield failed(
                "lookalike",
                ReasonCode.LOOKALIKE,
                "instrument",
                f"the same order was placed {candidate.now_s - twin.at_s:.1f} s ago under another"
                f" key ({twin.order_id or 'not placed yet'}); wait {limits.lookalike_s} s if it is"
                " meant twice",
                order_id=twin.order_id,
                scope=scope,
            )
        else:
            yield passed("lookalike")


def _more(candidate: Candidate) -> str:
    return f" and this one makes {candidate.orders} slices" if candidate.orders > 1 else ""


def _collar(limits: RiskLimits, candidate: Candidate, scope: str) -> Iterator[Check]:
    draft = candidate.draft
    kind: InstrumentType = draft.instrument.type
    percent = limits.price_collar_percent.get(kind)
    if percent is None:
        return
    if candidate.last_price is None:
        yield skipped("price_collar", "no fresh price is known to compare with", scope=scope)
        return
    for field, price in (("price", draft.price), ("trigger_price", draft.trigger_price)):
        if price is None:
            continue
        away = abs(price - candidate.last_price) * _HUNDRED / candidate.last_price
        if away > percent:
            yield failed(
                "price_collar",
                ReasonCode.RISK_LIMIT,
                field,
                f"{field} {price} is {away:.2f} % from the last price {candidate.last_price};"
                f" the {scope} price_collar_percent of {kind} is {percent}",
                last_price=candidate.last_price,
                percent=percent,
                scope=scope,
            )
            return
    yield passed("price_collar", last_price=candidate.last_price, percent=percent, scope=scope)
