"""Any bytes, and any mutation of the broker's own, parse or raise a `GatewayError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.mstock import margins, market, parse, portfolio, rows
from adapters.mstock.constants import IST
from adapters.mstock.envelope import (
    Envelope,
    decode_envelope,
    question_error,
    read_error,
    write_error,
)
from adapters.mstock.master import instrument, read_master
from adapters.mstock.values import bounded, clean
from adapters.sdk.errors import GatewayError
from adapters.sdk.models import Interval
from tests.mstock.support import PAYLOADS, payload

NAMES = sorted(
    path.stem for path in PAYLOADS.glob("*.json") if "OpenAPIScripMaster" not in path.stem
)
INSTRUMENTS = list(read_master([PAYLOADS / "get_instruments_OpenAPIScripMaster.json"]))
LONG_AGO = datetime(1990, 1, 1, tzinfo=IST)
LATER = datetime(2090, 1, 1, tzinfo=IST)
STATUSES = st.sampled_from([200, 201, 302, 400, 401, 403, 404, 405, 429, 500, 502])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False).map(float),
    st.text(max_size=30),
    st.sampled_from(["", "None", "0", "1E+99", "Pending", "Traded", "2026-Nov-22 01:00:00"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def _book(envelope: Envelope) -> None:
    parse.book_orders(rows.ORDERS.read(envelope), {})


def _details(envelope: Envelope) -> None:
    row = parse.details_row(rows.ORDERS.read(envelope), "1")
    if row is not None:
        parse.order(row, "1", parse.Fills(1, Decimal(1)))


def _fills(envelope: Envelope) -> None:
    for fills in parse.fills_by_order(rows.TRADES.read(envelope)).values():
        assert fills.average_price is None or fills.quantity


def _quotes(envelope: Envelope) -> None:
    market.quotes(envelope, INSTRUMENTS, datetime.now(IST))


def _holdings(envelope: Envelope) -> None:
    for holding in portfolio.holdings(rows.list_of(envelope)):
        assert holding.quantity > 0


def _candles(envelope: Envelope) -> None:
    for interval in (Interval.M5, Interval.D1):
        found = market.candles(envelope, interval, LONG_AGO, LATER)
        assert [one.at for one in found] == sorted({one.at for one in found})
        for candle in market.day_of(found):
            assert candle.low <= candle.high


PARSERS: list[Callable[[Envelope], Any]] = [
    parse.request_token,
    lambda envelope: parse.login_tokens(envelope, mode="otp"),
    lambda envelope: parse.login_tokens(envelope, mode="totp"),
    parse.placed,
    write_error,
    read_error,
    question_error,
    lambda envelope: parse.cancel_requested(envelope, "1"),
    _book,
    _details,
    _fills,
    lambda envelope: parse.modified(envelope, "1"),
    lambda envelope: portfolio.trades(rows.TRADES.read(envelope)),
    lambda envelope: portfolio.positions(rows.POSITIONS.read(envelope)),
    _quotes,
    _holdings,
    lambda envelope: portfolio.funds(rows.list_of(envelope)),
    lambda envelope: margins.margin(envelope, 1),
    _candles,
]


def _parse_all(http: int, body: bytes) -> None:
    try:
        envelope = decode_envelope(http, body)
    except GatewayError:
        return
    for parser in PARSERS:
        with suppress(GatewayError):
            parser(envelope)


@given(STATUSES, st.binary(max_size=200))
def test_any_bytes_parse_or_raise_our_error(http: int, body: bytes) -> None:
    _parse_all(http, body)


@given(STATUSES, JSON)
def test_any_json_parses_or_raises_our_error(http: int, value: Any) -> None:
    _parse_all(http, json.dumps(value).encode())


@given(STATUSES, st.sampled_from(NAMES), st.integers(0, 4000), st.binary(max_size=3), st.booleans())
def test_a_damaged_payload_parses_or_raises_our_error(
    http: int, name: str, at: int, replacement: bytes, cut: bool
) -> None:
    body = payload(name)
    at %= len(body)
    _parse_all(http, body[:at] + replacement + (b"" if cut else body[at + len(replacement) :]))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES), st.data())
def test_a_payload_with_other_values_parses_or_raises_our_error(
    name: str, data: st.DataObject
) -> None:
    value = json.loads(payload(name))

    def change(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: change(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [change(inner) for inner in node[:2]]
        return data.draw(SCALARS) if data.draw(st.booleans()) else node

    _parse_all(200, json.dumps(change(value)).encode())


KINDS = st.sampled_from(
    [
        (rows.ORDERS, "get_orders_every_status"),
        (rows.ORDERS, "post_order_details"),
        (rows.TRADES, "get_tradebook"),
        (rows.POSITIONS, "get_portfolio_positions"),
    ]
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(KINDS, st.data())
def test_rows_that_are_decoded_fast_are_those_of_the_slow_way(
    kind: tuple[rows.RowType[Any], str], data: st.DataObject
) -> None:
    rowtype, name = kind
    value = json.loads(payload(name))
    odd = SCALARS | st.sampled_from([" 7 ", " NSE", 0, 12, -3, 6.1, "6.10", "NONE", [], {}])
    for row in value["data"]:
        for key in row:
            if not data.draw(st.integers(0, 9)):
                row[key] = data.draw(odd)
    for key in ("status", "errorcode"):
        if not data.draw(st.integers(0, 4)):
            value[key] = data.draw(odd | st.sampled_from(["true", "True", True, "", None]))
    body = json.dumps(value).encode()

    def words(envelope: Callable[[], Envelope]) -> list[Any]:
        read = rowtype.read(envelope())
        return [[_plain(getattr(row, field)) for field in row.__struct_fields__] for row in read]

    try:
        slow = words(lambda: decode_envelope(200, body))
    except GatewayError as error:
        with pytest.raises(type(error)):
            words(lambda: rowtype.decode(200, body))
        return
    assert slow == words(lambda: rowtype.decode(200, body))


def _plain(value: Any) -> Any:
    return bounded(value) if isinstance(value, Decimal) else clean(value)


READERS: dict[str, Callable[[Envelope], Any]] = {
    "get_portfolio_positions": lambda found: portfolio.positions(rows.POSITIONS.read(found)),
    "get_tradebook": lambda found: portfolio.trades(rows.TRADES.read(found)),
    "get_orders_every_status": lambda found: parse.book_orders(rows.ORDERS.read(found), {}),
    "post_order_details": lambda found: parse.book_orders(rows.ORDERS.read(found), {}),
    "get_portfolio_holdings": lambda found: portfolio.holdings(rows.list_of(found)),
    "get_user_fundsummary": lambda found: portfolio.funds(rows.list_of(found)),
    "post_margins_orders": lambda found: margins.margin(found, 1),
    "post_instruments_quote": lambda found: market.quotes(found, INSTRUMENTS, LATER),
    "post_instruments_historical": lambda found: market.candles(
        found, Interval.M5, LONG_AGO, LATER
    ),
    "post_instruments_intraday": lambda found: market.candles(found, Interval.M5, LONG_AGO, LATER),
}


@pytest.mark.parametrize("name", READERS)
def test_numbers_as_text_nulls_as_words_and_a_list_around_it_all_change_nothing(name: str) -> None:
    def change(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: change(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [change(inner) for inner in node]
        if node is None:
            return "None"
        is_number = isinstance(node, int | float) and not isinstance(node, bool)
        return f" {node} " if is_number else node

    read, value = READERS[name], json.loads(payload(name))
    expected = read(decode_envelope(200, payload(name)))
    changed = {**change(value), "status": "True"}
    for variant in (value, changed, [value], [changed]):
        assert expected == read(decode_envelope(200, json.dumps(variant).encode()))


@given(STATUSES, JSON)
def test_no_answer_but_a_clean_success_places_an_order(http: int, value: Any) -> None:
    try:
        placed = parse.placed(decode_envelope(http, json.dumps(value).encode()))
    except GatewayError:
        return
    envelope = value[0] if isinstance(value, list) else value
    assert http in (200, 201)
    assert str(envelope["status"]).strip().lower() in ("true", "success")
    assert placed.broker_order_id


@given(st.dictionaries(st.sampled_from(["token", "symbol", "name", "expiry", "strike", "lotsize",
    "instrumenttype", "exch_seg", "tick_size"]), SCALARS | st.sampled_from(["NSE", "NFO", "EQ",
    "OPTIDX", "FUTSTK", "29Dec2026", "A-EQ", "ACE"])))  # fmt: skip
def test_any_master_row_is_an_instrument_or_none_or_a_value_error(row: dict[str, Any]) -> None:
    with suppress(ValueError):
        instrument(row)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.binary(max_size=50).map(lambda tail: b"[{" + tail))
def test_any_master_file_is_read_or_a_value_error(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "master.json"
    path.write_bytes(body)
    with pytest.raises(ValueError, match=r"master\.json"):
        list(read_master([path]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4000), st.binary(max_size=3), st.booleans())
def test_a_damaged_master_is_read_or_a_value_error(
    tmp_path: Path, at: int, replacement: bytes, cut: bool
) -> None:
    body = payload("get_instruments_OpenAPIScripMaster")
    at %= len(body)
    path = tmp_path / "master.json"
    path.write_bytes(body[:at] + replacement + (b"" if cut else body[at + len(replacement) :]))
    with suppress(ValueError):
        list(read_master([path]))
