"""InvestRight's trades, positions, holdings and funds to our models. No I/O; whole or errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.hdfc.constants import PRODUCT_FROM_WIRE, SIDE_FROM_WIRE
from adapters.hdfc.envelope import Answer, is_null, items, members, plain
from adapters.hdfc.refusals import is_no_data, is_success, read_error
from adapters.hdfc.rows import (
    HOLDINGS,
    POSITIONS,
    TRADES,
    HoldingRow,
    PositionRow,
    TradeRow,
    codes,
)
from adapters.hdfc.values import (
    Unreadable,
    number,
    per_unit,
    price,
    signed,
    text,
    time,
    unrecognised,
    whole,
    word,
)
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import (
    BrokerFunds,
    BrokerHolding,
    BrokerOrder,
    BrokerPosition,
    BrokerTrade,
)

_ISIN = re.compile(r"IN[A-Z0-9]{10}")
_FUND_ISIN = "INF"
_CONTRACT_NAME = re.compile(r" (options|futures)$", re.IGNORECASE)
# The broker's own code of a share, as the master has it: `STABANEQNR`, `...EQTT` (9.1).
_SHARE_CODE = re.compile(r"[A-Z0-9&]+EQ(NR|TT)")


def parse_trades(answer: Answer, book: list[BrokerOrder]) -> list[BrokerTrade]:
    """Read the day's fills, their contract and tag taken from the order book.

    A trade names the underlying where an order names the contract, and carries no reference,
    so each is joined to its order; one without an order keeps only what it says for certain.
    An error that says "no data" is believed where the book, read later, has no fill either.

    Raises:
        LoginExpired, BadAnswer

    Source: dossier hdfc 5.6, 12.5.
    """
    if is_no_data(answer) and not any(order.filled_quantity for order in book):
        return []
    if not is_success(answer):
        raise read_error(answer, "the trades")
    data = (answer.members or {}).get("data")
    if is_null(data):
        return []
    orders = {order.broker_order_id: order for order in book}
    return TRADES.read(data, lambda row: _trade(row, orders), answer)


def parse_positions(answer: Answer) -> list[BrokerPosition]:
    """Read the net positions, closed ones included. Buys and sells include what was carried.

    Raises:
        LoginExpired, BadAnswer

    Source: dossier hdfc 7.1 (the list hides in `data.net`).
    """
    if not is_success(answer):
        raise read_error(answer, "the positions")
    data = (answer.members or {}).get("data")
    if is_null(data) or items(data) == []:
        return []
    inside = members(data) or {}
    net = inside.get("net")
    if "net" in inside and is_null(net):
        return []
    return POSITIONS.read(net, _position, answer)


def parse_holdings(answer: Answer) -> list[BrokerHolding]:
    """Read the shares and exchange-traded units that the account owns.

    Left out: open F&O contracts, which stand among the holdings without an ISIN, and fractions
    of mutual fund units, which are no shares. Only the previous close is given, so there is no
    last price. Neither free, T1 nor pledged shares are told apart.

    Raises:
        LoginExpired, BadAnswer: also for a text that merely sounds like "no holdings".

    Source: dossier hdfc 7.2, 4.2.
    """
    if not is_success(answer):
        raise read_error(answer, "the holdings")
    data = (answer.members or {}).get("data")
    if is_null(data):
        return []
    return [found for found in HOLDINGS.read(data, _holding, answer) if found is not None]


def parse_funds(answer: Answer) -> BrokerFunds:
    """Read the limits of the equity ledger, which pays for cash and derivatives alike.

    `available` is `total_available_limit`, pledged shares included; the opening balance is not
    among what the broker gives.

    Raises:
        LoginExpired, BadAnswer

    Source: dossier hdfc 7.3, 12.3 (the spelling of members varies inside one answer).
    """
    if not is_success(answer):
        raise read_error(answer, "the funds")
    data = (answer.members or {}).get("data")
    value = plain(data) if data is not None else None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    equity = _folded(_folded(value).get("equity"))
    try:
        available = number(equity.get("totalavailablelimit"), "total_available_limit")
        used = number(equity.get("totalutilisedlimit"), "total_utilised_limit")
        pledged = _folded(equity.get("totallimitdetails")).get("pledgelimit")
        collateral = number(pledged, "pledge_limit")
    except Unreadable as error:
        raise BadAnswer(f"HDFC: the funds: {error}", status=answer.status) from None
    if available is None:
        raise BadAnswer("HDFC: the funds do not say what is available", status=answer.status)
    return BrokerFunds(available=available, used=used, collateral=collateral)


def _trade(row: TradeRow, orders: Mapping[str, BrokerOrder]) -> BrokerTrade:
    order_id, trade_id = text(row.order_id), text(row.trade_id)
    quantity = whole(row.filled_quantity, "filled_quantity")
    paid = price(row.average_price, "average_price")
    if paid is None and quantity:
        # The order book writes 0.0 there even for fills, so the value decides (5.6).
        value = price(row.total_traded_value, "total_traded_value")
        paid = per_unit(value, quantity) if value else None
    if order_id is None or trade_id is None or quantity is None or paid is None:
        raise Unreadable("no trade_id, order_id, filled_quantity or average_price")
    order = orders.get(order_id)
    return BrokerTrade(
        trade_id=trade_id,
        broker_order_id=order_id,
        codes=order.codes if order else codes(row),
        side=word("side", SIDE_FROM_WIRE, row.transaction_type),
        product=word("product", PRODUCT_FROM_WIRE, row.product),
        quantity=quantity,
        price=paid,
        exchange_order_id=text(row.exchange_order_id),
        broker_tag=order.broker_tag if order else None,
        traded_at=time(row.fill_timestamp),
    )


def _position(row: PositionRow) -> BrokerPosition:
    quantity = signed(row.net_qty, "net_qty")
    if quantity is None:
        raise Unreadable("no net_qty")
    return BrokerPosition(
        codes=codes(row),
        product=word("product", PRODUCT_FROM_WIRE, row.product),
        quantity=quantity,
        buy_quantity=whole(row.total_buy_quantity, "total_buy_quantity"),
        sell_quantity=whole(row.total_sell_qty, "total_sell_qty"),
        buy_price=price(row.average_buy_price, "average_buy_price"),
        sell_price=price(row.average_sell_price, "average_sell_price"),
        realised_pnl=number(row.realised_pl_overall_position, "realised_pl_overall_position"),
    )


def _holding(row: HoldingRow) -> BrokerHolding | None:
    isin, name = (text(row.isin) or "").upper(), text(row.company_name)
    if not _ISIN.fullmatch(isin):
        if not _CONTRACT_NAME.search(name or ""):
            unrecognised("holding without an ISIN", name or "(no name)")
        return None
    units = number(row.quantity, "quantity")
    if units is None or units < 0:
        raise Unreadable("no quantity")
    if units != units.to_integral_value():
        if isin.startswith(_FUND_ISIN):
            return None
        raise Unreadable("quantity is not a whole number")
    return BrokerHolding(
        codes=_holding_codes(row),
        quantity=int(units),
        isin=isin,
        name=name,
        average_price=price(row.average_price, "average_price"),
        pnl=number(row.pnl, "pnl"),
    )


def _holding_codes(row: HoldingRow) -> dict[str, str]:
    """Name the contract where `security_id` is a share's code for certain, else not at all.

    It may be empty, or an id like `NSEDNL67605` whose digits are a token of a segment that the
    row does not name (7.2); the ISIN then has to do.
    """
    exchange, code = text(row.exchange), text(row.security_id)
    if exchange not in ("NSE", "BSE") or code is None or not _SHARE_CODE.fullmatch(code):
        return {}
    return {"exchange": exchange, "instrument_segment": "EQUITY", "security_id": code}


def _folded(value: Any) -> dict[str, Any]:
    """Fold the spellings of an object's names into one; {} where it is no object."""
    if not isinstance(value, dict):
        return {}
    return {str(name).lower().replace("_", ""): inner for name, inner in value.items()}
