"""Acme's words on the wire, and ours."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import BrokerOrderState, OrderType, Product, Side, Validity

IST: Final = ZoneInfo("Asia/Kolkata")

SIDES: Final = {Side.BUY: "B", Side.SELL: "S"}
ORDER_TYPES: Final = {
    OrderType.LIMIT: "LMT",
    OrderType.MARKET: "MKT",
    OrderType.SL: "STOP_LMT",
    OrderType.SL_M: "STOP_MKT",
}
PRODUCTS: Final = {
    Product.CNC: "DELIVERY",
    Product.MIS: "INTRADAY",
    Product.NRML: "CARRY",
    Product.MTF: "MARGIN",
}
VALIDITIES: Final = {Validity.DAY: "DAY", Validity.IOC: "IOC"}

# Every word for a state that the documents name. A word that is not here gives no state.
STATES: Final = {
    "received": BrokerOrderState.PENDING,
    "open": BrokerOrderState.OPEN,
    "waiting for trigger": BrokerOrderState.TRIGGER_PENDING,
    "part filled": BrokerOrderState.PARTIALLY_FILLED,
    "filled": BrokerOrderState.FILLED,
    "cancelled": BrokerOrderState.CANCELLED,
    "rejected": BrokerOrderState.REJECTED,
    "expired": BrokerOrderState.EXPIRED,
}

# The codes that prove that nothing was created, each with the section that says so. Only these
# become `Refused`; every other answer leaves the outcome open.
REFUSALS: Final = {
    "INVALID": ReasonCode.INVALID_ORDER,
    "RMS": ReasonCode.BROKER_REJECTED,
    "NO_ORDER": ReasonCode.BROKER_REJECTED,
}
SESSION_DEAD: Final = "SESSION"
RATE_LIMITED: Final = "RATE"
LOGIN_REFUSED: Final = "LOGIN"
OTP_WRONG: Final = "OTP"
