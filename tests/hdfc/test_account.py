"""Holdings, funds and last prices: payload files, odd answers, and over sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.hdfc import parse, parse_portfolio, parse_quotes, quotes
from adapters.hdfc.adapter import HdfcAdapter
from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    NotSupported,
    OutcomeUnknown,
    ReasonCode,
)
from adapters.sdk.interface import Feature, Support
from adapters.sdk.models import (
    BrokerFunds,
    BrokerHolding,
    BrokerPosition,
    Exchange,
    Instrument,
    InstrumentType,
    Interval,
    Product,
    Session,
    Side,
)
from adapters.sdk.simulator import CallKind
from tests.hdfc.conftest import INSTANT, OpenGate, adapter_for, log_in
from tests.hdfc.support import WIPRO, answer_of, order, payload

NOW = datetime(2026, 4, 30, tzinfo=UTC)
SHARE: dict[str, Any] = {"isin": "INE062A01020", "quantity": 5, "company_name": "STATE BANK"}


def holdings(*rows: Any) -> list[BrokerHolding]:
    return parse_portfolio.parse_holdings(answer_of({"status": "success", "data": list(rows)}))


def funds(equity: Any) -> BrokerFunds:
    body = {"status": "success", "data": {"equity": equity}}
    return parse_portfolio.parse_funds(answer_of(body))


@pytest.fixture
async def instruments(adapter: HdfcAdapter, tmp_path: Path) -> dict[str, Instrument]:
    files = await adapter.download_master(None, tmp_path)
    return {row.instrument: row for row in adapter.read_master(files)}


def test_holding_of_the_documents_is_named_by_its_isin_alone() -> None:
    found = parse_portfolio.parse_holdings(answer_of(payload("get_portfolio_holdings.json")))
    assert found == [
        BrokerHolding(codes={}, quantity=2, isin="INF204KB17I5", average_price=Decimal("40.67"))
    ]


def test_holdings_are_shares_without_the_contracts_and_fractions_among_them() -> None:
    found = parse_portfolio.parse_holdings(answer_of(payload("get_portfolio_holdings_mixed.json")))
    assert found == [
        BrokerHolding(
            codes={"exchange": "NSE", "instrument_segment": "EQUITY", "security_id": "STABANEQNR"},
            quantity=50,
            isin="INE062A01020",
            name="STATE BANK OF INDIA",
            average_price=Decimal("640.25"),
            pnl=Decimal("8587.5"),
        ),
        BrokerHolding(
            codes={},
            quantity=1020,
            isin="INE009A01021",
            name="INFOSYS LIMITED",
            average_price=Decimal("1510.00"),
            pnl=Decimal("-12240.00"),
        ),
        BrokerHolding(codes={}, quantity=2, isin="INF204KB17I5", average_price=Decimal("40.67")),
    ]


@pytest.mark.parametrize(
    ("code", "exchange"),
    [
        ("", "NSE"),
        (None, "NSE"),
        ("NSEDNL67605", "NSE"),
        ("SBIN", "NSE"),
        ("3045", "NSE"),
        (3045, "NSE"),
        ("STABANEQNR", "NFO"),
        ("STABANEQNR", ""),
        (["STABANEQNR"], "NSE"),
    ],
)
def test_what_is_not_a_shares_code_for_certain_names_no_contract(code: Any, exchange: str) -> None:
    (row,) = holdings(SHARE | {"security_id": code, "exchange": exchange})
    assert (row.codes, row.isin) == ({}, "INE062A01020")


@pytest.mark.parametrize("isin", ["", "0", 0, None, "US0378331005", "INE062A0102", "INE062A010201"])
def test_rows_without_an_indian_isin_are_no_shares(isin: Any) -> None:
    assert holdings(SHARE | {"isin": isin, "company_name": "NIFTY Options"}) == []


def test_row_that_is_left_out_without_being_a_contract_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert holdings({"isin": "", "quantity": 1, "company_name": "BANKNIFTY FUTURES"}) == []
    assert not caplog.records
    assert holdings({"isin": "", "quantity": 1, "company_name": "Sovereign Gold 2031"}) == []
    assert "Sovereign Gold 2031" in caplog.text


@pytest.mark.parametrize("data", [None, []])
def test_no_holdings_inside_a_success(data: Any) -> None:
    answer = answer_of({"status": "success", "data": data})
    assert parse_portfolio.parse_holdings(answer) == []
    assert parse_portfolio.parse_holdings(answer_of({"status": "success"})) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"status": "success", "data": {}}),
        (200, {"status": "success", "data": [SHARE, None]}),
        (200, {"status": "success", "data": [SHARE, SHARE | {"quantity": ""}]}),
        (200, {"status": "success", "data": [SHARE | {"quantity": 1.5}]}),
        (200, {"status": "success", "data": [SHARE | {"quantity": -1}]}),
        (200, {"status": "success", "data": [SHARE | {"average_price": "n/a"}]}),
        (200, {"status": "error", "message": "Portfolio Holding is null", "error_code": 60014}),
        (200, {"data": []}),
        (200, b"<html>maintenance</html>"),
        (422, b""),
        (500, b""),
    ],
)
def test_anything_else_is_not_read_as_holdings(status: int, body: Any) -> None:
    with pytest.raises(BadAnswer):
        parse_portfolio.parse_holdings(answer_of(body, status))


def test_refused_read_is_not_called_an_invalid_order() -> None:
    with pytest.raises(BadAnswer) as caught:
        parse_portfolio.parse_holdings(answer_of({"message": "Unprocessable"}, 422))
    assert caught.value.reason is ReasonCode.BROKER_REJECTED


def test_funds_of_the_documents() -> None:
    assert parse_portfolio.parse_funds(answer_of(payload("get_user_margins.json"))) == BrokerFunds(
        available=Decimal("9.99"), used=Decimal(184), collateral=Decimal("0.0")
    )
    assert parse_portfolio.parse_funds(
        answer_of(payload("get_user_margins_full.json"))
    ) == BrokerFunds(
        available=Decimal("125000.5"), used=Decimal("18400.0"), collateral=Decimal("25000.0")
    )


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        (
            {"total_available_limit": "1,25,000.50", "total_utilised_limit": ""},
            BrokerFunds(available=Decimal("125000.50")),
        ),
        (
            {
                "totalAvailableLimit": -12.5,
                "totalUtilisedLimit": 1,
                "total_limit_details": {"pledgeLimit": "0"},
            },
            BrokerFunds(available=Decimal("-12.5"), used=Decimal(1), collateral=Decimal(0)),
        ),
        (
            {"total_available_limit": 0, "totalLimitDetails": None},
            BrokerFunds(available=Decimal(0)),
        ),
    ],
)
def test_funds_in_every_spelling(equity: Any, expected: BrokerFunds) -> None:
    assert funds(equity) == expected


def test_funds_inside_a_list_of_one_are_read() -> None:
    body = {"status": "success", "data": [{"equity": {"total_available_limit": 5}}]}
    assert parse_portfolio.parse_funds(answer_of(body)).available == 5


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"status": "success", "data": None}),
        (200, {"status": "success", "data": {"equity": None}}),
        (200, {"status": "success", "data": {"commodity": {"total_available_limit": 1}}}),
        (200, {"status": "success", "data": {"equity": {"total_available_limit": ""}}}),
        (200, {"status": "success", "data": {"equity": {"total_available_limit": "NaN"}}}),
        (200, {"status": "success", "data": {"equity": {"total_available_limit": [1]}}}),
        (200, {"status": "error", "message": "no"}),
        (404, b""),
    ],
)
def test_funds_that_do_not_say_what_is_available_are_not_read(status: int, body: Any) -> None:
    with pytest.raises(BadAnswer):
        parse_portfolio.parse_funds(answer_of(body, status))


def test_positions_carried_forward_count_in_the_totals() -> None:
    found = parse_portfolio.parse_positions(
        answer_of(payload("get_portfolio_cumulative_positions_carried.json"))
    )
    assert found[0] == BrokerPosition(
        codes={"exchange": "NSE", "instrument_segment": "OPTIDX", "security_id": "43382"},
        product=Product.NRML,
        quantity=75,
        buy_quantity=100,
        sell_quantity=25,
        buy_price=Decimal("2.3"),
        sell_price=Decimal("2.5"),
        realised_pnl=Decimal("5.0"),
    )
    assert (found[1].quantity, found[1].product, found[1].realised_pnl) == (0, Product.MIS, 15)


def test_prices_of_every_segment() -> None:
    asked = {
        "21840": ("NSE", "NSE:ONE"),
        "26000": ("NSE_INDEX", "NSE:NIFTY 50"),
        "826625": ("BFO", "BFO:TWO"),
        "70528": ("NFO", "NFO:THREE"),
        "1": ("NSE", "NSE:UNKNOWN"),
    }
    found = parse_quotes.parse_last_prices(
        answer_of(payload("put_fetch_ltp_segments.json")), asked, NOW
    )
    assert {name: str(quote.last_price) for name, quote in found.items()} == {
        "NSE:ONE": "1089.75",
        "NSE:NIFTY 50": "24500.05",
        "BFO:TWO": "118.4",
        "NFO:THREE": "211.0",
    }


def test_price_of_a_currency_contract_is_believed_only_with_its_exchange() -> None:
    asked = {"3045": ("CDS", "CDS:USDINR27OCT27FUT")}

    def price_of(exchange: Any) -> dict[str, Any]:
        row = {"exchange": exchange, "token": 3045.0, "ltp": "88.4025"}
        return parse_quotes.parse_last_prices(answer_of({"data": [row]}), asked, NOW)

    assert price_of("CDS")["CDS:USDINR27OCT27FUT"].last_price == Decimal("88.4025")
    assert price_of("") == price_of(None) == price_of("NSE") == {}


def test_null_for_the_prices_is_none_of_them() -> None:
    body = {"data": None, "meta": {"statusCode": "OK"}}
    assert parse_quotes.parse_last_prices(answer_of(body), {}, NOW) == {}


@pytest.mark.parametrize("code", ["ERROR", "500"])
def test_error_told_by_the_meta_is_an_error(code: str) -> None:
    meta = {"statusCode": code, "statusMsg": "feed is down"}
    with pytest.raises(BadAnswer, match="feed is down"):
        parse_quotes.parse_last_prices(answer_of({"data": [], "meta": meta}), {}, NOW)


def test_every_segment_has_its_word_in_price_requests() -> None:
    def listed(exchange: Exchange, kind: InstrumentType) -> Instrument:
        return msgspec.structs.replace(
            WIPRO,
            instrument=f"{exchange}:{kind}",
            exchange=exchange,
            type=kind,
            codes={"token": "7"},
        )

    wanted = [
        listed(Exchange.NSE, InstrumentType.EQ),
        listed(Exchange.NSE, InstrumentType.INDEX),
        listed(Exchange.BSE, InstrumentType.EQ),
        listed(Exchange.BSE, InstrumentType.INDEX),
        listed(Exchange.NFO, InstrumentType.OPT),
        listed(Exchange.BFO, InstrumentType.FUT),
        listed(Exchange.CDS, InstrumentType.FUT),
        listed(Exchange.MCX, InstrumentType.FUT),
        listed(Exchange.BCD, InstrumentType.FUT),
    ]
    # The same token in every segment: each goes into a call of its own.
    sent = [quotes.items_of(batch) for batch in quotes.batches(wanted)]
    assert sent == [
        [{"exchange": word, "token": "7"}]
        for word in ("NSE", "NSE_INDEX", "BSE", "BSE_INDEX", "NFO", "BFO", "CDS", "MCX")
    ]


async def test_account_over_sockets(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    held = await adapter.holdings(session)
    assert [(row.isin, row.quantity) for row in held] == [
        (holding.contract.isin, holding.quantity) for holding in simulator.engine.account.holdings
    ]
    money = await adapter.funds(session)
    assert money.available == simulator.engine.account.funds.available
    assert not simulator.violations
    simulator.expire_sessions()
    with pytest.raises(LoginExpired):
        await adapter.holdings(session)
    with pytest.raises(LoginExpired):
        await adapter.funds(session)


async def test_share_held_under_its_code_is_the_masters(
    adapter: HdfcAdapter, session: Session, instruments: dict[str, Instrument]
) -> None:
    first, *_ = await adapter.holdings(session)
    sbin = instruments["NSE:SBIN"].codes
    assert first.codes == {name: sbin[name] for name in adapter.capabilities.code_keys}


async def test_currency_and_commodity_prices(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    instruments: dict[str, Instrument],
) -> None:
    gold = next(row for row in instruments.values() if row.symbol.startswith("GOLD"))
    dollar = next(row for row in instruments.values() if row.symbol.startswith("USDINR"))
    wanted = [gold, dollar, instruments["NSE:SBIN"]]
    assert dollar.codes["token"] == instruments["NSE:SBIN"].codes["token"]
    found = await adapter.quotes(session, wanted)
    assert set(found) == {gold.instrument, "NSE:SBIN"}
    assert found["NSE:SBIN"].last_price == Decimal("812.00")
    assert simulator.calls[CallKind.QUOTE] == 2
    assert not simulator.violations


async def test_named_currency_rows_are_quoted(tmp_path: Path) -> None:
    simulator = HdfcSimulator(options=INSTANT | {"ltp_blank": ["BFO"]})
    await simulator.start()
    adapter = adapter_for(simulator)
    session = await log_in(adapter, simulator)
    files = await adapter.download_master(None, tmp_path)
    dollar = next(row for row in adapter.read_master(files) if row.symbol.startswith("USDINR"))
    found = await adapter.quotes(session, [dollar])
    assert found[dollar.instrument].last_price == Decimal("88.4025")
    await adapter.close()
    await simulator.stop()


async def test_carried_position_is_closed_by_what_is_sold(tmp_path: Path) -> None:
    carried = {"instrument": "NSE:WIPRO", "product": "MTF", "quantity": 100, "price": "230"}
    simulator = HdfcSimulator(options=INSTANT | {"carried": [carried]})
    await simulator.start()
    adapter = adapter_for(simulator)
    session = await log_in(adapter, simulator)
    (before,) = await adapter.positions(session)
    assert (before.quantity, before.buy_quantity, before.sell_quantity) == (100, 100, 0)
    assert (before.product, before.buy_price) == (Product.MTF, Decimal(230))
    files = await adapter.download_master(None, tmp_path)
    wipro = next(row for row in adapter.read_master(files) if row.instrument == "NSE:WIPRO")
    wanted = order(wipro, side=Side.SELL, product=Product.MTF, quantity=100, price=Decimal("230"))
    await adapter.place_order(session, wanted, OpenGate())
    (after,) = await adapter.positions(session)
    assert (after.quantity, after.buy_quantity, after.sell_quantity) == (0, 100, 100)
    assert after.codes == before.codes
    await adapter.close()
    await simulator.stop()


class ShutGate(OpenGate):
    """Says no at the last moment."""

    def check(self) -> None:
        raise Denied("halted", reason=ReasonCode.KILL_SWITCH)


@pytest.mark.parametrize("shape", ["list", "null", "missing", "error"])
async def test_empty_book_before_the_first_order_is_empty(shape: str) -> None:
    simulator = HdfcSimulator(options=INSTANT | {"empty_lists": shape})
    await simulator.start()
    adapter = adapter_for(simulator)
    session = await log_in(adapter, simulator)
    assert await adapter.order_book(session) == []
    assert await adapter.trade_book(session) == []
    await adapter.close()
    await simulator.stop()


async def test_no_data_is_not_believed_once_an_order_may_exist(tmp_path: Path) -> None:
    simulator = HdfcSimulator(options=INSTANT | {"empty_lists": "error"})
    await simulator.start()
    adapter = adapter_for(simulator)
    session = await log_in(adapter, simulator)
    files = await adapter.download_master(None, tmp_path)
    wipro = next(row for row in adapter.read_master(files) if row.instrument == "NSE:WIPRO")
    with pytest.raises(Denied):
        await adapter.place_order(session, order(wipro, price=Decimal("230")), ShutGate())
    assert await adapter.order_book(session) == []
    simulator.faults.add([{"call": "place", "action": "reset_before_accept"}])
    with pytest.raises(OutcomeUnknown):
        await adapter.place_order(session, order(wipro, price=Decimal("230")), OpenGate())
    with pytest.raises(BadAnswer, match="No data found"):
        await adapter.order_book(session)
    await adapter.close()
    await simulator.stop()


async def test_no_data_is_not_believed_after_a_book_with_orders(
    adapter: HdfcAdapter,
    simulator: HdfcSimulator,
    session: Session,
    gate: OpenGate,
    instruments: dict[str, Instrument],
) -> None:
    wipro = order(instruments["NSE:WIPRO"], price=Decimal("230"))
    await adapter.place_order(session, wipro, gate)
    other = adapter_for(simulator)
    assert len(await other.order_book(session)) == 1
    simulator.engine.reset()
    simulator.options["empty_lists"] = "error"
    with pytest.raises(BadAnswer, match="No data found"):
        await other.order_book(session)
    await other.close()


NO_DATA = {"status": "error", "message": "No Data Found.", "data": None}


def test_no_trades_as_an_error_are_believed_beside_a_book_without_fills() -> None:
    open_row = parse.parse_order_book(answer_of(payload("get_order_open.json")))
    traded = parse.parse_order_book(answer_of(payload("get_orders.json")))
    assert parse_portfolio.parse_trades(answer_of(NO_DATA), open_row) == []
    with pytest.raises(BadAnswer):
        parse_portfolio.parse_trades(answer_of(NO_DATA), traded)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, NO_DATA),
        (500, NO_DATA),
        (200, NO_DATA | {"status": "success", "data": "x"}),
        (200, NO_DATA | {"data": [{"order_id": "1"}]}),
        (200, NO_DATA | {"message": "No data found for this client, service degraded"}),
        (200, NO_DATA | {"message": "Something went wrong"}),
        (200, {"message": "No data found"}),
        (200, {"status": "error"}),
    ],
)
def test_every_other_error_is_no_empty_book(status: int, body: Any) -> None:
    with pytest.raises(BadAnswer):
        parse.parse_order_book(answer_of(body, status), may_be_empty=True)


def test_no_data_makes_no_order_absent_and_no_account_poor() -> None:
    for read in (
        lambda answer: parse.parse_single_order(answer, "26042500000504"),
        parse_portfolio.parse_positions,
        parse_portfolio.parse_holdings,
        parse_portfolio.parse_funds,
    ):
        with pytest.raises(BadAnswer):
            read(answer_of(NO_DATA))


async def test_what_the_broker_lacks_or_nobody_proved_is_refused_and_said_why(
    adapter: HdfcAdapter, simulator: HdfcSimulator, session: Session
) -> None:
    features = adapter.capabilities.features
    assert features[Feature.MARGINS] is Support.UNVERIFIED
    assert not {Feature.DEPTH, Feature.CANDLES, Feature.LOGOUT} & set(features)
    with pytest.raises(NotSupported, match="not proven"):
        await adapter.margins(session, [])
    with pytest.raises(NotSupported, match="does not offer market depth"):
        await adapter.depth(session, WIPRO)
    with pytest.raises(NotSupported, match="does not offer candles"):
        await adapter.candles(session, WIPRO, Interval.D1, NOW, NOW)
    with pytest.raises(NotSupported):
        await adapter.find_by_tag(session, 176300000012301)
    assert simulator.calls[CallKind.OTHER] == 0
