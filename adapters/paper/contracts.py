"""The engine's contracts and the gateway's instruments, one made from the other."""

from __future__ import annotations

import hashlib

from adapters.paper.config import CODE
from adapters.sdk.models import Instrument
from adapters.sdk.simulator import Contract
from adapters.sdk.simulator.orders import ZERO


def contract_of(item: Instrument) -> Contract:
    """Make the contract that the engine trades for an instrument of somebody's list.

    Its price is not known yet. The engine tells contracts apart by exchange and token, and a
    borrowed list has none that all brokers share, so the token is made from the canonical id.
    """
    digest = hashlib.sha256(item.instrument.encode()).digest()
    return Contract(
        exchange=item.exchange,
        symbol=item.symbol,
        name=item.name,
        token=int.from_bytes(digest[:8]),
        type=item.type,
        lot_size=item.lot_size,
        tick_size=item.tick_size,
        price=ZERO,
        isin=item.isin,
        freeze_quantity=item.freeze_quantity,
        underlying=item.underlying,
        expiry=item.expiry,
        strike=item.strike,
        option_type=item.option_type,
    )


def instrument_of(contract: Contract) -> Instrument:
    """List a contract of the synthetic market."""
    return Instrument(
        instrument=contract.instrument,
        exchange=contract.exchange,
        symbol=contract.symbol,
        name=contract.name,
        type=contract.type,
        lot_size=contract.lot_size,
        tick_size=contract.tick_size,
        codes={CODE: contract.instrument},
        underlying=contract.underlying if contract.is_derivative else None,
        expiry=contract.expiry,
        strike=contract.strike,
        option_type=contract.option_type,
        freeze_quantity=contract.freeze_quantity,
        isin=contract.isin,
        band_low=contract.lower_price if contract.is_tradable else None,
        band_high=contract.upper_price if contract.is_tradable else None,
    )


def codes_of(contract: Contract) -> dict[str, str]:
    """Name a contract as every row here does."""
    return {CODE: contract.instrument}
