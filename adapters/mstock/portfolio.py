"""Trades, positions, holdings and funds turned into the gateway's shapes. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from adapters.mstock import contracts, values
from adapters.mstock.rows import PositionRow, TradeRow, Word
from adapters.mstock.values import Row, clean
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerFunds, BrokerHolding, BrokerPosition, BrokerTrade


def trades(trade_rows: Iterable[TradeRow]) -> list[BrokerTrade]:
    """Turn the trade book into fills (dossier 5.7).

    `REMARKS1` and `REMARKS2` may bring the tag back; that is unproven.

    Raises:
        BadAnswer: a fill without its ids, quantity or price; leaving it out would hide it.
    """
    found: dict[tuple[str, str], BrokerTrade] = {}
    for row in trade_rows:
        broker_order_id = clean(row.ORDER_NUMBER)
        trade_id = clean(row.TRADE_NUMBER)
        quantity = _quantity(row.QUANTITY)
        price = values.bounded(row.PRICE)
        if not broker_order_id or not trade_id or quantity is None or price is None:
            raise BadAnswer("a row of m.Stock's trade book has no ids, quantity or price")
        kind = clean(row.INSTRUMENT_NAME)
        found[broker_order_id, trade_id] = BrokerTrade(
            trade_id=trade_id,
            broker_order_id=broker_order_id,
            codes=contracts.codes(exchange=clean(row.EXCHANGE), kind=kind, token=clean(row.SEC_ID)),
            side=contracts.side(clean(row.BUY_SELL)),
            product=contracts.product(clean(row.PRODUCT), kind),
            quantity=quantity,
            price=price,
            exchange_order_id=clean(row.EXCH_ORDER_NUMBER) or None,
            broker_tag=values.tag(clean(row.REMARKS1)) or values.tag(clean(row.REMARKS2)),
            traded_at=values.moment(clean(row.ORDER_DATE_TIME), in_market_hours=True),
        )
    return list(found.values())


def positions(position_rows: Iterable[PositionRow]) -> list[BrokerPosition]:
    """Turn net positions into ours (dossier 7.1). m.Stock gives neither last price nor profit.

    The entry price is the average of the side that is open: `avgnetprice` has realised profit
    mixed in. `netvalue` is the profit only of a position that is flat and was not carried over.

    Raises:
        BadAnswer: a position without its net quantity.
    """
    found = []
    for row in position_rows:
        net = values.units(clean(row.netqty))
        if net is None:
            raise BadAnswer("a row of m.Stock's positions has no net quantity")
        kind = clean(row.instrumenttype)
        buy_price, sell_price = _rupees(row.buyavgprice), _rupees(row.sellavgprice)
        carried = _quantity(row.cfbuyqty) or _quantity(row.cfsellqty)
        found.append(
            BrokerPosition(
                codes=contracts.codes(
                    exchange=clean(row.exchange), kind=kind, token=clean(row.symboltoken)
                ),
                product=contracts.product(clean(row.producttype), kind),
                quantity=net,
                buy_quantity=_quantity(row.buyqty),
                sell_quantity=_quantity(row.sellqty),
                buy_price=buy_price,
                sell_price=sell_price,
                average_price=(buy_price if net > 0 else sell_price) if net else None,
                realised_pnl=None if net or carried else values.decimal(clean(row.netvalue)),
                multiplier=_rupees(row.multiplier) or Decimal(1),
            )
        )
    return found


def holdings(holding_rows: Iterable[Row]) -> list[BrokerHolding]:
    """Turn holdings into ours (dossier 7.2); rows that stand for no share are left out.

    Nothing says whether `quantity` counts in what is not delivered yet or is pledged. The largest
    of the three is owned either way, so that is told: never more than there may be. A row without
    an exchange is NSE's, as in the samples. `profitandloss` is 0 in them: the profit is worked out.

    Raises:
        BadAnswer: a row without its quantity; leaving it out would hide shares.
    """
    found = []
    for row in holding_rows:
        stated = values.quantity(row, "quantity")
        if stated is None:
            raise BadAnswer("a row of m.Stock's holdings has no quantity")
        undelivered = values.quantity(row, "t1quantity")
        pledged = values.quantity(row, "collateralquantity")
        quantity = max(stated, undelivered or 0, pledged or 0)
        if not quantity:
            continue
        token = values.text(row, "symboltoken")
        average_price, last_price = values.rupees(row, "averageprice"), values.rupees(row, "ltp")
        pnl = None
        if average_price is not None and last_price is not None:
            pnl = (last_price - average_price) * quantity
        found.append(
            BrokerHolding(
                codes=contracts.codes(
                    exchange=values.text(row, "exchange") or "NSE", kind="EQUITY", token=token
                )
                if token
                else {},
                quantity=quantity,
                isin=values.text(row, "isin").upper() or None,
                name=values.text(row, "tradingsymbol") or None,
                t1_quantity=undelivered,
                pledged_quantity=pledged,
                average_price=average_price,
                last_price=last_price,
                pnl=pnl,
            )
        )
    return found


def funds(fund_rows: Sequence[Row]) -> BrokerFunds:
    """Read the fund summary (dossier 7.3): one row, every value text in rupees.

    A good answer without a row, or with "None" for a value, says nothing: that is None, never 0.

    Raises:
        BadAnswer: several rows, and none or several of them for all segments (`SEG` is A).
    """
    if len(fund_rows) > 1:
        fund_rows = [row for row in fund_rows if values.text(row, "SEG").upper() == "A"]
        if len(fund_rows) != 1:
            raise BadAnswer("m.Stock gave several fund summaries and no one for all segments")
    row: Row = fund_rows[0] if fund_rows else {}
    return BrokerFunds(
        available=values.number(row, "AVAILABLE_BALANCE"),
        used=values.number(row, "AMOUNT_UTILIZED"),
        opening=values.number(row, "LIMIT_SOD"),
        collateral=values.number(row, "COLLATERALS"),
    )


def _quantity(word: Word) -> int | None:
    found = values.units(clean(word))
    return None if found is None or found < 0 else found


def _rupees(word: Word) -> Decimal | None:
    return values.decimal(clean(word)) or None
