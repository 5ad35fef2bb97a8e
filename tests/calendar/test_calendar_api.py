"""The calendar over HTTP."""

from __future__ import annotations

import pytest

from adapters.sdk.models import Exchange
from tests.calendar.test_days import a_file
from tests.gateway.rig import Rig


async def test_status_names_every_exchange(one: Rig) -> None:
    status = (await one.call("GET", "/v1/market/status")).json

    assert [row["exchange"] for row in status["exchanges"]] == list(Exchange)
    assert status["at"].endswith("+05:30")
    assert set(status["exchanges"][0]) == {
        "exchange",
        "session",
        "takes_orders",
        "opens_at",
        "closes_at",
        "next_open_at",
        "holiday",
        "known",
    }


async def test_holidays_of_a_year_and_an_exchange(one: Rig) -> None:
    of_2026 = (await one.call("GET", "/v1/market/holidays?year=2026&exchange=NFO")).json
    of_mcx = (await one.call("GET", "/v1/market/holidays?exchange=MCX")).json

    assert {"date": "2026-11-24", "name": "Guru Nanak Jayanti"}.items() <= of_2026["holidays"][
        -2
    ].items()
    assert {row["date"][:4] for row in of_2026["holidays"]} == {"2026"}
    assert of_mcx["holidays"] == []


@pytest.mark.parametrize("query", ["year=26", "exchange=NYSE"])
async def test_bad_filter_is_refused_with_its_field(one: Rig, query: str) -> None:
    reply = await one.call("GET", f"/v1/market/holidays?{query}")

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, query.partition("=")[0])


async def test_a_newer_list_is_taken_audited_and_kept(one: Rig) -> None:
    replaced = await one.call("PUT", "/v1/market/holidays", raw=a_file())
    await one.restart_gateway()
    shown = (await one.call("GET", "/v1/market/holidays")).json
    rows = (await one.call("GET", "/v1/audit?kind=calendar")).json["rows"]

    assert (replaced.status, replaced.json["source"]) == (200, "mine")
    assert shown["holidays"] == [
        {"date": "2027-01-26", "name": "Republic Day", "exchanges": ["BFO", "BSE", "NFO", "NSE"]}
    ]
    assert [row["body"]["until"] for row in rows] == ["2027-12-31"]


async def test_a_broken_list_changes_nothing(one: Rig) -> None:
    before = (await one.call("GET", "/v1/market/holidays")).json

    reply = await one.call("PUT", "/v1/market/holidays", raw=b'{"holidays": 3}')

    assert (reply.status, reply.json["code"]) == (422, "invalid_request")
    assert (await one.call("GET", "/v1/market/holidays")).json == before


async def test_a_key_that_may_only_trade_cannot_replace_the_list(one: Rig) -> None:
    key = await one.new_key("script", ["trade"])

    assert (await one.call("PUT", "/v1/market/holidays", raw=a_file(), key=key)).status == 403
