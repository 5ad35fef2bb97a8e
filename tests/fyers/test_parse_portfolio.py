from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.fyers.parse_portfolio import parse_funds, parse_holdings, parse_margin
from adapters.sdk.errors import BadAnswer, LoginExpired, ReasonCode, Refused
from adapters.sdk.models import BrokerFunds, BrokerHolding, BrokerMargin
from adapters.sdk.transport import HttpResponse
from tests.fyers.payloads import answer, answer_of, body, envelope_of


def holdings(response: HttpResponse) -> list[BrokerHolding]:
    return parse_holdings(envelope_of(response))


def funds(response: HttpResponse) -> BrokerFunds:
    return parse_funds(envelope_of(response))


def margin(response: HttpResponse, count: int = 1) -> BrokerMargin:
    return parse_margin(envelope_of(response), count)


def holding(**fields: Any) -> BrokerHolding:
    """Read the first sample row with these fields changed; `...` takes one out."""
    document = msgspec.json.decode(body("get_holdings"))
    row = {**document["holdings"][0], **fields}
    document["holdings"] = [{key: value for key, value in row.items() if value is not ...}]
    (read,) = holdings(answer_of(msgspec.json.encode(document)))
    return read


def test_holding_reads_every_field():
    delivered, pledged, undelivered = holdings(answer("get_holdings"))

    assert delivered == BrokerHolding(
        codes={"symbol": "NSE:SBIN-EQ"},
        quantity=42,
        isin="INE062A01020",
        t1_quantity=0,
        pledged_quantity=0,
        average_price=Decimal("640.25"),
        last_price=Decimal("801.2"),
        pnl=Decimal("8047.5"),
    )
    assert (20, 5, 12) == (pledged.quantity, pledged.t1_quantity, pledged.pledged_quantity)
    assert Decimal(-240) == pledged.pnl
    assert (7, 7) == (undelivered.quantity, undelivered.t1_quantity)


@pytest.mark.parametrize(
    ("fields", "quantity", "t1", "pledged"),
    [
        ({"remainingQuantity": ...}, 50, 0, 0),
        ({"remainingQuantity": -1}, 50, 0, 0),
        ({"remainingQuantity": 60}, 50, 0, 0),
        ({"remainingQuantity": 0}, 0, 0, 0),
        ({"qty_t1": ..., "collateralQuantity": ...}, 42, None, None),
        ({"qty_t1": None, "collateralQuantity": -1}, 42, None, None),
        ({"quantity": 0, "remainingQuantity": 0, "qty_t1": 5}, 5, 5, 0),
        ({"quantity": 10, "remainingQuantity": 10, "collateralQuantity": 30}, 30, 0, 30),
        ({"quantity": 10, "remainingQuantity": 0, "qty_t1": 10}, 0, 0, 0),
        ({"holdingType": "T1", "qty_t1": ...}, 42, 42, 0),
        ({"holdingType": "T1", "qty_t1": 0}, 42, 42, 0),
        ({"quantity": "50", "remainingQuantity": "42"}, 42, 0, 0),
    ],
)
def test_no_reading_of_a_holding_makes_shares_up(
    fields: dict[str, Any], quantity: int, t1: int | None, pledged: int | None
):
    read = holding(**fields)

    assert (quantity, t1, pledged) == (read.quantity, read.t1_quantity, read.pledged_quantity)


def test_what_a_holding_leaves_out_is_none():
    read = holding(isin="", costPrice=0, ltp=..., pl=None)

    assert (None, None, None, None) == (read.isin, read.average_price, read.last_price, read.pnl)


@pytest.mark.parametrize("rows", ['"holdings":[],', '"holdings":null,', ""])
def test_no_holdings_come_in_three_forms(rows: str):
    assert [] == holdings(answer_of(f'{{"s":"ok",{rows}"code":200}}'))


@pytest.mark.parametrize(
    "fields", [{"symbol": ""}, {"symbol": ...}, {"quantity": -1}, {"quantity": None}]
)
def test_one_unreadable_holding_spoils_them_all(fields: dict[str, Any]):
    with pytest.raises(BadAnswer):
        holding(**fields)


@pytest.mark.parametrize("parse", [holdings, funds, margin])
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"s":"error","code":-96,"message":"x"}', 200),
        ('{"s":"ok","code":200}', 502),
        ("<html>Cloudflare</html>", 200),
        ('{"code":200}', 200),
        ('[{"s":"ok"}]', 200),
    ],
)
def test_failed_read_proves_nothing(parse: Any, text: str, status: int):
    with pytest.raises(BadAnswer):
        parse(answer_of(text, status))


@pytest.mark.parametrize("parse", [holdings, funds, margin])
def test_dead_token_is_said(parse: Any):
    with pytest.raises(LoginExpired):
        parse(answer_of('{"code":-16,"message":"Could not authenticate the user","s":"error"}'))


def test_funds_are_the_equity_ledger():
    assert funds(answer("get_funds")) == BrokerFunds(
        available=Decimal("57157.65"),
        used=Decimal("1000.5"),
        opening=Decimal(50000),
        collateral=Decimal(8200),
    )


def test_funds_are_told_by_id_and_by_title_where_there_is_none():
    rows = (
        '{"id":"10","title":"Renamed","equityAmount":"5.50"},'
        '{"title":" utilized amount ","equityAmount":2},'
        '{"id":77,"title":"Collaterals","equityAmount":9},'
        '{"id":9,"title":"Limit at start of the day","equityAmount":null}'
    )
    read = funds(answer_of(f'{{"s":"ok","code":200,"fund_limit":[{rows}]}}'))

    assert BrokerFunds(available=Decimal("5.50"), used=Decimal(2)) == read


@pytest.mark.parametrize("rows", ['"fund_limit":[]', '"fund_limit":null', '"x":1'])
def test_ledger_without_rows_is_no_ledger(rows: str):
    with pytest.raises(BadAnswer):
        funds(answer_of(f'{{"s":"ok","code":200,{rows}}}'))


def test_margin_is_the_larger_of_the_two_that_the_answer_gives():
    larger = margin(answer("post_multiorder_margin"), 2)
    swapped = body("post_multiorder_margin").replace(b"160.2", b"500.25")

    assert larger == BrokerMargin(
        required=Decimal("180.4"),
        orders=(None, None),
        available=Decimal("1999.9"),
        at_least=Decimal("160.2"),
    )
    assert Decimal("500.25") == margin(answer_of(swapped)).required


def test_margin_is_never_negative():
    text = body("post_multiorder_margin").replace(b"160.2", b"-4").replace(b"180.4", b"-9")

    assert Decimal(0) == margin(answer_of(text)).required


def test_one_of_the_two_margins_is_enough_and_none_is_not():
    one = body("post_multiorder_margin").replace(b'"margin_new_order":180.4,', b"")

    assert Decimal("160.2") == margin(answer_of(one)).required
    with pytest.raises(BadAnswer):
        margin(answer_of(one.replace(b'"margin_total":160.2,', b"")))


def test_symbol_that_the_calculator_does_not_know_is_refused():
    with pytest.raises(Refused) as caught:
        margin(answer("post_multiorder_margin_invalid_symbols", 400))

    assert (ReasonCode.INVALID_ORDER, "-310") == (caught.value.reason, caught.value.broker_code)
