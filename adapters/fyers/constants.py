"""Fyers' wire values and what they mean in ours (dossier fyers 4.2, 4.3, 5.2, 5.5, 9.4)."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import (
    BrokerOrderState,
    Exchange,
    Interval,
    OrderType,
    Product,
    Side,
    Validity,
)

IST: Final = ZoneInfo("Asia/Kolkata")
SESSION_EDGE_HOUR: Final = 6
"""Access tokens die at about 06:00 IST, whatever their `exp` says (dossier 3.3)."""

SIDE_TO_WIRE: Final = {Side.BUY: 1, Side.SELL: -1}
SIDE_FROM_WIRE: Final = {wire: ours for ours, wire in SIDE_TO_WIRE.items()}

ORDER_TYPE_TO_WIRE: Final = {
    OrderType.LIMIT: 1,
    OrderType.MARKET: 2,
    OrderType.SL_M: 3,
    OrderType.SL: 4,
}
ORDER_TYPE_FROM_WIRE: Final = {wire: ours for ours, wire in ORDER_TYPE_TO_WIRE.items()}

PRODUCT_TO_WIRE: Final = {
    Product.CNC: "CNC",
    Product.MIS: "INTRADAY",
    Product.NRML: "MARGIN",
    Product.MTF: "MTF",
}
PRODUCT_FROM_WIRE: Final = {wire: ours for ours, wire in PRODUCT_TO_WIRE.items()}

VALIDITY_FROM_WIRE: Final = {"DAY": Validity.DAY, "IOC": Validity.IOC}

STATUS_UNUSED: Final = 3
"""Documented as not used; read as PENDING, and told (dossier 5.5)."""

STATUS_PENDING: Final = 6
STATUS_FROM_WIRE: Final = {
    1: BrokerOrderState.CANCELLED,
    2: BrokerOrderState.FILLED,
    3: BrokerOrderState.PENDING,
    4: BrokerOrderState.PENDING,
    5: BrokerOrderState.REJECTED,
    7: BrokerOrderState.EXPIRED,
}
"""`status` 6 is not here: what it means depends on type and fills (dossier 5.5)."""

EXCHANGE_FROM_WIRE: Final = {
    (10, 10): Exchange.NSE,
    (12, 10): Exchange.BSE,
    (10, 11): Exchange.NFO,
    (12, 11): Exchange.BFO,
    (10, 12): Exchange.CDS,
    (12, 12): Exchange.BCD,
    (11, 20): Exchange.MCX,
}
"""(exchange, segment) of the wire; (10, 20), NSE commodity, has no canonical exchange."""

HOLDING_NOT_DELIVERED: Final = "T1"

FUND_ROWS: Final = {
    "available": (10, "available balance"),
    "used": (2, "utilized amount"),
    "opening": (9, "limit at start of the day"),
    "collateral": (5, "collaterals"),
}
"""Rows of `fund_limit` by id, and by title where a row has no id (dossier 7.3)."""

INTERVAL_TO_WIRE: Final = {
    Interval.M1: "1",
    Interval.M3: "3",
    Interval.M5: "5",
    Interval.M10: "10",
    Interval.M15: "15",
    Interval.M30: "30",
    Interval.H1: "60",
    Interval.D1: "1D",
}
"""Resolutions of the history call (dossier 8)."""

NO_DATA: Final = "no_data"
"""What `s` of a history answer may say where there are no candles (dossier 4.1)."""

CODE_PLACED: Final = 1101
CODE_NO_ACK: Final = 201
CODE_REJECTED: Final = -99
CODE_INVALID_ORDER_ID: Final = -51
CODES_INVALID_SYMBOL: Final = frozenset({-300, -310})
"""-300 is documented; -310 came with "Please provide valid symbols" (dossier 4.2)."""

CODES_SUCCESS: Final = frozenset({None, 200, 1101, 1102, 1103})
"""Codes that mean success beside `s: ok`; an answer without a code counts too (dossier 4.2)."""

CODES_AUTH: Final = frozenset({-8, -15, -16, -17})
CODES_RATE_LIMITED: Final = frozenset({429, -429, -353})
"""That a call answered this way was not taken is only inferred, so it proves nothing (4.2)."""

REFUSALS: Final[dict[int, ReasonCode]] = {
    -99: ReasonCode.BROKER_REJECTED,
    -50: ReasonCode.INVALID_ORDER,
    -51: ReasonCode.INVALID_ORDER,
    -52: ReasonCode.BROKER_REJECTED,
    -53: ReasonCode.INVALID_ORDER,
    -300: ReasonCode.INSTRUMENT_UNKNOWN,
    -310: ReasonCode.INVALID_ORDER,
    -352: ReasonCode.BROKER_REJECTED,
    -373: ReasonCode.BROKER_REJECTED,
    -410: ReasonCode.BROKER_REJECTED,
    400: ReasonCode.INVALID_ORDER,
    **dict.fromkeys(
        (-101, -305, -308, -309, *range(-316, -310), -323, *range(-328, -324), -372, -390, -392),
        ReasonCode.INVALID_ORDER,
    ),
    **dict.fromkeys(
        (-157, -159, -161, -162, -163, -164, -209, -397, -398, -399), ReasonCode.BROKER_REJECTED
    ),
}
"""Codes of an `s:"error"` answer that are a definitive no to a write (dossier 4.2).

Whatever is not listed proves nothing.
"""

AMBIGUOUS_CODES: Final = frozenset({CODE_NO_ACK, -96, -174, -201, -202, -204, -205, -329})
"""Codes that say nothing of what became of a write, whatever their words (dossier 4.2)."""

MESSAGE_REASONS: Final[tuple[tuple[re.Pattern[str], ReasonCode], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"margin shortfall|insufficient (?:fund|margin|balance)", ReasonCode.MARGIN_SHORT),
        (r"allowed basket", ReasonCode.PRODUCT_NOT_ALLOWED),
        (r"\bmis orders are disallowed", ReasonCode.PRODUCT_NOT_ALLOWED),
        (r"circuit limit|price band|price range", ReasonCode.PRICE_BAND),
        (r"\bfreeze q", ReasonCode.FREEZE_QUANTITY),
        (r"tick size", ReasonCode.TICK_SIZE),
        (r"lot size", ReasonCode.LOT_SIZE),
        (
            r"\bamo is stopped|not allowed in pre-?open|\bmarkets? (?:is |are )?closed",
            ReasonCode.MARKET_CLOSED,
        ),
        (r"\bedis\b|\bddpi\b", ReasonCode.EDIS_REQUIRED),
        (
            r"whitelist|static ip|(?:un|not )registered ip|\bip (?:address )?(?:is )?not\b",
            ReasonCode.IP_NOT_WHITELISTED,
        ),
        (r"^(?:\d{5}\s|exch:)", ReasonCode.EXCHANGE_REJECTED),
        # Fyers' own risk check and order management.
        (r"^(?:red|ora|saf):", ReasonCode.BROKER_REJECTED),
    )
)
"""Which words in a refusal say why (dossier 3.6, 4.3). They explain a refusal, never prove one."""

CLIENT_CODE_IN_MESSAGE: Final = re.compile(r"\bfor C-[^\s\[]+", re.IGNORECASE)

INDEX_TYPE: Final = 10
"""Instrument type of an index in segment 10; other segments use the number otherwise (9.4)."""

CURRENCY_UNDERLYINGS: Final = frozenset({20, 21, 22, 23})
"""Instrument types of segment 12 that stand for an underlying, not for a contract."""

OPTION_TYPES: Final = frozenset(
    {(11, 14), (11, 15), (12, 19), (20, 31), (20, 32), (20, 36), (20, 37)}
)
"""(segment, instrument type) of options; a row without a `CE` or `PE` is then no future (9.4)."""

INDEX_SYMBOLS: Final = {
    "NIFTY50": "NIFTY 50",
    "NIFTYBANK": "NIFTY BANK",
    "FINNIFTY": "NIFTY FIN SERVICE",
    "MIDCPNIFTY": "NIFTY MID SELECT",
    "NIFTYNXT50": "NIFTY NEXT 50",
    "INDIAVIX": "INDIA VIX",
}
"""Fyers' index names where the exchange's differ; any other index keeps Fyers' name."""
