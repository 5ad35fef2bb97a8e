"""The simulated account and prices against the dossier's samples (7.1 to 7.3, 8.1, 13)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.models import OptionType
from adapters.sdk.simulator import CallKind, ManualClock
from tests.hdfc.conftest import INSTANT
from tests.hdfc.raw import KEY, NOON, RawClient, assert_same_shape, option_order, sample

LTP = f"/oapi/v1/fetch-ltp?api_key={KEY}"
WIPRO = {"exchange": "NSE", "token": "3787"}


@pytest.fixture
async def carrying() -> AsyncIterator[RawClient]:
    carried = {"instrument": "NSE:WIPRO", "product": "MTF", "quantity": 100, "price": "230"}
    simulator = HdfcSimulator(options=INSTANT | {"carried": [carried]}, clock=ManualClock(NOON))
    await simulator.start()
    client = RawClient(simulator)
    await client.log_in()
    yield client
    await simulator.stop()


async def test_trades_positions_and_profile(logged_in: RawClient) -> None:
    placed = await logged_in(
        "POST",
        f"/oapi/v1/orders/regular?api_key={KEY}",
        option_order(
            logged_in.simulator,
            kind=OptionType.PE,
            order_type="MARKET",
            price=0,
            transaction_type="Buy",
        ),
    )
    trades = await logged_in("GET", f"/oapi/v1/trades?api_key={KEY}")
    assert_same_shape(sample("get_trades.json"), trades.json)
    trade = trades.json["data"][0]
    assert (trade["security_id"], trade["transaction_type"]) == ("BANKNIFTY", "BUY")
    order_id = placed.json["data"]["order_id"]
    own = await logged_in("GET", f"/oapi/v1/orders/{order_id}/trades?api_key={KEY}")
    row = own.json["data"][0]
    assert {"client_id", "tradeId", "orderId", "securityId", "averagePrice"} <= set(row)
    assert (row["orderId"], row["fillTimestamp"], row["validity"]) == (order_id, None, "1")
    positions = await logged_in("GET", f"/oapi/v1/portfolio/cumulative-positions?api_key={KEY}")
    assert_same_shape(
        sample("get_portfolio_cumulative_positions.json"), positions.json, partial=True
    )
    net = positions.json["data"]["net"][0]
    assert (net["option_type"], net["net_qty"]) == ("Put", 30)
    assert re.fullmatch(r"\d\d-[A-Z]{3}-26", net["expiry_date"])
    profile = await logged_in("GET", f"/oapi/v3/user/profile?api_key={KEY}")
    assert_same_shape(sample("get_user_profile.json"), profile.json, partial=True)
    assert (await logged_in("POST", f"/oapi/v3/user/profile?api_key={KEY}")).status == 405


async def test_carried_position_is_told_apart_from_the_days(carrying: RawClient) -> None:
    order = sample("post_orders_regular_request_equity.json")
    order |= {"product": "MTF", "transaction_type": "Sell", "quantity": 25, "price": 230}
    await carrying("POST", f"/oapi/v1/orders/regular?api_key={KEY}", order)
    answer = await carrying("GET", f"/oapi/v1/portfolio/cumulative-positions?api_key={KEY}")
    assert_same_shape(
        sample("get_portfolio_cumulative_positions_carried.json"), answer.json, partial=False
    )
    (net,) = answer.json["data"]["net"]
    assert (net["net_qty"], net["total_buy_quantity"], net["total_sell_qty"]) == (75, 100, 25)
    assert (net["cf_buy_qty"], net["t_day_net_qty"], net["t_day_buy_value"]) == (100, -25, 0.0)
    assert (net["cf_average_buy_price"], net["cf_buy_value"]) == (230.0, 23000.0)


async def test_holdings_of_the_samples_with_what_a_real_account_added(
    logged_in: RawClient,
) -> None:
    answer = await logged_in("GET", f"/oapi/v1/portfolio/holdings?api_key={KEY}")
    assert_same_shape(sample("get_portfolio_holdings.json"), answer.json, partial=True)
    assert_same_shape(sample("get_portfolio_holdings_mixed.json"), answer.json)
    rows = answer.json["data"]
    assert [row["isin"] for row in rows] == [
        "INE062A01020",
        "INE009A01021",
        "0",
        "",
        "INF179KB1HT1",
    ]
    assert [row["security_id"] for row in rows[:3]] == ["STABANEQNR", "", "NSEDNL67605"]
    assert rows[0]["investment_value"] == "32,012.50"
    assert rows[2]["company_name"].endswith(" Options")
    assert rows[3]["company_name"].endswith(" Futures")


async def test_funds_have_every_documented_member(logged_in: RawClient) -> None:
    answer = await logged_in("GET", f"/oapi/v1/user/margins?api_key={KEY}")
    assert_same_shape(sample("get_user_margins_full.json"), answer.json)
    documented = sample("get_user_margins.json")["data"]["equity"]
    assert set(documented) == set(answer.json["data"]["equity"])


async def test_last_price_by_put_has_no_status(logged_in: RawClient) -> None:
    answer = await logged_in("PUT", LTP, {"data": [WIPRO]})
    assert_same_shape(sample("put_fetch_ltp.json"), answer.json)
    assert answer.json["data"][0]["token"] == 3787


async def test_prices_go_by_segment_and_the_unknown_is_left_out(logged_in: RawClient) -> None:
    nifty = {"exchange": "NSE", "token": "26000"}
    asked = [
        nifty,
        nifty | {"exchange": "NSE_INDEX"},
        {"exchange": "BFO", "token": "810001"},
        {"exchange": "NSE", "token": "810001"},
        {"exchange": "NSE", "token": "3045"},
        {"exchange": "CDS", "token": "3045"},
        {"exchange": "MCX", "token": "575691"},
        {"exchange": "MCX", "token": "DUMMY1"},
        {"exchange": "XYZ", "token": "3045"},
    ]
    answer = await logged_in("PUT", LTP, {"data": asked})
    assert_same_shape(sample("put_fetch_ltp_segments.json"), answer.json)
    assert [(row["exchange"], row["token"], row["ltp"]) for row in answer.json["data"]] == [
        ("NSE_INDEX", 26000, pytest.approx(row_price(logged_in, "NSE:NIFTY 50"))),
        ("", 810001, pytest.approx(answer.json["data"][1]["ltp"])),
        ("NSE", 3045, pytest.approx(row_price(logged_in, "NSE:SBIN"))),
        ("", 3045, 88.4025),
        ("MCX", 575691, 98450.0),
    ]
    assert not logged_in.simulator.violations


def row_price(client: RawClient, instrument: str) -> float:
    contract = client.simulator.universe.by_instrument(instrument)
    assert contract is not None
    return float(contract.price)


async def test_more_than_ten_prices_are_refused(logged_in: RawClient) -> None:
    answer = await logged_in("PUT", LTP, {"data": [WIPRO] * 11})
    assert (answer.status, answer.json) == (400, sample("put_fetch_ltp_too_many.json"))
    assert logged_in.simulator.violations[CallKind.QUOTE, "maximum 10 items allowed"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "data"),
        ({"data": WIPRO}, "data"),
        ({"data": [WIPRO], "mode": "LTP"}, "data"),
        ({"data": ["NSE:3787"]}, "data"),
        ({"data": [WIPRO | {"token": 3787}]}, "token"),
        ({"data": [{"token": "3787"}]}, "exchange"),
        ({"data": [WIPRO | {"symbol": "WIPRO"}]}, "symbol"),
    ],
)
async def test_wrong_price_requests_are_refused_and_counted(
    logged_in: RawClient, body: Any, field: str
) -> None:
    answer = await logged_in("PUT", LTP, body)
    message = f"`{field}` is invalid"
    assert (answer.status, answer.json) == (400, {"status": "error", "message": message})
    assert logged_in.simulator.violations[CallKind.QUOTE, message] == 1


async def test_price_request_of_another_content_type_is_refused(logged_in: RawClient) -> None:
    answer = await logged_in("PUT", LTP, {"data": [WIPRO]}, headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.json["message"]) == (400, "JSON body expected")
    assert logged_in.simulator.violations[CallKind.QUOTE, "body is not declared as JSON"] == 1


async def test_what_the_broker_does_not_know_of_is_counted(logged_in: RawClient) -> None:
    simulator = logged_in.simulator
    funds = f"/oapi/v1/user/margins?api_key={KEY}"
    assert (await logged_in("GET", f"{funds}&client_id=1234567")).status == 200
    assert (await logged_in("GET", funds, {"a": 1})).status == 200
    assert dict(simulator.violations) == {
        (CallKind.READ, "query parameter client_id is not the broker's"): 1,
        (CallKind.READ, "GET with a body"): 1,
    }
    for path in ("holdings", "overall_positions"):
        assert (await logged_in("GET", f"/oapi/v1/portfolio/{path}")).status in (401, 404)
    assert (await logged_in("POST", LTP, {"data": [WIPRO]})).status == 405
    assert (await logged_in("GET", funds, signed=False)).json == sample("error_401.json")


async def test_access_token_wants_json(client: RawClient) -> None:
    answer = await client(
        "POST", f"/oapi/v1/access-token?api_key={KEY}&request_token=x", form={"apiSecret": "x"}
    )
    assert (answer.status, answer.json) == (400, {"message": "JSON body expected"})


def test_a_carried_position_in_nothing_is_no_simulator() -> None:
    row = {"instrument": "NSE:NOSUCH", "quantity": 1, "price": "1"}
    with pytest.raises(ValueError, match="NSE:NOSUCH"):
        HdfcSimulator(options={"carried": [row]})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"security_id": "WIPLTDEQNR"}, "security_id"),
        ({"transaction_type": "Sell"}, "transaction_type"),
        ({"external_reference_number": 1}, "external_reference_number"),
        ({"order_type": None}, "order_type"),
        ({"quantity": "3"}, "quantity"),
        ({"product": "CNC"}, "product"),
        ({"amo": 0}, "amo"),
        ({"validity": "GTD"}, "validity"),
    ],
)
async def test_wrong_members_of_a_modify_are_refused_and_counted(
    logged_in: RawClient, change: dict[str, Any], field: str
) -> None:
    body = sample("post_orders_regular_request_equity.json") | {"price": 230, "quantity": 5}
    placed = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    target = f"/oapi/v1/orders/regular/{placed.json['data']['order_id']}?api_key={KEY}"
    wanted = {"quantity": 3, "order_type": "LIMIT", "price": 229.5, "amo": False} | change
    answer = await logged_in("PUT", target, wanted)
    assert (answer.status, answer.json["message"]) == (400, f"`{field}` is invalid")
    assert logged_in.simulator.violations[CallKind.MODIFY, f"`{field}` is invalid"] == 1
    assert logged_in.simulator.engine.orders[0].quantity == 5


async def test_disclosed_quantity_is_for_shares_and_not_above_the_quantity(
    logged_in: RawClient,
) -> None:
    share = sample("post_orders_regular_request_equity.json") | {"quantity": 5, "price": 230}
    for body, status in (
        (share | {"disclosed_quantity": 5}, 200),
        (share | {"disclosed_quantity": 6}, 400),
        (option_order(logged_in.simulator, disclosed_quantity=30), 400),
    ):
        answer = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
        assert answer.status == status
    assert len(logged_in.simulator.engine.orders) == 1
