"""Whatever arrives, parsers give a model or a GatewayError, and masters a ValueError."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.hdfc import parse, parse_login, parse_portfolio, parse_quotes
from adapters.hdfc.envelope import Answer, read_answer
from adapters.hdfc.master import HEADER, read_master
from adapters.sdk.errors import GatewayError
from adapters.sdk.models import Instrument
from tests.hdfc.support import PAYLOADS, payload

NOW = datetime(2026, 4, 30, tzinfo=UTC)
PARSERS: tuple[Callable[[Answer], Any], ...] = (
    parse.parse_placed,
    lambda answer: parse.parse_cancel(answer, "26042500000504"),
    parse.parse_order_book,
    lambda answer: parse.parse_single_order(answer, "26042500000504"),
    lambda answer: parse.parse_modified(answer, "26042500000504"),
    lambda answer: parse_portfolio.parse_trades(answer, []),
    parse_portfolio.parse_positions,
    parse_portfolio.parse_holdings,
    parse_portfolio.parse_funds,
    lambda answer: parse_quotes.parse_last_prices(answer, {"21840": ("NSE", "NSE:X")}, NOW),
    parse_login.parse_login_token,
    parse_login.parse_login_question,
    parse_login.parse_second_factor,
    parse_login.check_resend,
    parse_login.parse_authorised,
    parse_login.parse_access_token,
    parse_login.parse_profile,
)
JSON_FILES = sorted(path.name for path in PAYLOADS.glob("*.json"))
STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 405, 422, 429, 500, 502])
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "1,000.50", "NaN", "1e999999999", "-5", "success", "error", "\ud800"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def put_to_every_parser(status: int, body: bytes) -> None:
    answer = read_answer(status, body, ("a-secret-value",))
    for parser in PARSERS:
        try:
            parser(answer)
        except GatewayError as error:
            assert "a-secret-value" not in str(error)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*path, index))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any, *, drop: bool) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if drop and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], new, drop=drop)
    return copy


@given(status=STATUSES, body=st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes(status: int, body: bytes) -> None:
    put_to_every_parser(status, body)


@given(
    status=STATUSES,
    name=st.sampled_from(JSON_FILES),
    data=st.data(),
    odd=ODD,
    drop=st.booleans(),
)
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_payloads_with_one_member_changed(
    status: int, name: str, data: st.DataObject, odd: Any, drop: bool
) -> None:
    value = json.loads(payload(name))
    path = data.draw(st.sampled_from(paths(value)))
    put_to_every_parser(status, json.dumps(replaced(value, path, odd, drop=drop)).encode())


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


@given(status=STATUSES, name=st.sampled_from(JSON_FILES), data=st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_payloads_in_other_clothes(status: int, name: str, data: st.DataObject) -> None:
    value = json.loads(payload(name))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(paths(value)))
        old = value_at(value, path)
        new = data.draw(
            st.sampled_from(
                [[old], str(old), None, [], {}, [old, old], {"data": old}, f"{old},000", [None]]
            )
        )
        value = replaced(value, path, new, drop=False)
    put_to_every_parser(status, json.dumps(value).encode())


@given(word=st.text(max_size=30))
@settings(deadline=None)
def test_any_word_as_status_ends_no_order(word: str) -> None:
    body = {
        "status": "success",
        "data": [{"order_id": "1", "quantity": 5, "status": f"?{word}", "pending_quantity": 5}],
    }
    (row,) = parse.parse_order_book(read_answer(200, json.dumps(body).encode()))
    assert row.state is None


@given(name=st.sampled_from(JSON_FILES), data=st.data())
@settings(deadline=None, max_examples=200)
def test_payloads_cut_or_broken_in_a_byte(name: str, data: st.DataObject) -> None:
    body = bytearray(payload(name))
    place = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        del body[place:]
    else:
        body[place] = data.draw(st.integers(0, 255))
    put_to_every_parser(200, bytes(body))


@pytest.mark.parametrize("depth", [10, 100_000])
def test_deeply_nested_bodies(depth: int) -> None:
    put_to_every_parser(200, b'{"data":' * depth + b"1" + b"}" * depth)
    put_to_every_parser(200, b"[" * depth + b"]" * depth)


@given(token=st.text(max_size=60))
@settings(deadline=None)
def test_any_text_as_access_token(token: str) -> None:
    now = datetime.now(UTC)
    assert parse_login.read_token_claims(token, now).expires_at.tzinfo is not None


@given(rows=st.lists(st.text(max_size=60), max_size=4), has_header=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_as_master(tmp_path: Path, rows: list[str], has_header: bool) -> None:
    lines = [HEADER, *rows] if has_header else rows
    path = tmp_path / "master.csv"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    read_whole(path)


@given(data=st.data())
@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_master_with_one_cell_changed(tmp_path: Path, data: st.DataObject) -> None:
    lines = (PAYLOADS / "security_master.csv").read_text().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    cells = lines[number].split(",")
    cell = data.draw(st.integers(0, len(cells) - 1))
    cells[cell] = data.draw(
        st.one_of(st.text(max_size=12), st.sampled_from(["", "-1", "1e9", ".", "²", "0", "NaN"]))
    )
    lines[number] = ",".join(cells)
    path = tmp_path / "master.csv"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    read_whole(path)


def read_whole(path: Path) -> None:
    try:
        for row in read_master([path]):
            assert isinstance(row, Instrument)
    except ValueError as error:
        assert "master.csv" in str(error)
