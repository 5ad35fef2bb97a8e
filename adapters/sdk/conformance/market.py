"""Prices: quotes, depth, candles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import GatewayError, LoginExpired, NotSent, NotSupported, OutcomeUnknown
from adapters.sdk.interface import Feature
from adapters.sdk.models import Candle, DepthLevel, Instrument, Interval, MarginOrder
from adapters.sdk.simulator import IST

_MINUTES = {
    Interval.M1: 1,
    Interval.M3: 3,
    Interval.M5: 5,
    Interval.M10: 10,
    Interval.M15: 15,
    Interval.M30: 30,
    Interval.H1: 60,
}
_INDIA = timedelta(hours=5, minutes=30)
_OPENS = time(9, 15)


class MarketTests(Setup):
    """Market data."""

    async def test_quotes_are_the_markets_prices_and_the_unknown_is_missing(
        self, bench: Bench
    ) -> None:
        instruments = _some(bench, self.capabilities.quote_batch + 3)
        if not self.capabilities.has(Feature.QUOTES):
            await bench.refuses("quotes", lambda: bench.adapter.quotes(bench.session, instruments))
            return
        nowhere = self.unlisted(instruments[0], bench.contract(instruments[0].instrument))
        quotes = await bench.works(
            "quotes", lambda: bench.adapter.quotes(bench.session, [nowhere, *instruments])
        )
        require(
            nowhere.instrument not in quotes,
            Rule.WHOLE,
            f"a contract that nobody lists is quoted: {quotes.get(nowhere.instrument)!r}",
        )
        for one in instruments:
            quote = quotes.get(one.instrument)
            if quote is None:
                raise broken(
                    Rule.WHOLE,
                    f"{one.instrument} was not quoted among {len(instruments)} (quote_batch is"
                    f" {self.capabilities.quote_batch})",
                )
            price = bench.simulator.engine.price(bench.contract(one.instrument))
            require(
                quote.last_price == price and isinstance(quote.last_price, Decimal),
                Rule.VALUES,
                f"{one.instrument} trades at {price}, quoted at {quote.last_price!r}",
            )
            require(quote.as_of.tzinfo, Rule.VALUES, "BrokerQuote.as_of has no time zone")
        bench.kept_to_the_documents()

    async def test_quotes_of_nothing_ask_nothing(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.QUOTES):
            pytest.skip("quotes are not declared")
        with bench.unsent("quotes of no instrument"):
            require(
                await bench.adapter.quotes(bench.session, []) == {},
                Rule.WHOLE,
                "quotes of no instrument are not empty",
            )

    @pytest.mark.parametrize(
        "action", ["accept_then_html", "accept_then_empty", "accept_then_truncated", "status"]
    )
    async def test_quotes_that_fail_raise(self, bench: Bench, action: str) -> None:
        self.needs_wire()
        if not self.capabilities.has(Feature.QUOTES):
            pytest.skip("quotes are not declared")
        bench.strike("quote", action, count=None)
        try:
            got = await bench.adapter.quotes(bench.session, _some(bench, 2))
        except (OutcomeUnknown, NotSent, LoginExpired) as error:
            bench.keeps_secrets(error)
        except GatewayError as error:
            raise broken(Rule.WHOLE, f"quotes that were not answered raise {error!r}") from error
        else:
            raise broken(Rule.WHOLE, f"quotes that were not answered are {got!r}")

    async def test_depth_is_best_first(self, bench: Bench) -> None:
        instrument = bench.order().instrument
        if not self.capabilities.has(Feature.DEPTH):
            await bench.refuses("depth", lambda: bench.adapter.depth(bench.session, instrument))
            return
        depth = await bench.works("depth", lambda: bench.adapter.depth(bench.session, instrument))
        if depth is None:
            raise broken(Rule.DECLARED, f"depth is declared, but {instrument.instrument} has none")
        require(depth.instrument == instrument.instrument, Rule.VALUES, f"depth of {depth!r}")
        require(depth.as_of.tzinfo, Rule.VALUES, "BrokerDepth.as_of has no time zone")
        require(depth.bids or depth.asks, Rule.DECLARED, "the depth of a traded share is empty")
        for name, levels, best in (("bids", depth.bids, -1), ("asks", depth.asks, 1)):
            _is_ladder(name, levels, best)
        if depth.bids and depth.asks:
            require(
                depth.bids[0].price <= depth.asks[0].price,
                Rule.VALUES,
                f"the best bid {depth.bids[0].price} is above the best ask {depth.asks[0].price}",
            )
        nowhere = self.unlisted(instrument, bench.contract(instrument.instrument))
        try:
            got = await bench.adapter.depth(bench.session, nowhere)
        except GatewayError:
            return
        require(got is None, Rule.WHOLE, f"a contract that nobody lists has depth {got!r}")

    async def test_candles_of_each_declared_interval_keep_their_bounds(self, bench: Bench) -> None:
        instrument = bench.order().instrument
        now = datetime.now(IST)
        today = datetime.combine(now.date(), time(), IST)
        if not self.capabilities.has(Feature.CANDLES):
            await bench.refuses(
                "candles",
                lambda: bench.adapter.candles(
                    bench.session, instrument, Interval.M5, today - timedelta(days=3), today
                ),
            )
            return
        require(self.capabilities.candle_days, Rule.DECLARED, "candles without `candle_days`")
        found: dict[Interval, list[Candle]] = {}
        for interval, days in self.capabilities.candle_days.items():
            start, end = today - timedelta(days=min(days, 8)), today - timedelta(seconds=1)
            found[interval] = await bench.works(
                f"candles of {interval}",
                lambda interval=interval, start=start, end=end: bench.adapter.candles(  # type: ignore[misc]
                    bench.session, instrument, interval, start, end
                ),
            )
            _are_candles(interval, found[interval], start, end)
            require(
                found[interval] or days < 4,
                Rule.CANDLES,
                f"no {interval} candle between {start} and {end}, which had trading days",
            )
        # Brokers limit how often history may be asked for, so these two are for one interval.
        interval = min(found, key=lambda one: _MINUTES.get(one, 1440))
        of_today = await bench.adapter.candles(bench.session, instrument, interval, today, now)
        _are_candles(interval, of_today, today, now)
        inner = found[interval][1:-1]
        if inner:
            again = await bench.adapter.candles(
                bench.session, instrument, interval, inner[0].at, inner[-1].at
            )
            require(
                [one.at for one in again] == [one.at for one in inner],
                Rule.CANDLES,
                f"{interval}: asked for {inner[0].at} to {inner[-1].at}, both included; answered"
                f" {len(again)} candles instead of {len(inner)}",
            )

    @pytest.mark.parametrize(
        "action", ["accept_then_html", "accept_then_empty", "accept_then_truncated", "status"]
    )
    async def test_depth_candles_and_margins_that_fail_raise(
        self, bench: Bench, action: str
    ) -> None:
        self.needs_wire()
        calls = self._market_calls(bench)
        if not calls:
            pytest.skip("none of them is declared")
        for name, call in calls.items():
            bench.strike("any", action, count=None)
            try:
                got = await call()
            except (OutcomeUnknown, NotSent, LoginExpired) as error:
                bench.keeps_secrets(error)
            except GatewayError as error:
                raise broken(
                    Rule.WHOLE, f"{name} that were not answered raise {error!r}"
                ) from error
            else:
                raise broken(Rule.WHOLE, f"{name} that were not answered ({action}) are {got!r}")
            bench.heal()

    def _market_calls(self, bench: Bench) -> dict[str, Callable[[], Awaitable[object]]]:
        order, session, adapter = bench.order(), bench.session, bench.adapter
        asked = MarginOrder(
            instrument=order.instrument,
            side=order.side,
            order_type=order.order_type,
            product=order.product,
            quantity=order.quantity,
            price=order.price,
        )
        calls: dict[str, Callable[[], Awaitable[object]]] = {}
        if self.capabilities.has(Feature.DEPTH):
            calls["depth"] = lambda: adapter.depth(session, order.instrument)
        if self.capabilities.has(Feature.MARGINS):
            calls["margins"] = lambda: adapter.margins(session, [asked])
        if self.capabilities.has(Feature.CANDLES):
            interval = next(iter(self.capabilities.candle_days))
            end = datetime.combine(datetime.now(IST).date(), time(), IST) - timedelta(seconds=1)
            start = end - timedelta(hours=20)
            calls["candles"] = lambda: adapter.candles(
                session, order.instrument, interval, start, end
            )
        return calls

    async def test_undeclared_interval_is_not_supported(self, bench: Bench) -> None:
        instrument = bench.order().instrument
        end = datetime.combine(datetime.now(IST).date(), time(), IST) - timedelta(seconds=1)
        for interval in set(Interval) - set(self.capabilities.candle_days):
            with bench.unsent(f"candles of {interval}"):
                try:
                    await bench.adapter.candles(
                        bench.session, instrument, interval, end - timedelta(days=1), end
                    )
                except NotSupported:
                    continue
            raise broken(
                Rule.DECLARED, f"candles of {interval} are not in `candle_days`, but answered"
            )


def _some(bench: Bench, most: int) -> list[Instrument]:
    """Instruments of the core market that can be traded, the same every time."""
    exchanges = bench.capabilities.exchanges
    listed = [
        bench.instruments[contract.instrument]
        for contract in bench.simulator.universe.core
        if contract.exchange in exchanges
        and contract.is_tradable
        and contract.instrument in bench.instruments
    ]
    return listed[:most]


def _is_ladder(name: str, levels: Sequence[DepthLevel], direction: int) -> None:
    prices = [level.price for level in levels]
    require(
        prices == sorted(prices, key=lambda price: price * direction),
        Rule.VALUES,
        f"{name} are to be best first: {prices}",
    )
    for level in levels:
        require(
            isinstance(level.price, Decimal) and level.price > 0 and level.quantity > 0,
            Rule.VALUES,
            f"{name}: a level without a price or quantity is left out, not shown as {level!r}",
        )


def _are_candles(
    interval: Interval, candles: Sequence[Candle], start: datetime, end: datetime
) -> None:
    times = [candle.at for candle in candles]
    for before, after in pairwise(times):
        require(before < after, Rule.CANDLES, f"{interval}: {after} comes after {before}")
    for candle in candles:
        require(
            candle.at.utcoffset() == _INDIA, Rule.CANDLES, f"{interval}: {candle.at} is not IST"
        )
        require(
            start <= candle.at <= end,
            Rule.CANDLES,
            f"{interval}: {candle.at} was not asked for ({start} to {end}, both included)",
        )
        minutes = _MINUTES.get(interval)
        opened = datetime.combine(candle.at.date(), _OPENS, candle.at.tzinfo)
        on_grid = (
            (candle.at - opened) % timedelta(minutes=minutes) == timedelta()
            if minutes
            else candle.at.timetz().replace(tzinfo=None) == time()
        )
        require(on_grid, Rule.CANDLES, f"{interval}: no candle begins at {candle.at}")
        prices = (candle.open, candle.high, candle.low, candle.close)
        require(
            all(isinstance(price, Decimal) for price in prices)
            and candle.low <= min(candle.open, candle.close)
            and candle.high >= max(candle.open, candle.close),
            Rule.CANDLES,
            f"{interval}: impossible prices in {candle!r}",
        )
