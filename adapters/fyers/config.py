"""What the Fyers adapter can do, where it connects, and what its owner must provide."""

from __future__ import annotations

from adapters.sdk.interface import (
    Capabilities,
    CredentialField,
    Feature,
    RateScope,
    RateWindow,
    Support,
    TagEcho,
)
from adapters.sdk.models import Exchange, Interval, OrderType, Product, Validity

LOGIN_LIFETIME_S = 300
"""How long a login page may stay unanswered before its redirect is no longer taken."""

MASTER_FILES = (
    "NSE_CM_sym_master.json",
    "BSE_CM_sym_master.json",
    "NSE_FO_sym_master.json",
    "BSE_FO_sym_master.json",
    "NSE_CD_sym_master.json",
    "MCX_COM_sym_master.json",
)
"""NSE commodity is left out, since no canonical exchange stands for it (dossier 9.1)."""

MASTER_TIMEOUT_S = 300.0
MASTER_MAX_BYTES = 512 * 1024 * 1024
"""Over six times the largest file seen, NSE_FO with 83.9 MB (dossier 9.1)."""

QUOTE_BATCH = 50
"""How many symbols one quotes call may ask for (dossier 8)."""

CANDLE_DAYS = {
    Interval.M1: 3,
    Interval.M3: 10,
    Interval.M5: 16,
    Interval.M10: 30,
    Interval.M15: 50,
    Interval.M30: 100,
    Interval.H1: 100,
    Interval.D1: 366,
}
"""Documented are 100 days of minutes and 366 of days (dossier 8).

But one user got about 1,500 candles at most, without a word that some were missing, so a call
asks for no more than 1,300: a gap that nobody sees is worse than another call.
"""

CAPABILITIES = Capabilities(
    hosts={
        "api": "https://api-t1.fyers.in/api/v3",
        "data": "https://api-t1.fyers.in/data",
        "login": "https://api-t1.fyers.in/api/v3",
        "master": "https://public.fyers.in/sym_details",
    },
    login_kinds=("redirect",),
    credentials=(
        CredentialField(
            name="app_id", help="App ID with its suffix, e.g. ABCD1234EF-100", secret=False
        ),
        CredentialField(name="secret_key", help="Secret ID of the app"),
        CredentialField(
            name="redirect_uri", help="Redirect URI exactly as registered for the app", secret=False
        ),
        CredentialField(
            name="client_id",
            help="Client code that a login must prove, e.g. FX0011",
            secret=False,
            required=False,
        ),
    ),
    tag_echo=TagEcho.QUERYABLE,
    # MCX and currency orders are counted in lots, which the dossier only infers (5.7).
    exchanges=frozenset({Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO}),
    order_types=frozenset(OrderType),
    products=frozenset(Product),
    validities=frozenset(Validity),
    features={
        Feature.AMO: Support.SUPPORTED,
        Feature.DISCLOSED_QUANTITY: Support.SUPPORTED,
        Feature.MODIFY: Support.SUPPORTED,
        Feature.TRADE_BOOK: Support.SUPPORTED,
        Feature.POSITIONS: Support.SUPPORTED,
        Feature.HOLDINGS: Support.SUPPORTED,
        Feature.FUNDS: Support.SUPPORTED,
        Feature.MARGINS: Support.SUPPORTED,
        Feature.QUOTES: Support.SUPPORTED,
        Feature.DEPTH: Support.SUPPORTED,
        Feature.CANDLES: Support.SUPPORTED,
        Feature.LOGOUT: Support.SUPPORTED,
        Feature.MODIFY_PART_FILLED_QUANTITY: Support.UNVERIFIED,
    },
    candle_days=CANDLE_DAYS,
    absence_horizon_s=60.0,
    orders_per_second=8,
    # Of 10 calls a second and 200 a minute over everything, whose third breach of a day blocks
    # the user until midnight, and 10,000 order messages a day (dossier 10).
    limits=(
        RateWindow(scope=RateScope.ALL, per_s=1, count=8, reserve=1),
        RateWindow(scope=RateScope.ALL, per_s=60, count=180, reserve=40),
        RateWindow(scope=RateScope.ORDERS, per_s=86_400, count=9_500, reserve=500),
    ),
    quote_batch=QUOTE_BATCH,
    # 60 of the 200 calls a minute that the account has, for all its programs (dossier 10).
    book_min_gap_s=0.4,
    code_keys=("symbol",),
)
