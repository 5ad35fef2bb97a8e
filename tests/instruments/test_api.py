"""Search, expiries, refresh and the masters' age through a whole gateway with simulated brokers."""

from __future__ import annotations

import pytest

from adapters.hdfc import simulator_master
from adapters.sdk.models import Exchange
from adapters.sdk.simulator.universe import Universe
from gateway.store.audit import RowFilter
from tests.gateway.rig import Rig
from tests.instruments.support import contracts, share


@pytest.fixture
async def rig(tmp_path):
    async with Rig(tmp_path / "data") as rig:
        yield rig


@pytest.fixture
async def hdfc(tmp_path):
    async with Rig(tmp_path / "data", brokers=("hdfc",), options={"rows": 3000}) as rig:
        yield rig


async def found(rig: Rig, query: str) -> list[str]:
    reply = await rig.call("GET", f"/v1/instruments?{query}")
    assert 200 == reply.status, reply.json
    return [row["instrument"] for row in reply.json["instruments"]]


async def audited(rig: Rig, kind: str) -> list[bytes]:
    wanted = RowFilter(kinds=frozenset({kind}), limit=100)
    return [row.body for row in (await rig.gateway.store.audit_rows(wanted))[0]]


async def test_a_contract_is_found_with_every_brokers_codes(rig):
    reply = await rig.call("GET", "/v1/instruments?query=sbi&exchange=nse&type=eq")

    row = reply.json["instruments"][0]
    assert ("NSE:SBIN", "EQ", {}) == (row["instrument"], row["type"], row["disagreements"])
    assert {"fyers", "mstock", "hdfc"} == set(row["brokers"])


async def test_expiry_words_choose_a_day_of_the_underlying(rig):
    listed = (await rig.call("GET", "/v1/expiries?underlying=nifty&type=OPT")).json["expiries"]
    days = {word: next(r["expiry"] for r in listed if r[word]) for word in ("nearest", "next")}

    for word, day in days.items():
        reply = await rig.call(
            "GET", f"/v1/instruments?underlying=NIFTY&type=OPT&expiry={word}&limit=500"
        )
        assert {day} == {row["expiry"] for row in reply.json["instruments"]}, word
    assert await found(rig, f"underlying=NIFTY&type=OPT&limit=500&expiry={days['nearest']}")
    assert [] == await found(rig, "underlying=NOSUCH&expiry=nearest")
    assert ["fyers", "hdfc", "mstock"] == listed[0]["brokers"]
    assert all(row["type"] == "OPT" for row in listed)
    monthly = [row["expiry"] for row in listed if row["monthly"]]
    futures = (await rig.call("GET", "/v1/expiries?underlying=NIFTY&type=FUT")).json["expiries"]
    assert monthly == [row["expiry"] for row in futures]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("instruments?query=%26%26", "query"),
        ("instruments?query=" + "x" * 101, "query"),
        ("instruments?exchange=LSE", "exchange"),
        ("instruments?type=BOND", "type"),
        ("instruments?option_type=CALL", "option_type"),
        ("instruments?strike=abc", "strike"),
        ("instruments?strike=-5", "strike"),
        ("instruments?strike=1e99", "strike"),
        ("instruments?expiry=soon", "expiry"),
        ("instruments?expiry=nearest", "expiry"),
        ("instruments?limit=0", "limit"),
        ("instruments?limit=501", "limit"),
        ("instruments?limit=many", "limit"),
        ("expiries", "underlying"),
        ("expiries?underlying=NIFTY&type=EQ", "type"),
        ("expiries?underlying=NIFTY&exchange=X", "exchange"),
    ],
)
async def test_a_wrong_parameter_is_named(hdfc, path, field):
    reply = await hdfc.call("GET", f"/v1/{path}")

    assert (422, "invalid_request") == (reply.status, reply.json["code"])
    assert [field] == [error["field"] for error in reply.json["errors"]]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nse:sbin", "NSE:SBIN"),
        ("SBIN", "NSE:SBIN"),
        ("NSE:SBIN-EQ", "NSE:SBIN"),
        ("bse:sbin-A", "BSE:SBIN"),
        ("NIFTY", "NSE:NIFTY 50"),
        ("NSE:NIFTY50", "NSE:NIFTY 50"),
        ("NFO:SBIN", "NSE:SBIN"),
        ("NSE:SBINN", "NSE:SBIN"),
        ("NSE:INFYS", "NSE:INFY"),
    ],
)
async def test_another_spelling_is_answered_with_what_may_be_meant(hdfc, written, meant):
    reply = await hdfc.call("GET", f"/v1/instruments/{written}")

    assert (404, "instrument_unknown") == (reply.status, reply.json["code"])
    assert meant in reply.json["did_you_mean"]
    assert meant in reply.json["detail"]


async def test_the_likeliest_spelling_comes_first_and_nonsense_has_none(hdfc):
    near = await hdfc.call("GET", "/v1/instruments/NSE:SBIN-EQ")
    none = await hdfc.call("GET", "/v1/instruments/NSE:QQQQQQ")
    roots = await hdfc.call("GET", "/v1/expiries?underlying=NIF")

    assert "NSE:SBIN" == near.json["did_you_mean"][0]
    assert [] == none.json["did_you_mean"]
    assert "look like NSE:SBIN" in none.json["detail"]
    assert (404, ["NIFTY"]) == (roots.status, roots.json["did_you_mean"])


async def test_brokers_that_disagree_are_shown_and_not_hidden(rig):
    store = rig.gateway._instrument_store
    rows = [share("SBIN", lot_size=2), *(row for row in contracts() if row.symbol != "SBIN")]
    await store.replace("hdfc", rows, accept_fewer=True)
    rig.gateway.instruments._forget("hdfc")

    row = (await rig.call("GET", "/v1/instruments/NSE:SBIN")).json

    assert {"lot_size": {"fyers": "1", "hdfc": "2", "mstock": "1"}} == row["disagreements"]
    (same,) = (await rig.call("GET", "/v1/instruments?query=sbin&exchange=NSE")).json["instruments"]
    assert row == same


async def test_a_name_of_two_contracts_is_refused_and_never_guessed(hdfc):
    store = hdfc.gateway._instrument_store
    twice = [share("TWICE", codes={"token": "1"}), share("TWICE", codes={"token": "2"})]
    await store.replace("hdfc", [*twice, share("SBIN")], accept_fewer=True)

    reply = await hdfc.call("GET", "/v1/instruments/NSE:TWICE")
    placed = await hdfc.place(instrument="NSE:TWICE", accounts=["hdfc-main"])

    assert (409, "instrument_ambiguous") == (reply.status, reply.json["code"])
    assert "instrument_unknown" == placed.leg("hdfc-main")["reason"]["code"]
    assert [] == hdfc.ledger("hdfc")


async def test_refresh_says_what_changed_and_writes_it_down(hdfc):
    hdfc.sims["hdfc"].universe = Universe(hdfc.sims["hdfc"].today, rows=3200)

    reply = await hdfc.call("POST", "/v1/instruments/refresh", {"brokers": ["hdfc"]})

    done = reply.json["masters"]["hdfc"]
    assert done["ok"] is True
    assert done["changes"]["added"] == done["rows"] - done["changes"]["previous_rows"] > 100
    assert "NSE:SYN00012" not in done["changes"]["gone_instruments"]
    (status,) = (await hdfc.call("GET", "/v1/instruments/masters")).json["masters"]
    assert (done["changes"], False) == (status["changes"], status["stale"])
    assert b'"loaded"' in (await audited(hdfc, "master"))[-1]
    assert (await hdfc.gateway.store.verify_audit()).ok


async def test_a_master_that_shrank_is_refused_with_an_alarm_until_it_is_accepted(hdfc):
    whole = await found(hdfc, "query=syn00010")
    hdfc.sims["hdfc"].universe = Universe(hdfc.sims["hdfc"].today)

    refused = await hdfc.call("POST", "/v1/instruments/refresh", {})

    assert refused.json["masters"]["hdfc"]["ok"] is False
    assert "kept the old" in refused.json["masters"]["hdfc"]["message"]
    assert whole == await found(hdfc, "query=syn00010")
    assert b"master_refused" in (await audited(hdfc, "alarm"))[-1]

    taken = await hdfc.call("POST", "/v1/instruments/refresh", {"accept_fewer": True})
    assert taken.json["masters"]["hdfc"]["ok"] is True
    assert [] == await found(hdfc, "query=syn00010")


@pytest.mark.parametrize(
    "fault", ["accept_then_truncated", "accept_then_html", "accept_then_empty"]
)
async def test_half_a_file_keeps_the_last_good_copy(hdfc, fault):
    before = await found(hdfc, "query=sbin")
    hdfc.sims["hdfc"].faults.add([{"call": "master", "action": fault}])

    reply = await hdfc.call("POST", "/v1/instruments/refresh?brokers=hdfc")

    assert reply.json["masters"]["hdfc"]["ok"] is False
    assert before == await found(hdfc, "query=sbin")
    placed = await hdfc.place(accounts=["hdfc-main"])
    assert "accepted" == placed.json["summary"]


async def test_a_changed_column_keeps_the_last_good_copy(hdfc, monkeypatch):
    before = await found(hdfc, "query=sbin")
    header = simulator_master.HEADER.replace("lot_size", "lot_sz")
    monkeypatch.setattr(simulator_master, "HEADER", header)

    reply = await hdfc.call("POST", "/v1/instruments/refresh")

    assert reply.json["masters"]["hdfc"]["ok"] is False
    assert "header" in reply.json["masters"]["hdfc"]["message"]
    assert before == await found(hdfc, "query=sbin")
    assert b"not_loaded" in (await audited(hdfc, "master"))[-1]


async def test_a_parsers_surprise_costs_one_broker_and_no_more(rig, monkeypatch):
    def surprise(files):
        raise KeyError("symTicker")

    adapter = rig.gateway.accounts["fyers-main"].adapter
    monkeypatch.setattr(adapter, "read_master", surprise, raising=False)

    masters = (await rig.call("POST", "/v1/instruments/refresh")).json["masters"]

    assert {"fyers": False, "hdfc": True, "mstock": True} == {
        broker: result["ok"] for broker, result in masters.items()
    }
    assert (await rig.call("GET", "/v1/instruments/NSE:SBIN")).json["brokers"]["fyers"]


async def test_a_broker_that_is_not_configured_is_said_so(hdfc):
    reply = await hdfc.call("POST", "/v1/instruments/refresh", {"brokers": ["nobody"]})
    wrong = await hdfc.call("POST", "/v1/instruments/refresh", {"broker": "hdfc"})

    assert "no account is configured" in reply.json["masters"]["nobody"]["message"]
    assert 422 == wrong.status


async def test_accounts_show_the_age_of_their_brokers_master(hdfc):
    (row,) = (await hdfc.call("GET", "/v1/accounts")).json["accounts"]

    assert ("hdfc", False) == (row["master"]["broker"], row["master"]["stale"])
    assert 0 <= row["master"]["age_s"] < 3600


async def test_a_start_fetches_a_copy_of_an_earlier_morning(hdfc):
    store = hdfc.gateway._instrument_store
    store._connection.execute("UPDATE masters SET loaded_us = loaded_us - 8*86400*1000000")
    (old,) = await store.info()
    status = (await hdfc.call("GET", "/v1/instruments/masters")).json["masters"][0]
    assert status["stale"] is True

    await hdfc.restart_gateway()
    await hdfc.gateway.masters.ensure("hdfc")

    (new,) = await hdfc.gateway.instruments.info()
    assert new.loaded_us > old.loaded_us + 7 * 86400 * 1_000_000
    assert [] == await hdfc.gateway.masters.stale()


async def test_an_exchange_before_the_text_narrows_the_search(rig):
    names = await found(rig, "query=BSE:sb")

    assert "BSE:SBIN" in names
    assert {Exchange.BSE.value} == {name.partition(":")[0] for name in names}


async def test_a_broker_that_is_no_longer_configured_has_no_say(hdfc):
    store = hdfc.gateway._instrument_store
    await store.replace("gone", [share("SBIN", lot_size=9), share("ONLYTHERE")])

    (row,) = (await hdfc.call("GET", "/v1/instruments?query=sbin&limit=1")).json["instruments"]

    assert (["hdfc"], {}) == (list(row["brokers"]), row["disagreements"])
    assert [] == await found(hdfc, "query=onlythere")


async def test_a_freeze_quantity_that_a_broker_does_not_list_is_the_other_brokers(rig):
    name = "NFO:NIFTY24NOV26FUT"
    listed = await rig.call("GET", f"/v1/instruments/{name}")
    if listed.status == 404:
        futures = await found(rig, "underlying=NIFTY&type=FUT")
        name = futures[0]

    found_at = {broker: await rig.gateway.instruments.find(broker, name) for broker in rig.sims}

    freezes = {broker: item.freeze_quantity for broker, item in found_at.items()}
    assert set(freezes.values()) == {freezes["fyers"]}
    assert freezes["fyers"]


async def test_an_order_is_sliced_at_a_broker_whose_list_has_no_freeze_quantity(rig):
    [name, *_] = await found(rig, "underlying=NIFTY&type=FUT")
    contract = await rig.gateway.instruments.find("fyers", name)
    price = rig.sims["mstock"].engine.price(rig.sims["mstock"].universe.by_instrument(name))
    body = {
        "instrument": name,
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "NRML",
        "quantity": (contract.freeze_quantity // contract.lot_size + 1) * contract.lot_size,
        "price": str(price),
        "slice": True,
        "accounts": ["mstock-main", "hdfc-main"],
    }

    reply = await rig.call("POST", "/v1/orders/validate", body)

    assert reply.json["ok"], reply.json["legs"]
    assert [leg["slice"] for leg in reply.json["legs"]] == [
        {"n": 1, "of": 2},
        {"n": 2, "of": 2},
    ] * 2
