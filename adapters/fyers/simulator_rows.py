"""The simulated account's state in Fyers' words: order, trade, position, holding, fund rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from adapters.fyers.constants import ORDER_TYPE_TO_WIRE, PRODUCT_TO_WIRE, SIDE_TO_WIRE
from adapters.fyers.simulator_symbols import (
    EXCHANGE_TO_WIRE,
    fy_token,
    instrument_type,
    ticker,
)
from adapters.sdk.models import BrokerOrderState, OrderType
from adapters.sdk.simulator import Contract, Funds, Holding, Position, SimOrder, Trade

RMS_MESSAGE: Final = "rms"
"""Key of `SimOrder.extra` under which Fyers' own rejection text is kept."""

_STATUS: Final = {
    BrokerOrderState.CANCELLED: 1,
    BrokerOrderState.FILLED: 2,
    BrokerOrderState.PENDING: 4,
    BrokerOrderState.REJECTED: 5,
    BrokerOrderState.OPEN: 6,
    BrokerOrderState.TRIGGER_PENDING: 6,
    BrokerOrderState.PARTIALLY_FILLED: 6,
    BrokerOrderState.EXPIRED: 7,
}
_TIME: Final = "%d-%b-%Y %H:%M:%S"
_ZERO: Final = Decimal(0)


def order_row(order: SimOrder, client_id: str, last_price: Decimal) -> dict[str, Any]:
    """Write one row of `orderBook` (dossier 5.5)."""
    contract = order.contract
    status = _STATUS[order.state]
    return {
        "clientId": client_id,
        **_place(contract),
        "fyToken": fy_token(contract),
        "id": order.broker_order_id,
        "id_fyers": str(UUID(int=order.number)),
        "exchOrdId": order.exchange_order_id or None,
        "instrument": instrument_type(contract),
        "offlineOrder": order.amo,
        "source": "API",
        "status": status,
        "type": ORDER_TYPE_TO_WIRE[order.order_type],
        "limitPrice": _shown_price(order, last_price),
        "stopPrice": order.trigger_price or 0,
        "tradedPrice": order.average_price or 0,
        "productType": PRODUCT_TO_WIRE[order.product],
        "qty": order.quantity,
        "filledQty": order.filled_quantity,
        "remainingQuantity": order.pending_quantity,
        "disclosedQty": order.disclosed_quantity,
        "symbol": ticker(contract),
        "description": contract.name,
        "ex_sym": contract.underlying or contract.symbol,
        "orderDateTime": order.accepted_at.strftime(_TIME),
        "side": SIDE_TO_WIRE[order.side],
        "orderValidity": order.validity.value,
        "message": order.extra.get(RMS_MESSAGE) or order.message,
        "lp": last_price,
        "ch": last_price - contract.price,
        "chp": round((last_price - contract.price) * 100 / contract.price, 2),
        "orderNumStatus": f"{order.broker_order_id}:{status}",
        "slNo": order.number,
        "orderTag": shown_tag(order),
        "pan": "",
    }


def trade_row(trade: Trade, client_id: str) -> dict[str, Any]:
    """Write one row of `tradeBook` (dossier 5.10)."""
    order, fill = trade.order, trade.fill
    return {
        "clientId": client_id,
        "orderDateTime": fill.at.strftime(_TIME),
        "orderNumber": order.broker_order_id,
        "exchangeOrderNo": order.exchange_order_id,
        **_place(order.contract),
        "side": SIDE_TO_WIRE[order.side],
        "orderType": ORDER_TYPE_TO_WIRE[order.order_type],
        "fyToken": fy_token(order.contract),
        "productType": PRODUCT_TO_WIRE[order.product],
        "tradedQty": fill.quantity,
        "tradePrice": fill.price,
        "tradeValue": fill.price * fill.quantity,
        "tradeNumber": fill.trade_id,
        "row": int(fill.trade_id),
        "symbol": ticker(order.contract),
        "orderTag": shown_tag(order),
    }


class Carried(NamedTuple):
    """What of a position is of earlier days."""

    bought: int = 0
    sold: int = 0


def position_row(
    position: Position, number: int, last_price: Decimal, carried: Carried
) -> dict[str, Any]:
    """Write one row of `netPositions`; the quantities bought and sold are of all days (7.1)."""
    symbol, product = ticker(position.contract), PRODUCT_TO_WIRE[position.product]
    net = position.quantity
    unrealised = position.unrealised(last_price) if net else _ZERO
    return {
        "symbol": symbol,
        "id": f"{symbol}-{product}",
        "buyAvg": position.buy_price,
        "buyQty": position.buy_quantity,
        "buyVal": position.buy_value,
        "sellAvg": position.sell_price,
        "sellQty": position.sell_quantity,
        "sellVal": position.sell_value,
        "netAvg": position.average_price,
        "avgPrice": position.average_price,
        "netQty": net,
        "side": (net > 0) - (net < 0),
        "qty": abs(net),
        "productType": product,
        "realized_profit": position.realised,
        "unrealized_profit": unrealised,
        "pl": position.realised + unrealised,
        "crossCurrency": "",
        "rbiRefRate": 1,
        "qtyMulti_com": 1,
        **_place(position.contract),
        "ltp": last_price,
        "fyToken": fy_token(position.contract),
        "dayBuyQty": position.buy_quantity - carried.bought,
        "daySellQty": position.sell_quantity - carried.sold,
        "cfBuyQty": carried.bought,
        "cfSellQty": carried.sold,
        "slNo": number,
    }


def holding_row(
    holding: Holding,
    number: int,
    last_price: Decimal,
    *,
    sold: int = 0,
    pledged: int = 0,
    kind: str = "HLD",
) -> dict[str, Any]:
    """Write one row of `holdings`; `sold` is what today's sells took of it (dossier 7.2)."""
    contract = holding.contract
    return {
        "symbol": ticker(contract),
        "isin": contract.isin or "",
        "fyToken": fy_token(contract),
        **_place(contract),
        "id": number,
        "holdingType": kind,
        "quantity": holding.quantity,
        "remainingQuantity": max(0, holding.quantity - sold),
        "qty_t1": holding.t1_quantity,
        "costPrice": holding.average_price,
        "marketVal": last_price * holding.quantity,
        "ltp": last_price,
        "pl": (last_price - holding.average_price) * holding.quantity,
        "collateralQuantity": pledged,
        "remainingPledgeQuantity": -1,
    }


def fund_rows(funds: Funds) -> list[dict[str, Any]]:
    """Write `fund_limit` (dossier 7.3)."""
    amounts = (
        ("Total Balance", funds.opening + funds.collateral),
        ("Utilized Amount", funds.used),
        ("Clear Balance", funds.opening),
        ("Realized Profit and Loss", funds.realised),
        ("Collaterals", funds.collateral),
        ("Fund Transfer", _ZERO),
        ("Receivables", _ZERO),
        ("Adhoc Limit", _ZERO),
        ("Limit at start of the day", funds.opening),
        ("Available Balance", funds.available),
    )
    return [
        {"id": number, "title": title, "equityAmount": amount, "commodityAmount": 0}
        for number, (title, amount) in enumerate(amounts, 1)
    ]


def quote_row(contract: Contract, last_price: Decimal) -> dict[str, Any]:
    """Write the `v` of one quote (dossier 8)."""
    symbol = ticker(contract)
    spread = contract.tick_size
    return {
        "ch": last_price - contract.price,
        "chp": round((last_price - contract.price) * 100 / contract.price, 2),
        "lp": last_price,
        "spread": spread,
        "ask": last_price + spread,
        "bid": last_price,
        "open_price": contract.price,
        "high_price": max(contract.price, last_price),
        "low_price": min(contract.price, last_price),
        "prev_close_price": contract.price,
        "atp": last_price,
        "volume": 100_000,
        "short_name": symbol.partition(":")[2],
        "exchange": symbol.partition(":")[0],
        "description": contract.name,
        "original_name": symbol,
        "symbol": symbol,
        "fyToken": fy_token(contract),
    }


def depth_row(contract: Contract, last_price: Decimal) -> dict[str, Any]:
    """Write one instrument's depth; the sell side's key is `ask` (dossier 8)."""
    tick = contract.tick_size
    return {
        "totalbuyqty": 5000,
        "totalsellqty": 5000,
        "bids": _side(last_price, -tick) if contract.is_tradable else [],
        "ask": _side(last_price + tick, tick) if contract.is_tradable else [],
        "o": contract.price,
        "h": max(contract.price, last_price),
        "l": min(contract.price, last_price),
        "c": contract.price,
        "ltp": last_price,
        "ltq": 1,
        "v": 100_000,
        "atp": last_price,
        "ch": last_price - contract.price,
        "chp": round((last_price - contract.price) * 100 / contract.price, 2),
        "lower_ckt": contract.lower_price,
        "upper_ckt": contract.upper_price,
        "oi": contract.lot_size * 1000 if contract.is_derivative else 0,
        "pdoi": contract.lot_size * 900 if contract.is_derivative else 0,
        "oipercent": 0,
        "oiflag": contract.is_derivative,
        "expiry": "",
        "tick_Size": tick,
    }


def _side(best: Decimal, step: Decimal) -> list[dict[str, Any]]:
    """Write five levels away from the best; below zero there is none."""
    prices = (best + level * step for level in range(5))
    return [
        {"price": price, "volume": 1000 - 100 * level, "ord": 5}
        for level, price in enumerate(prices)
        if price > 0
    ]


def _place(contract: Contract) -> dict[str, int]:
    exchange, segment = EXCHANGE_TO_WIRE[contract.exchange]
    return {"exchange": exchange, "segment": segment}


def _shown_price(order: SimOrder, last_price: Decimal) -> Decimal | int:
    """Show the limit, or on a market order the protection price it became (dossier 5.9)."""
    if order.order_type is not OrderType.MARKET:
        return order.price or 0
    tick = order.contract.tick_size
    band = last_price * SIDE_TO_WIRE[order.side] / 100
    return (last_price + band) // tick * tick


def shown_tag(order: SimOrder) -> str:
    """Write the tag as rows show it and queries ask for it (dossier 5.6)."""
    return f"1:{order.tag}" if order.tag else "2:Untagged"
