from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.fyers.constants import IST
from adapters.fyers.parse_market import parse_candles, parse_depth
from adapters.sdk.errors import BadAnswer, LoginExpired, ReasonCode, Refused
from adapters.sdk.models import BrokerDepth, Candle, DepthLevel
from adapters.sdk.transport import HttpResponse
from tests.fyers.payloads import answer, answer_of, body, envelope_of

_READ_AT = datetime(2026, 11, 20, 10, 5, 7, tzinfo=IST)
_NINE = datetime(2026, 11, 20, 9, tzinfo=IST)
_TEN = datetime(2026, 11, 20, 10, tzinfo=IST)


def depth(response: HttpResponse) -> BrokerDepth | None:
    return parse_depth(envelope_of(response), "NSE:SBIN-EQ", "NSE:SBIN", _READ_AT)


def candles(
    response: HttpResponse, start: datetime = _NINE, end: datetime = _TEN, **kinds: bool
) -> list[Candle]:
    told = {"daily": False, "derivative": False, **kinds}
    return parse_candles(envelope_of(response), start, end, **told)


def with_depth(**fields: Any) -> HttpResponse:
    document = msgspec.json.decode(body("get_depth"))
    row = {**document["d"]["NSE:SBIN-EQ"], **fields}
    document["d"]["NSE:SBIN-EQ"] = {k: v for k, v in row.items() if v is not ...}
    return answer_of(msgspec.json.encode(document))


def with_candles(*rows: Any) -> HttpResponse:
    return answer_of(msgspec.json.encode({"s": "ok", "candles": rows}))


def test_depth_reads_both_sides_best_first_without_empty_levels():
    read = depth(answer("get_depth"))

    assert read is not None
    assert ("NSE:SBIN", _READ_AT, 4, 5) == (
        read.instrument,
        read.as_of,
        len(read.bids),
        len(read.asks),
    )
    assert DepthLevel(price=Decimal("800.45"), quantity=520, orders=3) == read.bids[0]
    assert DepthLevel(price=Decimal("800.5"), quantity=94, orders=2) == read.asks[0]


def test_depth_is_put_in_order():
    document = msgspec.json.decode(body("get_depth"))["d"]["NSE:SBIN-EQ"]
    mixed = depth(with_depth(bids=document["bids"][::-1], ask=document["ask"][::-1]))

    assert mixed == depth(answer("get_depth"))


def test_sell_side_may_have_either_name():
    asks = [{"price": "801", "volume": "4"}]

    read = depth(with_depth(ask=..., asks=asks))

    assert read is not None
    assert [DepthLevel(price=Decimal(801), quantity=4)] == list(read.asks)


@pytest.mark.parametrize("side", [[], None, ...])
def test_side_without_levels_is_empty(side: Any):
    read = depth(with_depth(bids=side, ask=side))

    assert read is not None
    assert ([], []) == (list(read.bids), list(read.asks))


@pytest.mark.parametrize(
    "text",
    [
        '{"s":"error","code":-300,"message":"Invalid symbol"}',
        '{"s":"ok","d":{},"message":""}',
        '{"s":"ok","d":null,"message":""}',
        '{"s":"ok","d":{"NSE:SBIN-EQ":null},"message":""}',
    ],
)
def test_symbol_without_depth_has_none(text: str):
    assert depth(answer_of(text)) is None


@pytest.mark.parametrize("level", [{"price": 1}, {"volume": 1}, "x", None, [], {"price": "x"}])
def test_level_that_cannot_be_read_spoils_the_depth(level: Any):
    with pytest.raises(BadAnswer):
        depth(with_depth(bids=[level]))


def test_candle_reads_every_field():
    first, *_, last = candles(answer("get_history"))

    assert first == Candle(
        at=datetime(2026, 11, 20, 9, 15, tzinfo=IST),
        open=Decimal("798.0"),
        high=Decimal("799.9"),
        low=Decimal("797.55"),
        close=Decimal("799.2"),
        volume=142964,
    )
    assert datetime(2026, 11, 20, 9, 25, tzinfo=IST) == last.at


def test_day_begins_at_its_midnight_in_india():
    start = datetime(2026, 11, 18, tzinfo=IST)
    answered = answer("get_history_daily_open_interest")

    days = candles(answered, start, start + timedelta(days=1), daily=True, derivative=True)

    assert [18, 19] == [candle.at.day for candle in days]
    assert {(0, 0)} == {(candle.at.hour, candle.at.minute) for candle in days}
    assert [11485900, 11502465] == [candle.open_interest for candle in days]
    assert [start] == [c.at for c in candles(answered, start, start, daily=True, derivative=True)]


def test_seventh_value_of_a_share_is_no_open_interest():
    row = [1795146300, 1, 2, 1, 2, 10, 77]

    assert candles(with_candles(row))[0].open_interest is None
    assert candles(with_candles(row), derivative=True)[0].open_interest == 77


def test_candles_come_oldest_first_once_and_within_the_range():
    rows = [[1795146300 + 300 * place, 1, 2, 1, 2, place] for place in (2, 0, 1, 1, 900, -90)]

    read = candles(with_candles(*rows))

    assert [15, 20, 25] == [candle.at.minute for candle in read]


@pytest.mark.parametrize("text", ['"1795146300"', "1795146300.0", '"1795146300.0"'])
def test_numbers_may_come_as_text(text: str):
    answered = answer_of(f'{{"s":"ok","candles":[[{text},"798","799.9","797.55","799.2","14"]]}}')

    (read,) = candles(answered)
    assert (15, Decimal("799.9"), 14) == (read.at.minute, read.high, read.volume)


def test_row_without_prices_is_passed_over_and_one_without_volume_is_not():
    read = candles(with_candles([1795146300, 0, 0, 0, 0, 0], [1795146600, 1, 2, 1, 2, None]))

    assert [None] == [candle.volume for candle in read]


@pytest.mark.parametrize(
    "text",
    [
        '{"s":"no_data","candles":[]}',
        '{"s":"no_data"}',
        '{"s":"NO_DATA","candles":null,"message":""}',
        '{"s":"ok","candles":[]}',
        '{"s":"ok","candles":null}',
        '{"s":"ok"}',
    ],
)
def test_no_candles_come_in_many_forms(text: str):
    assert [] == candles(answer_of(text))


@pytest.mark.parametrize(
    "row",
    [
        [],
        [1795146300],
        [None, 1, 2, 1, 2, 3],
        [1795146300, None, 2, 1, 2, 3],
        [0, 1, 2, 1, 2, 3],
        [-5, 1, 2, 1, 2, 3],
        ["NaN", 1, 2, 1, 2, 3],
        [10**30, 1, 2, 1, 2, 3],
        ["x", 1, 2, 1, 2, 3],
        {"t": 1},
        None,
    ],
)
def test_one_unreadable_candle_spoils_them_all(row: Any):
    with pytest.raises(BadAnswer):
        candles(with_candles([1795146300, 1, 2, 1, 2, 3], row))


@pytest.mark.parametrize("read", [depth, candles])
def test_request_that_fyers_does_not_take_is_refused(read: Any):
    with pytest.raises(Refused) as caught:
        read(answer_of('{"s":"error","code":-50,"message":"Invalid input"}', 400))

    assert ReasonCode.INVALID_ORDER is caught.value.reason


def test_candles_of_an_unknown_symbol_are_refused_and_not_empty():
    with pytest.raises(Refused) as caught:
        candles(answer_of('{"s":"error","code":-300,"message":"Invalid symbol"}', 400))

    assert ReasonCode.INSTRUMENT_UNKNOWN is caught.value.reason


@pytest.mark.parametrize("read", [depth, candles])
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"s":"no_data","candles":[]}', 503),
        ('{"s":"nodata"}', 200),
        ("<html>502</html>", 502),
        ('{"s":"error","code":429,"message":"request limit reached"}', 429),
        ('{"s":"ok","d":[],"candles":{}}', 200),
    ],
)
def test_answer_that_proves_nothing_is_no_answer(read: Any, text: str, status: int):
    with pytest.raises(BadAnswer):
        read(answer_of(text, status))


@pytest.mark.parametrize("read", [depth, candles])
def test_dead_token_is_said(read: Any):
    with pytest.raises(LoginExpired):
        read(answer_of('{"message":"Please provide valid token","code":-15,"s":"error"}', 200))
