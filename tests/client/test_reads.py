"""What both clients read, and the steps of a login."""

from __future__ import annotations

import inspect
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.sdk.models import RedirectRequired
from gateway.client import AsyncClient, Client, FixRequest, books, calls
from tests.client.conftest import Desk
from tests.client.test_orders import ORDER
from tests.gateway.rig import ORDER as THREE


async def test_books_of_all_accounts(family: Desk) -> None:
    await family.aio.place(**{**THREE, "price": "760.00", "wait_for": "book"})
    book = await family.aio.orderbook()
    trades = await family.do(family.client.trades, ["fyers-main"])
    positions = await family.aio.positions()
    holdings = await family.do(family.client.holdings)
    funds = await family.aio.funds(["fyers-main", "mstock-main"])

    assert "complete" == book.summary
    assert {"fyers-main", "hdfc-main", "mstock-main"} == {account for account, _ in book}
    assert {Decimal(760)} == {row.price for _, rows in book for row in rows}
    assert ["fyers-main"] == [account for account, _ in trades]
    assert 3 == len(dict(positions))
    assert holdings.results
    assert {"fyers-main", "mstock-main"} == set(dict(funds))
    assert all(isinstance(each.available, Decimal) for _, each in funds)


async def test_account_that_cannot_be_read_is_said(family: Desk) -> None:
    await family.aio.logout("hdfc-main")
    read = await family.aio.positions()

    assert "partial" == read.summary
    assert ["hdfc-main"] == list(read.failed)
    reason = read.failed["hdfc-main"]
    assert reason is not None
    assert "session_missing" == reason.code


async def test_market_data(desk: Desk) -> None:
    quotes = await desk.aio.quotes(["NSE:SBIN", "NSE:NOTHING"])
    depth = await desk.do(desk.client.depth, "NSE:SBIN")
    today = datetime.now(UTC).date()
    candles = await desk.aio.candles("NSE:SBIN", "1d", date(today.year, today.month, 1))

    assert ["NSE:SBIN"] == [each.instrument for each in quotes.quotes]
    assert ["NSE:NOTHING"] == [each.instrument for each in quotes.errors]
    assert isinstance(quotes.quotes[0].last_price, Decimal)
    assert depth.bids
    assert "1d" == candles.interval


async def test_instruments(desk: Desk) -> None:
    one = await desk.aio.instrument("NSE:SBIN")
    found = await desk.do(desk.client.search, "nifty", type="FUT", limit=3)
    expiries = await desk.aio.expiries("NIFTY", type="FUT")

    assert Decimal("0.05") == one.tick_size
    assert {"FUT"} == {each.type for each in found}
    assert expiries[0].nearest
    with pytest.raises(FixRequest) as caught:
        await desk.aio.instrument("NSE:SBIN-EQ")
    assert "NSE:SBIN" in caught.value.problem["did_you_mean"]


async def test_accounts_sessions_and_a_trial(desk: Desk) -> None:
    [account] = await desk.aio.accounts()
    [session] = await desk.do(desk.client.sessions)
    trial = await desk.aio.validate(**{**ORDER, "price": "760.01"})
    margin = dict(await desk.aio.margins([ORDER]))  # type: ignore[list-item]

    assert account.ready
    assert session.is_active
    assert not trial.ok
    assert trial.legs[0].reason is not None
    assert margin["fyers-main"].required > 0
    assert [] == desk.sent()


async def test_login_by_its_steps(desk: Desk) -> None:
    step = await desk.aio.login("fyers-main", renew=True)
    assert "redirect_required" == step.state
    assert step.login_url is not None
    assert step.expires_at is not None
    given = RedirectRequired(
        login_url=step.login_url, state=None, expires_at=step.expires_at, pending={}
    )
    url = await desk.rig.sims["fyers"].complete_login(given)  # type: ignore[attr-defined]
    with pytest.raises(FixRequest):
        await desk.aio.submit_redirect("fyers-main", "https://other.example/?state=none")
    done = await desk.do(desk.client.submit_redirect, "fyers-main", url)

    assert "active" == done.state


async def test_any_other_call(desk: Desk) -> None:
    limits = await desk.aio.call("GET", "/v1/limits")
    holidays = await desk.do(
        desk.client.call, "GET", "/v1/market/holidays", query={"exchange": "NSE"}
    )
    made = await desk.aio.call("POST", "/v1/keys", {"name": "more", "scopes": ["read"]})
    gone = await desk.aio.call("DELETE", f"/v1/keys/{made['id']}")

    assert limits["limits"]
    assert holidays["holidays"]
    assert gone is None


def test_times_and_lists_are_written_as_the_gateway_reads_them() -> None:
    at = datetime(2026, 11, 23, 9, 15, tzinfo=UTC)
    written = calls.read("orders", books.Quotes, a=at, b=date(2026, 11, 23), c=["x", "y"], d=True)
    assert "/v1/orders?a=2026-11-23T09%3A15%3A00%2B00%3A00&b=2026-11-23&c=x%2Cy&d=true" == (
        written.target
    )
    with pytest.raises(ValueError, match="no offset"):
        calls.texts({"from": at.replace(tzinfo=None)})


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://gate.lan:8080", "bg_live_x"),
        ("127.0.0.1:8080", "bg_live_x"),
        ("http://127.0.0.1:8080", " "),
    ],
)
def test_place_that_cannot_be_meant_is_refused(url: str, key: str) -> None:
    with pytest.raises(ValueError):
        Client(url, key)


def test_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("BROKERGATE_URL", "BROKERGATE_KEY", "BROKERGATE_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="BROKERGATE_KEY"):
        Client.from_environment()
    (tmp_path / "key").write_text("bg_live_secret\n")
    monkeypatch.setenv("BROKERGATE_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("BROKERGATE_URL", "https://gate.example")
    with Client.from_environment() as client:
        assert "Client('https://gate.example')" == repr(client)
        assert "bg_live_secret" == client._place.key


def test_both_clients_have_the_same_calls() -> None:
    def shape(kind: type) -> dict[str, list[str]]:
        members = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in members
            if not name.startswith("_")
        }

    assert shape(Client) == shape(AsyncClient)
