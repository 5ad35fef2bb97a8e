"""Rows decoded straight from bytes say what they say member by member, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hdfc import rows
from adapters.hdfc.envelope import read_answer
from adapters.hdfc.values import number, signed, text, time
from adapters.sdk.errors import BadAnswer
from tests.hdfc.support import payload

SAMPLES = (
    (rows.ORDERS, "get_orders.json"),
    (rows.ORDERS, "get_order_open.json"),
    (rows.TRADES, "get_trades.json"),
    (rows.HOLDINGS, "get_portfolio_holdings_mixed.json"),
    (rows.PRICES, "put_fetch_ltp_segments.json"),
)
ANY = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**25), 10**25),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=12),
        st.sampled_from(["", " ", "1,000.50", "-0", "NaN", "1e999999999", "٣", "10.0"]),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def read_both(row_type: Any, raw: bytes) -> tuple[Any, Any]:
    """Read a list the fast way and member by member."""
    answer = read_answer(200, raw)
    return (
        row_type._rows(msgspec.Raw(raw), answer),
        row_type._member_by_member(msgspec.Raw(raw), answer),
    )


@given(data=st.data(), sample=st.sampled_from(SAMPLES))
@settings(deadline=None, max_examples=300)
def test_fast_rows_are_the_slow_ones(data: st.DataObject, sample: tuple[Any, str]) -> None:
    row_type, name = sample
    row = json.loads(payload(name))["data"][0]
    for member in data.draw(st.lists(st.sampled_from(sorted(row)), max_size=4)):
        row[member] = data.draw(ANY)
    for member in data.draw(st.lists(st.sampled_from(sorted(row)), max_size=2)):
        row.pop(member, None)
    fast, slow = read_both(row_type, json.dumps([row]).encode())
    assert fast == slow


def test_member_that_cannot_be_decoded_hides_no_other() -> None:
    raw = b'[{"order_id":"1","quantity":2,"company_name":"\xff","status":"\xff"}]'
    (row,) = rows.ORDERS.read(msgspec.Raw(raw), lambda row: row, read_answer(200, raw))
    assert (row.order_id, row.quantity) == ("1", 2)
    assert text(row.status) is None
    huge = b'[{"order_id":"1","quantity":' + b"9" * 5000 + b"}]"
    with pytest.raises(BadAnswer, match="quantity is not a number"):
        rows.ORDERS.read(
            msgspec.Raw(huge), lambda row: signed(row.quantity, "quantity"), read_answer(200, huge)
        )


def test_digits_are_kept() -> None:
    raw = b'[{"price":0.1000000000000000055,"order_id":12345678901234567890,"trigger_price":1e5}]'
    (row,) = rows.ORDERS.read(msgspec.Raw(raw), lambda row: row, read_answer(200, raw))
    assert str(number(row.price, "price")) == "0.1000000000000000055"
    assert text(row.order_id) == "12345678901234567890"
    assert number(row.trigger_price, "trigger_price") == 100000


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("30/04/2026 12:40:12", "2026-04-30T12:40:12+05:30"),
        ("1/4/2026 9:05:01", "2026-04-01T09:05:01+05:30"),
        (" 30/04/2026 12:40:12 ", "2026-04-30T12:40:12+05:30"),
        ("30-04-2026 12:40:12", None),
        ("2026-04-30 12:40:12", None),
        ("31/04/2026 12:40:12", None),
        ("30/04/2026", None),
        ("", None),
        (None, None),
        (1777533012, None),
    ],
)
def test_times_are_naive_indian_ones(written: Any, shown: str | None) -> None:
    found = time(written)
    assert (found.isoformat() if found else None) == shown
