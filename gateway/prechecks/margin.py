"""A local estimate of the money that an order needs, for brokers without a calculator.

Deliberately high: exchanges' margins change by the day, and hedges are not seen. So an estimate
that is short proves nothing, and only `precheck: strict` refuses for it.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.sdk.models import InstrumentType, Product, Side
from gateway.prechecks.contract import Draft

# Shares of the value, well above what the exchanges ask for in ordinary times.
_INTRADAY = Decimal("0.25")
_MTF = Decimal("0.50")
_FUTURE = Decimal("0.25")
_SHORT_OPTION = Decimal("0.25")


def estimate_margin(draft: Draft, price: Decimal | None) -> Decimal | None:
    """Return rupees, or None where no price is known. Selling owned shares needs none."""
    instrument, quantity = draft.instrument, draft.quantity
    if instrument.type is InstrumentType.OPT and draft.side is Side.SELL:
        if instrument.strike is None:
            return None
        return _SHORT_OPTION * instrument.strike * quantity
    if draft.product is Product.CNC and draft.side is Side.SELL:
        return Decimal(0)
    if price is None:
        return None
    value = price * quantity
    if instrument.type is InstrumentType.OPT:
        return value
    if instrument.type is InstrumentType.FUT:
        return _FUTURE * value
    return {Product.MIS: _INTRADAY, Product.MTF: _MTF}.get(draft.product, Decimal(1)) * value
