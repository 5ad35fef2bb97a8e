"""m.Stock's words on the wire (Type B) and what they mean in ours (dossier mstock 2, 5, 9)."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

from adapters.sdk.models import BrokerOrderState, Exchange, Interval, OrderType, Product

IST: Final = ZoneInfo("Asia/Kolkata")
MONTHS: Final = tuple(
    "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ")  # noqa: SIM905
)

PREFIX: Final = "/openapi/typeb"
API_VERSION: Final = "1"

LOGIN: Final = f"{PREFIX}/connect/login"
SESSION_TOKEN: Final = f"{PREFIX}/session/token"
VERIFY_TOTP: Final = f"{PREFIX}/session/verifytotp"
LOGOUT: Final = f"{PREFIX}/logout"
FUND_SUMMARY: Final = f"{PREFIX}/user/fundsummary"
ORDERS: Final = f"{PREFIX}/orders"
ORDERS_REGULAR: Final = f"{PREFIX}/orders/regular"
ORDER_DETAILS: Final = f"{PREFIX}/order/details"
TRADEBOOK: Final = f"{PREFIX}/tradebook"
POSITIONS: Final = f"{PREFIX}/portfolio/positions"
HOLDINGS: Final = f"{PREFIX}/portfolio/holdings"
MARGINS: Final = f"{PREFIX}/margins/orders"
HISTORICAL: Final = f"{PREFIX}/instruments/historical"
INTRADAY: Final = f"{PREFIX}/instruments/intraday"
QUOTE: Final = f"{PREFIX}/instruments/quote"
SCRIP_MASTER: Final = f"{PREFIX}/instruments/OpenAPIScripMaster"

VARIETY_NORMAL: Final = "NORMAL"
VARIETY_AMO: Final = "AMO"
VARIETY_STOPLOSS: Final = "STOPLOSS"

SEGMENT_CASH: Final = "E"
SEGMENT_DERIVATIVES: Final = "D"

PRODUCT_TO_WIRE: Final = {
    Product.CNC: "DELIVERY",
    Product.MIS: "INTRADAY",
    Product.NRML: "CARRYFORWARD",
    Product.MTF: "MARGIN",
}

# The order book says DELIVERY where the trade book says CNC. MARGIN is not here: it depends on
# the instrument (dossier 5.3), and reading it as intraday would close in the wrong product.
PRODUCT_FROM_WIRE: Final = {
    "DELIVERY": Product.CNC,
    "CNC": Product.CNC,
    "INTRADAY": Product.MIS,
    "CARRYFORWARD": Product.NRML,
}

ORDER_TYPE_FROM_WIRE: Final = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "SL": OrderType.SL,
    "STOP_LOSS": OrderType.SL,
    "STOPLOSS_LIMIT": OrderType.SL,
    "SL-M": OrderType.SL_M,
    "STOPLOSS_MARKET": OrderType.SL_M,
    "STOP_LOSS_MARKET": OrderType.SL_M,
}

EQUITY_TYPES: Final = frozenset({"EQUITY", "EQ"})
FUTURE_TYPES: Final = frozenset({"FUTIDX", "FUTSTK"})
OPTION_TYPES: Final = frozenset({"OPTIDX", "OPTSTK"})
DERIVATIVE_TYPES: Final = FUTURE_TYPES | OPTION_TYPES

# Books and positions say NSE or BSE even for derivatives (dossier 5.5).
DERIVATIVE_EXCHANGE: Final = {"NSE": "NFO", "BSE": "BFO", "NFO": "NFO", "BFO": "BFO"}

INTERVAL_TO_WIRE: Final = {
    Interval.M1: "ONE_MINUTE",
    Interval.M3: "THREE_MINUTE",
    Interval.M5: "FIVE_MINUTE",
    Interval.M10: "TEN_MINUTE",
    Interval.M15: "FIFTEEN_MINUTE",
    Interval.M30: "THIRTY_MINUTE",
    Interval.H1: "ONE_HOUR",
    Interval.D1: "ONE_DAY",
}

# The intraday route's numbers, which are not those of the stream (dossier 8.2).
INTRADAY_EXCHANGE: Final = {
    Exchange.NSE: "1",
    Exchange.NFO: "2",
    Exchange.BSE: "4",
    Exchange.BFO: "5",
}

# Statuses that are one word with one meaning (dossier 5.9), matched trimmed and lower-case.
# "pending" and "traded" are missing on purpose: they need the fills to be read.
STATUS: Final = {
    "transit": BrokerOrderState.PENDING,
    "o-pending": BrokerOrderState.PENDING,
    "o-modified": BrokerOrderState.PENDING,
    "trigger pending": BrokerOrderState.TRIGGER_PENDING,
    "cancelled": BrokerOrderState.CANCELLED,
    "o-cancelled": BrokerOrderState.CANCELLED,
    "rejected": BrokerOrderState.REJECTED,
    "expired": BrokerOrderState.EXPIRED,
    "lapsed": BrokerOrderState.EXPIRED,
}
LIVE_STATUSES: Final = frozenset({"pending", "open", "modified", "m-pending"})
FILLED_WORDS: Final = ("trade confirmed", "complete", "filled", "executed")
NOT_FILLED_WORDS: Final = ("unfilled", "incomplete", "unexecuted", "not ", "non-")

# An order in one of these states has not reached the exchange, or never stood there.
UNFILLABLE_STATUSES: Final = frozenset({"transit", "o-pending", "o-modified", "rejected"})

# NSE indices are not in the instrument master; the two BSE ones are, under words the dossier
# does not show, so they come from here too (dossier 9). Exchange, canonical symbol, token.
INDICES: Final = (
    (Exchange.NSE, "NIFTY 50", "26000"),
    (Exchange.NSE, "NIFTY BANK", "26009"),
    (Exchange.NSE, "NIFTY FIN SERVICE", "26037"),
    (Exchange.NSE, "NIFTY MID SELECT", "26074"),
    (Exchange.NSE, "NIFTY NEXT 50", "26013"),
    (Exchange.NSE, "INDIA VIX", "26017"),
    (Exchange.BSE, "SENSEX", "51"),
    (Exchange.BSE, "BANKEX", "69"),
)
