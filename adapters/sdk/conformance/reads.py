"""The account's books: trades, positions, holdings, funds, margins; and reads that fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, cast

import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import GatewayError, LoginExpired, NotSent, OutcomeUnknown
from adapters.sdk.interface import Adapter, Feature, TagEcho
from adapters.sdk.models import Instrument, MarginOrder, OrderRef, OrderType, Side, Validity
from adapters.sdk.simulator import Contract

_FAILURES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 500}),
    ("status", {"status": 502}),
    ("status", {"status": 503}),
    ("accept_then_html", {}),
    ("accept_then_empty", {}),
    ("accept_then_truncated", {}),
    ("accept_then_truncated", {"length": "full"}),
    ("accept_then_reset", {}),
    ("reset_at_byte", {"bytes": 150}),
    ("rate_limit", {}),
)


class ReadTests(Setup):
    """Reads of the account."""

    async def test_fills_are_in_the_trade_book(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.TRADE_BOOK):
            await bench.refuses("trade_book", lambda: bench.adapter.trade_book(bench.session))
            return
        instrument = await buy(bench, units_of_a_lot=2)
        _, placed = await bench.place(quantity=bench.order().instrument.lot_size * 3)
        twice = bench.simulator.engine.get(placed.broker_order_id)
        if twice is not None:
            bench.simulator.engine.fill(twice, instrument.lot_size)
            bench.simulator.engine.fill(twice)
        fills = bench.simulator.engine.trades
        trades = await bench.works("trade_book", lambda: bench.adapter.trade_book(bench.session))
        require(
            len(trades) == len(fills) == 3,
            Rule.WHOLE,
            f"the exchange made {len(fills)} fills of two orders, the trade book shows {trades}",
        )
        for made in fills:
            fill, order = made.fill, made.order
            rows = [
                row
                for row in trades
                if (row.broker_order_id, row.quantity, row.price)
                == (order.broker_order_id, fill.quantity, fill.price)
            ]
            require(
                len(rows) == 1 and rows[0].side == order.side,
                Rule.VALUES,
                f"a fill of {fill.quantity} at {fill.price} of {order.broker_order_id} is read as"
                f" {rows} among {trades}",
            )
            _has_codes(rows[0].codes, instrument, self.capabilities.code_keys, "a trade")
            _is_money(rows[0].price, "BrokerTrade.price")
            if rows[0].traded_at is not None:
                require(rows[0].traded_at.tzinfo, Rule.VALUES, "traded_at has no time zone")
        require(
            len({row.trade_id for row in trades}) == len(trades),
            Rule.VALUES,
            f"two fills have one trade_id: {[row.trade_id for row in trades]}",
        )
        bench.kept_to_the_documents()

    async def test_positions_are_signed_units(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.POSITIONS):
            await bench.refuses("positions", lambda: bench.adapter.positions(bench.session))
            return
        require(
            await bench.works("positions", lambda: bench.adapter.positions(bench.session)) == [],
            Rule.WHOLE,
            "an account without positions does not read as an empty list",
        )
        bought = await buy(bench, units_of_a_lot=3)
        await self._position_is(bench, bought, bench.ledger[-1].quantity)
        await _sell(bench, bought, bench.ledger[-1].quantity)
        await self._position_is(bench, bought, 0)
        bench.kept_to_the_documents()

    async def test_short_position_is_negative(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.POSITIONS):
            pytest.skip("positions are not declared")
        instrument = bench.order(side=Side.SELL).instrument
        await _sell(bench, instrument, instrument.lot_size)
        await self._position_is(bench, instrument, -instrument.lot_size)

    async def test_holdings_are_whole(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.HOLDINGS):
            await bench.refuses("holdings", lambda: bench.adapter.holdings(bench.session))
            return
        held = bench.simulator.engine.account.holdings
        read = await bench.works("holdings", lambda: bench.adapter.holdings(bench.session))
        require(
            len(read) == len(held),
            Rule.WHOLE,
            f"the account holds {len(held)} shares, `holdings` shows {len(read)}",
        )
        for one in held:
            rows = [row for row in read if _names(row, one.contract, bench)]
            require(
                len(rows) == 1 and rows[0].quantity == one.quantity,
                Rule.VALUES,
                f"{one.quantity} of {one.contract.instrument} are held, read as {rows}",
            )
            if rows[0].average_price is not None:
                require(
                    rows[0].average_price == one.average_price,
                    Rule.VALUES,
                    f"bought at {one.average_price}, read as {rows[0].average_price}",
                )
                _is_money(rows[0].average_price, "BrokerHolding.average_price")
        bench.kept_to_the_documents()

    async def test_funds_are_rupees_that_an_order_blocks(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.FUNDS):
            await bench.refuses("funds", lambda: bench.adapter.funds(bench.session))
            return
        before = await bench.works("funds", lambda: bench.adapter.funds(bench.session))
        for name in ("available", "used", "opening", "collateral"):
            _is_money(getattr(before, name), f"BrokerFunds.{name}")
        require(
            before.available is not None and before.available > 0,
            Rule.VALUES,
            f"the simulated account is rich, but available is {before.available}",
        )
        await bench.place()
        after = await bench.adapter.funds(bench.session)
        require(
            cast(Decimal, after.available) <= cast(Decimal, before.available),
            Rule.VALUES,
            f"an open order made more money available: {before.available}, {after.available}",
        )

    async def test_margins_place_nothing(self, bench: Bench) -> None:
        order = bench.order()
        ask = MarginOrder(
            instrument=order.instrument,
            side=order.side,
            order_type=order.order_type,
            product=order.product,
            quantity=order.quantity,
            price=order.price,
            trigger_price=order.trigger_price,
        )
        if not self.capabilities.has(Feature.MARGINS):
            await bench.refuses("margins", lambda: bench.adapter.margins(bench.session, [ask]))
            return
        for asked in ([ask], [ask, ask]):
            margin = await bench.works(
                "margins",
                lambda asked=asked: bench.adapter.margins(bench.session, asked),  # type: ignore[misc]
            )
            _is_money(margin.required, "BrokerMargin.required")
            require(
                margin.required > 0 and len(margin.orders) == len(asked),
                Rule.VALUES,
                f"margins of {len(asked)} order(s) reads {margin!r}",
            )
        require(not bench.ledger, Rule.ONE_WRITE, "asking for margins placed an order")
        bench.kept_to_the_documents()

    @pytest.mark.parametrize(
        "failure", _FAILURES, ids=lambda it: "_".join([it[0], *map(str, it[1].values())])
    )
    async def test_read_that_fails_anywhere_raises(
        self, bench: Bench, failure: tuple[str, dict[str, Any]]
    ) -> None:
        self.needs_wire()
        await buy(bench, units_of_a_lot=1)
        await bench.place()
        action, params = failure
        for name, call in account_reads(bench).items():
            before = bench.sent()
            await call(bench.adapter)
            requests = bench.sent() - before
            for skip in range(requests):
                bench.strike("any", action, skip=skip, **params)
                await _raises(f"{name}, request {skip + 1} of {requests} ({action})", call, bench)
                bench.heal()

    async def test_read_that_is_never_answered_raises(self, bench: Bench) -> None:
        self.needs_wire()
        await bench.place()
        adapter = bench.impatient(0.3)
        await adapter.warm(bench.session)
        for name, call in account_reads(bench).items():
            bench.strike("any", "hang")
            await _raises(f"{name} (never answered)", lambda _: call(adapter), bench)  # noqa: B023
            bench.heal()

    async def test_read_with_a_dead_session_says_so(self, bench: Bench) -> None:
        self.needs_wire()
        for name, call in account_reads(bench).items():
            bench.strike("any", "session_expired")
            try:
                got = await call(bench.adapter)
            except LoginExpired as error:
                bench.keeps_secrets(error)
            except GatewayError as error:
                raise broken(
                    Rule.WHOLE, f"{name} with a dead session is LoginExpired, not {error!r}"
                ) from error
            else:
                raise broken(Rule.WHOLE, f"{name} with a dead session answers {got!r}")
            bench.heal()

    async def test_read_at_a_refused_connection_raises(self, bench: Bench) -> None:
        self.needs_wire()
        adapter = bench.fresh()
        bench.strike("any", "refuse", ms=None)
        for name, call in account_reads(bench).items():
            what = f"{name} (connection refused)"
            await _raises(what, lambda _: call(adapter), bench)  # noqa: B023

    # How

    async def _position_is(self, bench: Bench, instrument: Instrument, quantity: int) -> None:
        rows = [
            row
            for row in await bench.adapter.positions(bench.session)
            if all(
                row.codes.get(key) == instrument.codes.get(key)
                for key in self.capabilities.code_keys or instrument.codes
            )
        ]
        require(
            sum(row.quantity for row in rows) == quantity and (rows or not quantity),
            Rule.VALUES,
            f"the position in {instrument.instrument} is {quantity} units, read as {rows}",
        )
        for row in rows:
            for name in ("buy_price", "sell_price", "average_price", "last_price"):
                _is_money(getattr(row, name), f"BrokerPosition.{name}")


def account_reads(bench: Bench) -> Mapping[str, Callable[[Adapter], Awaitable[Any]]]:
    """Every declared read of the account; those of one order are of the newest in the ledger."""
    session, capabilities = bench.session, bench.capabilities
    reads: dict[str, Callable[[Adapter], Awaitable[Any]]] = {
        "order_book": lambda adapter: adapter.order_book(session)
    }
    for feature in (Feature.TRADE_BOOK, Feature.POSITIONS, Feature.HOLDINGS, Feature.FUNDS):
        if capabilities.has(feature):
            reads[feature.value] = lambda adapter, feature=feature: getattr(  # type: ignore[misc]
                adapter, feature.value
            )(session)
    if bench.ledger:
        newest = bench.ledger[-1]
        ref = OrderRef(
            broker_order_id=newest.broker_order_id,
            instrument=bench.instruments[newest.contract.instrument],
            order_type=newest.order_type,
        )
        reads["get_order"] = lambda adapter: adapter.get_order(session, ref)
        if capabilities.tag_echo is TagEcho.QUERYABLE and newest.tag:
            tag = int("".join(filter(str.isdigit, newest.tag))[-15:])
            reads["find_by_tag"] = lambda adapter: adapter.find_by_tag(session, tag)
    return reads


async def buy(bench: Bench, *, units_of_a_lot: int) -> Instrument:
    """Buy at a limit that fills at once, in the plainest way that the broker takes."""
    plain = bench.order()
    instrument = plain.instrument
    await _fill(bench, instrument, Side.BUY, instrument.lot_size * units_of_a_lot)
    return instrument


async def _sell(bench: Bench, instrument: Instrument, quantity: int) -> None:
    await _fill(bench, instrument, Side.SELL, quantity)


async def _fill(bench: Bench, instrument: Instrument, side: Side, quantity: int) -> None:
    priced = OrderType.LIMIT in bench.capabilities.order_types
    order_type = OrderType.LIMIT if priced else OrderType.MARKET
    price = bench.crossing(instrument, side) if priced else None
    order = bench.order(
        instrument,
        side=side,
        order_type=order_type,
        validity=Validity.DAY,
        quantity=quantity,
        price=price,
        trigger_price=None,
    )
    await bench.place(order)
    require(
        bench.ledger[-1].filled_quantity == quantity,
        Rule.FIELDS,
        f"a marketable {side} of {quantity} {instrument.instrument} did not fill: the exchange has"
        f" {bench.ledger[-1].state.value} {bench.ledger[-1].message}",
    )


async def _raises(what: str, call: Callable[[Adapter], Awaitable[Any]], bench: Bench) -> None:
    try:
        got = await call(bench.adapter)
    except (OutcomeUnknown, NotSent, LoginExpired) as error:
        bench.keeps_secrets(error)
        return
    except (GatewayError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise broken(
            Rule.WHOLE, f"{what} raises {error!r}; a read that failed is OutcomeUnknown"
        ) from error
    raise broken(Rule.WHOLE, f"{what} answers {got!r}, a part or nothing, as if it were all")


def _is_money(value: object, name: str) -> None:
    require(
        value is None or isinstance(value, Decimal),
        Rule.VALUES,
        f"{name} is a {type(value).__name__}; money is Decimal, from the digits of the answer",
    )


def _has_codes(
    codes: Mapping[str, str], instrument: Instrument, keys: tuple[str, ...], what: str
) -> None:
    for key in keys or instrument.codes:
        require(
            codes.get(key) == instrument.codes.get(key),
            Rule.FIELDS,
            f"{what} in {instrument.instrument} has codes {dict(codes)}, the master"
            f" {instrument.codes}: {key} must be equal",
        )


def _names(row: Any, contract: Contract, bench: Bench) -> bool:
    listed = bench.instruments.get(contract.instrument)
    if row.codes and listed is not None:
        return all(listed.codes.get(key) == code for key, code in row.codes.items())
    return bool(row.isin == contract.isin)
