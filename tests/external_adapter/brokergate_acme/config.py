"""What the Acme adapter can do, whom it talks to and what it asks the owner for."""

from __future__ import annotations

from typing import Final

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
from adapters.sdk.models import Exchange, OrderType, Product, Validity

TITLE: Final = "Acme"

# How long the broker waits for a one-time password. Say where that is documented.
CHALLENGE_LIFETIME_S: Final = 300
MASTER_TIMEOUT_S: Final = 120.0
MASTER_MAX_BYTES: Final = 256 * 1024 * 1024

CAPABILITIES: Final = Capabilities(
    hosts={"api": "https://api.acme.example"},
    login_kinds=(LoginKind.OTP,),
    credentials=(
        CredentialField(name="api_key", help="API key from Acme's developer page"),
        CredentialField(name="username", help="client code (login id)", secret=False),
        CredentialField(name="password", help="login password"),
    ),
    tag_echo=TagEcho.ECHOED,
    exchanges=frozenset({Exchange.NSE, Exchange.NFO}),
    order_types=frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.SL}),
    products=frozenset({Product.CNC, Product.MIS, Product.NRML}),
    validities=frozenset({Validity.DAY, Validity.IOC}),
    features={
        Feature.MODIFY: Support.SUPPORTED,
        Feature.MODIFY_PART_FILLED_QUANTITY: Support.SUPPORTED,
        Feature.TRADE_BOOK: Support.SUPPORTED,
        Feature.POSITIONS: Support.SUPPORTED,
        Feature.HOLDINGS: Support.SUPPORTED,
        Feature.FUNDS: Support.SUPPORTED,
        Feature.QUOTES: Support.SUPPORTED,
        Feature.LOGOUT: Support.SUPPORTED,
        Feature.AMO: Support.UNVERIFIED,
    },
    orders_per_second=8,
    limits=(RateWindow(scope=RateScope.ORDERS, per_s=60, count=200, reserve=20),),
    quote_batch=50,
    code_keys=("key",),
)
