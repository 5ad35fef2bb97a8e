"""Holdings, funds and margins over HTTP; what brokers say is put in at the adapters' seam."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.sdk.errors import LoginExpired, NotSupported, Phase, Progress
from adapters.sdk.errors import OutcomeUnknown as Lost
from adapters.sdk.interface import Feature, Support
from adapters.sdk.models import BrokerFunds, BrokerHolding, BrokerMargin
from tests.gateway.rig import Rig

HOLDING_FIELDS = [
    "instrument",
    "isin",
    "quantity",
    "t1_quantity",
    "pledged_quantity",
    "average_price",
    "last_price",
    "pnl",
]
LIMIT = {"instrument": "NSE:SBIN", "side": "BUY", "order_type": "LIMIT", "product": "CNC"}
ORDER: dict[str, Any] = {**LIMIT, "quantity": 10, "price": "812.50"}


def says(rig: Rig, account: str, call: str, answer: Any) -> list[Any]:
    """Have an account's broker answer a call so; returns what it is asked."""
    asked: list[Any] = []

    async def answered(session: Any, *args: Any) -> Any:
        asked.append(args)
        if isinstance(answer, Exception):
            raise answer
        return answer

    setattr(rig.gateway.accounts[account].adapter, call, answered)
    return asked


def has(rig: Rig, account: str, feature: Feature, support: Support = Support.SUPPORTED) -> None:
    item = rig.gateway.accounts[account]
    features = {**item.plugin.capabilities.features, feature: support}
    capabilities = msgspec.structs.replace(item.plugin.capabilities, features=features)
    item.plugin = msgspec.structs.replace(item.plugin, capabilities=capabilities)


async def codes_of(rig: Rig, account: str, instrument: str = "NSE:SBIN") -> dict[str, str]:
    broker = rig.gateway.accounts[account].broker
    found = await rig.gateway.instruments.find(broker, instrument)
    assert found is not None
    return found.codes


async def isin_of(rig: Rig, instrument: str = "NSE:SBIN") -> str:
    for broker in rig.sims:
        found = await rig.gateway.instruments.find(broker, instrument)
        if found is not None and found.isin:
            return found.isin
    raise AssertionError("no master has its ISIN")


async def holdings_at(rig: Rig, account: str = "fyers-main") -> list[dict[str, Any]]:
    reply = await rig.call("GET", f"/v1/holdings?accounts={account}")
    assert "complete" == reply.json["summary"], reply.json
    rows: list[dict[str, Any]] = reply.json["results"][0]["data"]
    return rows


async def test_holdings_are_named_by_codes_else_by_isin_else_not_at_all(rig):
    isin = await isin_of(rig)
    rows = [
        BrokerHolding(codes=await codes_of(rig, "fyers-main"), quantity=10),
        BrokerHolding(codes={}, isin=isin, quantity=5),
        BrokerHolding(codes={}, isin="INE000000000", quantity=1),
        BrokerHolding(codes={}, quantity=1),
    ]
    says(rig, "fyers-main", "holdings", rows)

    found = await holdings_at(rig)

    assert [HOLDING_FIELDS] * 4 == [list(row) for row in found]
    assert ["NSE:SBIN", "NSE:SBIN", None, None] == [row["instrument"] for row in found]
    assert [None, isin, "INE000000000", None] == [row["isin"] for row in found]


async def test_profit_is_worked_out_only_of_prices_that_the_broker_says(rig):
    isin = await isin_of(rig)

    def row(**fields: Any) -> BrokerHolding:
        return BrokerHolding(codes={}, isin=isin, quantity=10, **fields)

    says(
        rig,
        "fyers-main",
        "holdings",
        [
            row(average_price=Decimal("800.25"), last_price=Decimal("810"), pnl=Decimal("-1")),
            row(average_price=Decimal("800.25"), last_price=Decimal(810)),
            row(average_price=Decimal(0), last_price=Decimal(810)),
            row(average_price=Decimal(800)),
            row(pnl=Decimal(0)),
        ],
    )

    found = await holdings_at(rig)

    assert ["-1.00", "97.50", None, None, "0.00"] == [row["pnl"] for row in found]
    assert ["800.25", "800.25", None, "800.00", None] == [row["average_price"] for row in found]
    assert {None} == {row["t1_quantity"] for row in found} | {
        row["pledged_quantity"] for row in found
    }


async def test_a_holding_whose_codes_the_master_lacks_is_shown_in_the_brokers_words(rig):
    says(rig, "fyers-main", "holdings", [BrokerHolding(codes={"symbol": "NSE:NO-EQ"}, quantity=1)])

    reply = await rig.call("GET", "/v1/holdings?accounts=fyers-main")

    assert {"0": {"symbol": "NSE:NO-EQ"}} == reply.json["results"][0]["unlisted"]


async def test_funds_are_one_object_and_what_is_not_said_is_null(rig):
    says(rig, "fyers-main", "funds", BrokerFunds(available=Decimal("1000.5"), used=Decimal(0)))

    reply = await rig.call("GET", "/v1/funds?accounts=fyers-main")

    (result,) = reply.json["results"]
    wanted = {"available": "1000.50", "used": "0.00", "opening": None, "collateral": None}
    assert wanted == result["data"]
    assert result["as_of"].endswith("+05:30")


@pytest.mark.parametrize("what", ["holdings", "funds"])
async def test_one_account_that_fails_leaves_the_others_answers(rig, what):
    says(rig, "fyers-main", what, [] if what == "holdings" else BrokerFunds(available=None))
    lost = Lost("gone", progress=Progress.MAYBE_SENT, phase=Phase.READ)
    says(rig, "mstock-main", what, lost)
    says(rig, "hdfc-main", what, LoginExpired("over", created_nothing=True))

    reply = await rig.call("GET", f"/v1/{what}")

    assert (200, "partial") == (reply.status, reply.json["summary"])
    good, broken, ended = reply.json["results"]
    assert {"account", "broker", "ok", "as_of", "data"} == set(good)
    assert "broker_unavailable" == broken["reason"]["code"]
    assert "session_expired" == ended["reason"]["code"]
    sessions = (await rig.call("GET", "/v1/sessions")).json["sessions"]
    assert ["active", "active", "expired"] == [session["state"] for session in sessions]


async def test_a_broker_without_the_call_says_not_supported(rig):
    says(rig, "fyers-main", "funds", NotSupported("Fyers does not offer funds"))

    reply = await rig.call("GET", "/v1/funds?accounts=fyers-main")

    reason = reply.json["results"][0]["reason"]
    assert ("not_supported", False) == (reason["code"], reason["retryable"])


@pytest.mark.parametrize("what", ["holdings", "funds"])
@pytest.mark.parametrize(
    ("query", "field"), [("accounts=nobody", "accounts"), ("date=2026-11-20", "date")]
)
async def test_what_is_wrong_with_a_question_is_named(rig, what, query, field):
    reply = await rig.call("GET", f"/v1/{what}?{query}")

    assert (422, [field]) == (reply.status, [error["field"] for error in reply.json["errors"]])


async def ask_margins(rig: Rig, orders: Any, accounts: Any = ("@two",), **more: Any) -> Any:
    body = {"orders": orders, **({"accounts": accounts} if accounts else {})}
    return await rig.call("POST", "/v1/margins", body, **more)


async def test_margins_come_from_the_brokers_calculator_for_resolved_orders(rig):
    has(rig, "fyers-main", Feature.MARGINS)
    has(rig, "hdfc-main", Feature.MARGINS, Support.NOT_OFFERED)
    answer = BrokerMargin(
        required=Decimal("8125"), orders=[Decimal("8125"), None], available=Decimal(0)
    )
    asked = says(rig, "fyers-main", "margins", answer)

    reply = await ask_margins(rig, [ORDER, {**LIMIT, "order_type": "MARKET", "lots": 3}])

    assert (200, "complete") == (reply.status, reply.json["summary"])
    good, lacking = reply.json["results"]
    row = {"instrument": "NSE:SBIN", "side": "BUY", "product": "CNC"}
    assert {
        "required": "8125.00",
        "available": "0.00",
        "source": "broker",
        "orders": [
            {"index": 0, **row, "quantity": 10, "required": "8125.00"},
            {"index": 1, **row, "quantity": 3, "required": None},
        ],
    } == good["data"]
    assert ("hdfc-main", "estimate") == (lacking["account"], lacking["data"]["source"])
    assert [each["required"] is not None for each in lacking["data"]["orders"]] == [True, True]
    ((orders,),) = asked
    assert [("LIMIT", 10, Decimal("812.50")), ("MARKET", 3, None)] == [
        (order.order_type, order.quantity, order.price) for order in orders
    ]
    assert [] == rig.ledger("fyers")


async def test_what_the_calculator_does_not_say_of_the_money_is_read(rig):
    has(rig, "fyers-main", Feature.MARGINS)
    has(rig, "fyers-main", Feature.FUNDS)
    says(rig, "fyers-main", "margins", BrokerMargin(required=Decimal(1), orders=[]))
    says(rig, "fyers-main", "funds", BrokerFunds(available=Decimal(77)))

    reply = await ask_margins(rig, [ORDER], ["fyers-main"])

    data = reply.json["results"][0]["data"]
    # A calculator that tells of another number of orders tells of none.
    assert ("77.00", [None]) == (data["available"], [row["required"] for row in data["orders"]])


async def test_an_order_that_one_account_cannot_take_fails_there_with_its_place(rig):
    for account in ("fyers-main", "hdfc-main"):
        has(rig, account, Feature.MARGINS)
        says(rig, account, "margins", BrokerMargin(required=Decimal(1), orders=[None] * 2))

    reply = await ask_margins(rig, [ORDER, {**ORDER, "price": "812.51"}])

    assert "failed" == reply.json["summary"]
    for result in reply.json["results"]:
        reason = result["reason"]
        assert ("tick_size", 1) == (reason["code"], reason["details"]["order"])
        assert "price" == reason["details"]["field"]


async def test_orders_may_name_their_own_accounts(rig):
    for account in ("fyers-main", "hdfc-main"):
        has(rig, account, Feature.MARGINS)
        says(rig, account, "margins", BrokerMargin(required=Decimal(1), orders=[None]))

    reply = await ask_margins(
        rig, [{**ORDER, "accounts": ["hdfc-main"]}, {**ORDER, "accounts": ["fyers-main"]}], None
    )

    placed = [(r["account"], r["data"]["orders"][0]["index"]) for r in reply.json["results"]]
    assert [("hdfc-main", 0), ("fyers-main", 1)] == placed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"orders": [ORDER]}, "accounts"),
        ({"accounts": ["nobody"], "orders": [ORDER]}, "accounts[0]"),
        ({"accounts": [], "orders": [ORDER]}, "accounts"),
        ({"accounts": ["@two"], "orders": []}, "orders"),
        ({"accounts": ["@two"]}, "orders"),
        ({"accounts": ["@two"], "orders": [ORDER, {**ORDER, "lots": 1}]}, "orders[1].quantity"),
        ({"accounts": ["@two"], "orders": [{**ORDER, "price": None}]}, "orders[0].price"),
        ({"accounts": ["@two"], "orders": [{**ORDER, "qty": 1}]}, "orders[0].qty"),
        (
            {"orders": [ORDER | {"accounts": ["nobody"]}]},
            "orders[0].accounts[0]",
        ),
    ],
)
async def test_what_is_wrong_with_orders_to_ask_about_is_named(rig, body, field):
    reply = await rig.call("POST", "/v1/margins", body)

    assert (422, [field]) == (reply.status, [error["field"] for error in reply.json["errors"]])


async def test_margins_of_an_account_without_a_login_say_so(rig):
    has(rig, "hdfc-main", Feature.MARGINS)
    await rig.call("DELETE", "/v1/sessions/hdfc-main")

    reply = await ask_margins(rig, [ORDER], ["hdfc-main"])

    assert "session_missing" == reply.json["results"][0]["reason"]["code"]
