"""What the hdfc adapter needs, offers and holds itself to."""

from __future__ import annotations

from adapters.hdfc.constants import CODE_KEYS
from adapters.sdk.interface import (
    Capabilities,
    CredentialField,
    Feature,
    RateScope,
    RateWindow,
    Support,
    TagEcho,
)
from adapters.sdk.models import Exchange, OrderType, Product, Validity

LOGIN_PASSWORD = "password"  # noqa: S105 - the name of a login flow
LOGIN_HOSTED = "hosted"

# The file has about 117,500 rows and was seen to take its time (dossier hdfc 9).
MASTER_TIMEOUT_S = 180.0
MASTER_MAX_BYTES = 64 * 1024 * 1024

# The sister product rejects more than ten instruments per call (dossier hdfc 8.1, 10).
LTP_BATCH = 10
LTP_GAP_S = 0.15

CAPABILITIES = Capabilities(
    hosts={"api": "https://developer.hdfcsec.com"},
    login_kinds=(LOGIN_PASSWORD, LOGIN_HOSTED),
    credentials=(
        CredentialField(name="api_key", help="API key of your app on developer.hdfcsec.com"),
        CredentialField(name="api_secret", help="API secret of the same app"),
        CredentialField(
            name="username",
            help="client code, e-mail or mobile number (login: password)",
            secret=False,
            required=False,
        ),
        CredentialField(name="password", help="password (login: password)", required=False),
        CredentialField(
            name="client_id",
            help="client code that a login must prove",
            secret=False,
            required=False,
        ),
    ),
    tag_echo=TagEcho.UNPROVEN,
    exchanges=frozenset({Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO}),
    order_types=frozenset({OrderType.LIMIT, OrderType.SL}),
    products=frozenset({Product.CNC, Product.MIS, Product.NRML, Product.MTF}),
    validities=frozenset({Validity.DAY, Validity.IOC}),
    features={
        Feature.AMO: Support.SUPPORTED,
        Feature.DISCLOSED_QUANTITY: Support.SUPPORTED,
        Feature.MODIFY: Support.SUPPORTED,
        Feature.TRADE_BOOK: Support.SUPPORTED,
        Feature.POSITIONS: Support.SUPPORTED,
        Feature.HOLDINGS: Support.SUPPORTED,
        Feature.FUNDS: Support.SUPPORTED,
        Feature.QUOTES: Support.SUPPORTED,
        Feature.RESEND_OTP: Support.SUPPORTED,
        # A route answers, but its body is unknown (dossier hdfc 7.4).
        Feature.MARGINS: Support.UNVERIFIED,
        Feature.MODIFY_PART_FILLED_QUANTITY: Support.UNVERIFIED,
    },
    # Half of the retail limit of 10, whose exact count here is unpublished (dossier hdfc 10).
    orders_per_second=5,
    # Nothing is published: three reads a second are the dossier's own caution (10).
    limits=(RateWindow(scope=RateScope.READS, per_s=1, count=3),),
    quote_batch=LTP_BATCH,
    # Reads of the book are to stay a second apart, about three reads a second in all (10).
    book_min_gap_s=1.0,
    code_keys=CODE_KEYS,
)
