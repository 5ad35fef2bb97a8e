"""The order against the contract, as that broker's own master lists it. No I/O, no state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import Exchange, Instrument, InstrumentType, OrderType, Product, Side
from gateway.orders.checks import Check
from gateway.prechecks.verdict import failed, passed

_DERIVATIVES = frozenset({Exchange.NFO, Exchange.BFO, Exchange.CDS, Exchange.BCD, Exchange.MCX})
_HAS_LIMIT = frozenset({OrderType.LIMIT, OrderType.SL})
_HAS_TRIGGER = frozenset({OrderType.SL, OrderType.SL_M})
# Which products a segment has at all; what an account may use is the broker's to say.
_CASH_PRODUCTS = frozenset({Product.CNC, Product.MIS, Product.MTF})
_DERIVATIVE_PRODUCTS = frozenset({Product.NRML, Product.MIS})


class Draft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A leg as it would be sent: prices after protection, quantity in units."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    product: Product
    quantity: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: int = 0


def check_contract(draft: Draft, today: date, *, may_slice: bool) -> Iterator[Check]:
    """Yield one verdict a check, in the order in which a trader would mend them."""
    yield _kind(draft)
    yield _expiry(draft, today)
    yield _product(draft)
    yield _lot(draft)
    yield _freeze(draft, may_slice)
    yield from _ticks(draft)
    yield _sides(draft)
    yield _band(draft)


def _kind(draft: Draft) -> Check:
    instrument = draft.instrument
    if instrument.type is InstrumentType.INDEX:
        return failed(
            "instrument",
            ReasonCode.INSTRUMENT_BLOCKED,
            "instrument",
            f"{instrument.instrument} is an index: quoted, not traded",
        )
    return passed("instrument")


def _expiry(draft: Draft, today: date) -> Check:
    expiry = draft.instrument.expiry
    if expiry is not None and expiry < today:
        return failed(
            "expiry",
            ReasonCode.INSTRUMENT_BLOCKED,
            "instrument",
            f"{draft.instrument.instrument} expired on {expiry}",
            expiry=expiry,
        )
    return passed("expiry")


def _product(draft: Draft) -> Check:
    allowed = _DERIVATIVE_PRODUCTS if draft.instrument.exchange in _DERIVATIVES else _CASH_PRODUCTS
    if draft.product not in allowed:
        names = ", ".join(sorted(allowed))
        return failed(
            "product",
            ReasonCode.PRODUCT_NOT_ALLOWED,
            "product",
            f"{draft.product} does not exist in {draft.instrument.exchange}; use {names}",
        )
    return passed("product")


def _lot(draft: Draft) -> Check:
    lot = draft.instrument.lot_size
    if draft.quantity % lot:
        below = draft.quantity - draft.quantity % lot
        return failed(
            "lot_size",
            ReasonCode.LOT_SIZE,
            "quantity",
            f"quantity {draft.quantity} is not a multiple of the lot size {lot};"
            f" {below or lot} and {below + lot} are"
            if below
            else f"quantity {draft.quantity} is not a multiple of the lot size {lot}; {lot} is",
            quantity=draft.quantity,
            lot_size=lot,
        )
    return passed("lot_size")


def _freeze(draft: Draft, may_slice: bool) -> Check:
    freeze = draft.instrument.freeze_quantity
    if freeze is not None and draft.quantity > freeze and not may_slice:
        return failed(
            "freeze_quantity",
            ReasonCode.FREEZE_QUANTITY,
            "quantity",
            f"quantity {draft.quantity} is above the exchange's freeze quantity {freeze};"
            ' send less, or "slice": true',
            quantity=draft.quantity,
            freeze_quantity=freeze,
        )
    return passed("freeze_quantity")


def _ticks(draft: Draft) -> Iterator[Check]:
    tick = draft.instrument.tick_size
    for field, price in (("price", draft.price), ("trigger_price", draft.trigger_price)):
        if price is None:
            continue
        if tick > 0 and price % tick:
            below = price - price % tick
            yield failed(
                "tick_size",
                ReasonCode.TICK_SIZE,
                field,
                f"{field} {price} is not a multiple of the tick size {tick};"
                f" {below} and {below + tick} are",
                tick_size=tick,
                **{field: price},
            )
        else:
            yield passed("tick_size")


def _sides(draft: Draft) -> Check:
    """A stop order's limit has to be able to trade once its trigger is reached."""
    price, trigger = draft.price, draft.trigger_price
    if draft.order_type is not OrderType.SL or price is None or trigger is None:
        return passed("stop_side")
    wrong = price < trigger if draft.side is Side.BUY else price > trigger
    if wrong:
        must = "at or above" if draft.side is Side.BUY else "at or below"
        return failed(
            "stop_side",
            ReasonCode.INVALID_ORDER,
            "price",
            f"a {draft.side} stop order's price must be {must} its trigger_price;"
            f" {price} against {trigger} would not trade when triggered",
            price=price,
            trigger_price=trigger,
        )
    return passed("stop_side")


def _band(draft: Draft) -> Check:
    low, high = draft.instrument.band_low, draft.instrument.band_high
    for field, price in (("price", draft.price), ("trigger_price", draft.trigger_price)):
        if price is None:
            continue
        if (low is not None and price < low) or (high is not None and price > high):
            return failed(
                "price_band",
                ReasonCode.PRICE_BAND,
                field,
                f"{field} {price} is outside the day's band of {low} to {high}",
                **{field: price},
                band_low=low,
                band_high=high,
            )
    return passed("price_band")
