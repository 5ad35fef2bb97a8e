"""What the m.Stock adapter can do, whom it talks to and what it asks the owner for."""

from __future__ import annotations

from typing import Final

import msgspec

from adapters.sdk.interface import (
    Capabilities,
    CredentialField,
    Feature,
    LoginKind,
    RateScope,
    RateWindow,
    Support,
    TagEcho,
)
from adapters.sdk.models import Exchange, Interval, OrderType, Product, Validity


class StopSpelling(msgspec.Struct, frozen=True, kw_only=True):
    """How stop orders are spelt. The broker's own material disagrees (dossier 5.1).

    A spelling that the server does not know should come back as `IA400`, which places nothing.
    """

    limit: str = "STOPLOSS_LIMIT"
    market: str = "STOPLOSS_MARKET"


STOP_SPELLING: Final = StopSpelling()

# The lifetimes of the request token and of the OTP are "minutes" (dossier 3.3); a challenge
# that has ended here is begun again, which costs a message, not a wrong attempt.
CHALLENGE_LIFETIME_S: Final = 300

MASTER_TIMEOUT_S: Final = 120.0
MASTER_MAX_BYTES: Final = 256 * 1024 * 1024

# The broker's limit is not documented; an adapter in live use sends this many (dossier 8.1).
QUOTE_BATCH: Final = 500
# One bad token may have the whole call refused (dossier 9); it is then looked for by halves, with
# at most this many more calls.
QUOTE_SPLITS: Final = 20

# Calls and seconds. Market data (candles and the master) is documented as 1 a second, quotes as
# 20 a second (dossier 10); a little is left for the clock and the network.
DATA_PACE: Final = (1, 1.05)
QUOTE_PACE: Final = (18, 1.0)

CAPABILITIES: Final = Capabilities(
    hosts={"api": "https://api.mstock.trade"},
    login_kinds=(LoginKind.OTP, LoginKind.TOTP),
    credentials=(
        CredentialField(name="api_key", help="API key, generated for Type B in the m.Stock portal"),
        CredentialField(name="username", help="client code (login id)", secret=False),
        CredentialField(name="password", help="m.Stock login password"),
        CredentialField(
            name="totp_secret",
            help="Base32 secret of the portal's TOTP, to log in unattended (login: totp)",
            required=False,
        ),
        CredentialField(
            name="client_id",
            help="client code that the login must prove",
            secret=False,
            required=False,
        ),
    ),
    tag_echo=TagEcho.UNPROVEN,
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
        Feature.CANDLES: Support.SUPPORTED,
        Feature.LOGOUT: Support.SUPPORTED,
        Feature.RESEND_OTP: Support.SUPPORTED,
        Feature.MODIFY_PART_FILLED_QUANTITY: Support.UNVERIFIED,
        # Only the stream has it.
        Feature.DEPTH: Support.NOT_OFFERED,
    },
    # Calendar days that stay under the 1,000 candles of one call (dossier 8.2).
    candle_days={
        Interval.M1: 2,
        Interval.M3: 8,
        Interval.M5: 13,
        Interval.M10: 26,
        Interval.M15: 40,
        Interval.M30: 76,
        Interval.H1: 142,
        Interval.D1: 1000,
    },
    # 30 orders a second are documented, but the 10-per-second regulatory cap binds first
    # (dossier 10).
    orders_per_second=8,
    # Of 250 a minute and 1,000 an hour. Books, positions and funds have no limit that is stated;
    # those of market data are kept by the client (dossier 10).
    limits=(
        RateWindow(scope=RateScope.ORDERS, per_s=60, count=240, reserve=30),
        RateWindow(scope=RateScope.ORDERS, per_s=3_600, count=950, reserve=100),
    ),
    quote_batch=QUOTE_BATCH,
    code_keys=("exchange", "token"),
    # The book's order type is left out: how it shows stop-market orders, and market orders that
    # the broker turned into limits, is not known, and a field that reads differently from what
    # was sent would hide the very order that is looked for (dossier 5.1, 5.10).
    comparable_fields=("codes", "side", "quantity", "product", "price", "trigger_price"),
)
