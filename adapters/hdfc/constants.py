"""InvestRight's wire words and what they mean in ours.

The request and the response speak different vocabularies (dossier hdfc 12.2): what is sent is
spelled as in the documented samples, what is read is compared without regard to case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from adapters.sdk.models import Exchange, OptionType, OrderType, Product, Side, Validity

IST = ZoneInfo("Asia/Kolkata")

# Together these name a contract, in the books, in orders and in the master (dossier hdfc 5.6).
CODE_KEYS = ("exchange", "instrument_segment", "security_id")

# The service refuses requests without a browser-shaped agent, and one integrator saw generic
# library agents refused (dossier hdfc 2).
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)

# Exp minus iat in the official sample and in a stale real token (dossier hdfc 3.4).
TOKEN_LIFE = timedelta(hours=8)

# OTP and request-token lifetimes are undocumented (dossier hdfc 3.3): minutes are assumed.
OTP_LIFE = timedelta(minutes=5)

DEFAULT_OTP_PROMPT = "Please enter OTP received on registered Email/Mobile"

# The redirect's parameter name is undocumented; public clients read the first two (3.2).
REQUEST_TOKEN_NAMES = ("request_token", "requestToken", "request-token", "code")

SIDE_ON_WIRE = {Side.BUY: "Buy", Side.SELL: "Sell"}
SIDE_FROM_WIRE = {"BUY": Side.BUY, "SELL": Side.SELL}

PRODUCT_ON_WIRE = {
    Product.CNC: "DELIVERY",
    Product.MIS: "INTRADAY",
    Product.NRML: "OVERNIGHT",
    Product.MTF: "MTF",
}
# The last three are the broker's, but none of ours (dossier hdfc 5.3).
PRODUCT_FROM_WIRE: Mapping[str, Product | None] = {
    **{word: product for product, word in PRODUCT_ON_WIRE.items()},
    "COLL-SELL": None,
    "ENCASH": None,
    "COVER": None,
}

ORDER_TYPE_ON_WIRE = {OrderType.LIMIT: "LIMIT", OrderType.SL: "SL"}
ORDER_TYPE_FROM_WIRE = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "SL": OrderType.SL,
    "SL-L": OrderType.SL,
    "SL-M": OrderType.SL_M,
}

VALIDITY_ON_WIRE = {Validity.DAY: "DAY", Validity.IOC: "IOC"}
VALIDITY_FROM_WIRE: Mapping[str, Validity | None] = {
    "DAY": Validity.DAY,
    "IOC": Validity.IOC,
    "GTD": None,
}

OPTION_TYPE_ON_WIRE = {OptionType.CE: "CE", OptionType.PE: "PE"}

# Products that exist on the cash segments and on derivatives (dossier hdfc 5.3).
CASH_PRODUCTS = frozenset({Product.CNC, Product.MIS, Product.MTF})
DERIVATIVE_PRODUCTS = frozenset({Product.NRML, Product.MIS})

# (exchange, instrument_segment) of the master to the canonical exchange (dossier hdfc 9.1).
# COM and UNDCUR are not tradable and have no entry.
EXCHANGE_OF_SEGMENT = {
    ("NSE", "EQUITY"): Exchange.NSE,
    ("BSE", "EQUITY"): Exchange.BSE,
    ("NSE", "FUTIDX"): Exchange.NFO,
    ("NSE", "OPTIDX"): Exchange.NFO,
    ("NSE", "FUTSTK"): Exchange.NFO,
    ("NSE", "OPTSTK"): Exchange.NFO,
    ("BSE", "FUTIDX"): Exchange.BFO,
    ("BSE", "OPTIDX"): Exchange.BFO,
    ("BSE", "FUTSTK"): Exchange.BFO,
    ("BSE", "OPTSTK"): Exchange.BFO,
    ("NSE", "FUTCUR"): Exchange.CDS,
    ("NSE", "OPTCUR"): Exchange.CDS,
    ("MCX", "FUTCOM"): Exchange.MCX,
    ("MCX", "OPTFUT"): Exchange.MCX,
    ("MCX", "FUTIDX"): Exchange.MCX,
    ("MCX", "OPTIDX"): Exchange.MCX,
}

# The word for an exchange in price requests: segment codes, since a parent exchange's code may
# return another instrument's price (dossier hdfc 8.1). Indices have words of their own.
LTP_EXCHANGES = frozenset(
    {Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO, Exchange.CDS, Exchange.MCX}
)
LTP_INDEX_SUFFIX = "_INDEX"
# Rows of BFO and CDS may come back with a blank exchange (8.1). That is not believed of CDS,
# whose tokens are those of 836 NSE shares as well.
LTP_BLANK = frozenset({"BFO"})

# Indices carry no flag; their names as the exchanges quote them, by the master's security_id
# and, where that is not known, by its symbol_name.
INDEX_NAMES = {
    "NIFTYEQEQNR": "NIFTY 50",
    "NIFTY": "NIFTY 50",
    "BANKNIFTEQNR": "NIFTY BANK",
    "BANKNIFTY": "NIFTY BANK",
    "NIFTYNXT50EQ": "NIFTY NEXT 50",
    "NIFTYNXT50": "NIFTY NEXT 50",
    "FINNIFTY": "NIFTY FIN SERVICE",
    "MIDCPNIFTY": "NIFTY MID SELECT",
    "SENSEXEQ": "SENSEX",
    "SENSEX": "SENSEX",
    "BANKEX": "BANKEX",
}
