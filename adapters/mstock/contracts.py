"""Which contract, side and product a row of m.Stock's books means. No I/O.

The words of these books are few and repeat in every row of every read, so what they mean is
remembered. A word that is not known is logged the first time, and means nothing.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final, TypeVar

from adapters.mstock.constants import (
    DERIVATIVE_EXCHANGE,
    DERIVATIVE_TYPES,
    EQUITY_TYPES,
    ORDER_TYPE_FROM_WIRE,
    PRODUCT_FROM_WIRE,
)
from adapters.sdk.models import OrderType, Product, Side, Validity

T = TypeVar("T")
_log = logging.getLogger(__name__)
_WORDS: Final = 256
_LONGEST_SHOWN: Final = 60


@lru_cache(2048)  # One for each contract, shared by its rows; nobody changes it.
def codes(*, exchange: str, kind: str, token: str) -> dict[str, str]:
    """Name the contract as the master does, by segment and token, as far as the row tells.

    The books say NSE for derivatives too, so the instrument type decides. Where that is not
    known (currency shares NSE's name, not its tokens) no segment is claimed: neither one that
    would match another contract, nor one that would clear an order that is being looked for.
    """
    named = dict(_segment(exchange, kind))
    if token:
        named["token"] = token
    return named


@lru_cache(_WORDS)
def _segment(exchange: str, kind: str) -> tuple[tuple[str, str], ...]:
    exchange, kind = exchange.upper(), kind.upper()
    named = {}
    if kind in DERIVATIVE_TYPES or exchange in ("NFO", "BFO"):
        named["exchange"] = DERIVATIVE_EXCHANGE.get(exchange, exchange)
    elif kind in EQUITY_TYPES:
        named["exchange"] = exchange
    else:
        unrecognised("instrument type", kind)
        named = {"book_exchange": exchange, "instrumenttype": kind}
    return tuple((name, value) for name, value in named.items() if value)


@lru_cache(_WORDS)
def order_type(word: str) -> OrderType | None:
    """Read an order type in any of the broker's spellings (dossier 5.1)."""
    return _known("order type", word, ORDER_TYPE_FROM_WIRE.get(word.upper()))


@lru_cache(_WORDS)
def product(word: str, kind: str) -> Product | None:
    """Read a product; MARGIN is NRML on a derivative and MTF on a share (dossier 5.3)."""
    if word.upper() != "MARGIN":
        return _known("product", word, PRODUCT_FROM_WIRE.get(word.upper()))
    if kind.upper() in DERIVATIVE_TYPES:
        return Product.NRML
    return Product.MTF if kind.upper() in EQUITY_TYPES else None


@lru_cache(_WORDS)
def side(word: str) -> Side | None:
    """Read a side; the trade book writes `Buy` where the order book writes `BUY`."""
    found = Side(word.upper()) if word.upper() in Side.__members__ else None
    return _known("side", word, found)


@lru_cache(_WORDS)
def validity(word: str) -> Validity | None:
    """Read a validity; the trade book has none."""
    found = Validity(word.upper()) if word.upper() in Validity.__members__ else None
    return _known("validity", word, found)


@lru_cache(_WORDS)
def unrecognised(what: str, word: str) -> None:
    """Log a word of the broker's that is not known, once while it is remembered."""
    if word:
        _log.warning("m.Stock: unrecognised %s %r", what, word[:_LONGEST_SHOWN])


def _known(what: str, word: str, found: T | None) -> T | None:
    if found is None:
        unrecognised(what, word)
    return found
