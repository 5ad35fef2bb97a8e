"""The simulated InvestRight's answers: rows in the response vocabulary (dossier hdfc 5.6, 7).

That vocabulary is not the request's: `Call` for `CE`, display names for codes, `DD/MM/YYYY`
times without a zone, and an average price of zero even on fills.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from adapters.hdfc.simulator_master import parent_exchange, security_id, segment
from adapters.sdk.models import BrokerOrderState, OptionType, Product
from adapters.sdk.simulator import Contract, Funds, Holding, Position, SimOrder, Trade

_ZERO = Decimal("0.0")
_PRODUCT_WORDS = {
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
        "company_name": _display_name(contract),
        "underlying_symbol": _display_name(contract),
        "instrument_segment": segment(contract),
        "instrument_type": "Equity Derivatives" if contract.is_derivative else "Equity",
        "expiry_date": _spaced_date(contract.expiry),
        "strike_price": _float(contract.strike),
        "option_type": _option_word(contract),
        "isin": "" if contract.is_derivative else contract.isin or "",
        "transaction_type": order.side.value.title(),
        "validity": order.validity.value,
        "product": _PRODUCT_WORDS[order.product],
        "quantity": order.quantity,
        "disclosed_quantity": order.disclosed_quantity,
        "price": _float(order.price),
        "trigger_price": _float(order.trigger_price),
        "filled_quantity": order.filled_quantity,
        "pending_quantity": order.pending_quantity,
        "average_price": _ZERO,
        "total_traded_value": _float(order.traded_value),
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
        "product": _PRODUCT_WORDS[order.product],
        "average_price": _float(fill.price),
        "filled_quantity": fill.quantity,
        "pending_quantity": order.pending_quantity,
        "exchange_order_id": order.exchange_order_id,
        "transaction_type": order.side.value,
        "fill_timestamp": _moment(fill.at),
        "security_id": _display_name(contract),
        "company_name": _display_name(contract),
        "underlying_symbol": _display_name(contract),
        "instrument_segment": segment(contract),
        "expiry_date": _spaced_date(contract.expiry),
        "strike_price": _float(contract.strike),
        "option_type": _option_word(contract),
        "isin": "" if contract.is_derivative else contract.isin or "",
        "status": "Traded",
        "validity": order.validity.value,
        "total_traded_value": _float(fill.price * fill.quantity),
        "order_source": "C",
        "order_type": order.order_type.value,
    }


def order_trade_row(trade: Trade, *, client_id: str) -> dict[str, Any]:
    """Write a trade as the per-order endpoint does: camelCase, null times, validity `1`."""
    row = trade_row(trade, client_id=client_id)
    camel = {_camel(name): value for name, value in row.items() if name != "client_id"}
    return {"client_id": client_id} | camel | {"fillTimestamp": None, "validity": "1"}


def position_row(position: Position, *, client_id: str) -> dict[str, Any]:
    """Write one net position; nothing is carried forward from earlier days here."""
    contract = position.contract
    return {
        "client_id": client_id,
        "security_id": security_id(contract),
        "instrument_segment": segment(contract),
        "underlying_symbol": _display_name(contract),
        "product": _PRODUCT_WORDS[position.product],
        "exchange": parent_exchange(contract),
        "expiry_date": _dashed_date(contract.expiry),
        "option_type": _option_word(contract),
        "strike_price": _float(contract.strike),
        "total_buy_quantity": position.buy_quantity,
        "total_sell_qty": position.sell_quantity,
        "net_qty": position.quantity,
        "average_buy_price": _float(position.buy_price),
        "average_sell_price": _float(position.sell_price),
        "total_buy_value": _float(position.buy_value),
        "total_sell_value": _float(position.sell_value),
        "t_day_net_qty": position.quantity,
        "t_day_buy_quantity": position.buy_quantity,
        "t_day_sell_qty": position.sell_quantity,
        "t_day_average_buy_price": _float(position.buy_price),
        "t_day_avg_sell_price": _float(position.sell_price),
        "t_day_buy_value": _float(position.buy_value),
        "t_day_sell_value": _float(position.sell_value),
        "cf_buy_qty": 0,
        "cf_sell_qty": 0,
        "cf_average_buy_price": _ZERO,
        "cf_average_sell_price": _ZERO,
        "cf_buy_value": _ZERO,
        "cf_sell_value": _ZERO,
        "realised_pl_overall_position": _float(position.realised),
        "realised_pl_t_day_position": _float(position.realised),
    }


def holding_row(holding: Holding) -> dict[str, Any]:
    """Write one holding: no trading symbol, some numbers as text."""
    contract = holding.contract
    return {
        "security_id": "",
        "exchange": parent_exchange(contract),
        "company_name": contract.name,
        "sector_name": "",
        "isin": contract.isin or "",
        "quantity": holding.quantity,
        "average_price": _float(holding.average_price),
        "investment_value": f"{holding.average_price * holding.quantity:,.2f}",
        "close_price": _float(contract.price),
        "realised": "",
        "sip_indicator": "N",
        "mtf_indicator": "N",
        "ltcg_quantity": 0,
        "corporate_action_indicator": "",
        "corporate_action_message": "",
    }


def funds_object(funds: Funds) -> dict[str, Any]:
    """Write the margins answer's data."""
    available, used = _float(funds.available), _float(funds.used)
    return {
        "equity": {
            "total_available_limit": available,
            "total_utilised_limit": used,
            "total_limit": _float(funds.available + funds.used),
            "totalAvailableLimitDetails": {"cash": available, "option_buy": available},
            "totalUtilizationDetails": {"cash": used, "cdxOptionBuy": _ZERO},
            "totalLimitDetails": {
                "bank_hold": _ZERO,
                "ledger_balance": _float(funds.opening),
                "adhoc_limit": _ZERO,
                "pledge_limit": _float(funds.collateral),
            },
        }
    }


def profile_object(client_id: str) -> dict[str, Any]:
    """Write the profile; the colons are literal parts of the keys."""
    segments = ["EQUITY", "OPTIDX", "OPTSTK", "FUTIDX", "FUTSTK"]
    return {
        "user_id": client_id,
        "user_type": "individual",
        "user_name": "SIMULATED CLIENT",
        "broker": "HDFC",
        "accountSettlementType": "",
        "products": [*_PRODUCT_WORDS.values(), "COVER"],
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "depository_details": [],
        "bank_details": {},
        "exchanges:NSE": segments,
        "exchanges:BSE": segments,
        "exchanges:MCX": [],
    }


def _display_name(contract: Contract) -> str:
    return (contract.underlying if contract.is_derivative else contract.symbol) or contract.symbol


def _option_word(contract: Contract) -> str:
    return {OptionType.CE: "Call", OptionType.PE: "Put", None: ""}[contract.option_type]


def _moment(at: datetime) -> str:
    return f"{at:%d/%m/%Y %H:%M:%S}"


def _spaced_date(day: date | None) -> str:
    return f"{day.day:02d} {_MONTHS[day.month - 1]} {day.year}" if day else ""


def _dashed_date(day: date | None) -> str:
    return f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year % 100:02d}" if day else ""


def _float(value: Decimal | None) -> Decimal:
    """Give a number the decimal point that the documents' floats have."""
    if not value:
        return _ZERO
    whole = value.to_integral_value()
    return whole.quantize(_ZERO) if value == whole else value.normalize()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
