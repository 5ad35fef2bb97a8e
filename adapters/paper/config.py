"""What the practice broker offers, and its figures."""

from __future__ import annotations

from decimal import Decimal

from adapters.sdk.interface import Capabilities, Feature, Support, TagEcho
from adapters.sdk.models import Exchange, Interval, OrderType, Product, Validity

DEFAULT_CASH = Decimal(1_000_000)
"""Rupees that a new practice account begins with."""

POLL_S = 1.0
"""How often the prices of open orders are asked for; never while none is open."""

SLOWEST_POLL_S = 5.0
"""How far apart they are asked for while they cannot be had."""

FRESH_S = 1.0
"""A price of this age is good enough for a new order; an older one is asked for again."""

STALE_S = 5.0
"""A price older than this trades nothing."""

QUOTE_WAIT_S = 3.0
"""How long an order or a read waits for prices."""

CODE = "instrument"
"""The entry of `codes` that names a contract here: its canonical id."""

CAPABILITIES = Capabilities(
    hosts={},
    login_kinds=("none",),
    credentials=(),
    tag_echo=TagEcho.QUERYABLE,
    # Other segments are counted in units that no adapter here has proven.
    exchanges=frozenset({Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO}),
    order_types=frozenset(OrderType),
    products=frozenset(Product),
    validities=frozenset(Validity),
    features={
        Feature.AMO: Support.SUPPORTED,
        Feature.DISCLOSED_QUANTITY: Support.SUPPORTED,
        Feature.MODIFY: Support.SUPPORTED,
        Feature.MODIFY_PART_FILLED_QUANTITY: Support.SUPPORTED,
        Feature.TRADE_BOOK: Support.SUPPORTED,
        Feature.POSITIONS: Support.SUPPORTED,
        Feature.HOLDINGS: Support.SUPPORTED,
        Feature.FUNDS: Support.SUPPORTED,
        Feature.MARGINS: Support.SUPPORTED,
        Feature.QUOTES: Support.SUPPORTED,
        Feature.DEPTH: Support.SUPPORTED,
        Feature.CANDLES: Support.SUPPORTED,
        Feature.LOGOUT: Support.SUPPORTED,
    },
    # Whoever lends its candles is asked in pieces that it takes.
    candle_days=dict.fromkeys(Interval, 30) | {Interval.D1: 366},
    orders_per_second=10,
    book_min_gap_s=0.2,
    code_keys=(CODE,),
    practice=True,
)
