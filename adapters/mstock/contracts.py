"""Which contract, side and product a row of m.Stock's books means. Pure, no I/O."""

from __future__ import annotations

from adapters.mstock.constants import (
    DERIVATIVE_EXCHANGE,
    DERIVATIVE_TYPES,
    EQUITY_TYPES,
    PRODUCT_FROM_WIRE,
)
from adapters.sdk.models import Product, Side, Validity


def codes(*, exchange: str, kind: str, token: str) -> dict[str, str]:
    """Name the contract as the master does, by segment and token, as far as the row tells.

    The books say NSE for derivatives too, so the instrument type decides. Where that is not
    known (currency shares NSE's name, not its tokens) no segment is claimed: neither one that
    would match another contract, nor one that would clear an order that is being looked for.
    """
    exchange, kind = exchange.upper(), kind.upper()
    named = {"token": token}
    if kind in DERIVATIVE_TYPES or exchange in ("NFO", "BFO"):
        named["exchange"] = DERIVATIVE_EXCHANGE.get(exchange, exchange)
    elif kind in EQUITY_TYPES:
        named["exchange"] = exchange
    else:
        named |= {"book_exchange": exchange, "instrumenttype": kind}
    return {name: value for name, value in named.items() if value}


def product(word: str, kind: str) -> Product | None:
    """Read a product; MARGIN is NRML on a derivative and MTF on a share (dossier 5.3)."""
    if word.upper() != "MARGIN":
        return PRODUCT_FROM_WIRE.get(word.upper())
    if kind.upper() in DERIVATIVE_TYPES:
        return Product.NRML
    return Product.MTF if kind.upper() in EQUITY_TYPES else None


def side(word: str) -> Side | None:
    """Read a side; the trade book writes `Buy` where the order book writes `BUY`."""
    return Side(word.upper()) if word.upper() in Side.__members__ else None


def validity(word: str) -> Validity | None:
    return Validity(word.upper()) if word.upper() in Validity.__members__ else None
