"""One good order tried in the ways that must be refused, over HTTP, against three simulators."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.sdk.models import BrokerMargin, InstrumentType
from gateway.orders.times import IST
from tests.gateway.rig import ORDER, Reply, Rig

ACCOUNTS = ("fyers-main", "mstock-main", "hdfc-main")
BROKERS = ("fyers", "mstock", "hdfc")
_MONDAY = datetime(2026, 11, 23, 11, 0, tzinfo=IST)


# What a broker's limits make wait is not the subject here.
_AT_ONCE = {"limits": {"broker_windows": "ignore"}}


@pytest.fixture
async def rig(tmp_path):
    async with Rig(
        tmp_path / "data",
        account_settings=_AT_ONCE,
        settings={"prechecks": {"budget_ms": 1000}},
    ) as rig:
        yield rig


@pytest.fixture
async def one(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",), account_settings=_AT_ONCE) as rig:
        yield rig


def option_of(rig: Rig, broker: str = "fyers") -> str:
    """A NIFTY option of the last expiry: lots of 65, at most 1800 in one order."""
    contracts = [
        contract
        for contract in rig.sims[broker].universe.core
        if contract.underlying == "NIFTY" and contract.type is InstrumentType.OPT
    ]
    return max(contracts, key=lambda contract: contract.expiry).instrument


async def put_limits(rig: Rig, limits: dict[str, Any], account: str | None = None) -> None:
    scope = {"scope": "account", "target": account} if account else {"scope": "global"}
    reply = await rig.call("PUT", "/v1/limits", {**scope, "limits": limits, "reason": "a test"})
    assert reply.status == 200, reply.json


def assert_refused(reply: Reply, code: str, field: str) -> None:
    for leg in reply.json["legs"]:
        assert (leg["state"], leg["outcome"]) == ("DENIED", "not_sent"), leg
        assert (leg["reason"]["code"], leg["reason"]["details"]["field"]) == (code, field), leg
        assert leg["reason"]["message"]
        assert leg["precheck"] == "failed"


def assert_nothing_sent(rig: Rig) -> None:
    assert {broker: len(rig.ledger(broker)) for broker in rig.sims} == dict.fromkeys(rig.sims, 0)


_SL = {"order_type": "SL", "trigger_price": "812.50"}
CONTRACT = {
    "an_instrument_that_no_master_has": (
        {"instrument": "NSE:SBINN"},
        "instrument_unknown",
        "instrument",
    ),
    "an_index": ({"instrument": "NSE:NIFTY 50"}, "instrument_blocked", "instrument"),
    "a_product_of_derivatives_for_a_share": ({"product": "NRML"}, "product_not_allowed", "product"),
    "a_price_between_ticks": ({"price": "812.52"}, "tick_size", "price"),
    "a_trigger_between_ticks": (
        {"order_type": "SL", "price": "813.00", "trigger_price": "812.51"},
        "tick_size",
        "trigger_price",
    ),
    "a_stop_buy_that_cannot_trade": ({**_SL, "price": "812.00"}, "invalid_order", "price"),
    "a_stop_sell_that_cannot_trade": (
        {**_SL, "side": "SELL", "price": "813.00"},
        "invalid_order",
        "price",
    ),
}


@pytest.mark.parametrize("case", CONTRACT)
async def test_refused_by_the_contract(rig, case):
    changes, code, field = CONTRACT[case]

    assert_refused(await rig.place(**changes), code, field)
    assert_nothing_sent(rig)


DERIVATIVE = {
    "a_product_of_shares_for_an_option": ({"product": "CNC"}, "product_not_allowed", "product"),
    "not_whole_lots": ({"quantity": 66}, "lot_size", "quantity"),
    "less_than_a_lot": ({"quantity": 64}, "lot_size", "quantity"),
}


@pytest.mark.parametrize("case", DERIVATIVE)
async def test_refused_by_the_contract_of_an_option(rig, case):
    changes, code, field = DERIVATIVE[case]
    order = {"instrument": option_of(rig), "product": "NRML", "quantity": 65, "price": "100.00"}

    assert_refused(await rig.place(**{**order, **changes}), code, field)
    assert_nothing_sent(rig)


ONE = {
    "above_the_freeze_quantity": ({"quantity": 1820}, "freeze_quantity", "quantity"),
    "more_slices_than_are_made": (
        {"quantity": 65 * 27 * 51, "slice": True},
        "freeze_quantity",
        "quantity",
    ),
    "a_price_above_the_band": ({"price": "99999.00"}, "price_band", "price"),
    "a_trigger_above_the_band": (
        {"order_type": "SL-M", "price": None, "trigger_price": "99999.00"},
        "price_band",
        "trigger_price",
    ),
}


@pytest.mark.parametrize("case", ONE)
async def test_refused_by_what_only_some_masters_tell(tmp_path, case):
    changes, code, field = ONE[case]
    async with Rig(
        tmp_path / "data", brokers=("fyers",), account_settings={"market_orders": "pass"}
    ) as rig:
        order = {"instrument": option_of(rig), "product": "NRML", "quantity": 65, "price": "100.00"}

        reply = await rig.place(**{**order, "accounts": ["fyers-main"], **changes})

        assert_refused(reply, code, field)
        assert_nothing_sent(rig)


async def test_refused_after_the_contract_expired(rig):
    option = option_of(rig)
    rig.gateway.prechecks._now = lambda: datetime(2036, 11, 24, 11, 0, tzinfo=IST)

    reply = await rig.place(instrument=option, product="NRML", quantity=65, price="100.00")

    assert_refused(reply, "instrument_blocked", "instrument")
    assert_nothing_sent(rig)


CLOSED = {
    "at_night": datetime(2026, 11, 23, 22, 0, tzinfo=IST),
    "on_a_sunday": datetime(2026, 11, 22, 11, 0, tzinfo=IST),
    "on_a_holiday": datetime(2026, 1, 26, 11, 0, tzinfo=IST),
}


@pytest.mark.parametrize("case", CLOSED)
async def test_refused_while_the_market_is_closed(tmp_path, case):
    async with Rig(tmp_path / "data", account_settings={"market_hours": "enforce"}) as rig:
        rig.gateway.prechecks._now = lambda: CLOSED[case]
        assert_refused(await rig.place(), "market_closed", "instrument")
        assert_nothing_sent(rig)

        rig.gateway.prechecks._now = lambda: _MONDAY
        assert (await rig.place("open")).json["summary"] == "accepted"


LIMITS = {
    "max_order_quantity": ({"max_order_quantity": 9}, "risk_limit", "quantity"),
    "max_order_value": ({"max_order_value": "8124.99"}, "risk_limit", "quantity"),
    "max_day_quantity": ({"max_day_quantity": 9}, "risk_limit", "quantity"),
    "max_day_value": ({"max_day_value": "8124.99"}, "risk_limit", "quantity"),
    "max_instrument_quantity": ({"max_instrument_quantity": 9}, "risk_limit", "quantity"),
    "max_instrument_value": ({"max_instrument_value": "8124.99"}, "risk_limit", "quantity"),
    "allowed_exchanges": ({"allowed_exchanges": ["BSE"]}, "risk_limit", "instrument"),
    "banned_exchanges": ({"banned_exchanges": ["NSE"]}, "risk_limit", "instrument"),
    "allowed_products": ({"allowed_products": ["MIS"]}, "risk_limit", "product"),
    "banned_products": ({"banned_products": ["CNC"]}, "risk_limit", "product"),
    "allowed_instruments": ({"allowed_instruments": ["NSE:INFY"]}, "risk_limit", "instrument"),
    "banned_instruments": ({"banned_instruments": ["NSE:SB*"]}, "risk_limit", "instrument"),
    "price_collar": ({"price_collar_percent": {"EQ": "0.01"}}, "risk_limit", "price"),
}


@pytest.mark.parametrize("case", LIMITS)
async def test_refused_by_a_limit_over_all_accounts_set_at_run_time(rig, case):
    limits, code, field = LIMITS[case]
    await put_limits(rig, limits)

    reply = await rig.place()

    assert_refused(reply, code, field)
    assert_nothing_sent(rig)
    failed = [check for check in reply.json["legs"][0]["checks"] if check["verdict"] == "failed"]
    assert [check["code"] for check in failed] == [code]


@pytest.mark.parametrize("case", ["max_order_quantity", "max_order_value", "banned_instruments"])
async def test_refused_by_the_limits_of_one_account_in_the_configuration(tmp_path, case):
    limits, code, field = LIMITS[case]
    async with Rig(tmp_path / "data", account_settings={"risk": limits}) as rig:
        assert_refused(await rig.place(), code, field)
        assert_nothing_sent(rig)


USED = {
    "max_day_quantity": ({"max_day_quantity": 15}, "risk_limit", "quantity"),
    "max_day_value": ({"max_day_value": "13000"}, "risk_limit", "quantity"),
    "max_instrument_quantity": ({"max_instrument_quantity": 15}, "risk_limit", "quantity"),
    "max_instrument_value": ({"max_instrument_value": "13000"}, "risk_limit", "quantity"),
    "max_open_orders": ({"max_open_orders": 1}, "risk_limit", "accounts"),
    "max_orders_per_minute": ({"max_orders_per_minute": 1}, "risk_limit", "accounts"),
    "lookalike": ({"lookalike_s": 600}, "lookalike", "instrument"),
}


@pytest.mark.parametrize("restart", [False, True], ids=["at_once", "after_a_restart"])
@pytest.mark.parametrize("case", USED)
async def test_refused_for_what_went_before_it(tmp_path, case, restart):
    limits, code, field = USED[case]
    async with Rig(tmp_path / "data", brokers=("fyers",), account_settings={"risk": limits}) as rig:
        order = {"accounts": ["fyers-main"], "price": "700.00"}
        first = await rig.place("first", wait_for="book", **order)
        assert first.json["legs"][0]["state"] == "OPEN"
        if restart:
            await rig.restart_gateway()
            await rig.masters_loaded()

        assert_refused(await rig.place("second", **order), code, field)
        assert len(rig.ledger("fyers")) == 1


async def test_refused_without_a_session(rig):
    for account in ACCOUNTS:
        await rig.call("DELETE", f"/v1/sessions/{account}")

    reply = await rig.place()

    assert {leg["reason"]["code"] for leg in reply.json["legs"]} == {"session_missing"}
    assert_nothing_sent(rig)


async def test_refused_where_market_orders_are(tmp_path):
    async with Rig(tmp_path / "data", account_settings={"market_orders": "reject"}) as rig:
        reply = await rig.place(order_type="MARKET", price=None)

        codes = {leg["reason"]["code"] for leg in reply.json["legs"]}
        assert codes == {"order_type_not_allowed"}
        assert_nothing_sent(rig)


async def test_refused_when_the_kill_switch_is_on(rig):
    body = {"scope": "global", "level": "HALT_NEW", "reason": "a test"}
    await rig.call("POST", "/v1/kill-switch/engage", body)

    reply = await rig.place()

    assert {leg["reason"]["code"] for leg in reply.json["legs"]} == {"kill_switch"}
    assert_nothing_sent(rig)


async def test_strict_refuses_what_is_not_affordable(tmp_path):
    async with Rig(tmp_path / "data", options={"cash": 8000}) as rig:
        reply = await rig.place(precheck="strict")

        assert_refused_for_money(reply)
        assert_nothing_sent(rig)


async def test_best_effort_refuses_what_the_brokers_calculator_calls_short(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",), options={"cash": 8000}) as rig:
        reply = await rig.place(accounts=["fyers-main"])

        assert_refused(reply, "margin_short", "quantity")
        assert_nothing_sent(rig)


@pytest.mark.parametrize(
    ("precheck", "outcome"), [("best_effort", "accepted"), ("strict", "not_sent")]
)
async def test_a_figure_that_can_be_read_in_two_ways_proves_only_its_smaller_reading(
    tmp_path, monkeypatch, precheck, outcome
):
    async with Rig(tmp_path / "data", brokers=("fyers",), options={"cash": 8200}) as rig:
        account = rig.gateway.accounts["fyers-main"]

        async def margins(session, orders):
            return BrokerMargin(required=Decimal(9000), orders=[None], at_least=Decimal(7000))

        monkeypatch.setattr(account.calls, "margins", margins)
        monkeypatch.setattr("gateway.prechecks.desk.estimate_margin", lambda *_: Decimal(8500))

        reply = await rig.place(accounts=["fyers-main"], precheck=precheck)

        assert reply.json["legs"][0]["outcome"] == outcome


async def test_only_the_first_order_waits_for_funds_that_hang(one, monkeypatch):
    one.sims["fyers"].faults.add([{"call": "read", "action": "hang", "count": None}])
    account, book = one.gateway.accounts["fyers-main"], one.gateway.funds
    book.forget(account)
    waits = []
    wait = asyncio.wait

    async def counted(tasks, **more):
        waits.append(more.get("timeout"))
        return await wait(tasks, **more)

    monkeypatch.setattr("gateway.prechecks.funds.asyncio.wait", counted)

    assert [await book.get(account, 0.05) for _ in range(3)] == [None] * 3

    assert len(waits) == 1


async def test_strict_refuses_when_the_funds_do_not_come_in_time(one):
    one.sims["fyers"].faults.add([{"call": "read", "action": "hang", "count": None}])
    one.gateway.funds.forget(one.gateway.accounts["fyers-main"])

    strict = await one.place("k1", accounts=["fyers-main"], precheck="strict")
    assert_refused(strict, "margin_short", "precheck")
    assert_nothing_sent(one)

    effort = await one.place("k2", accounts=["fyers-main"], precheck="best_effort")
    off = await one.place("k3", accounts=["fyers-main"], precheck="off")

    for reply, why in ((effort, "funds are not known"), (off, "precheck is off")):
        leg = reply.json["legs"][0]
        assert (leg["outcome"], leg["precheck"]) == ("accepted", "skipped")
        (check,) = [check for check in leg["checks"] if check["check"] == "margin"]
        assert check["verdict"] == "skipped" and why in check["message"]


async def test_strict_refuses_a_collar_that_no_fresh_price_proves(one):
    await put_limits(one, {"price_collar_percent": {"EQ": 5}})
    one.sims["fyers"].faults.add([{"call": "quote", "action": "hang", "count": None}])

    strict = await one.place("k1", accounts=["fyers-main"], precheck="strict")
    effort = await one.place("k2", accounts=["fyers-main"])

    assert_refused(strict, "price_unavailable", "precheck")
    assert effort.json["legs"][0]["outcome"] == "accepted"
    assert len(one.ledger("fyers")) == 1


async def test_a_last_price_of_nothing_proves_no_collar_and_breaks_nothing(one):
    await put_limits(one, {"price_collar_percent": {"EQ": 5}})
    real = one.gateway.prechecks._read_quote

    async def worthless(account, instrument):
        quote = await real(account, instrument)
        return type(quote)(instrument=instrument, last_price=Decimal(0), as_of=datetime.now(IST))

    one.gateway.prechecks._read_quote = worthless

    reply = await one.place(accounts=["fyers-main"])

    (check,) = [c for c in reply.json["legs"][0]["checks"] if c["check"] == "price_collar"]
    assert check["verdict"] == "skipped"


async def test_an_old_price_proves_no_collar(one):
    await put_limits(one, {"price_collar_percent": {"EQ": 5}})
    real = one.gateway.prechecks._read_quote

    async def old(account, instrument):
        quote = await real(account, instrument)
        return type(quote)(
            instrument=instrument,
            last_price=quote.last_price,
            as_of=datetime(2026, 1, 1, tzinfo=IST),
        )

    one.gateway.prechecks._read_quote = old

    reply = await one.place(accounts=["fyers-main"], precheck="strict")

    assert_refused(reply, "price_unavailable", "precheck")


async def test_the_name_that_was_meant_is_suggested(rig):
    leg = (await rig.place(instrument="NSE:RELIANC")).json["legs"][0]

    assert "NSE:RELIANCE" in leg["reason"]["details"]["did_you_mean"]
    assert "did you mean NSE:RELIANCE" in leg["reason"]["message"]


def assert_refused_for_money(reply: Reply) -> None:
    for leg in reply.json["legs"]:
        assert leg["state"] == "DENIED", leg
        assert leg["reason"]["code"] == "margin_short"
        assert leg["reason"]["details"]["field"] in ("precheck", "quantity")


def test_the_order_that_is_refused_is_otherwise_good():
    assert ORDER["accounts"] == list(ACCOUNTS)
    ways = len(CONTRACT) + len(DERIVATIVE) + len(ONE) + len(CLOSED) + len(LIMITS) + len(USED)
    assert ways >= 30


@pytest.mark.parametrize(
    ("changes", "policy", "code", "field"),
    [
        ({"instrument": "NSE:NOSUCH"}, {}, "instrument_unknown", "instrument"),
        ({"accounts": ["@tiny"]}, {}, "lot_size", "quantity"),
        (
            {"order_type": "MARKET", "price": None},
            {"market_orders": "reject"},
            "order_type_not_allowed",
            "order_type",
        ),
    ],
)
async def test_what_the_plan_itself_refuses_names_its_field_too(
    tmp_path, changes, policy, code, field
):
    groups = {"groups": {"tiny": {"fyers-main": "0.01"}}}
    async with Rig(
        tmp_path / "data", brokers=("fyers",), settings=groups, account_settings=policy
    ) as rig:
        reply = await rig.place(**{"accounts": ["fyers-main"], **changes})

        reason = reply.json["legs"][0]["reason"]
        assert (reason["code"], reason["details"]["field"]) == (code, field)
        assert_nothing_sent(rig)
