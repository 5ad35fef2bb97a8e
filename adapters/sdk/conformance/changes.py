"""Changing and cancelling what was placed."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench, Gate, change_of, ref
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import Denied, GatewayError, NotSupported, OutcomeUnknown, Refused
from adapters.sdk.interface import Feature
from adapters.sdk.models import BrokerOrderState, ModifyOrder, OrderRef, OrderType


class ChangeTests(Setup):
    """Modify and cancel."""

    async def test_modify_changes_what_is_named_and_nothing_else(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.MODIFY):
            await self._not_offered(bench, change_of(bench.order(), "1"))
            return
        order, placed = await bench.place(quantity=bench.order().quantity * 4)
        lot = order.instrument.lot_size
        far = bench.prices(order.instrument, order.side, order.order_type, far="0.08")
        changes: list[dict[str, Any]] = [
            dict(far),
            {"quantity": order.quantity + lot},
            {"quantity": order.quantity - lot},
        ]
        changes += [
            {"order_type": other, **bench.prices(order.instrument, order.side, other, far="0.06")}
            for other in (OrderType.SL, OrderType.LIMIT)
            if {other, order.order_type} <= self.capabilities.order_types
        ]
        now: dict[str, Any] = {}
        taken = 0
        for change in changes:
            wanted = {**now, **change}
            ask = change_of(
                order,
                placed.broker_order_id,
                **wanted,
                previous_quantity=now.get("quantity", order.quantity),
            )
            try:
                bench.adapter.check_modify(ask)
            except Denied:
                continue
            await bench.adapter.modify_order(bench.session, ask, Gate())
            taken, now = taken + 1, wanted
            booked, row = bench.ledger[-1], await bench.row(placed.broker_order_id)
            for name in ("quantity", "price", "trigger_price", "order_type", "product", "side"):
                mine, theirs, read = getattr(ask, name), getattr(booked, name), getattr(row, name)
                if name == "trigger_price" and ask.order_type is OrderType.LIMIT:
                    continue
                require(
                    theirs == mine or not (mine or theirs),
                    Rule.FIELDS,
                    f"modify to {change}: {name} is to be {mine!r}, the exchange has {theirs!r}",
                )
                require(
                    read in (mine, None) or not (mine or read) or name in self.differs,
                    Rule.FIELDS,
                    f"modify to {change}: {name} is to be {mine!r}, the book says {read!r}",
                )
        require(taken, Rule.DECLARED, "modify is declared, but `check_modify` takes no change")
        require(len(bench.ledger) == 1, Rule.ONE_WRITE, "a modify made another order")
        bench.kept_to_the_documents()

    async def test_senseless_changes_are_refused_unsent(self, bench: Bench) -> None:
        if not self.capabilities.has(Feature.MODIFY):
            pytest.skip("modify is not declared")
        order, placed = await bench.place()
        stray: list[tuple[str, dict[str, Any]]] = [("quantity 0", {"quantity": 0})]
        if order.order_type is OrderType.LIMIT:
            stray.append(("a limit order without a price", {"price": None}))
        for other in set(OrderType) - self.capabilities.order_types:
            prices = bench.prices(order.instrument, order.side, other)
            stray.append((f"order type {other}", {"order_type": other, **prices}))
        for what, changes in stray:
            ask = change_of(order, placed.broker_order_id, **changes)
            with bench.unsent(f"check_modify with {what}"):
                try:
                    bench.adapter.check_modify(ask)
                except Denied:
                    continue
            raise broken(Rule.DECLARED, f"check_modify takes {what}")

    async def test_quantity_of_a_part_filled_order_changes_only_where_that_is_proven(
        self, bench: Bench
    ) -> None:
        if not self.capabilities.has(Feature.MODIFY):
            pytest.skip("modify is not declared")
        order, placed = await bench.place(quantity=bench.order().quantity * 4)
        lot = order.instrument.lot_size
        bench.simulator.engine.fill(bench.ledger[-1], lot)
        ask = change_of(
            order, placed.broker_order_id, quantity=order.quantity - lot, filled_quantity=lot
        )
        if self.capabilities.has(Feature.MODIFY_PART_FILLED_QUANTITY):
            bench.adapter.check_modify(ask)
            await bench.adapter.modify_order(bench.session, ask, Gate())
            require(
                bench.ledger[-1].quantity == ask.quantity,
                Rule.FIELDS,
                f"the total was to become {ask.quantity}, the exchange has"
                f" {bench.ledger[-1].quantity}: is the filled part counted twice?",
            )
            return
        with bench.unsent("modify of a part-filled order"):
            try:
                bench.adapter.check_modify(ask)
                await bench.adapter.modify_order(bench.session, ask, Gate())
            except Denied:
                return
        raise broken(
            Rule.DECLARED,
            "whether the new quantity counts the filled part is not declared as proven"
            " (`modify_part_filled_quantity`), but the change is taken",
        )

    async def test_cancel_takes_the_order_out_of_the_market(self, bench: Bench) -> None:
        for order_type in sorted(self.capabilities.order_types - {OrderType.MARKET}):
            order, placed = await bench.place(order_type=order_type)
            done = await bench.adapter.cancel_order(
                bench.session, ref(order, placed.broker_order_id), Gate()
            )
            require(
                done.broker_order_id == placed.broker_order_id,
                Rule.FIELDS,
                f"the cancel of {placed.broker_order_id} answers for {done.broker_order_id}",
            )
            row = await bench.row(placed.broker_order_id)
            require(
                row.state is BrokerOrderState.CANCELLED,
                Rule.FIELDS,
                f"a cancelled {order_type} order is read as {row.state} ({row.raw_state})",
            )
        bench.kept_to_the_documents()

    async def test_cancel_and_modify_of_an_order_that_is_done_claim_nothing(
        self, bench: Bench
    ) -> None:
        order, placed = await bench.place()
        bench.simulator.engine.fill(bench.ledger[-1])
        name = OrderRef(
            broker_order_id=placed.broker_order_id,
            instrument=order.instrument,
            order_type=order.order_type,
        )
        calls: dict[str, Any] = {
            "cancel_order": lambda: bench.adapter.cancel_order(bench.session, name, Gate())
        }
        if self.capabilities.has(Feature.MODIFY):
            prices = bench.prices(order.instrument, order.side, order.order_type, far="0.08")
            ask = change_of(order, placed.broker_order_id, **prices)
            calls["modify_order"] = lambda: bench.adapter.modify_order(bench.session, ask, Gate())
        for what, call in calls.items():
            try:
                got = await call()
            except (Refused, OutcomeUnknown) as error:
                bench.keeps_secrets(error)
            except GatewayError as error:
                raise broken(Rule.EVIDENCE, f"{what} of a filled order raises {error!r}") from error
            else:
                raise broken(Rule.EVIDENCE, f"{what} of a filled order answers {got!r}")

    async def _not_offered(self, bench: Bench, ask: ModifyOrder) -> None:
        try:
            bench.adapter.check_modify(ask)
        except NotSupported:
            pass
        else:
            raise broken(Rule.DECLARED, "modify is not declared, but `check_modify` takes a change")
        await bench.refuses(
            "modify_order", lambda: bench.adapter.modify_order(bench.session, ask, Gate())
        )
