"""Practice from end to end: HTTP, journal, reconciler, and a simulated Fyers that lends prices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapters.sdk.models import Interval
from adapters.sdk.simulator import IST
from tests.gateway.rig import Rig

PAPER: dict[str, Any] = {"id": "paper-main", "broker": "paper", "market_hours": "ignore"}


class PaperRig(Rig):
    """A gateway with a paper account: alone, or beside the simulated Fyers that lends to it."""

    more: ClassVar[tuple[dict[str, Any], ...]] = ()

    def __init__(self, data_dir: Path, *, lent: bool) -> None:
        super().__init__(data_dir, brokers=("fyers",) if lent else ())
        self.lent = lent

    async def start_gateway(self) -> None:
        accounts: list[dict[str, Any]] = [{**PAPER, "market_orders": "pass"}]
        if self.lent:
            accounts[0]["quotes_from"] = "fyers-main"
            hosts = self.sims["fyers"].base_urls
            accounts.append({"id": "fyers-main", "broker": "fyers", "base_urls": hosts})
        self._settings = {"accounts": [*accounts, *self.more]}
        await super().start_gateway()

    async def log_in(self, account_id: str) -> None:
        if account_id != "paper-main":
            await super().log_in(account_id)
            return
        answer = await self.call("POST", "/v1/sessions/paper-main/login", {})
        assert (200, "active") == (answer.status, answer.json["state"])

    async def order(self, key: str, **changes: Any) -> dict[str, Any]:
        fields = {"accounts": ["paper-main"], "wait_for": "book", **changes}
        answer = await self.place(key, **fields)
        assert answer.status in (200, 201, 202), answer.content
        leg: dict[str, Any] = answer.leg("paper-main")
        return {**leg, "order_id": answer.json["order_id"]}

    async def leg(
        self,
        order_id: str,
        reached: Callable[[dict[str, Any]], bool],
        account: str = "paper-main",
    ) -> dict[str, Any]:
        """Wait, bounded, until the journal says so of the account's leg."""
        for _ in range(1500):
            leg: dict[str, Any] = (await self.call("GET", f"/v1/orders/{order_id}")).leg(account)
            if reached(leg):
                return leg
            await asyncio.sleep(0.02)
        raise TimeoutError(f"the leg stayed {leg}")

    async def data(self, path: str) -> Any:
        answer = await self.call("GET", f"{path}?accounts=paper-main")
        (result,) = answer.json["results"]
        assert result["ok"], result
        return result["data"]


def in_state(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda leg: bool(leg["state"] == state)


@pytest.fixture
async def lent(tmp_path: Path) -> AsyncIterator[PaperRig]:
    async with PaperRig(tmp_path, lent=True) as rig:
        yield rig


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[PaperRig]:
    async with PaperRig(tmp_path, lent=False) as rig:
        yield rig


def move(rig: PaperRig, price: str, instrument: str = "NSE:SBIN") -> None:
    engine = rig.sims["fyers"].engine
    contract = engine.universe.by_instrument(instrument)
    assert contract is not None
    engine.set_price(contract, Decimal(price))


async def test_a_strategy_runs_at_the_prices_of_a_real_account(lent: PaperRig) -> None:
    market = {"order_type": "MARKET", "price": None}
    leg = await lent.order("k1", **market)
    leg = await lent.leg(leg["order_id"], in_state("FILLED"))
    # The simulator asks a tick above its last price, and bids just that.
    assert ("accepted", "812.05") == (leg["outcome"], leg["average_price"])

    limit = await lent.order("k2", price="800.00")
    stop = await lent.order(
        "k3", side="SELL", order_type="SL", price="789.00", trigger_price="790.00", product="MIS"
    )
    assert ["OPEN", "TRIGGER_PENDING"] == [limit["state"], stop["state"]]
    gone = await lent.order("k4", price="700.00")
    answer = await lent.call("DELETE", f"/v1/orders/{gone['order_id']}")
    assert answer.status in (200, 202)
    await lent.leg(gone["order_id"], in_state("CANCELLED"))

    move(lent, "799.50")
    leg = await lent.leg(limit["order_id"], in_state("FILLED"))
    assert "800.00" == leg["average_price"]
    move(lent, "789.50")
    leg = await lent.leg(stop["order_id"], in_state("FILLED"))
    assert "789.50" == leg["average_price"]

    rows = {(row["product"], row["quantity"]) for row in await lent.data("/v1/positions")}
    assert {("CNC", 20), ("MIS", -10)} == rows
    assert 3 == len(await lent.data("/v1/trades"))
    assert 0 == len(lent.ledger("fyers"))


async def test_the_book_outlives_the_gateway(lent: PaperRig) -> None:
    filled = await lent.order("k1", order_type="MARKET", price=None)
    await lent.leg(filled["order_id"], in_state("FILLED"))
    resting = await lent.order("k2", price="800.00")
    await lent.restart_gateway()
    book = {row["broker_order_id"]: row for row in await lent.data("/v1/orderbook")}
    assert {filled["broker_order_id"], resting["broker_order_id"]} == book.keys()
    row = book[resting["broker_order_id"]]
    assert ("OPEN", resting["order_id"], "NSE:SBIN") == (
        row["state"],
        row["order_id"],
        row["instrument"],
    )
    assert 10 == (await lent.data("/v1/positions"))[0]["quantity"]
    move(lent, "799.00")
    leg = await lent.leg(resting["order_id"], in_state("FILLED"))
    assert "800.00" == leg["average_price"]


async def test_paper_lists_what_its_lender_lists(lent: PaperRig) -> None:
    for name in ("NSE:SBIN", "NSE:NIFTY 50"):
        at_fyers = await lent.gateway.instruments.find("fyers", name)
        at_paper = await lent.gateway.instruments.find("paper", name)
        assert at_fyers is not None
        assert at_paper is not None
        assert {**at_fyers.codes, "instrument": name} == at_paper.codes
        assert (at_fyers.lot_size, at_fyers.tick_size) == (at_paper.lot_size, at_paper.tick_size)


async def test_quotes_depth_and_candles_are_the_lenders(lent: PaperRig) -> None:
    both = []
    for name in ("fyers-main", "paper-main"):
        account = lent.gateway.accounts[name]
        session = account.session
        sbin = await lent.gateway.instruments.find(account.broker, "NSE:SBIN")
        assert session is not None
        assert sbin is not None
        today = datetime.combine(datetime.now(IST).date(), time(), IST)
        quote = (await account.calls.quotes(session, [sbin]))["NSE:SBIN"]
        depth = await account.calls.depth(session, sbin)
        assert depth is not None
        candles = await account.calls.candles(
            session, sbin, Interval.D1, today - timedelta(days=20), today - timedelta(days=1)
        )
        both.append((quote.last_price, quote.bid_price, depth.bids, depth.asks, candles))
    assert both[0] == both[1]
    assert len(both[0][-1]) > 10


async def test_candles_over_today_are_asked_for_in_pieces_that_the_lender_takes(
    lent: PaperRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    lender, paper = (lent.gateway.accounts[name] for name in ("fyers-main", "paper-main"))
    sbin = await lent.gateway.instruments.find("paper", "NSE:SBIN")
    assert sbin is not None
    assert paper.session is not None
    asked: list[tuple[datetime, datetime]] = []

    async def candles(session: Any, instrument: Any, interval: Any, start: Any, end: Any) -> Any:
        asked.append((start, end))
        return []

    monkeypatch.setattr(lender.adapter, "candles", candles)
    most = lender.plugin.capabilities.candle_days[Interval.M5]
    now = datetime.now(IST)
    today = datetime.combine(now.date(), time(), IST)
    start = today - timedelta(days=most + 3)
    await paper.calls.candles(paper.session, sbin, Interval.M5, start, now)
    instant = timedelta(microseconds=1)
    middle = start + timedelta(days=most)
    assert [(start, middle - instant), (middle, today - instant), (today, now)] == asked


async def test_a_lender_whose_session_is_dead_loses_its_own_and_not_the_borrowers(
    lent: PaperRig,
) -> None:
    lent.sims["fyers"].expire_sessions()
    leg = await lent.order("k1", order_type="MARKET", price=None)
    assert "price_unavailable" == leg["reason"]["code"]
    accounts = lent.gateway.accounts
    assert accounts["fyers-main"].session is None
    assert accounts["paper-main"].session is not None
    leg = await lent.order("k2", price="800.00")
    await lent.log_in("fyers-main")
    move(lent, "799.00")
    await lent.leg(leg["order_id"], in_state("FILLED"))


async def test_accounts_with_and_without_a_lender_stand_side_by_side(tmp_path: Path) -> None:
    class Mixed(PaperRig):
        more: ClassVar[tuple[dict[str, Any], ...]] = (
            {**PAPER, "id": "paper-alone", "market_orders": "pass"},
        )

        async def log_in(self, account_id: str) -> None:
            if account_id == "paper-alone":
                await self.call("POST", "/v1/sessions/paper-alone/login", {})
                return
            await super().log_in(account_id)

    async with Mixed(tmp_path, lent=True) as rig:
        move(rig, "815.00")
        answer = await rig.place(
            "k1", order_type="MARKET", price=None, accounts=["paper-main", "paper-alone"]
        )
        assert 201 == answer.status
        order_id = answer.json["order_id"]
        for account, paid in (("paper-main", "815.05"), ("paper-alone", "812.00")):
            leg = await rig.leg(order_id, in_state("FILLED"), account)
            assert paid == leg["average_price"]


async def test_a_strategy_runs_without_any_real_account(alone: PaperRig) -> None:
    leg = await alone.order("k1", order_type="MARKET", price=None)
    leg = await alone.leg(leg["order_id"], in_state("FILLED"))
    assert "812.00" == leg["average_price"]
    resting = await alone.order("k2", price="800.00")
    answer = await alone.call("PATCH", f"/v1/orders/{resting['order_id']}", {"price": "812.00"})
    assert 200 == answer.status
    leg = await alone.leg(resting["order_id"], in_state("FILLED"))
    assert 20 == (await alone.data("/v1/positions"))[0]["quantity"]
    funds = await alone.data("/v1/funds")
    assert "983760.00" == funds["available"]
    assert [] == await alone.data("/v1/holdings")


async def test_an_order_in_doubt_is_found_by_its_tag(
    alone: PaperRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = alone.gateway.accounts["paper-main"].adapter
    real = adapter.place_order

    async def lost(*args: Any) -> Any:
        await real(*args)
        raise RuntimeError("the answer was lost")

    monkeypatch.setattr(adapter, "place_order", lost)
    leg = await alone.order("k1", price="800.00", wait_for="ack")
    leg = await alone.leg(leg["order_id"], in_state("OPEN"))
    assert "accepted" == leg["outcome"]
    assert 1 == len(await alone.data("/v1/orderbook"))


async def test_a_lender_that_logs_out_stops_market_orders_only(lent: PaperRig) -> None:
    assert 200 == (await lent.call("DELETE", "/v1/sessions/fyers-main")).status
    leg = await lent.order("k1", order_type="MARKET", price=None)
    assert ("rejected", "price_unavailable") == (leg["outcome"], leg["reason"]["code"])
    leg = await lent.order("k2", price="800.00")
    assert "OPEN" == leg["state"]
    sessions = (await lent.call("GET", "/v1/sessions")).json
    states = {row["account"]: row["state"] for row in sessions["sessions"]}
    assert "active" == states["paper-main"]
