"""The simulated InvestRight's order and trade rows, in the response vocabulary (dossier 5.6).

That vocabulary is not the request's: `Call` for `CE`, display names for codes, `DD/MM/YYYY`
times without a zone, and an average price of zero even on fills.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from adapters.hdfc.simulator_master import parent_exchange, security_id, segment
from adapters.sdk.models import BrokerOrderState, OptionType, Product
from adapters.sdk.simulator import Contract, SimOrder, Trade

ZERO = Decimal("0.0")
PRODUCT_WORDS = {
    Product.CNC: "DELIVERY",
    Product.NRML: "OVERNIGHT",
    Product.MIS: "INTRADAY",
    Product.MTF: "MTF",
}
# Only Traded, Rejected and CANCELLED are documented. "Pending" stands for both "not yet at the
# exchange" and "resting there", which is the dossier's harder reading (5.9).
_STATUS_WORDS = {
    BrokerOrderState.PENDING: "Pending",
    BrokerOrderState.OPEN: "Pending",
    BrokerOrderState.TRIGGER_PENDING: "Trigger Pending",
    BrokerOrderState.PARTIALLY_FILLED: "Partially Traded",
    BrokerOrderState.FILLED: "Traded",
    BrokerOrderState.CANCELLED: "CANCELLED",
    BrokerOrderState.REJECTED: "Rejected",
    BrokerOrderState.EXPIRED: "Expired",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def order_row(order: SimOrder, *, client_id: str, reference: str) -> dict[str, Any]:
    """Write one row of the order book; `reference` is what stands as the client reference."""
    contract = order.contract
    is_waiting_amo = order.amo and order.state is BrokerOrderState.PENDING
    code = security_id(contract)
    return {
        "client_id": client_id,
        "order_id": order.broker_order_id,
        "exchange_order_id": order.exchange_order_id,
        "status": "AMO Req Received" if is_waiting_amo else _STATUS_WORDS[order.state],
        "status_message": order.message,
        "status_message_raw": order.message,
        "order_timestamp": _moment(order.accepted_at),
        "exchange": parent_exchange(contract),
        "tradingsymbol": code,
        "security_id": code,
        "company_name": display_name(contract),
        "underlying_symbol": display_name(contract),
        "instrument_segment": segment(contract),
        "instrument_type": "Equity Derivatives" if contract.is_derivative else "Equity",
        "expiry_date": _spaced_date(contract.expiry),
        "strike_price": as_float(contract.strike),
        "option_type": option_word(contract),
        "isin": "" if contract.is_derivative else contract.isin or "",
        "transaction_type": order.side.value.title(),
        "validity": order.validity.value,
        "product": PRODUCT_WORDS[order.product],
        "quantity": order.quantity,
        "disclosed_quantity": order.disclosed_quantity,
        "price": as_float(order.price),
        "trigger_price": as_float(order.trigger_price),
        "filled_quantity": order.filled_quantity,
        "pending_quantity": order.pending_quantity,
        "average_price": ZERO,
        "total_traded_value": as_float(order.traded_value),
        "order_source": "C",
        "order_subchannel": "C",
        "modification_allowed": "",
        "cancellation_allowed": "",
        "token_id": f"NSEDNL{contract.token}",
        "order_slot": "AMO" if order.amo else "Online",
        "good_till_date": "",
        "external_reference_number": reference,
        "modified": order.modified,
        "instrument_token": 0,
        "order_type": order.order_type.value,
        "cancelled_quantity": order.cancelled_quantity,
        "market_protection": 0,
    }


def trade_row(trade: Trade, *, client_id: str) -> dict[str, Any]:
    """Write one row of the trade book. `security_id` holds the underlying's name (5.6)."""
    order, fill, contract = trade.order, trade.fill, trade.order.contract
    return {
        "client_id": client_id,
        "trade_id": fill.trade_id,
        "order_id": order.broker_order_id,
        "exchange": parent_exchange(contract),
        "product": PRODUCT_WORDS[order.product],
        "average_price": as_float(fill.price),
        "filled_quantity": fill.quantity,
        "pending_quantity": order.pending_quantity,
        "exchange_order_id": order.exchange_order_id,
        "transaction_type": order.side.value,
        "fill_timestamp": _moment(fill.at),
        "security_id": display_name(contract),
        "company_name": display_name(contract),
        "underlying_symbol": display_name(contract),
        "instrument_segment": segment(contract),
        "expiry_date": _spaced_date(contract.expiry),
        "strike_price": as_float(contract.strike),
        "option_type": option_word(contract),
        "isin": "" if contract.is_derivative else contract.isin or "",
        "status": "Traded",
        "validity": order.validity.value,
        "total_traded_value": as_float(fill.price * fill.quantity),
        "order_source": "C",
        "order_type": order.order_type.value,
    }


def order_trade_row(trade: Trade, *, client_id: str) -> dict[str, Any]:
    """Write a trade as the per-order endpoint does: camelCase, null times, validity `1`."""
    row = trade_row(trade, client_id=client_id)
    camel = {_camel(name): value for name, value in row.items() if name != "client_id"}
    return {"client_id": client_id} | camel | {"fillTimestamp": None, "validity": "1"}


def profile_object(client_id: str) -> dict[str, Any]:
    """Write the profile; the colons are literal parts of the keys."""
    segments = ["EQUITY", "OPTIDX", "OPTSTK", "FUTIDX", "FUTSTK"]
    return {
        "user_id": client_id,
        "user_type": "individual",
        "user_name": "SIMULATED CLIENT",
        "broker": "HDFC",
        "accountSettlementType": "",
        "products": [*PRODUCT_WORDS.values(), "COVER"],
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "depository_details": [],
        "bank_details": {},
        "exchanges:NSE": segments,
        "exchanges:BSE": segments,
        "exchanges:MCX": [],
    }


def display_name(contract: Contract) -> str:
    """Name a contract as books do: a derivative by its underlying."""
    return (contract.underlying if contract.is_derivative else contract.symbol) or contract.symbol


def option_word(contract: Contract) -> str:
    """Say call or put in the response vocabulary."""
    return {OptionType.CE: "Call", OptionType.PE: "Put", None: ""}[contract.option_type]


def dashed_date(day: date | None) -> str:
    """Write a date as positions do: `27-JUN-24`."""
    return f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year % 100:02d}" if day else ""


def as_float(value: Decimal | None) -> Decimal:
    """Give a number the decimal point that the documents' floats have."""
    if not value:
        return ZERO
    whole = value.to_integral_value()
    return whole.quantize(ZERO) if value == whole else value.normalize()


def _moment(at: datetime) -> str:
    return f"{at:%d/%m/%Y %H:%M:%S}"


def _spaced_date(day: date | None) -> str:
    return f"{day.day:02d} {_MONTHS[day.month - 1]} {day.year}" if day else ""


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
