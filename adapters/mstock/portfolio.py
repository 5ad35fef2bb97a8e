"""Trades, positions and quotes turned into the gateway's shapes. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from adapters.mstock import contracts, values
from adapters.mstock.envelope import Envelope, read_error
from adapters.mstock.values import Row
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerPosition, BrokerQuote, BrokerTrade, Instrument


def trades(trade_rows: Iterable[Row]) -> list[BrokerTrade]:
    """Turn the trade book into fills (dossier 5.7). Client id and PAN are never read.

    `REMARKS1` and `REMARKS2` may bring the tag back; that is unproven.

    Raises:
        BadAnswer: a fill without its ids, quantity or price; leaving it out would hide it.
    """
    found: dict[tuple[str, str], BrokerTrade] = {}
    for row in trade_rows:
        broker_order_id = values.text(row, "ORDER_NUMBER")
        trade_id = values.text(row, "TRADE_NUMBER")
        quantity = values.quantity(row, "QUANTITY")
        price = values.number(row, "PRICE")
        if not broker_order_id or not trade_id or quantity is None or price is None:
            raise BadAnswer("a row of m.Stock's trade book has no ids, quantity or price")
        kind = values.text(row, "INSTRUMENT_NAME")
        found[broker_order_id, trade_id] = BrokerTrade(
            trade_id=trade_id,
            broker_order_id=broker_order_id,
            codes=contracts.codes(
                exchange=values.text(row, "EXCHANGE"), kind=kind, token=values.text(row, "SEC_ID")
            ),
            side=contracts.side(values.text(row, "BUY_SELL")),
            product=contracts.product(values.text(row, "PRODUCT"), kind),
            quantity=quantity,
            price=price,
            exchange_order_id=values.text(row, "EXCH_ORDER_NUMBER") or None,
            broker_tag=values.broker_tag(row, "REMARKS1") or values.broker_tag(row, "REMARKS2"),
            traded_at=values.moment(values.text(row, "ORDER_DATE_TIME"), in_market_hours=True),
        )
    return list(found.values())


def positions(position_rows: Iterable[Row]) -> list[BrokerPosition]:
    """Turn net positions into ours (dossier 7.1). m.Stock gives neither last price nor profit.

    The entry price is the average of the side that is open: `avgnetprice` has realised profit
    mixed in. `netvalue` is the profit only of a position that is flat and was not carried over.

    Raises:
        BadAnswer: a position without its net quantity.
    """
    found = []
    for row in position_rows:
        net = values.signed_quantity(row, "netqty")
        if net is None:
            raise BadAnswer("a row of m.Stock's positions has no net quantity")
        kind = values.text(row, "instrumenttype")
        buy_price, sell_price = (
            values.rupees(row, "buyavgprice"),
            values.rupees(row, "sellavgprice"),
        )
        carried = values.quantity(row, "cfbuyqty") or values.quantity(row, "cfsellqty")
        found.append(
            BrokerPosition(
                codes=contracts.codes(
                    exchange=values.text(row, "exchange"),
                    kind=kind,
                    token=values.text(row, "symboltoken"),
                ),
                product=contracts.product(values.text(row, "producttype"), kind),
                quantity=net,
                buy_quantity=values.quantity(row, "buyqty"),
                sell_quantity=values.quantity(row, "sellqty"),
                buy_price=buy_price,
                sell_price=sell_price,
                average_price=(buy_price if net > 0 else sell_price) if net else None,
                realised_pnl=None if net or carried else values.number(row, "netvalue"),
                multiplier=values.rupees(row, "multiplier") or Decimal(1),
            )
        )
    return found


def quote_requests(
    instruments: Sequence[Instrument], batch_size: int
) -> Iterator[dict[str, list[str]]]:
    """Split instruments into the quote route's tokens by exchange, `batch_size` at a time."""
    for start in range(0, len(instruments), batch_size):
        tokens: dict[str, list[str]] = {}
        for instrument in instruments[start : start + batch_size]:
            tokens.setdefault(instrument.exchange.value, []).append(instrument.codes["token"])
        yield tokens


def quotes(
    envelope: Envelope, instruments: Iterable[Instrument], read_at: datetime
) -> dict[str, BrokerQuote]:
    """Read prices by canonical id. No time comes with them, so `read_at` stands for it.

    An answer is matched by exchange and token together: a token alone is not unique.

    Raises:
        LoginExpired: the session is dead.
        BadAnswer: anything else that is not the shape of dossier 8.1.
    """
    if not envelope.proves_success:
        raise read_error(envelope)
    data = envelope.data
    fetched = data.get("fetched") if isinstance(data, Mapping) else None
    if not isinstance(fetched, list):
        raise BadAnswer("m.Stock's quotes are not the shape expected", status=envelope.http)
    asked = {(one.exchange.value, one.codes["token"]): one.instrument for one in instruments}
    found = {}
    for row in fetched:
        if not isinstance(row, Mapping):
            continue
        key = (values.text(row, "exchange").upper(), values.text(row, "symbolToken"))
        last_price = values.rupees(row, "ltp")
        if key not in asked or last_price is None or last_price < 0:
            continue
        found[asked[key]] = BrokerQuote(
            instrument=asked[key],
            last_price=last_price,
            as_of=read_at,
            open=values.rupees(row, "open"),
            high=values.rupees(row, "high"),
            low=values.rupees(row, "low"),
            close=values.rupees(row, "close"),
        )
    return found
