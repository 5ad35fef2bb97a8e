"""The comparison of legs, book rows and fills, row by row and without a broker."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    BrokerTrade,
    OrderType,
    Product,
    Side,
)
from gateway.books.compare import Comparison, compare
from gateway.books.known import KnownOrder, KnownTrade
from gateway.orders.records import Leg
from gateway.orders.states import LegState
from gateway.store.owners import OwnedLeg, Owners
from tests.books.conftest import make_leg

NOW = 1_763_600_000_000_000
S = LegState


def leg(**fields: Any) -> Leg:
    given: dict[str, Any] = {
        "state": S.FILLED,
        "attempts": 1,
        "broker_order_id": "B1",
        "filled_quantity": 10,
        "average_price": Decimal("812.00"),
    }
    return make_leg(NOW, **(given | fields))


def row(**fields: Any) -> KnownOrder:
    given: dict[str, Any] = {
        "broker_order_id": "B1",
        "state": BrokerOrderState.FILLED,
        "raw_state": "2",
        "codes": {},
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "quantity": 10,
        "filled_quantity": 10,
        "average_price": Decimal("812.0"),
    }
    return KnownOrder(BrokerOrder(**(given | fields)), "NSE:SBIN")


def fill(quantity: int = 10, price: str = "812", **fields: Any) -> KnownTrade:
    given: dict[str, Any] = {
        "trade_id": "T1",
        "broker_order_id": "B1",
        "codes": {},
        "side": Side.BUY,
        "product": Product.CNC,
        "quantity": quantity,
        "price": Decimal(price),
    }
    return KnownTrade(BrokerTrade(**(given | fields)), "NSE:SBIN")


def compared(
    legs: list[Leg], rows: list[KnownOrder], fills: list[KnownTrade] | None = None
) -> Comparison:
    owned = [OwnedLeg(item, None) for item in legs]
    owners = Owners(
        {item.leg.broker_tag: item for item in owned},
        {item.leg.broker_order_id: item for item in owned if item.leg.broker_order_id},
    )
    return compare(owned, rows, fills, owners)


def told(found: Comparison) -> list[tuple[str, str | None, str | None, str | None]]:
    return [
        (one.field, one.journal, one.book, one.trades)
        for item in found.differing
        for one in item.differences
    ]


def test_a_leg_its_row_and_its_fills_that_agree_match():
    found = compared([leg()], [row()], [fill(4, "811.00"), fill(6, "812.6667")])

    assert found.matches
    assert [] == told(found)


@pytest.mark.parametrize(
    ("journal", "book"),
    [
        (S.ACKED, BrokerOrderState.PENDING),
        (S.OPEN, BrokerOrderState.PENDING),
        (S.OPEN, None),
        (S.SENDING, BrokerOrderState.OPEN),
        (S.REFUSED, BrokerOrderState.REJECTED),
    ],
)
def test_states_that_say_the_same_in_other_words_match(journal, book):
    ours = leg(state=journal, filled_quantity=0, average_price=None)

    found = compared([ours], [row(state=book, filled_quantity=0, average_price=None)])

    assert found.matches


@pytest.mark.parametrize(
    ("journal", "book"),
    [
        (S.OPEN, BrokerOrderState.FILLED),
        (S.FILLED, BrokerOrderState.PENDING),
        (S.CANCELLED, BrokerOrderState.OPEN),
        (S.UNKNOWN, BrokerOrderState.FILLED),
        (S.NOT_FOUND, BrokerOrderState.OPEN),
        (S.REFUSED, BrokerOrderState.OPEN),
        (S.ABSENT, BrokerOrderState.OPEN),
        (S.DENIED, BrokerOrderState.OPEN),
    ],
)
def test_states_that_contradict_are_told(journal, book):
    ours = leg(state=journal, broker_order_id=None, filled_quantity=10)

    found = compared([ours], [row(state=book, broker_tag=ours.broker_tag)])

    assert not found.matches
    assert [("state", journal, book, None)] == [one for one in told(found) if one[0] == "state"]


@pytest.mark.parametrize("state", [S.UNKNOWN, S.NOT_FOUND, S.ACKED, S.OPEN, S.FILLED])
def test_a_leg_that_may_be_at_the_broker_and_is_not_in_its_book_is_missing(state):
    ours = leg(state=state)

    found = compared([ours], [])

    assert [(ours.leg_id, state)] == [(one.leg_id, one.state) for one in found.missing]
    assert not found.matches


@pytest.mark.parametrize("state", [S.DENIED, S.LAPSED, S.REFUSED, S.ABSENT, S.READY, S.SENDING])
def test_a_leg_that_has_no_order_is_not_missed(state):
    assert compared([leg(state=state, broker_order_id=None)], []).matches


def test_what_was_filled_is_told_three_ways():
    found = compared([leg()], [row(filled_quantity=9)], [fill(8)])

    assert [("filled_quantity", "10", "9", "8")] == told(found)


def test_fills_that_the_trade_book_lacks_are_told():
    assert [("filled_quantity", "10", "10", "0")] == told(compared([leg()], [row()], []))
    assert compared([leg()], [row()], None).matches


def test_prices_are_compared_by_value_and_averages_within_a_paisa():
    near = compared([leg()], [row()], [fill(10, "812.009")])
    far = compared([leg()], [row()], [fill(10, "812.02")])
    other = compared([leg()], [row(average_price=Decimal("811"))], None)

    assert near.matches
    assert [("average_price", "812.00", "812.00", "812.02")] == told(far)
    assert [("average_price", "812.00", "811.00", None)] == told(other)


def test_an_order_changed_elsewhere_shows_in_its_quantity():
    ours = leg(state=S.OPEN, filled_quantity=0, average_price=None)
    changed = row(state=BrokerOrderState.OPEN, quantity=20, filled_quantity=0, average_price=None)

    assert [("quantity", "10", "20", None)] == told(compared([ours], [changed]))


def test_orders_placed_elsewhere_are_listed_and_are_no_mismatch():
    found = compared([leg()], [row(), row(broker_order_id="X9")], [fill()])

    assert found.matches
    assert [("X9", None)] == [(one.broker_order_id, one.leg_id) for one in found.elsewhere]


def test_a_trade_without_its_order_is_a_mismatch():
    found = compared([], [], [fill()])

    assert not found.matches
    assert ["T1"] == [one.trade_id for one in found.trades_without_order]


def test_one_tag_on_two_orders_is_a_mismatch():
    ours = leg()
    twice = [
        row(broker_tag=ours.broker_tag),
        row(broker_tag=ours.broker_tag, broker_order_id="B2"),
    ]

    found = compared([ours], twice, None)

    (doubled,) = found.tags_doubled
    assert (ours.leg_id, ["B1", "B2"]) == (doubled.leg_id, doubled.broker_order_ids)
    assert not found.matches
    assert [] == found.elsewhere
