"""The simulated m.Stock's rows: order book, details, trades, positions, holdings, funds, master.

Each keeps the broker's own inconsistencies (dossier 5.5 to 5.7, 7, 9): the book says NSE for
derivatives and MARGIN for their carry-forward, names contracts in a form of its own, and its
filled shares are not to be believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.sdk.models import (
    BrokerOrderState,
    Exchange,
    InstrumentType,
    OrderType,
    Product,
    Side,
)
from adapters.sdk.simulator import Contract, Engine, Funds, Holding, Position, SimOrder, Trade

_BOOK_EXCHANGE: Final = {Exchange.NFO: "NSE", Exchange.BFO: "BSE"}
_PRODUCTS: Final = {
    Product.CNC: "DELIVERY",
    Product.MIS: "INTRADAY",
    Product.NRML: "CARRYFORWARD",
    Product.MTF: "MARGIN",
}
_WEEKLY_MONTHS: Final = "123456789OND"
_CHUNK_ROWS: Final = 500
_ZERO: Final = Decimal(0)


def book_row(order: SimOrder, *, echo: bool, twelve_hour_clock: bool) -> dict[str, Any]:
    """Build one row of `GET /orders`. All values are strings."""
    updated = f"{order.updated_at:%Y-%b-%d} " + (
        f"{order.updated_at:%I:%M:%S}" if twelve_hour_clock else f"{order.updated_at:%H:%M:%S}"
    )
    done = order.state is BrokerOrderState.FILLED
    row = _order_fields(order) | {
        "price": _text(order.price),
        "triggerprice": _text(order.trigger_price),
        "squareoff": "0",
        "stoploss": "0",
        "strikeprice": _text(order.contract.strike),
        "expirydate": f"{order.contract.expiry or order.accepted_at:%Y-%b-%d}",
        "averageprice": _text(order.average_price) if done else "0",
        "filledshares": str(order.quantity) if done else "0",
        "unfilledshares": "0",
        "orderid": order.broker_order_id,
        "updatetime": updated,
        "exchorderupdatetime": updated if order.exchange_order_id else "",
        "exchangeorderid": order.exchange_order_id or "0",
    }
    return row | {"ordertag": order.tag or ""} if echo else row


def details_row(order: SimOrder, *, echo: bool, exchange_style_id: bool) -> dict[str, Any]:
    """Build the row of `POST /order/details`: numbers where the book has text, AM and PM."""
    row_id = order.exchange_order_id if exchange_style_id else ""
    return _order_fields(order) | {
        "price": order.price or _ZERO,
        "triggerprice": order.trigger_price or _ZERO,
        "squareoff": 0,
        "stoploss": 0,
        "strikeprice": order.contract.strike or _ZERO,
        "expirydate": f"{order.contract.expiry or order.accepted_at:%d-%m-%Y}",
        "averageprice": "0",
        "filledshares": str(order.quantity),
        "unfilledshares": "0",
        "orderid": row_id or order.broker_order_id,
        "updatetime": f"{order.updated_at:%d-%m-%Y %I:%M:%S %p}",
        "exchorderupdatetime": "",
        "ordertag": (order.tag or "") if echo else "",
    }


def trade_row(trade: Trade, client_id: str) -> dict[str, Any]:
    """Build one row of `GET /tradebook`: upper-case keys, numbers unquoted."""
    order, fill, contract = trade.order, trade.fill, trade.order.contract
    product = _PRODUCTS[order.product]
    return {
        "ORDER_NUMBER": order.broker_order_id,
        "EXCH_ORDER_NUMBER": order.exchange_order_id,
        "TRADE_NUMBER": fill.trade_id,
        "ORDER_DATE_TIME": f"{fill.at:%d-%m-%Y %H:%M:%S}",
        "BUY_SELL": "Buy" if order.side is Side.BUY else "Sell",
        "SYMBOL": contract.underlying or contract.symbol,
        "FULL_SYMBOL": contract.name,
        "SEC_ID": str(contract.token),
        "EXCHANGE": _BOOK_EXCHANGE.get(contract.exchange, contract.exchange.value),
        "SEGMENT": "D" if contract.is_derivative else "E",
        "INSTRUMENT_NAME": _instrument_type(contract, cash="EQUITY"),
        "STRIKE_PRICE": contract.strike or _ZERO,
        "OPT_TYPE": _option_type(contract),
        "EXPIRY_DATE": f"{contract.expiry:%d-%m-%Y}" if contract.expiry else "0",
        "PRODUCT": "CNC" if product == "DELIVERY" else product,
        "ORDER_TYPE": order.order_type.value,
        "QUANTITY": fill.quantity,
        "PRICE": fill.price,
        "TRADE_VALUE": fill.price * fill.quantity,
        "MKT_PROTECT_FLG": "N",
        "MKT_PROTECT_VAL": 0,
        "MKT_TYPE": "NL",
        "ALGO_ID": "0",
        "SOURCE_FLG": "WEB",
        "GTC_FLG": "N",
        "ENCASH_FLG": "N",
        "REMARKS1": "NA",
        "REMARKS2": "NA",
        "R": "1",
        "SETTLOR": "",
        "PARTICIPANT_TYPE": "B",
        "CLIENT_ID": client_id,
        "PAN_NO": "AAAAA0000A",
    }


def history_row(trade: Trade) -> dict[str, Any]:
    """Build one row of `POST /trades`: lower-case keys, the exchange's order id, no date."""
    order, fill, contract = trade.order, trade.fill, trade.order.contract
    return {
        "exchange": _BOOK_EXCHANGE.get(contract.exchange, contract.exchange.value),
        "producttype": _PRODUCTS[order.product],
        "tradingsymbol": contract.name,
        "instrumenttype": "",
        "symbolgroup": "",
        "transactiontype": order.side.value,
        "fillprice": _text(fill.price),
        "fillsize": str(fill.quantity),
        "orderid": order.exchange_order_id,
        "fillid": fill.trade_id,
        "filltime": f"{fill.at:%H:%M:%S}",
    }


def position_row(position: Position) -> dict[str, Any]:
    """Build one row of `GET /portfolio/positions`. All strings; amounts repeat the averages."""
    contract = position.contract
    net_value = position.sell_value - position.buy_value
    return {
        "exchange": _BOOK_EXCHANGE.get(contract.exchange, contract.exchange.value),
        "symboltoken": str(contract.token),
        "producttype": _PRODUCTS[position.product],
        "tradingsymbol": "",
        "symbolname": _book_symbol(contract),
        "instrumenttype": _instrument_type(contract, cash="EQUITY"),
        "multiplier": "1",
        "buyqty": str(position.buy_quantity),
        "sellqty": str(position.sell_quantity),
        "cfbuyqty": "0",
        "cfsellqty": "0",
        "buyavgprice": _text(position.buy_price),
        "sellavgprice": _text(position.sell_price),
        "buyamount": _text(position.buy_price),
        "sellamount": _text(position.sell_price),
        "netqty": str(position.quantity),
        "avgnetprice": _text(abs(net_value / position.quantity) if position.quantity else _ZERO),
        "netvalue": _text(net_value),
        "totalbuyvalue": _text(position.buy_value),
        "totalsellvalue": _text(position.sell_value),
        "lotsize": str(contract.lot_size),
        "strikeprice": _text(contract.strike),
        "optiontype": _option_type(contract),
        "expirydate": f"{contract.expiry:%d-%b-%Y}" if contract.expiry else "",
    }


def holding_rows(holdings: Iterable[Holding], engine: Engine) -> list[dict[str, Any]]:
    """Build the rows of `GET /portfolio/holdings`, one of them for shares that were sold."""
    made = [_holding_row(one, engine.price(one.contract)) for one in holdings]
    return [*made, {**made[-1], **_SOLD}] if made else []


def _holding_row(holding: Holding, last_price: Decimal) -> dict[str, Any]:
    """Numbers; the company's name as symbol."""
    return {
        "tradingsymbol": holding.contract.name,
        "exchange": None,
        "isin": holding.contract.isin,
        "symboltoken": str(holding.contract.token),
        "product": None,
        "quantity": holding.quantity,
        "t1quantity": holding.t1_quantity,
        "realisedquantity": holding.quantity,
        "authorisedquantity": 0,
        "collateralquantity": 0,
        "collateraltype": None,
        "haircut": 0,
        "averageprice": holding.average_price,
        "ltp": last_price,
        "close": last_price,
        "profitandloss": 0,
        "pnlpercentage": 0,
    }


_SOLD: Final = {
    "tradingsymbol": "BANK OF MAHARASHTRA",
    "isin": "INE457A01014",
    "symboltoken": "11377",
    "quantity": 0,
    "realisedquantity": 0,
    "t1quantity": 0,
}


def fund_row(funds: Funds) -> dict[str, str]:
    """Build the one row of `GET /user/fundsummary`. Strings in rupees."""
    return {
        "AVAILABLE_BALANCE": f"{funds.available:.2f}",
        "AMOUNT_UTILIZED": f"{funds.used:.2f}",
        "LIMIT_SOD": f"{funds.opening:.2f}",
        "COLLATERALS": f"{funds.collateral:.2f}",
        "MTM_COMBINED": "0",
        "REALISED_PROFITS": f"{funds.realised:.2f}",
        "SUM_OF_ALL": f"{funds.opening + funds.collateral:.2f}",
        "SEG": "A",
        "LIMIT_TYPE": "CAPITAL",
    }


def quote_row(contract: Contract, engine: Engine, *, ohlc: bool) -> dict[str, Any]:
    """Build one entry of `data.fetched` of `POST /instruments/quote`."""
    row = {
        "exchange": contract.exchange.value,
        "tradingSymbol": wire_name(contract),
        "symbolToken": str(contract.token),
        "ltp": engine.price(contract),
    }
    if ohlc:
        row |= dict.fromkeys(("open", "high", "low", "close"), contract.price)
    return row


def master(contracts: Iterator[Contract]) -> Iterator[bytes]:
    """Stream the instrument master as a bare JSON array.

    NSE indices are left out as m.Stock leaves them out; a currency row stands for those that
    an adapter must not take.
    """
    encoder = msgspec.json.Encoder()
    yield b"["
    yield encoder.encode(_CURRENCY_ROW)
    chunk: list[bytes] = []
    for contract in contracts:
        if contract.type is InstrumentType.INDEX and contract.exchange is Exchange.NSE:
            continue
        chunk.append(encoder.encode(_master_row(contract)))
        if len(chunk) == _CHUNK_ROWS:
            yield b"," + b",".join(chunk)
            chunk.clear()
    if chunk:
        yield b"," + b",".join(chunk)
    yield b"]"


def wire_name(contract: Contract) -> str:
    """Return the master's `name`, which orders are placed with."""
    if not contract.is_derivative:
        suffix = f"-{contract.series}" if contract.exchange is Exchange.NSE else ""
        return f"{contract.symbol}{suffix}"
    expiry = contract.expiry or date.min
    root = f"{contract.underlying}{expiry:%y}"
    if contract.type is InstrumentType.FUT:
        return f"{root}{expiry:%b}FUT".upper()
    when = f"{_WEEKLY_MONTHS[expiry.month - 1]}{expiry:%d}" if contract.weekly else f"{expiry:%b}"
    return f"{root}{when}{_text(contract.strike)}{_option_type(contract)}".upper()


_CURRENCY_ROW: Final = {
    "token": "1151",
    "symbol": "USDINR",
    "name": "USDINR26DECFUT",
    "expiry": "29Dec2026",
    "strike": "",
    "lotsize": "1000",
    "instrumenttype": "FUTCUR",
    "exch_seg": "NSE",
    "tick_size": "0.0025",
}


def _master_row(contract: Contract) -> dict[str, str]:
    return {
        "token": str(contract.token),
        "symbol": contract.underlying or contract.symbol,
        "name": wire_name(contract),
        "expiry": f"{contract.expiry:%d%b%Y}" if contract.expiry else "",
        "strike": _text(contract.strike) if contract.strike else "",
        "lotsize": str(contract.lot_size),
        "instrumenttype": _instrument_type(contract, cash="EQ"),
        "exch_seg": contract.exchange.value,
        "tick_size": _text(contract.tick_size),
    }


def _order_fields(order: SimOrder) -> dict[str, Any]:
    """Return what the book and the details write alike."""
    contract = order.contract
    word, text = _status(order)
    product = _PRODUCTS[order.product]
    return {
        "variety": None,
        "ordertype": _order_type(order),
        "producttype": "MARGIN" if product == "CARRYFORWARD" else product,
        "duration": order.validity.value,
        "quantity": str(order.quantity),
        "disclosedquantity": str(order.disclosed_quantity),
        "trailingstoploss": "0",
        "tradingsymbol": _book_symbol(contract),
        "transactiontype": order.side.value,
        "exchange": _BOOK_EXCHANGE.get(contract.exchange, contract.exchange.value),
        "symboltoken": str(contract.token),
        "instrumenttype": _instrument_type(contract, cash="EQUITY"),
        "optiontype": _option_type(contract),
        "lotsize": "0",
        "cancelsize": str(order.cancelled_quantity),
        "text": text,
        "status": word,
        "orderstatus": word,
        "exchtime": "",
        "fillid": "",
        "filltime": "",
        "parentorderid": "",
        "uniqueorderid": "",
    }


def _status(order: SimOrder) -> tuple[str, str]:
    if order.state is BrokerOrderState.PENDING:
        return ("O-Pending", "") if order.amo else ("Transit", "")
    if order.state is BrokerOrderState.FILLED:
        return "Traded", "TRADE CONFIRMED"
    if order.state is BrokerOrderState.REJECTED:
        return "Rejected", str(order.extra.get("refusal") or order.message)
    if order.state is BrokerOrderState.CANCELLED:
        is_offline = order.amo and not order.exchange_order_id
        return ("O-Cancelled" if is_offline else "Cancelled"), "CONFIRMED"
    if order.state is BrokerOrderState.EXPIRED:
        return "Expired", ""
    return "Pending", "CONFIRMED"


def _order_type(order: SimOrder) -> str:
    # The book writes SL where orders are placed with a longer word (dossier 5.1).
    return {OrderType.SL: "SL", OrderType.SL_M: "SL-M"}.get(
        order.order_type, order.order_type.value
    )


def _book_symbol(contract: Contract) -> str:
    if not contract.is_derivative:
        return contract.symbol
    expiry = contract.expiry or date.min
    parts = [str(contract.underlying), f"{expiry:%d%b%Y}"]
    if contract.type is InstrumentType.FUT:
        return "-".join([*parts, "FUT"])
    return "-".join([*parts, _text(contract.strike), _option_type(contract)])


def _instrument_type(contract: Contract, *, cash: str) -> str:
    if contract.type is InstrumentType.INDEX:
        return "INDEX"
    if not contract.is_derivative:
        return cash
    return contract.type.value + ("IDX" if contract.on_index else "STK")


def _option_type(contract: Contract) -> str:
    return contract.option_type.value if contract.option_type else "XX"


def _text(value: Decimal | None) -> str:
    return f"{value:f}" if value else "0"
