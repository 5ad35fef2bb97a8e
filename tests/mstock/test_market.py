"""Quotes and candles: what is asked, and every form in which m.Stock may answer."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.mstock import market
from adapters.mstock.constants import IST
from adapters.mstock.envelope import Envelope, decode_envelope
from adapters.mstock.master import read_master
from adapters.sdk.errors import BadAnswer, LoginExpired, ReasonCode, Refused
from adapters.sdk.models import BrokerQuote, Candle, Interval
from tests.mstock.support import PAYLOADS, answer

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
MASTER = PAYLOADS / "get_instruments_OpenAPIScripMaster.json"
INSTRUMENTS = {row.instrument: row for row in read_master([MASTER])}
LONG_AGO = datetime(2000, 1, 1, tzinfo=IST)
LATER = datetime(2050, 1, 1, tzinfo=IST)


def ist(day: int, hour: int = 0, minute: int = 0, *, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=IST)


def quote(raw: bytes) -> Any:
    share = INSTRUMENTS["NSE:IDEA"]
    return market.quotes(decode_envelope(200, raw), [share], NOW).get("NSE:IDEA")


def fetched(row: str) -> bytes:
    return b'{"status":"true","data":{"fetched":[' + row.encode() + b'],"unfetched":[]}}'


def test_a_quote_is_read_by_its_digits() -> None:
    got = quote(
        fetched('{"exchange":"NSE","symbolToken":"14366","ltp":6.15,"open":6.1,"close":6.05}')
    )
    assert (got.last_price, got.open, got.close) == (
        Decimal("6.15"),
        Decimal("6.1"),
        Decimal("6.05"),
    )
    assert got.high is None
    assert got.as_of == NOW


@pytest.mark.parametrize(
    "row",
    [
        '{"exchange":"BSE","symbolToken":"14366","ltp":6.15}',
        '{"exchange":"NSE","symbolToken":"3045","ltp":6.15}',
        '{"exchange":"NSE","symbolToken":"14366","ltp":0}',
        '{"exchange":"NSE","symbolToken":"14366","ltp":-1}',
        '{"exchange":"NSE","symbolToken":"14366","ltp":null}',
        "null",
    ],
)
def test_what_is_no_price_of_the_instrument_is_missing(row: str) -> None:
    assert quote(fetched(row)) is None


@pytest.mark.parametrize(
    "raw", [b'{"status":"true","data":null}', b'{"status":"true","data":{"fetched":null}}']
)
def test_quotes_of_another_shape_are_a_bad_answer(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        quote(raw)


def test_a_dead_session_has_no_quotes() -> None:
    with pytest.raises(LoginExpired):
        market.quotes(answer("ia401_http401"), [], NOW)


def test_quotes_are_asked_for_by_segment_in_batches() -> None:
    names = ("NSE:IDEA", "BSE:ACC", "NSE:ACC")
    asked = [INSTRUMENTS[name] for name in names]
    assert [market.tokens(call) for call in market.quote_requests(asked, 2)] == [
        {"NSE": ["14366"], "BSE": ["500410"]},
        {"NSE": ["22"]},
    ]


def test_a_call_of_which_nothing_is_known_has_no_quotes() -> None:
    unfetched = answer("post_instruments_quote_unfetched")
    assert market.quotes(unfetched, [INSTRUMENTS["NSE:IDEA"]], NOW) == {}


@pytest.mark.parametrize("ltp", ['"6.15"', "6.15", '" 6.15 "'])
def test_a_price_as_text_is_a_price(ltp: str) -> None:
    row = f'{{"exchange":"nse","symbolToken":14366,"ltp":{ltp},"open":"None","high":null}}'
    assert quote(fetched(row)) == BrokerQuote(
        instrument="NSE:IDEA", last_price=Decimal("6.15"), as_of=NOW
    )


@pytest.mark.parametrize(
    ("name", "is_ours"), [("NIFTY26DEC26000CE", True), ("ACC-EQ", False), ("", False)]
)
def test_a_derivative_under_its_cash_exchange_needs_its_own_name(name: str, is_ours: bool) -> None:
    option = INSTRUMENTS["NFO:NIFTY29DEC2626000CE"]
    row = {
        "exchange": "NSE",
        "symbolToken": option.codes["token"],
        "tradingSymbol": name,
        "ltp": 101.5,
    }
    got = market.quotes(decode_envelope(200, fetched(json.dumps(row))), [option], NOW)
    assert (option.instrument in got) == is_ours


@pytest.mark.parametrize("code", ["IA400", "400", "IA404"])
def test_a_refused_question_is_refused_and_no_sign_of_bad_health(code: str) -> None:
    raw = json.dumps({"status": "False", "message": "Invalid token.", "errorcode": code})
    with pytest.raises(Refused) as caught:
        market.quotes(decode_envelope(400, raw.encode()), [], NOW)
    assert caught.value.reason is ReasonCode.INSTRUMENT_UNKNOWN


def candles(*rows: Any, interval: Interval = Interval.M5) -> list[Candle]:
    raw = json.dumps({"status": "true", "data": {"candles": list(rows)}}).encode()
    return market.candles(decode_envelope(200, raw), interval, LONG_AGO, LATER)


def test_a_historical_candle_is_read_by_its_digits() -> None:
    first, second = market.candles(
        answer("post_instruments_historical"), Interval.M5, LONG_AGO, LATER
    )
    assert first == Candle(
        at=ist(19, 9, 15),
        open=Decimal(3790),
        high=Decimal(3832),
        low=Decimal("3773.35"),
        close=Decimal(3803),
        volume=825219,
    )
    assert second.at == ist(19, 9, 20)


def test_intraday_candles_come_newest_first_and_are_turned_round() -> None:
    got = market.candles(answer("post_instruments_intraday"), Interval.M5, LONG_AGO, LATER)
    assert [one.at for one in got] == [ist(23, 9, 15), ist(23, 9, 20), ist(23, 9, 25)]


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-19T09:15:00+05",
        "2026-11-19T09:15:00+05:30",
        "2026-11-19T09:15:00+0530",
        "2026-11-19T09:15:00.000+05",
        "2026-11-19T09:15:00",
        "2026-11-19 09:15:00",
        "2026-11-19 09:15",
        " 2026-11-19  09: 15 ",
    ],
)
def test_every_form_of_a_candles_time_is_indias_clock(written: str) -> None:
    (got,) = candles([written, 1, 2, 1, 2, 10])
    assert got.at == ist(19, 9, 15)


@pytest.mark.parametrize(
    "written", ["2026-11-19T09:15:00+05", "2026-11-19 00:00", "2026-11-19", "2026-11-19T00:00:00"]
)
def test_a_days_candle_begins_at_its_midnight(written: str) -> None:
    (got,) = candles([written, 1, 2, 1, 2, 10], interval=Interval.D1)
    assert got.at == ist(19)


def test_hours_keep_the_labels_of_the_broker() -> None:
    mock = answer("post_instruments_historical_hours_mock")
    got = market.candles(mock, Interval.H1, LONG_AGO, LATER)
    assert [f"{one.at:%H:%M}" for one in got] == ["09:45", "10:45", "15:15"]


def test_numbers_as_text_and_a_volume_that_is_none_are_read() -> None:
    (got,) = candles(["2026-11-19 09:15", "1.50", "2", "1.25", "2", "None"])
    assert (got.open, got.low, got.volume) == (Decimal("1.50"), Decimal("1.25"), None)
    (bare,) = candles(["2026-11-19 09:15", 1, 2, 1, 2])
    assert bare.volume is None


def test_only_candles_that_begin_in_the_range_are_kept() -> None:
    got = market.candles(
        answer("post_instruments_intraday"), Interval.M5, ist(23, 9, 20), ist(23, 9, 20)
    )
    assert [one.at for one in got] == [ist(23, 9, 20)]


def test_a_candle_in_which_nothing_traded_is_left_out() -> None:
    assert candles(["2026-11-19 09:15", 0, 0, 0, 0, 0]) == []
    assert candles(["2026-11-19 09:15", None, None, None, None, None]) == []


@pytest.mark.parametrize("data", ['{"candles":null}', '{"candles":[]}', "null", '"None"', "[]"])
def test_an_answer_without_candles_is_empty(data: str) -> None:
    raw = f'{{"status":"true","data":{data}}}'.encode()
    assert market.candles(decode_envelope(200, raw), Interval.M1, LONG_AGO, LATER) == []


@pytest.mark.parametrize(
    "row",
    [
        [],
        "2026-11-19 09:15",
        ["2026-11-19 09:15", 1, 2, 1],
        ["2026-11-19", 1, 2, 1, 2, 10],
        ["19-11-2026 09:15", 1, 2, 1, 2, 10],
        ["2026-11-19T09:15:00Z", 1, 2, 1, 2, 10],
        ["2026-11-19T09:15:00+00:00", 1, 2, 1, 2, 10],
        ["2026-11-31 09:15", 1, 2, 1, 2, 10],
        [1763523900, 1, 2, 1, 2, 10],
        ["2026-11-19 09:15", 1, 2, 0, 2, 10],
        ["2026-11-19 09:15", 1, 2, -1, 2, 10],
        ["2026-11-19 09:15", 1, None, 1, 2, 10],
        ["2026-11-19 09:15", 1, "NaN", 1, 2, 10],
        None,
    ],
)
def test_a_row_that_cannot_be_read_makes_the_whole_read_bad(row: Any) -> None:
    with pytest.raises(BadAnswer):
        candles(["2026-11-19 09:20", 1, 2, 1, 2, 10], row)


@pytest.mark.parametrize("raw", [b'{"status":"true"}', b'{"status":"true","data":{"rows":[]}}'])
def test_candles_of_another_shape_are_a_bad_answer(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        market.candles(decode_envelope(200, raw), Interval.M1, LONG_AGO, LATER)


def test_an_instrument_without_candles_is_refused_by_its_reason() -> None:
    refusal = answer("post_instruments_historical_bad_token_http400")
    with pytest.raises(Refused) as caught:
        market.candles(refusal, Interval.M1, LONG_AGO, LATER)
    assert caught.value.reason is ReasonCode.INSTRUMENT_UNKNOWN


def failing(http: int, code: str) -> Envelope:
    raw = json.dumps({"status": "false", "message": "something went wrong", "errorcode": code})
    return decode_envelope(http, raw.encode())


@pytest.mark.parametrize(("http", "code"), [(500, "IA500"), (200, "MA500"), (500, "IA400")])
def test_a_failing_route_has_not_been_read(http: int, code: str) -> None:
    with pytest.raises(BadAnswer):
        market.candles(failing(http, code), Interval.M1, LONG_AGO, LATER)


def test_candles_of_earlier_days_are_asked_for_as_the_docs_show_it() -> None:
    share = INSTRUMENTS["NSE:ACC"]
    assert market.historical_request(share, Interval.M5, ist(19, 9, 15), ist(20, 15, 29)) == {
        "exchange": "NSE",
        "symboltoken": "22",
        "interval": "FIVE_MINUTE",
        "fromdate": "2026-11-19 09:15",
        "todate": "2026-11-20 15:30",
    }


def test_the_range_of_a_request_never_reaches_into_the_next_day() -> None:
    body = market.historical_request(
        INSTRUMENTS["NSE:ACC"], Interval.M1, ist(19), ist(20, 23, 59).replace(second=59)
    )
    assert body["todate"] == "2026-11-20 23:59"


def test_days_are_asked_for_whole() -> None:
    body = market.historical_request(INSTRUMENTS["NSE:ACC"], Interval.D1, ist(19), ist(20))
    assert (body["fromdate"], body["todate"]) == ("2026-11-19 00:00", "2026-11-20 23:59")


def test_todays_candles_are_asked_for_by_the_routes_own_numbers() -> None:
    numbers = {
        name: market.intraday_request(INSTRUMENTS[name], Interval.M1)["exchange"]
        for name in ("NSE:ACC", "BSE:ACC", "NFO:NIFTY29DEC26FUT")
    }
    assert numbers == {"NSE:ACC": "1", "BSE:ACC": "4", "NFO:NIFTY29DEC26FUT": "2"}


def test_a_day_is_what_its_parts_make_of_it() -> None:
    parts = market.candles(answer("post_instruments_intraday"), Interval.M5, LONG_AGO, LATER)
    assert market.day_of(parts) == [
        Candle(
            at=ist(23),
            open=Decimal("568.75"),
            high=Decimal("572.6"),
            low=Decimal("568.5"),
            close=Decimal("572.4"),
            volume=81570,
        )
    ]
    unknown = msgspec.structs.replace(parts[0], volume=None)
    assert market.day_of([unknown, *parts[1:]])[0].volume is None
    assert market.day_of([]) == []
