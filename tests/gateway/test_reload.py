"""Another configuration for a running gateway: what changes, what stays, what is refused."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest

from adapters.fyers.simulator import FyersSimulator
from adapters.mstock.simulator import MstockSimulator
from gateway.config import Settings
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.store.audit import RowFilter
from tests.gateway.rig import Rig

SECOND = {"id": "fyers-two", "broker": "fyers", "market_hours": "ignore"}


@pytest.fixture
async def second():
    """Another broker simulator, for an account that comes later."""
    simulator = FyersSimulator(options={"fill_delay_ms": 0, "book_lag_ms": 0})
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def rig(tmp_path, second):  # whose simulator ends last
    groups = {"groups": {"all": {"fyers-main": 1}}}
    async with Rig(tmp_path / "data", brokers=("fyers",), settings=groups) as rig:
        yield rig


def write(rig, accounts=None, **changes):
    """Stand in for an edited file."""
    tree = rig.file.model_dump()
    if accounts is not None:
        tree["accounts"] = accounts(list(tree["accounts"]))
    rig.file = Settings(**{**tree, **changes})


async def reload(rig):
    return await rig.call("POST", "/v1/config/reload")


async def config_rows(rig):
    rows, _ = await rig.gateway.store.audit_rows(RowFilter(kinds=frozenset({"config"})))
    return [msgspec.json.decode(row.body) for row in rows]


async def test_nothing_changed_changes_nothing(rig):
    account = rig.gateway.accounts["fyers-main"]

    reply = await reload(rig)

    assert (200, False) == (reply.status, reply.json["changed"])
    assert account is rig.gateway.accounts["fyers-main"]
    assert [] == await config_rows(rig)


async def test_an_added_account_logs_in_and_trades(rig):
    second = rig.sims["mstock"] = MstockSimulator(options={"fill_delay_ms": 0, "book_lag_ms": 0})
    await second.start()

    def add(accounts):
        more = {"id": "mstock-two", "broker": "mstock", "market_hours": "ignore"}
        return [*accounts, {**more, "base_urls": second.base_urls}]

    write(rig, add, groups={"all": {"fyers-main": 1, "mstock-two": 2}})

    reply = await reload(rig)

    assert 200 == reply.status, reply.content
    assert (["mstock-two"], [], ["all"]) == (
        reply.json["added"],
        reply.json["removed"],
        reply.json["groups"],
    )
    shown = (await rig.call("GET", "/v1/accounts")).json["accounts"]
    assert ["fyers-main", "mstock-two"] == [row["account"] for row in shown]
    await rig.log_in("mstock-two")
    await rig.masters_loaded()
    placed = await rig.place(accounts=["@all"])
    assert 201 == placed.status, placed.content
    assert {"fyers-main": 10, "mstock-two": 20} == {
        leg["account"]: leg["quantity"] for leg in placed.json["legs"]
    }
    assert (1, 1) == (len(rig.ledger("fyers")), len(rig.ledger("mstock")))


async def test_every_reader_knows_an_added_account(rig):
    write(rig, lambda accounts: [*accounts, SECOND])
    await reload(rig)

    for path in (
        "/v1/sessions",
        "/v1/breakers",
        "/v1/limits",
        "/v1/funds",
        "/v1/orderbook",
        "/v1/positions",
        "/metrics",
    ):
        reply = await rig.call("GET", path)
        assert 200 == reply.status, path
        assert b"fyers-two" in reply.content, path
    key = {"name": "narrow", "scopes": ["trade"], "accounts": ["fyers-two"]}
    assert 201 == (await rig.call("POST", "/v1/keys", key)).status
    order = await rig.place(accounts=["fyers-two"])
    assert "session_missing" == order.leg("fyers-two")["reason"]["code"]


async def test_a_removed_account_is_gone_everywhere_and_its_token_erased(rig):
    write(rig, lambda accounts: [SECOND], groups={})

    reply = await reload(rig)

    assert (["fyers-main"], ["fyers-two"]) == (reply.json["removed"], reply.json["added"])
    order = await rig.place(accounts=["fyers-main"])
    assert (422, "invalid_order") == (order.status, order.json["code"])
    assert 404 == (await rig.call("POST", "/v1/sessions/fyers-main/login", {})).status
    stored = {each.account: each.secret for each in await rig.gateway.store.load_sessions()}
    assert None is stored["fyers-main"]
    [row] = await config_rows(rig)
    assert ("reloaded", "tests", ["fyers-main"]) == (
        row["event"],
        row["actor"]["client"],
        row["removed"],
    )


async def test_an_account_with_an_open_order_stays_and_nothing_else_changes_either(rig):
    open_order = await rig.place("far", price="700.00", accounts=["fyers-main"])
    assert "OPEN" in {leg["state"] for leg in open_order.json["legs"]} | {"OPEN"}
    moving = rig.gateway.accounts["fyers-main"].moving
    assert 1 == len(moving)
    write(rig, lambda accounts: [SECOND], groups={})

    reply = await reload(rig)

    assert (409, "account_busy") == (reply.status, reply.json["code"])
    assert "accounts.fyers-main" == reply.json["errors"][0]["field"]
    assert ["fyers-main"] == list(rig.gateway.accounts)
    assert ["all"] == list(rig.gateway.groups)
    assert None is rig.gateway.accounts["fyers-main"].leaving
    assert "reload_refused" == (await config_rows(rig))[-1]["event"]
    cancelled = await rig.call("DELETE", f"/v1/orders/{open_order.json['order_id']}")
    assert 200 == cancelled.status
    assert 200 == (await reload(rig)).status
    again = await rig.call("GET", f"/v1/orders/{open_order.json['order_id']}")
    assert "CANCELLED" == again.json["legs"][0]["state"]


async def test_an_order_on_its_way_in_keeps_its_account(rig):
    account = rig.gateway.accounts["fyers-main"]
    rig.sims["fyers"].faults.add([{"call": "place", "action": "slow", "params": {"ms": 1000}}])
    write(rig, lambda accounts: [SECOND], groups={})

    placing = asyncio.create_task(rig.place(price="700.00", accounts=["fyers-main"]))
    while not rig.gateway.orders._acceptance._planning and not account.moving:
        await asyncio.sleep(0)
    reply = await reload(rig)
    placed = await placing

    [leg] = placed.json["legs"]
    if reply.status == 409:
        assert "accepted" == leg["outcome"]
    else:
        assert "not_sent" == leg["outcome"]
    assert len(rig.ledger("fyers")) == (leg["outcome"] == "accepted")


async def test_orders_under_fire_of_reloads_are_all_accounted_for(rig):
    """An account comes and goes while orders come in: each is at the broker, or was not sent."""
    whole = rig.file
    done = asyncio.Event()

    async def flip():
        while not done.is_set():
            write(rig, lambda accounts: [SECOND], groups={})
            await reload(rig)
            rig.file = whole
            assert 200 == (await reload(rig)).status
            account = rig.gateway.accounts["fyers-main"]
            if account.session is None:
                await rig.log_in("fyers-main")

    flipping = asyncio.create_task(flip())
    replies = []
    for n in range(40):
        replies.append(await rig.place(f"k{n}", accounts=["fyers-main"]))
    done.set()
    await flipping

    legs = [reply.json["legs"][0] for reply in replies if "legs" in reply.json]
    refused = [reply for reply in replies if "legs" not in reply.json]
    assert {422} >= {reply.status for reply in refused}
    accepted = sum(leg["outcome"] == "accepted" for leg in legs)
    assert accepted == len(rig.ledger("fyers"))
    assert {"accepted", "not_sent"} >= {leg["outcome"] for leg in legs}


async def test_limits_and_policy_change_while_orders_are_open(rig):
    await rig.place("far", price="700.00", accounts=["fyers-main"])
    account = rig.gateway.accounts["fyers-main"]

    def change(accounts):
        return [
            {
                **accounts[0],
                "market_orders": "reject",
                "limits": {"orders_per_second": 3},
                "risk": {"max_order_quantity": 5},
            }
        ]

    write(rig, change)
    reply = await reload(rig)

    assert [
        {"account": "fyers-main", "fields": ["limits.orders_per_second", "market_orders", "risk"]}
    ] == reply.json["updated"]
    assert account is rig.gateway.accounts["fyers-main"]
    [view] = (await rig.call("GET", "/v1/accounts")).json["accounts"]
    assert 3 == view["limits"]["orders_per_second"]
    too_many = await rig.place("k2", accounts=["fyers-main"])
    assert "risk_limit" == too_many.leg("fyers-main")["reason"]["code"]
    market = await rig.place(
        "k3", order_type="MARKET", price=None, quantity=1, accounts=["fyers-main"]
    )
    assert "order_type_not_allowed" == market.leg("fyers-main")["reason"]["code"]


async def test_other_hosts_make_another_account_that_is_logged_out(rig, second):
    old = rig.gateway.accounts["fyers-main"]
    write(rig, lambda accounts: [{**accounts[0], "base_urls": second.base_urls}])

    reply = await reload(rig)

    assert [{"account": "fyers-main", "fields": ["base_urls"]}] == reply.json["replaced"]
    new = rig.gateway.accounts["fyers-main"]
    assert (True, None) == (new is not old, new.session)
    first, rig.sims["fyers"] = rig.sims["fyers"], second
    await rig.log_in("fyers-main")
    rig.sims["fyers"] = first
    assert 201 == (await rig.place(accounts=["fyers-main"])).status
    assert 1 == len(second.engine.orders)


async def test_what_needs_a_restart_is_named_and_stays(rig):
    write(rig, server={"port": 1234}, prechecks={"budget_ms": 1}, risk={"max_order_quantity": 3})

    reply = await reload(rig)

    assert {"server.port", "prechecks.budget_ms"} == set(reply.json["needs_restart"])
    assert reply.json["risk_changed"]
    assert rig.gateway.settings.server.port != 1234
    assert Decimal(3) == rig.gateway.limits.of(None).max_order_quantity


async def test_a_wrong_file_is_refused_by_field_and_nothing_changes(rig):
    def wrong():
        errors = [FieldError("accounts[0].broker", "'x' is not a known broker")]
        raise Problem(422, "config_invalid", "1 mistake", errors=errors)

    rig.gateway.reloader._read = wrong
    before = list(rig.gateway.accounts.items())

    reply = await reload(rig)

    assert (422, "accounts[0].broker") == (reply.status, reply.json["errors"][0]["field"])
    assert before == list(rig.gateway.accounts.items())


async def test_a_journal_that_cannot_be_written_keeps_the_old_configuration(rig):
    write(rig, lambda accounts: [*accounts, SECOND])
    rig.gateway.store._connection.execute("PRAGMA query_only=1")

    reply = await reload(rig)

    rig.gateway.store._connection.execute("PRAGMA query_only=0")
    assert reply.status in (500, 503)
    assert ["fyers-main"] == list(rig.gateway.accounts)


async def test_an_order_that_shows_at_the_last_moment_keeps_its_account(rig):
    write(rig, lambda accounts: [SECOND], groups={})
    reloader, account = rig.gateway.reloader, rig.gateway.accounts["fyers-main"]
    record = reloader._record

    async def found_meanwhile(*given):
        await record(*given)
        account.moving["late"] = object()

    reloader._record = found_meanwhile
    reply = await reload(rig)
    account.moving.clear()

    assert (409, "account_busy") == (reply.status, reply.json["code"])
    assert {"fyers-main": account} == dict(rig.gateway.accounts)
    assert account.leaving is None


async def test_a_login_under_way_keeps_its_account(rig):
    write(rig, lambda accounts: [SECOND], groups={})
    async with rig.gateway.sessions.lock("fyers-main"):
        reply = await reload(rig)
    assert (409, "account_busy") == (reply.status, reply.json["code"])


async def test_a_key_without_admin_may_not_reload(rig):
    key = await rig.new_key("operator", ["operate"])
    assert 403 == (await rig.call("POST", "/v1/config/reload", key=key)).status


async def test_unresolved_legs_of_a_known_account_are_followed_when_it_comes_back(rig):
    """Started without the account that a leg is at, then given it by a reload."""
    await rig.place("far", price="700.00", accounts=["fyers-main"])
    whole = rig.file
    await rig.stop_gateway()
    account_settings, simulators = rig._account_settings, rig.sims
    rig.sims, rig._settings = {}, {"groups": {}}
    await rig.start_gateway()
    rig.sims = simulators
    assert [] == list(rig.gateway.accounts)
    rig.file = whole

    assert 200 == (await reload(rig)).status

    assert account_settings == {}
    assert 1 == len(rig.gateway.accounts["fyers-main"].moving)


async def test_a_configuration_edited_between_two_starts_leaves_one_row(rig):
    assert [] == await config_rows(rig)
    await rig.restart_gateway()
    assert [] == await config_rows(rig)
    rig._settings = {
        "groups": {"all": {"fyers-main": 2}},
        "risk": {"max_order_value": "5000.00"},
        "prechecks": {"budget_ms": 200},
    }

    await rig.restart_gateway()
    await rig.restart_gateway()

    [row] = await config_rows(rig)
    assert ("changed_between_starts", {"client": "gateway"}) == (row["event"], row["actor"])
    assert [
        ("groups.all.fyers-main", "1", "2"),
        ("prechecks.budget_ms", 150, 200),
        ("risk.max_order_value", None, "5000"),
    ] == [(each["key"], each["before"], each["after"]) for each in row["changes"]]


async def test_what_a_reload_took_is_not_told_again_at_the_next_start(rig):
    write(rig, risk={"max_open_orders": 7}, prechecks={"budget_ms": 200})
    assert ["prechecks.budget_ms"] == (await reload(rig)).json["needs_restart"]
    [row] = await config_rows(rig)
    assert [{"key": "risk.max_open_orders", "before": None, "after": 7}] == row["changes"]
    rig._settings |= {"risk": {"max_open_orders": 7}, "prechecks": {"budget_ms": 200}}

    await rig.restart_gateway()

    assert ["prechecks.budget_ms"] == [
        each["key"] for each in (await config_rows(rig))[-1]["changes"]
    ]


async def test_another_secret_in_a_webhooks_url_is_told_without_it(rig):
    for secret in ("first-secret", "second-secret"):
        url = f"http://127.0.0.1:9/{secret}?key={secret}"
        rig._settings |= {"alerts": {"webhooks": [{"name": "chat", "url": url}]}}
        await rig.restart_gateway()

    shown = "http://127.0.0.1:9/..."
    assert [{"key": "alerts.webhooks.chat.url", "before": shown, "after": shown}] == (
        await config_rows(rig)
    )[-1]["changes"]
    await rig.stop_gateway()
    try:
        journal = b"".join(path.read_bytes() for path in rig.data_dir.glob("journal.db*"))
    finally:
        await rig.start_gateway()
    assert b"-secret" not in journal


async def test_how_the_audit_log_is_kept_needs_a_restart(rig):
    write(rig, audit={"keep_days": 400})

    assert ["audit.keep_days"] == (await reload(rig)).json["needs_restart"]
    assert 1827 == rig.gateway.settings.audit.keep_days
