"""How many units an order means for one account, and in which slices they go."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from adapters.sdk.models import Instrument
from gateway.orders.request import MAX_QUANTITY, OrderRequest

MOST_SLICES = 50


def quantity_for(
    request: OrderRequest, account_id: str, multiplier: Decimal, instrument: Instrument | None
) -> int:
    """Units for one account, rounded down to the lot; a quantity named for it is taken as it is."""
    if account_id in request.quantities:
        return request.quantities[account_id]
    lot = instrument.lot_size if instrument else 1
    if request.lots is not None:
        lots = (request.lots * multiplier).to_integral_value(ROUND_DOWN)
        return int(lots) * lot
    units = int((request.quantity or 0) * multiplier)
    if multiplier == 1:
        return units
    return units - units % lot


def slices_of(instrument: Instrument, quantity: int) -> list[int]:
    """Split by the freeze quantity, in whole lots, the last slice being what is left."""
    lot = instrument.lot_size
    most = min(instrument.freeze_quantity or MAX_QUANTITY, MAX_QUANTITY)
    most = max(most // lot * lot, lot)
    whole, rest = divmod(quantity, most)
    return [most] * whole + ([rest] if rest else [])
