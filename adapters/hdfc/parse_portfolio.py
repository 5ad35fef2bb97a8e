"""InvestRight's trades, positions and last prices to our models. No I/O; whole lists or errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from adapters.hdfc.constants import LTP_BLANK, PRODUCT_FROM_WIRE, SIDE_FROM_WIRE
from adapters.hdfc.envelope import Answer, Members, Unreadable, is_null, items, members, text
from adapters.hdfc.refusals import is_success, read_error
from adapters.hdfc.rows import codes, decimal, price, read_row, signed, time, upper, whole
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerOrder, BrokerPosition, BrokerQuote, BrokerTrade


def parse_trades(answer: Answer, book: list[BrokerOrder]) -> list[BrokerTrade]:
    """Read the day's fills, their contract and tag taken from the order book.

    A trade names the underlying where an order names the contract, and carries no reference,
    so each is joined to its order; one without an order keeps only what it says for certain.

    Raises:
        LoginExpired, BadAnswer

    Source: dossier hdfc 5.6.
    """
    if not is_success(answer):
        raise read_error(answer, "the trades")
    data = (answer.members or {}).get("data")
    rows = [] if is_null(data) else items(data)
    if rows is None:
        raise BadAnswer("HDFC: the trades are not a list", status=answer.status)
    orders = {order.broker_order_id: order for order in book}
    return [read_row(raw, lambda row: _trade(row, orders), answer, "the trades") for raw in rows]


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
    rows = [] if "net" in inside and is_null(net) else items(net)
    if rows is None:
        raise BadAnswer("HDFC: the positions are not a list", status=answer.status)
    return [read_row(raw, _position, answer, "the positions") for raw in rows]


def parse_last_prices(
    answer: Answer, asked: Mapping[str, tuple[str, str]], as_of: datetime
) -> dict[str, BrokerQuote]:
    """Read last prices by canonical id; `asked` maps token to (exchange word, canonical id).

    A row that names another exchange than was asked, or a token twice, is no price: the same
    token stands for different contracts in different segments (dossier hdfc 8.1).

    Raises:
        LoginExpired, BadAnswer
    """
    top = answer.members or {}
    status = (answer.word("status") or "success").lower()
    rows = items(top.get("data"))
    if not answer.is_2xx or status != "success" or rows is None:
        raise read_error(answer, "the last prices")
    found: dict[str, BrokerQuote | None] = {}
    for raw in rows:
        token, quote = read_row(
            raw, lambda row: _last_price(row, asked, as_of), answer, "the last prices"
        )
        if quote is not None:
            found[token] = None if token in found else quote
    return {quote.instrument: quote for quote in found.values() if quote is not None}


def _trade(row: Members, orders: Mapping[str, BrokerOrder]) -> BrokerTrade:
    order_id, trade_id = text(row.get("order_id")), text(row.get("trade_id"))
    quantity, paid = whole(row, "filled_quantity"), price(row, "average_price")
    if order_id is None or trade_id is None or quantity is None or paid is None:
        raise Unreadable("no trade_id, order_id, filled_quantity or average_price")
    order = orders.get(order_id)
    certain = codes(row)
    certain.pop("security_id", None)
    return BrokerTrade(
        trade_id=trade_id,
        broker_order_id=order_id,
        codes=order.codes if order else certain,
        side=SIDE_FROM_WIRE.get(upper(row, "transaction_type")),
        product=PRODUCT_FROM_WIRE.get(upper(row, "product")),
        quantity=quantity,
        price=paid,
        exchange_order_id=text(row.get("exchange_order_id")),
        broker_tag=order.broker_tag if order else None,
        traded_at=time(row, "fill_timestamp"),
    )


def _position(row: Members) -> BrokerPosition:
    quantity = signed(row, "net_qty")
    if quantity is None:
        raise Unreadable("no net_qty")
    return BrokerPosition(
        codes=codes(row),
        product=PRODUCT_FROM_WIRE.get(upper(row, "product")),
        quantity=quantity,
        buy_quantity=whole(row, "total_buy_quantity"),
        sell_quantity=whole(row, "total_sell_qty"),
        buy_price=price(row, "average_buy_price"),
        sell_price=price(row, "average_sell_price"),
        realised_pnl=decimal(row, "realised_pl_overall_position"),
    )


def _last_price(
    row: Members, asked: Mapping[str, tuple[str, str]], as_of: datetime
) -> tuple[str, BrokerQuote | None]:
    token, last = text(row.get("token")), price(row, "ltp")
    if token is None:
        raise Unreadable("no token")
    if token not in asked or last is None or last < 0:
        return token, None
    exchange, instrument = asked[token]
    named = text(row.get("exchange"))
    if named != exchange and not (named is None and exchange in LTP_BLANK):
        return token, None
    quote = BrokerQuote(
        instrument=instrument, last_price=last, as_of=as_of, close=price(row, "prev_close")
    )
    return token, quote
