"""Trades, positions, last prices and modify: payload files, odd answers, and over sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.hdfc import orders, parse, parse_portfolio, parse_quotes, quotes
from adapters.hdfc.adapter import HdfcAdapter
from adapters.hdfc.constants import IST
from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    NotSupported,
    OutcomeUnknown,
    Refused,
)
from adapters.sdk.models import (
    BrokerOrderState,
    BrokerPosition,
    BrokerTrade,
    Exchange,
    Instrument,
    InstrumentType,
    ModifyOrder,
    OrderRef,
    OrderType,
    Product,
    Session,
    Side,
    Validity,
)
from adapters.sdk.simulator import CallKind
from tests.hdfc.conftest import OpenGate
from tests.hdfc.support import BANKNIFTY_PUT, WIPRO, answer_of, order, payload

NOW = datetime(2026, 4, 30, tzinfo=UTC)
ASKED = {"21840": ("NSE", "NSE:ONE"), "810001": ("BFO", "BFO:TWO")}


def change(**changes: Any) -> ModifyOrder:
    fields: dict[str, Any] = {
        "broker_order_id": "26042500000504",
        "instrument": WIPRO,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 3,
        "previous_quantity": 1,
        "filled_quantity": 0,
        "price": Decimal("459.5"),
    }
    return ModifyOrder(**(fields | changes))


@pytest.fixture
async def instruments(adapter: HdfcAdapter, tmp_path: Path) -> dict[str, Instrument]:
    files = await adapter.download_master(None, tmp_path)
    return {row.instrument: row for row in adapter.read_master(files)}


def test_trade_of_the_documents_without_its_order_names_no_contract() -> None:
    assert parse_portfolio.parse_trades(answer_of(payload("get_trades.json")), []) == [
        BrokerTrade(
            trade_id="429366220",
            broker_order_id="26043000528594",
            codes={"exchange": "NSE", "instrument_segment": "OPTIDX"},
            side=Side.SELL,
            product=Product.NRML,
            quantity=15,
            price=Decimal("146.35"),
            exchange_order_id="1600000331304144",
            traded_at=datetime(2026, 4, 30, 14, 27, 49, tzinfo=IST),
        )
    ]


def test_trade_takes_contract_and_tag_from_its_order() -> None:
    (row,) = parse.parse_order_book(answer_of(payload("get_orders.json")))
    book = [
        msgspec.structs.replace(row, broker_order_id="26043000528594", broker_tag=176300000012301)
    ]
    (trade,) = parse_portfolio.parse_trades(answer_of(payload("get_trades.json")), book)
    assert (trade.codes, trade.broker_tag) == (row.codes, 176300000012301)


def test_positions_of_the_documents() -> None:
    found = parse_portfolio.parse_positions(
        answer_of(payload("get_portfolio_cumulative_positions.json"))
    )
    assert found == [
        BrokerPosition(
            codes={"exchange": "NSE", "instrument_segment": "OPTIDX", "security_id": "43382"},
            product=Product.NRML,
            quantity=75,
            buy_quantity=100,
            sell_quantity=25,
            buy_price=Decimal("2.3"),
            sell_price=Decimal("2.5"),
            realised_pnl=Decimal("5.0"),
        )
    ]


@pytest.mark.parametrize("data", [None, [], {"net": None}, {"net": []}])
def test_no_positions_inside_a_success(data: Any) -> None:
    answer = answer_of({"status": "success", "data": data})
    assert parse_portfolio.parse_positions(answer) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"status": "success", "data": {}}),
        (200, {"status": "success", "data": "none"}),
        (200, {"status": "success", "data": {"net": [{"security_id": "1"}]}}),
        (200, {"status": "success", "data": {"net": [1]}}),
        (200, {"data": {"net": []}}),
        (404, b""),
        (500, b"<html>"),
    ],
)
def test_anything_else_is_not_read_as_positions_or_trades(status: int, body: Any) -> None:
    with pytest.raises(BadAnswer):
        parse_portfolio.parse_positions(answer_of(body, status))
    with pytest.raises(BadAnswer):
        parse_portfolio.parse_trades(answer_of(body, status), [])


def test_last_price_of_the_documents() -> None:
    found = parse_quotes.parse_last_prices(answer_of(payload("put_fetch_ltp.json")), ASKED, NOW)
    assert list(found) == ["NSE:ONE"]
    assert (found["NSE:ONE"].last_price, found["NSE:ONE"].close) == (
        Decimal("1089.75"),
        Decimal("1106.5"),
    )
    assert found["NSE:ONE"].as_of == NOW


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"exchange": "CDS", "token": 21840, "ltp": 85.1}],
        [{"exchange": "", "token": 21840, "ltp": 85.1}],
        [{"exchange": "NSE", "token": 810001, "ltp": 85.1}],
        [{"exchange": "NSE", "token": 21840, "ltp": 0}],
        [{"exchange": "NSE", "token": 21840, "ltp": -1}],
        [{"exchange": "NSE", "token": 21840}],
        [{"exchange": "NSE", "token": 1, "ltp": 85.1}],
        [{"exchange": "NSE", "token": 21840, "ltp": p} for p in (1, 2)],
        [{"exchange": "NSE", "token": 21840, "ltp": p} for p in (1, 2, 1)],
    ],
)
def test_price_that_may_be_another_contracts_is_no_price(rows: Any) -> None:
    answer = answer_of({"data": rows, "meta": {"statusCode": "OK"}})
    assert parse_quotes.parse_last_prices(answer, ASKED, NOW) == {}


def test_blank_exchange_is_believed_where_it_is_known_to_be_blank() -> None:
    answer = answer_of({"data": [{"exchange": "", "token": 810001, "ltp": "1,085.5"}]})
    found = parse_quotes.parse_last_prices(answer, ASKED, NOW)
    assert found["BFO:TWO"].last_price == Decimal("1085.5")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {"meta": {}}, BadAnswer),
        (200, {"status": "error", "data": []}, BadAnswer),
        (400, {"status": "error", "message": "maximum 10 items allowed"}, BadAnswer),
        (401, {"error": "invalid credentials"}, LoginExpired),
    ],
)
def test_failed_price_reads_are_errors(status: int, body: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_quotes.parse_last_prices(answer_of(body, status), ASKED, NOW)


def test_batches_hold_ten_tokens_and_none_twice() -> None:
    def listed(token: int, exchange: Exchange = Exchange.NSE) -> Instrument:
        return msgspec.structs.replace(
            WIPRO,
            instrument=f"{exchange}:{token}",
            exchange=exchange,
            codes={"token": str(token)},
        )

    wanted = [*map(listed, range(12)), listed(3, Exchange.NFO), listed(4, Exchange.BCD)]
    batches = list(quotes.batches(wanted))
    assert [len(batch) for batch in batches] == [10, 3]
    assert batches[1]["3"] == ("NFO", "NFO:3")
    assert {instrument for batch in batches for _, instrument in batch.values()} == {
        row.instrument for row in wanted[:-1]
    }
    index = msgspec.structs.replace(listed(26000), type=InstrumentType.INDEX)
    assert quotes.items_of(next(quotes.batches([index]))) == [
        {"exchange": "NSE_INDEX", "token": "26000"}
    ]


async def test_quotes_of_every_segment_are_the_markets(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    instruments: dict[str, Instrument],
) -> None:
    market = list(simulator.universe.contracts())
    wanted = [*market[:15], *(c for c in market if c.exchange is Exchange.BFO)][:40]
    found = await adapter.quotes(session, [instruments[c.instrument] for c in wanted])
    assert {name: quote.last_price for name, quote in found.items()} == {
        c.instrument: simulator.engine.price(c) for c in wanted
    }
    assert not simulator.violations


async def test_trades_and_positions_after_a_fill(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    instruments: dict[str, Instrument],
) -> None:
    assert await adapter.trade_book(session) == []
    assert await adapter.positions(session) == []
    option = next(row for row in instruments.values() if row.strike and row.exchange == "NFO")
    contract = simulator.universe.by_instrument(option.instrument)
    assert contract is not None
    placed = await adapter.place_order(
        session,
        order(option, product=Product.NRML, quantity=option.lot_size, price=contract.price),
        gate,
    )
    (trade,) = await adapter.trade_book(session)
    assert (trade.broker_order_id, trade.quantity) == (placed.broker_order_id, option.lot_size)
    assert trade.codes.items() <= option.codes.items()
    assert set(trade.codes) == set(adapter.capabilities.code_keys)
    assert (trade.price, trade.broker_tag) == (contract.price, 176300000012301)
    (position,) = await adapter.positions(session)
    assert (position.quantity, position.buy_price) == (option.lot_size, contract.price)
    assert position.codes == trade.codes


def test_modify_body_is_the_sample_of_the_documents() -> None:
    assert orders.modify_body(change()) == (
        b'{"quantity":3,"order_type":"LIMIT","validity":"DAY","disclosed_quantity":0,'
        b'"product":"DELIVERY","price":459.5,"trigger_price":0,"amo":false}'
    )


async def test_modify_changes_a_resting_order(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    instruments: dict[str, Instrument],
) -> None:
    sbin = instruments["NSE:SBIN"]
    placed = await adapter.place_order(session, order(sbin, price=Decimal("700")), gate)
    wanted = change(
        broker_order_id=placed.broker_order_id, instrument=sbin, price=Decimal("701.05")
    )
    done = await adapter.modify_order(session, wanted, gate)
    assert done.broker_order_id == placed.broker_order_id
    row = await adapter.get_order(session, OrderRef(broker_order_id=placed.broker_order_id))
    assert row is not None
    assert (row.quantity, row.price, row.state) == (3, Decimal("701.05"), BrokerOrderState.OPEN)
    assert not simulator.violations
    simulator.faults.add([{"call": "modify", "action": "accept_then_reset"}])
    with pytest.raises(OutcomeUnknown):
        await adapter.modify_order(session, wanted, gate)
    await adapter.cancel_order(session, OrderRef(broker_order_id=placed.broker_order_id))
    with pytest.raises(Refused, match="Order cannot be modified"):
        await adapter.modify_order(session, wanted, gate)
    assert simulator.calls[CallKind.MODIFY] == 3


def test_part_filled_orders_are_not_modified() -> None:
    orders.check_modify(change())
    with pytest.raises(NotSupported):
        orders.check_modify(change(filled_quantity=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"order_type": OrderType.MARKET, "price": None},
        {"price": None},
        {"quantity": 0},
        {"instrument": BANKNIFTY_PUT},
        {"product": Product.NRML},
    ],
)
def test_modify_is_checked_as_an_order_is(changes: dict[str, Any]) -> None:
    with pytest.raises(Denied):
        orders.check_modify(change(**changes))


def test_modify_answered_for_another_order_settles_nothing() -> None:
    answer = answer_of(payload("post_orders_regular.json"))
    assert parse.parse_modified(answer, "26042500000504").broker_order_id == "26042500000504"
    with pytest.raises(BadAnswer):
        parse.parse_modified(answer, "26042500000505")
