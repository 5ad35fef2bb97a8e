"""A word of the broker's that is not known is logged once, shown raw and decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from adapters.mstock import contracts, parse, rows
from tests.mstock.support import answer


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    yield
    for remembering in (
        contracts.unrecognised,
        contracts.order_type,
        contracts.product,
        contracts.side,
        contracts.validity,
    ):
        remembering.cache_clear()


def order(**changes: object) -> parse.BrokerOrder:
    row = rows.ORDERS.of({**rows.list_of(answer("get_orders"))[0], **changes})
    return parse.order(row, "1", parse.NO_FILLS)


@pytest.mark.parametrize(
    ("field", "attribute", "what"),
    [
        ("status", "state", "order status"),
        ("ordertype", "order_type", "order type"),
        ("producttype", "product", "product"),
        ("transactiontype", "side", "side"),
        ("duration", "validity", "validity"),
    ],
)
def test_an_unknown_word_is_logged_once_and_means_nothing(
    caplog: pytest.LogCaptureFixture, field: str, attribute: str, what: str
) -> None:
    contracts.unrecognised.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            found = order(**{field: "Zonk"})
    assert getattr(found, attribute) is None
    assert caplog.messages == [f"m.Stock: unrecognised {what} 'Zonk'"]


def test_an_unknown_instrument_type_claims_no_segment_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    contracts._segment.cache_clear()
    with caplog.at_level(logging.WARNING):
        found = order(instrumenttype="ZONK")
    assert "exchange" not in found.codes
    assert caplog.messages == ["m.Stock: unrecognised instrument type 'ZONK'"]


def test_a_long_word_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert order(status="x" * 500).raw_state == "x" * 500
    assert len(caplog.messages[0]) < 120


def test_known_words_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    contracts._segment.cache_clear()
    with caplog.at_level(logging.WARNING):
        order()
    assert caplog.messages == []
