"""Trade book, positions and quotes, as the dossier's samples write them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.fyers.constants import IST
from adapters.fyers.parse_account import parse_positions, parse_trade_book
from adapters.fyers.parse_quotes import is_bad_symbol, parse_quotes
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerPosition, BrokerQuote, BrokerTrade, Product, Side
from adapters.sdk.transport import HttpResponse
from tests.fyers.payloads import answer, answer_of, body, envelope_of

_READ_AT = datetime(2026, 11, 22, 10, 30, tzinfo=IST)
_NAMES = {
    "NSE:SBIN-EQ": "NSE:SBIN",
    "NSE:NIFTY50-INDEX": "NSE:NIFTY 50",
    "NSE:NOSUCH-EQ": "NSE:NOSUCH",
    "NSE:UNMENTIONED-EQ": "NSE:UNMENTIONED",
}


def trade_book(response: HttpResponse) -> list[BrokerTrade]:
    return parse_trade_book(envelope_of(response))


def positions(response: HttpResponse) -> list[BrokerPosition]:
    return parse_positions(envelope_of(response))


def quotes(response: HttpResponse, names: dict[str, str] = _NAMES) -> dict[str, BrokerQuote]:
    return parse_quotes(envelope_of(response), names, _READ_AT)


def changed(name: str, rows: str, **fields: Any) -> HttpResponse:
    """Make an answer whose first row differs in these fields; `...` takes a field out."""
    document = msgspec.json.decode(body(name))
    row = document[rows][0]
    row.update(fields)
    document[rows][0] = {key: value for key, value in row.items() if value is not ...}
    return answer_of(msgspec.json.encode(document))


def test_trade_reads_every_field():
    first, second, third = trade_book(answer("get_tradebook"))

    assert (
        BrokerTrade(
            trade_id="52605023",
            broker_order_id="26112200000123",
            codes={"symbol": "NSE:SBIN-EQ"},
            side=Side.BUY,
            product=Product.MIS,
            quantity=1,
            price=Decimal("800.5"),
            exchange_order_id="1100000001089341",
            broker_tag=123456789012345,
            traded_at=datetime(2026, 11, 22, 10, 6, 12, tzinfo=IST),
        )
        == first
    )
    assert (Side.SELL, Product.NRML, 130, None) == (
        second.side,
        second.product,
        second.quantity,
        second.broker_tag,
    )
    assert ("52605102", None, None) == (third.trade_id, third.product, third.exchange_order_id)


def test_lots_of_a_commodity_stay_as_fyers_counts_them():
    assert 2 == trade_book(answer("get_tradebook"))[-1].quantity
    crude = positions(answer("get_positions"))[-1]
    assert (2, Decimal(100), None) == (crude.quantity, crude.multiplier, crude.product)


@pytest.mark.parametrize("rows", ["[]", "null", None])
def test_empty_comes_in_three_forms(rows: str | None):
    for key, read in (("tradeBook", trade_book), ("netPositions", positions), ("d", quotes)):
        member = "" if rows is None else f',"{key}":{rows}'
        assert not read(answer_of(f'{{"s":"ok","code":200,"message":""{member}}}'))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"tradeBook":[],"netPositions":[],"d":[]}', 200),
        ('{"s":"error","code":-50,"message":"x","tradeBook":[],"netPositions":[],"d":[]}', 200),
        ('{"s":"ok","code":201,"tradeBook":[],"netPositions":[],"d":[]}', 200),
        ('{"s":"ok","code":200,"tradeBook":[],"netPositions":[],"d":[]}', 502),
        ('{"s":"ok","code":200,"tradeBook":{},"netPositions":{},"d":{}}', 200),
        ("<html></html>", 200),
    ],
)
def test_failed_read_is_never_an_empty_one(text: str, status: int):
    for read in (trade_book, positions, quotes):
        with pytest.raises(BadAnswer):
            read(answer_of(text, status))


@pytest.mark.parametrize(
    "fields",
    [
        {"tradeNumber": ...},
        {"tradeNumber": ""},
        {"orderNumber": None},
        {"symbol": ""},
        {"tradedQty": 0},
        {"tradedQty": -1},
        {"tradedQty": 1.5},
        {"tradePrice": 0},
        {"tradePrice": "NaN"},
        {"tradePrice": ...},
    ],
)
def test_one_unreadable_trade_spoils_the_whole_book(fields: dict[str, Any]):
    with pytest.raises(BadAnswer):
        trade_book(changed("get_tradebook", "tradeBook", **fields))


def test_what_a_trade_leaves_out_is_none():
    trade = trade_book(
        changed(
            "get_tradebook",
            "tradeBook",
            **dict.fromkeys(
                ("side", "productType", "exchangeOrderNo", "orderTag", "orderDateTime"), ...
            ),
        )
    )[0]

    assert [None] * 5 == [
        trade.side,
        trade.product,
        trade.exchange_order_id,
        trade.broker_tag,
        trade.traded_at,
    ]


def test_position_reads_every_field():
    long, short, flat, _ = positions(answer("get_positions"))

    assert (
        BrokerPosition(
            codes={"symbol": "NSE:SBIN-EQ"},
            product=Product.MIS,
            quantity=6,
            buy_quantity=10,
            sell_quantity=4,
            buy_price=Decimal("800.5"),
            sell_price=Decimal("802.0"),
            average_price=Decimal("800.5"),
            last_price=Decimal("801.2"),
            realised_pnl=Decimal("6.0"),
            unrealised_pnl=Decimal("4.2"),
        )
        == long
    )
    assert (-130, Product.NRML, None, Decimal("-58.5")) == (
        short.quantity,
        short.product,
        short.buy_price,
        short.unrealised_pnl,
    )
    assert (0, None, Decimal("118.5"), 0) == (
        flat.quantity,
        flat.average_price,
        flat.realised_pnl,
        flat.unrealised_pnl,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"symbol": ""},
        {"netQty": ...},
        {"netQty": "many"},
        {"netQty": -6},
        {"side": -1},
        {"buyAvg": "x"},
    ],
)
def test_one_unreadable_position_spoils_them_all(fields: dict[str, Any]):
    with pytest.raises(BadAnswer):
        positions(changed("get_positions", "netPositions", **fields))


def test_what_a_position_leaves_out_is_none_and_never_zero():
    names = (
        "productType side buyQty sellQty buyAvg sellAvg netAvg ltp"
        " realized_profit unrealized_profit qtyMulti_com"
    )
    position = positions(
        changed("get_positions", "netPositions", **dict.fromkeys(names.split(), ...))
    )[0]

    assert BrokerPosition(codes={"symbol": "NSE:SBIN-EQ"}, product=None, quantity=6) == position


def test_quotes_come_by_canonical_id_and_bad_symbols_are_missing():
    got = quotes(answer("get_quotes"))

    assert {"NSE:SBIN", "NSE:NIFTY 50"} == got.keys()
    assert (
        BrokerQuote(
            instrument="NSE:SBIN",
            last_price=Decimal("426.9"),
            as_of=_READ_AT,
            open=Decimal("430.5"),
            high=Decimal("433.65"),
            low=Decimal("423.6"),
            close=Decimal("425.2"),
            volume=38977242,
            bid_price=Decimal("426.85"),
            ask_price=Decimal("426.9"),
        )
        == got["NSE:SBIN"]
    )
    index = got["NSE:NIFTY 50"]
    assert (None, None, 0) == (index.bid_price, index.ask_price, index.volume)


def test_symbol_that_was_not_asked_for_is_passed_over():
    assert {} == quotes(answer("get_quotes"), {"NSE:OTHER-EQ": "NSE:OTHER"})


@pytest.mark.parametrize("price", [0, -1, "", "NaN", None, ..., True, []])
def test_quote_without_a_last_price_is_missing(price: object):
    document = msgspec.json.decode(body("get_quotes"))
    if price is ...:
        del document["d"][0]["v"]["lp"]
    else:
        document["d"][0]["v"]["lp"] = price

    assert {"NSE:NIFTY 50"} == quotes(answer_of(msgspec.json.encode(document))).keys()


@pytest.mark.parametrize("item", [{"n": "NSE:SBIN-EQ"}, {"n": "NSE:SBIN-EQ", "s": "ok", "v": []}])
def test_quote_without_values_is_missing(item: dict[str, Any]):
    assert {} == quotes(answer_of(msgspec.json.encode({"s": "ok", "code": 200, "d": [item]})))


@pytest.mark.parametrize("value", ["", "-", None, [], 0])
def test_one_unreadable_field_leaves_the_price(value: object):
    document = msgspec.json.decode(body("get_quotes"))
    document["d"][0]["v"]["bid"] = value

    got = quotes(answer_of(msgspec.json.encode(document)))["NSE:SBIN"]
    assert (Decimal("426.9"), None, Decimal("426.9")) == (
        got.last_price,
        got.bid_price,
        got.ask_price,
    )


@pytest.mark.parametrize("code", [-300, -310])
@pytest.mark.parametrize("status", [200, 400])
def test_batch_refused_for_a_bad_symbol_is_told_apart_and_no_prices(code: int, status: int):
    text = f'{{"s":"error","code":{code},"message":"Please provide valid symbols"}}'
    refused = envelope_of(answer_of(text, status))

    assert is_bad_symbol(refused)
    assert not is_bad_symbol(envelope_of(answer_of(text, 503)))
    assert not is_bad_symbol(envelope_of(answer("get_quotes")))
    with pytest.raises(BadAnswer):
        parse_quotes(refused, _NAMES, _READ_AT)
