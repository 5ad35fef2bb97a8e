from __future__ import annotations

import contextlib
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fyers.master import _objects, check_is_whole, read_master
from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType
from tests.fyers.payloads import FOLDER


def master(*names: str) -> dict[str, Instrument]:
    return {
        found.instrument: found
        for found in read_master(FOLDER / f"{name}_sym_master.json" for name in names)
    }


def test_share_has_no_series_in_its_symbol():
    share = master("NSE_CM")["NSE:SBIN"]

    assert (Exchange.NSE, "SBIN", InstrumentType.EQ) == (share.exchange, share.symbol, share.type)
    assert {"symbol": "NSE:SBIN-EQ"} == share.codes
    assert (1, Decimal("0.1"), "INE062A01020") == (share.lot_size, share.tick_size, share.isin)
    assert "STATE BANK OF INDIA" == share.name
    assert share.underlying is None


def test_symbol_with_a_hyphen_is_not_taken_for_a_series():
    assert {"symbol": "NSE:BAJAJ-AUTO-EQ"} == master("NSE_CM")["NSE:BAJAJ-AUTO"].codes


def test_other_series_keeps_its_name():
    assert {"symbol": "NSE:MODIRUBBER-BE"} == master("NSE_CM")["NSE:MODIRUBBER-BE"].codes


def test_index_carries_the_name_of_the_exchange():
    index = master("NSE_CM")["NSE:NIFTY 50"]

    assert (InstrumentType.INDEX, 1) == (index.type, index.lot_size)
    assert {"symbol": "NSE:NIFTY50-INDEX"} == index.codes
    assert InstrumentType.INDEX is master("BSE_CM")["BSE:SENSEX"].type


def test_bse_name_claimed_twice_stands_for_neither():
    found = master("BSE_CM")

    assert "BSE:SBIN" in found
    assert "BSE:TWIN" not in found
    assert {"symbol": "BSE:TWIN-B"} == found["BSE:TWIN-B"].codes
    assert {"symbol": "BSE:TWIN-F"} == found["BSE:TWIN-F"].codes


def test_future_and_option_are_named_by_their_terms():
    found = master("NSE_FO")

    future = found["NFO:NIFTY29SEP26FUT"]
    assert (InstrumentType.FUT, "NIFTY", date(2026, 9, 29)) == (
        future.type,
        future.underlying,
        future.expiry,
    )
    assert (65, 1801, Decimal("0.1")) == (future.lot_size, future.freeze_quantity, future.tick_size)
    option = found["NFO:NIFTY29SEP2629200CE"]
    assert (OptionType.CE, Decimal(29200), {"symbol": "NSE:NIFTY26SEP29200CE"}) == (
        option.option_type,
        option.strike,
        option.codes,
    )
    assert Decimal("1402.5") == found["NFO:RELIANCE29SEP261402.5PE"].strike


def test_commodity_lot_is_in_units_and_its_freeze_quantity_unknown():
    future = master("MCX_COM")["MCX:CRUDEOIL21SEP26FUT"]

    assert (100, None) == (future.lot_size, future.freeze_quantity)


def test_price_band_of_the_day_is_the_files():
    share, future = master("NSE_CM")["NSE:SBIN"], master("NSE_FO")["NFO:NIFTY29SEP26FUT"]

    assert (Decimal("719.2"), Decimal("879.0")) == (share.band_low, share.band_high)
    assert (None, None) == (future.band_low, future.band_high)


@pytest.mark.parametrize(
    ("change", "low", "high"),
    [
        ({"lowerPrice": 0.05, "upperPrice": "1200.5"}, Decimal("0.05"), Decimal("1200.5")),
        ({"lowerPrice": 0.0, "upperPrice": 99}, None, Decimal(99)),
        ({"lowerPrice": None, "upperPrice": -1}, None, None),
    ],
)
def test_price_that_is_no_band_is_none(
    tmp_path: Path, change: dict[str, object], low: Decimal | None, high: Decimal | None
):
    (found,) = read_master([_file(tmp_path, {"X": {**_ROW, **change}})])

    assert (low, high) == (found.band_low, found.band_high)


@pytest.mark.parametrize(
    ("freeze", "units"),
    [("1801", 1801), ("900.0", 900), (75, 75), ("", None), (None, None), ("0", None), ("-5", None)],
)
def test_freeze_quantity_is_read_where_there_is_one(
    tmp_path: Path, freeze: object, units: int | None
):
    (found,) = read_master([_file(tmp_path, {"X": {**_ROW, "qtyFreeze": freeze}})])

    assert units == found.freeze_quantity


def _file(folder: Path, rows: object, name: str = "NSE_FO_sym_master.json") -> Path:
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return path


_ROW = json.loads((FOLDER / "NSE_FO_sym_master.json").read_text())["NSE:NIFTY26SEP29200CE"]


@pytest.mark.parametrize(
    "change",
    [
        {"expiryDate": ""},
        {"minLotSize": 0},
        {"optType": "ZZ"},
        {"strikePrice": -1},
        {"underSym": ""},
        {"segment": 20},
        {"tickSize": 0},
        {"optType": ""},
        {"optType": "XX"},
    ],
)
def test_row_that_is_no_contract_is_passed_over(tmp_path: Path, change: dict[str, object]):
    path = _file(tmp_path, {"X": {**_ROW, **change}})

    assert [] == list(read_master([path]))


@pytest.mark.parametrize(
    "name", ["expiryDate", "underSym", "strikePrice", "optType", "minLotSize", "tickSize"]
)
def test_file_with_a_renamed_field_is_not_taken_for_a_small_one(tmp_path: Path, name: str):
    row = {**_ROW, "renamed": _ROW[name]}
    del row[name]
    path = _file(tmp_path, {f"X{number}": row for number in range(12)})

    with pytest.raises(ValueError, match=path.name):
        list(read_master([path]))


_ODD_ROWS = [
    {"minLotSize": None},
    {"tickSize": None},
    {"expiryDate": "soon"},
    {"minLotSize": 10**15},
    {"exchange": "NSE"},
]


@pytest.mark.parametrize("change", _ODD_ROWS)
def test_one_odd_row_does_not_cost_all_the_other_instruments(
    tmp_path: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
):
    rows = {f"X{number}": {**_ROW, "strikePrice": 100 + number} for number in range(12)}
    path = _file(tmp_path, {**rows, "ODD": {**_ROW, **change}})

    assert 12 == len(list(read_master([path])))
    assert "row 13" in caplog.text


@pytest.mark.parametrize("change", _ODD_ROWS)
def test_more_than_one_odd_row_in_a_hundred_is_a_file_of_another_shape(
    tmp_path: Path, change: dict[str, object]
):
    rows = {f"X{number}": {**_ROW, "strikePrice": 100 + number} for number in range(12)}
    odd = {f"ODD{number}": {**_ROW, **change} for number in range(2)}
    path = _file(tmp_path, {**rows, **odd})

    with pytest.raises(ValueError, match="row 13"):
        list(read_master([path]))


def test_odd_row_of_bse_does_not_hide_that_a_name_is_claimed_twice(tmp_path: Path):
    share = json.loads((FOLDER / "BSE_CM_sym_master.json").read_text())
    known = [row.instrument for row in read_master([FOLDER / "BSE_CM_sym_master.json"])]
    filler = {f"F{n}": {**next(iter(share.values())), "exSymbol": f"F{n}"} for n in range(12)}
    odd = {"ODD": {**next(iter(share.values())), "minLotSize": None}}
    path = _file(tmp_path, {**odd, **share, **filler}, "BSE_CM_sym_master.json")

    assert set(known) <= {row.instrument for row in read_master([path])}


@pytest.mark.parametrize("word", ["XX", "", None])
def test_future_may_come_without_an_option_type(tmp_path: Path, word: str | None):
    path = _file(tmp_path, {"X": {**_ROW, "exInstType": 11, "optType": word, "strikePrice": -1}})

    assert ["NFO:NIFTY29SEP26FUT"] == [row.instrument for row in read_master([path])]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"X":{}',
        '{"X":{"symTicker":"X"}}',
        '{"X":1}',
        '{"X":{}} trailing',
        "<html></html>",
        json.dumps({"X": _ROW})[:-2],
        json.dumps({"X": _ROW})[:-1] + json.dumps({"Y": _ROW})[1:],
        json.dumps({"X": {**_ROW, "expiryDate": "soon"}}),
        json.dumps({"X": {**_ROW, "minLotSize": "many"}}),
    ],
)
def test_file_of_another_shape_is_named_in_the_error(tmp_path: Path, text: str):
    path = _file(tmp_path, text)

    with pytest.raises(ValueError, match=r"NSE_FO_sym_master\.json"):
        list(read_master([path]))


def test_rows_before_the_fault_are_still_given_one_by_one(tmp_path: Path):
    path = _file(tmp_path, json.dumps({"X": _ROW})[:-1] + ',"Y":{"cut')
    rows = read_master([path])

    assert "NFO:NIFTY29SEP2629200CE" == next(rows).instrument
    with pytest.raises(ValueError, match="row 2"):
        next(rows)


@pytest.mark.parametrize("text", ["", "[]", '{"X":{"symTicker":"NSE', "<html></html>"])
def test_file_that_is_visibly_cut_or_no_object_is_named(tmp_path: Path, text: str):
    with pytest.raises(ValueError, match=r"NSE_FO_sym_master\.json"):
        check_is_whole(_file(tmp_path, text))


def test_whole_file_passes(tmp_path: Path):
    check_is_whole(_file(tmp_path, " {} \n"))
    for path in FOLDER.glob("*_sym_master.json"):
        check_is_whole(path)


_VALUE = st.recursive(
    st.none() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=5,
)
_DOCUMENT = st.dictionaries(
    st.text(max_size=8), st.dictionaries(st.text(max_size=6), _VALUE, max_size=4), max_size=6
)


@settings(deadline=None)
@given(_DOCUMENT, st.integers(1, 64), st.sampled_from([None, 1]))
def test_rows_are_cut_out_exactly_whatever_the_chunks(
    document: dict[str, dict[str, object]], chunk: int, indent: int | None
):
    data = json.dumps(document, indent=indent).encode()
    position = 0

    def read(_: int) -> bytes:
        nonlocal position
        position += chunk
        return data[position - chunk : position]

    assert list(document.values()) == [json.loads(row) for row in _objects(read, "file")]


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_are_rows_or_a_value_error(data: bytes):
    chunks = iter([data])
    with contextlib.suppress(ValueError):
        list(_objects(lambda _: next(chunks, b""), "file"))
