"""Placing what is declared, refusing what is not, and finding an order again."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench, Gate, ref
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import Denied, GatewayError, NotSupported
from adapters.sdk.interface import Capabilities, Feature, TagEcho
from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    Exchange,
    InstrumentType,
    OrderRef,
    OrderType,
    PlaceOrder,
    Product,
    Side,
    Validity,
)
from adapters.sdk.simulator import CallKind

_READ_BACK = (
    "side",
    "quantity",
    "order_type",
    "product",
    "validity",
    "price",
    "trigger_price",
)
_ALWAYS_SHOWN = ("side", "quantity")


class OrderTests(Setup):
    """Orders."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test of each declared exchange and product."""
        plugin = getattr(metafunc.cls, "plugin", None)
        if plugin is None:
            return
        declared: Capabilities = plugin.capabilities
        if "exchange" in metafunc.fixturenames:
            metafunc.parametrize("exchange", sorted(declared.exchanges))
        if "product" in metafunc.fixturenames:
            metafunc.parametrize("product", sorted(declared.products))

    async def test_every_declared_order_is_placed_and_stands_in_the_book_as_sent(
        self, bench: Bench, exchange: Exchange, product: Product
    ) -> None:
        for instrument in bench.tradable(exchange):
            for kind in _kinds(self.capabilities):
                prices = bench.prices(instrument, kind["side"], kind["order_type"])
                order = bench.order_or_none(instrument, product=product, **kind, **prices)
                if order is None:
                    continue
                before = len(bench.ledger)
                _, placed = await bench.place(order)
                told = f"{instrument.instrument} {product} {' '.join(map(str, kind.values()))}"
                require(
                    len(bench.ledger) == before + 1,
                    Rule.ONE_WRITE,
                    f"{told}: {len(bench.ledger) - before} orders at the exchange instead of one",
                )
                self._exchange_has(bench, order, told)
                row = await bench.row(placed.broker_order_id)
                self._row_is(order, row, told)
        bench.kept_to_the_documents()

    async def test_each_declared_value_is_taken_in_some_order(self, bench: Bench) -> None:
        taken = [
            (exchange, product, *kind.values())
            for exchange in self.capabilities.exchanges
            for instrument in bench.tradable(exchange)
            for product in self.capabilities.products
            for kind in _kinds(self.capabilities)
            if bench.order_or_none(
                instrument,
                product=product,
                **kind,
                **bench.prices(instrument, kind["side"], kind["order_type"]),
            )
        ]
        seen = {value for values in taken for value in values}
        declared = {
            *self.capabilities.exchanges,
            *self.capabilities.products,
            *self.capabilities.order_types,
            *self.capabilities.validities,
        }
        require(
            declared <= seen,
            Rule.DECLARED,
            "declared, but `check_order` takes no order with: "
            + ", ".join(sorted(declared - seen)),
        )

    async def test_undeclared_values_are_refused_unsent(self, bench: Bench) -> None:
        caps, good = self.capabilities, bench.order()
        stray: list[tuple[str, dict[str, Any]]] = []
        for order_type in set(OrderType) - caps.order_types:
            prices = bench.prices(good.instrument, good.side, order_type)
            stray.append((f"order type {order_type}", {"order_type": order_type, **prices}))
        stray += [(f"product {p}", {"product": p}) for p in set(Product) - caps.products]
        stray += [(f"validity {v}", {"validity": v}) for v in set(Validity) - caps.validities]
        for exchange in set(Exchange) - caps.exchanges:
            elsewhere = msgspec.structs.replace(
                good.instrument,
                exchange=exchange,
                instrument=f"{exchange.value}:{good.instrument.symbol}",
            )
            stray.append((f"exchange {exchange}", {"instrument": elsewhere}))
        if not caps.has(Feature.AMO):
            stray.append(("an after-market order", {"amo": True}))
        if not caps.has(Feature.DISCLOSED_QUANTITY):
            several = good.quantity * 10
            stray.append(
                ("a disclosed quantity", {"quantity": several, "disclosed_quantity": good.quantity})
            )
        await self._denied(bench, good, stray)

    async def test_senseless_orders_are_refused_unsent(self, bench: Bench) -> None:
        good = bench.order()
        index = msgspec.structs.replace(good.instrument, type=InstrumentType.INDEX)
        stray: list[tuple[str, dict[str, Any]]] = [
            ("quantity 0", {"quantity": 0}),
            ("a negative quantity", {"quantity": -good.quantity}),
            ("an index", {"instrument": index}),
            ("a tag of 14 digits", {"broker_tag": 10**13}),
            ("a tag of 16 digits", {"broker_tag": 10**15}),
        ]
        if good.order_type is OrderType.LIMIT:
            stray += [
                ("a limit order without a price", {"price": None}),
                ("a limit order at price 0", {"price": Decimal(0)}),
                ("a limit order at a negative price", {"price": Decimal(-1)}),
            ]
        if OrderType.SL in self.capabilities.order_types:
            stop = bench.order(order_type=OrderType.SL)
            stray.append(
                (
                    "a stop order without a trigger",
                    {"order_type": OrderType.SL, "price": stop.price, "trigger_price": None},
                )
            )
        await self._denied(bench, good, stray)

    async def test_tag_is_found_as_declared(self, bench: Bench) -> None:
        order, placed = await bench.place()
        row = await bench.row(placed.broker_order_id)
        read = await bench.adapter.get_order(bench.session, ref(order, placed.broker_order_id))
        tags = {row.broker_tag, read.broker_tag if read is not None else None}
        require(
            tags <= {order.broker_tag, None},
            Rule.TAG,
            f"the order was sent with tag {order.broker_tag} and comes back with {tags}",
        )
        echo = self.capabilities.tag_echo
        if echo is not TagEcho.UNPROVEN:
            require(
                row.broker_tag == order.broker_tag,
                Rule.TAG,
                f"tag_echo is {echo.value}, but the book's row carries {row.broker_tag}",
            )
        if echo is not TagEcho.QUERYABLE:
            await bench.refuses(
                "find_by_tag",
                lambda: bench.adapter.find_by_tag(bench.session, order.broker_tag),
            )
            return
        other, _ = await bench.place()
        for tag, expected in (
            (order.broker_tag, [placed.broker_order_id]),
            (other.broker_tag + 5000, []),
        ):
            found = await bench.adapter.find_by_tag(bench.session, tag)
            require(
                [one.broker_order_id for one in found] == expected,
                Rule.TAG,
                f"find_by_tag({tag}) finds {found}, expected {expected}",
            )

    async def test_order_of_another_program_carries_no_tag_of_ours(self, bench: Bench) -> None:
        _, placed = await bench.place()
        foreign = bench.ledger[-1]
        foreign.tag = "by hand"
        row = await bench.row(placed.broker_order_id)
        require(
            row.broker_tag is None,
            Rule.TAG,
            f"an order whose reference is no tag of ours is read with tag {row.broker_tag}",
        )

    async def test_one_order_is_read_by_its_id(self, bench: Bench) -> None:
        order, placed = await bench.place()
        row = await bench.row(placed.broker_order_id)
        read = await bench.adapter.get_order(bench.session, ref(order, placed.broker_order_id))
        if read is None:
            raise broken(Rule.WHOLE, f"get_order finds no order {placed.broker_order_id}")
        for name in ("broker_order_id", "state", "filled_quantity", *_ALWAYS_SHOWN):
            require(
                getattr(read, name) == getattr(row, name),
                Rule.FIELDS,
                f"get_order says {name}={getattr(read, name)!r}, the book {getattr(row, name)!r}",
            )
        missing = placed.broker_order_id[:-1] + ("1" if placed.broker_order_id[-1] != "1" else "2")
        nothing = await bench.adapter.get_order(bench.session, OrderRef(broker_order_id=missing))
        require(
            nothing is None, Rule.WHOLE, f"get_order of an id that does not exist gives {nothing}"
        )

    async def test_empty_book_is_empty_and_a_full_one_is_whole(self, bench: Bench) -> None:
        require(
            await bench.adapter.order_book(bench.session) == [],
            Rule.WHOLE,
            "the book of an account without orders is not an empty list",
        )
        ids = [(await bench.place())[1].broker_order_id for _ in range(5)]
        book = await bench.adapter.order_book(bench.session)
        require(
            sorted(ids) == sorted(row.broker_order_id for row in book),
            Rule.WHOLE,
            f"five orders were placed; the book shows {[row.broker_order_id for row in book]}",
        )

    async def test_life_of_an_order_is_read_in_our_states(self, bench: Bench) -> None:
        order, placed = await bench.place()
        live = bench.simulator.engine.get(placed.broker_order_id)
        if live is None:
            raise broken(Rule.FIELDS, f"the exchange has no order {placed.broker_order_id}")
        several = await bench.place(quantity=order.instrument.lot_size * 3)
        other = bench.simulator.engine.get(several[1].broker_order_id)
        row = await bench.row(placed.broker_order_id)
        self._state(row, BrokerOrderState.OPEN, filled=0)
        if other is not None:
            bench.simulator.engine.fill(other, order.instrument.lot_size)
            part = await bench.row(other.broker_order_id)
            self._state(part, BrokerOrderState.PARTIALLY_FILLED, filled=order.instrument.lot_size)
            bench.simulator.engine.cancel(other)
            ended = await bench.row(other.broker_order_id)
            self._state(ended, BrokerOrderState.CANCELLED, filled=order.instrument.lot_size)
        bench.simulator.engine.fill(live)
        full = await bench.row(placed.broker_order_id)
        self._state(full, BrokerOrderState.FILLED, filled=order.quantity)
        require(
            full.average_price == live.average_price,
            Rule.VALUES,
            f"it was filled at {live.average_price}, the book says {full.average_price!r}",
        )
        _, third = await bench.place()
        bench.simulator.engine.end_of_day()
        expired = await bench.row(third.broker_order_id)
        require(
            expired.state in (BrokerOrderState.EXPIRED, BrokerOrderState.CANCELLED),
            Rule.FIELDS,
            f"an order that the day's end took away is read as {expired.state}"
            f" ({expired.raw_state})",
        )

    async def test_after_market_order_waits_and_can_be_cancelled(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.AMO):
            pytest.skip("AMO is not declared; another test shows that it is refused")
        bench.simulator.engine.set_market(is_open=False)
        order, placed = await bench.place(amo=True)
        require(bench.ledger[-1].amo, Rule.FIELDS, "the exchange has it as an ordinary order")
        row = await bench.row(placed.broker_order_id)
        require(
            row.state is not None and not row.state.is_final,
            Rule.FIELDS,
            f"a waiting after-market order is read as {row.state} ({row.raw_state})",
        )
        await bench.adapter.cancel_order(bench.session, ref(order, placed.broker_order_id), Gate())
        self._state(await bench.row(placed.broker_order_id), BrokerOrderState.CANCELLED, filled=0)

    async def test_disclosed_quantity_reaches_the_exchange(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.DISCLOSED_QUANTITY):
            pytest.skip("it is not declared; another test shows that it is refused")
        plain = bench.order()
        lot = plain.instrument.lot_size
        await bench.place(quantity=lot * 20, disclosed_quantity=lot * 10)
        require(
            bench.ledger[-1].disclosed_quantity == lot * 10,
            Rule.FIELDS,
            f"{bench.ledger[-1].disclosed_quantity} units were disclosed, not {lot * 10}",
        )

    async def test_orders_at_once_arrive_once_each(self, bench: Bench) -> None:
        import asyncio

        orders = [bench.order() for _ in range(5)]
        placed = await asyncio.gather(*(bench.place(order) for order in orders))
        ids = {done.broker_order_id for _, done in placed}
        require(
            len(ids) == len(bench.ledger) == len(orders),
            Rule.ONE_WRITE,
            f"{len(orders)} orders sent at once became {len(bench.ledger)} with {len(ids)} ids",
        )

    async def test_warm_connection_costs_no_trading_request(self, bench: Bench) -> None:
        self.needs_wire()
        await bench.adapter.warm(bench.session)
        require(bench.adapter.is_warm(), Rule.GATE, "after `warm` the adapter `is_warm`")
        trading = (CallKind.PLACE, CallKind.MODIFY, CallKind.CANCEL)
        require(bench.sent(*trading) == 0, Rule.ONE_WRITE, "`warm` sent a trading request")

    async def test_order_that_slips_past_check_order_is_stopped_by_place_order(
        self, bench: Bench
    ) -> None:
        bad = msgspec.structs.replace(bench.order(), quantity=0)
        with bench.unsent("place_order with quantity 0"):
            try:
                await bench.adapter.place_order(bench.session, bad, Gate())
            except Denied:
                return
            except GatewayError as error:
                raise broken(
                    Rule.DECLARED, f"place_order with quantity 0 is Denied, not {error!r}"
                ) from error
        raise broken(Rule.DECLARED, "place_order takes quantity 0")

    # How

    async def _denied(
        self, bench: Bench, good: PlaceOrder, stray: list[tuple[str, dict[str, Any]]]
    ) -> None:
        for what, changes in stray:
            order = msgspec.structs.replace(good, **changes)
            with bench.unsent(f"check_order with {what}"):
                denial = bench.denial(order)
            if denial is None:
                raise broken(
                    Rule.DECLARED,
                    f"check_order takes {what}: raise Denied or NotSupported with the reason",
                )
            require(denial.message, Rule.DECLARED, f"{what} is denied without words")
            with bench.unsent(f"place_order with {what}"):
                try:
                    await bench.adapter.place_order(bench.session, order, Gate())
                except (Denied, NotSupported):
                    continue
                except GatewayError as error:
                    raise broken(
                        Rule.DECLARED, f"place_order with {what} is Denied, not {error!r}"
                    ) from error
            raise broken(Rule.DECLARED, f"place_order takes {what}")

    def _exchange_has(self, bench: Bench, order: PlaceOrder, told: str) -> None:
        booked = bench.ledger[-1]
        wanted = {
            "side": order.side,
            "quantity": order.quantity,
            "order_type": order.order_type,
            "product": order.product,
            "validity": order.validity,
            "price": order.price,
            "trigger_price": order.trigger_price,
        }
        require(
            booked.contract.instrument == order.instrument.instrument,
            Rule.FIELDS,
            f"{told}: the exchange has an order in {booked.contract.instrument}",
        )
        for name, mine in wanted.items():
            theirs = getattr(booked, name)
            require(
                theirs == mine or not (theirs or mine),
                Rule.FIELDS,
                f"{told}: sent with {name}={mine!r}, the exchange has {theirs!r}",
            )

    def _row_is(self, order: PlaceOrder, row: BrokerOrder, told: str) -> None:
        require(
            row.state is not None,
            Rule.FIELDS,
            f"{told}: the state {row.raw_state!r} of the simulator's own book is not known",
        )
        for key in self.capabilities.code_keys or order.instrument.codes:
            require(
                row.codes.get(key) == order.instrument.codes.get(key),
                Rule.FIELDS,
                f"{told}: codes[{key!r}] is {row.codes.get(key)!r} in the book and"
                f" {order.instrument.codes.get(key)!r} in the master: they must be equal",
            )
        for name in _READ_BACK:
            mine, theirs = getattr(order, name), getattr(row, name)
            if name in self.differs and name not in self.capabilities.comparable_fields:
                continue
            same = theirs == mine or (theirs is None and name not in _ALWAYS_SHOWN)
            require(
                same or (not mine and not theirs),
                Rule.FIELDS,
                f"{told}: sent with {name}={mine!r}, the book says {theirs!r}. Where the broker"
                " does show it otherwise, leave the field out of `comparable_fields` and explain"
                " it in `differs`",
            )
        if row.placed_at is not None:
            require(row.placed_at.tzinfo, Rule.VALUES, f"{told}: placed_at has no time zone")

    def _state(self, row: BrokerOrder, expected: BrokerOrderState, *, filled: int) -> None:
        require(
            (row.state, row.filled_quantity) == (expected, filled),
            Rule.FIELDS,
            f"an order that is {expected.value} with {filled} filled is read as {row.state} with"
            f" {row.filled_quantity} (the broker's word: {row.raw_state!r})",
        )


def _kinds(declared: Capabilities) -> Iterator[dict[str, Any]]:
    for order_type in sorted(declared.order_types):
        for validity in sorted(declared.validities):
            for side in Side:
                yield {"order_type": order_type, "validity": validity, "side": side}
