"""Whatever comes, every parser gives an answer or raises the error that the caller expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fyers import parse
from adapters.fyers.constants import IST
from adapters.fyers.envelope import Envelope
from adapters.fyers.login import auth_code, session_end
from adapters.fyers.master import check_is_whole, read_master
from adapters.fyers.parse_account import parse_positions, parse_trade_book
from adapters.fyers.parse_market import parse_candles, parse_depth
from adapters.fyers.parse_portfolio import parse_funds, parse_holdings, parse_margin
from adapters.fyers.parse_quotes import parse_quotes
from adapters.sdk.errors import BadAnswer, GatewayError
from adapters.sdk.transport import HttpResponse
from tests.fyers.payloads import FOLDER, body, envelope_of

_NAMES = {"NSE:SBIN-EQ": "NSE:SBIN", "NSE:NIFTY50-INDEX": "NSE:NIFTY 50"}
_AT = datetime(2026, 11, 22, 10, 30, tzinfo=IST)
_START = _AT - timedelta(days=30)

Parser = Callable[[Envelope], object]


def _told(field: str, value: str) -> None:
    assert isinstance(value, str)


_PARSERS: dict[str, Parser] = {
    "placed": parse.parse_placed,
    "cancel": lambda envelope: parse.parse_cancel_requested(envelope, "1"),
    "modify": lambda envelope: parse.parse_modified(envelope, "1"),
    "book": lambda envelope: parse.parse_order_book(envelope, _told),
    "client code": parse.parse_client_code,
    "token": parse.parse_access_token,
    "trades": lambda envelope: parse_trade_book(envelope, _told),
    "positions": lambda envelope: parse_positions(envelope, _told),
    "holdings": parse_holdings,
    "funds": parse_funds,
    "margin": lambda envelope: parse_margin(envelope, 2),
    "quotes": lambda envelope: parse_quotes(envelope, _NAMES, _AT),
    "depth": lambda envelope: parse_depth(envelope, "NSE:SBIN-EQ", "NSE:SBIN", _AT),
    "candles": lambda envelope: parse_candles(envelope, _START, _AT, daily=False, derivative=True),
    "days": lambda envelope: parse_candles(envelope, _START, _AT, daily=True, derivative=False),
}
_WHOLE_OR_ERROR = ("book", "trades", "positions", "holdings", "funds", "margin")


def _every_parser(response: HttpResponse) -> None:
    """Run all parsers on one answer; whatever they raise must be ours."""
    for parser in _PARSERS.values():
        try:
            parser(envelope_of(response))
        except GatewayError as error:
            str(error)


_STATUS = st.sampled_from([200, 400, 401, 403, 429, 500, 502])
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["10", "1.5", "-3", "1e400", "NaN", "Infinity", "no_data", "", 10**40]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
_PAYLOADS = sorted(
    path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith("_sym_master")
)
_MASTERS = sorted(path.name for path in FOLDER.glob("*_sym_master.json"))


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Walk every place of a document: what holds it, and under which key or number."""
    keys = document.keys() if isinstance(document, dict) else range(len(document))
    for key in list(keys):
        yield document, key
        if isinstance(document[key], (dict, list)):
            yield from _places(document[key])


def _mutate(data: st.DataObject, document: Any) -> None:
    """Change one place as bad days do: another value, missing, in an array, as text, null."""
    holder, key = data.draw(st.sampled_from(list(_places(document))))
    match data.draw(st.sampled_from(["value", "gone", "wrapped", "text", "null", "more"])):
        case "value":
            holder[key] = data.draw(_JSON)
        case "gone":
            del holder[key]
        case "wrapped":
            holder[key] = [holder[key]]
        case "text":
            holder[key] = str(holder[key])
        case "null":
            holder[key] = None
        case _ if isinstance(holder, dict):
            holder[data.draw(st.text(max_size=8))] = data.draw(_JSON)
        case _:
            holder.append(data.draw(_JSON))


@settings(deadline=None)
@given(st.binary(max_size=200), _STATUS)
def test_any_bytes_parse_or_raise_our_error(data: bytes, status: int):
    _every_parser(HttpResponse(status, {}, data))


@settings(deadline=None, max_examples=400)
@given(st.data(), st.sampled_from(_PAYLOADS), _STATUS)
def test_any_mutated_payload_parses_or_raises_our_error(
    data: st.DataObject, name: str, status: int
):
    document = msgspec.json.decode(body(name))
    for _ in range(data.draw(st.integers(1, 3))):
        if document:
            _mutate(data, document)

    _every_parser(HttpResponse(status, {}, msgspec.json.encode(document)))


@settings(deadline=None)
@given(st.sampled_from(_PAYLOADS), st.integers(0, 3000), st.binary(max_size=4))
def test_any_cut_payload_parses_or_raises_our_error(name: str, at: int, tail: bytes):
    _every_parser(HttpResponse(200, {}, body(name)[:at] + tail))


@settings(deadline=None)
@given(_JSON, st.sampled_from(["candles", "d", "data", "fund_limit", "holdings", "orderBook"]))
def test_any_value_in_place_of_the_rows_parses_or_raises_our_error(value: Any, rows: str):
    _every_parser(HttpResponse(200, {}, msgspec.json.encode({"s": "ok", "code": 200, rows: value})))


def test_deeply_nested_answer_raises_our_error():
    for text in (
        b'{"s":' + b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"s":"ok","d":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"s":"ok","candles":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ):
        _every_parser(HttpResponse(200, {}, text))


@pytest.mark.parametrize("name", _WHOLE_OR_ERROR)
@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
        "",
        "null",
        "[]",
        '[{"s":"ok","code":200}]',
        '{"s":"error","code":-96,"message":"unexpected error"}',
        '{"s":"ok","code":201,"message":"no acknowledgement"}',
        '{"s":"ok","code":200,"orderBook":{},"tradeBook":{},"netPositions":{},"holdings":{}}',
        '{"s":"ok","code":200,"orderBook":[[]],"tradeBook":[[]],"netPositions":[[]],"holdings":[[]]}',
        '{"s":"ok","code":200,"orderBook":[null],"tradeBook":[null],"netPositions":[null],'
        '"holdings":[null],"fund_limit":[null],"data":[null]}',
        '{"s":"ok","code":200,"orderBook":"","tradeBook":"","netPositions":"","holdings":""}',
    ],
)
def test_what_is_no_answer_is_never_taken_for_an_empty_one(name: str, text: str):
    with pytest.raises(BadAnswer):
        _PARSERS[name](envelope_of(HttpResponse(200, {}, text.encode())))


def _read_master(path: Path) -> None:
    try:
        check_is_whole(path)
        for instrument in read_master([path]):
            assert instrument.codes["symbol"]
    except ValueError as error:
        assert path.name in str(error)


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from(_MASTERS))
def test_any_mutated_master_is_read_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
):
    document = msgspec.json.decode((FOLDER / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        if document:
            _mutate(data, document)
    path = tmp_path_factory.mktemp("master") / name
    path.write_bytes(msgspec.json.encode(document))

    _read_master(path)


@settings(deadline=None)
@given(st.sampled_from(_MASTERS), st.integers(0, 3000), st.binary(max_size=4))
def test_any_cut_master_is_read_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: int, tail: bytes
):
    path = tmp_path_factory.mktemp("master") / name
    path.write_bytes((FOLDER / name).read_bytes()[:at] + tail)

    _read_master(path)


@settings(deadline=None)
@given(st.text(max_size=80), st.text(max_size=20))
def test_any_redirect_is_read_or_refused(url: str, state: str):
    try:
        assert auth_code(url, state)
    except GatewayError as error:
        str(error)


@settings(deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,60}\.[\w-]{0,20}"))
def test_any_token_ends_by_six_in_the_morning(token: str):
    now = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)

    assert now < session_end(token, now) <= datetime(2026, 11, 21, 6, tzinfo=IST)
