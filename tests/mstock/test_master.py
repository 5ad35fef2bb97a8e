from __future__ import annotations

import json
import logging
import tracemalloc
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.mstock.master import instrument, read_master
from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType
from tests.mstock.support import PAYLOADS, payload

SAMPLE = PAYLOADS / "get_instruments_OpenAPIScripMaster.json"


def read(path: Path) -> dict[str, Instrument]:
    found = list(read_master([path]))
    assert len(found) == len({row.instrument for row in found})
    return {row.instrument: row for row in found}


def row(**changes: Any) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(SAMPLE.read_bytes())[0]
    return sample | changes


def renamed(of: dict[str, Any], column: str) -> dict[str, Any]:
    return {f"{name}_new" if name == column else name: value for name, value in of.items()}


def test_the_sample_gives_its_contracts_and_the_indices() -> None:
    assert set(read(SAMPLE)) == {
        "NSE:RVNL",
        "NSE:ACC",
        "NSE:IDEA",
        "BSE:ACC",
        "BFO:SENSEX23OCT2582700CE",
        "NFO:NIFTY29DEC26FUT",
        "NFO:NIFTY29DEC2626000CE",
        "NFO:NIFTY01DEC2626000PE",
        "NSE:NIFTY 50",
        "NSE:NIFTY BANK",
        "NSE:NIFTY FIN SERVICE",
        "NSE:NIFTY MID SELECT",
        "NSE:NIFTY NEXT 50",
        "NSE:INDIA VIX",
        "BSE:SENSEX",
        "BSE:BANKEX",
    }


def test_a_share_keeps_the_name_that_orders_want() -> None:
    share = read(SAMPLE)["NSE:IDEA"]
    assert share.codes == {"exchange": "NSE", "token": "14366", "tradingsymbol": "IDEA-EQ"}
    assert share.tick_size == Decimal("0.01")
    assert share.lot_size == 1


def test_an_option_is_read_from_its_columns() -> None:
    assert read(SAMPLE)["NFO:NIFTY01DEC2626000PE"] == Instrument(
        instrument="NFO:NIFTY01DEC2626000PE",
        exchange=Exchange.NFO,
        symbol="NIFTY01DEC2626000PE",
        name="NIFTY01DEC2626000PE",
        type=InstrumentType.OPT,
        lot_size=65,
        tick_size=Decimal("0.05"),
        codes={"exchange": "NFO", "token": "54323", "tradingsymbol": "NIFTY26D0126000PE"},
        underlying="NIFTY",
        expiry=date(2026, 12, 1),
        strike=Decimal(26000),
        option_type=OptionType.PE,
    )


def test_the_index_that_the_master_lacks_can_be_quoted() -> None:
    index = read(SAMPLE)["NSE:NIFTY 50"]
    assert index.type is InstrumentType.INDEX
    assert index.codes["token"] == "26000"


@pytest.mark.parametrize(
    ("strike", "written"),
    [("26000.00", "26000"), ("126.50", "126.5"), ("0.25", "0.25"), ("2400", "2400")],
)
def test_strikes_lose_trailing_zeros_only(strike: str, written: str) -> None:
    found = instrument(
        row(
            symbol="ABC",
            name="ABC26DECCE",
            instrumenttype="OPTSTK",
            exch_seg="NFO",
            expiry="29Dec2026",
            strike=strike,
        )
    )
    assert found is not None
    assert found.symbol == f"ABC29DEC26{written}CE"


def test_another_series_keeps_its_suffix() -> None:
    found = [
        instrument(row(token="1", symbol="XYZ", name="XYZ-EQ")),
        instrument(row(token="2", symbol="XYZ", name="XYZ-BE")),
        instrument(row(token="3", symbol="BAJAJ-AUTO", name="BAJAJ-AUTO-EQ")),
    ]
    assert [one.instrument for one in found if one] == ["NSE:XYZ", "NSE:XYZ-BE", "NSE:BAJAJ-AUTO"]


@pytest.mark.parametrize(
    "changes",
    [
        {"instrumenttype": "FUTCUR", "symbol": "USDINR"},
        {"instrumenttype": "OPTFUT", "exch_seg": "MCX"},
        {"instrumenttype": "EQ", "exch_seg": "MCX"},
        {"token": "51", "exch_seg": "BSE", "instrumenttype": "EQ"},
    ],
)
def test_what_is_not_traded_here_is_left_out(changes: dict[str, str]) -> None:
    assert instrument(row(**changes)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"token": ""},
        {"token": "12a"},
        {"name": ""},
        {"name": "OTHER-EQ"},
        {"name": "RVNL"},
        {"lotsize": "0"},
        {"lotsize": "1.5"},
        {"tick_size": "0"},
        {"tick_size": "-0.05"},
        {"exch_seg": "NFO", "instrumenttype": "FUTSTK", "expiry": "2026-12-29"},
        {"exch_seg": "NFO", "instrumenttype": "FUTSTK", "expiry": ""},
        {"exch_seg": "NFO", "instrumenttype": "OPTSTK", "expiry": "29Dec2026", "name": "RVNL26DEC"},
    ],
)
def test_a_row_that_makes_no_sense_is_never_an_instrument(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        instrument(row(**changes))


def test_a_few_bad_rows_are_left_out_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "master.json"
    rows = json.loads(SAMPLE.read_bytes())
    path.write_text(json.dumps([row(lotsize="x"), *rows]))
    with caplog.at_level(logging.WARNING):
        assert set(read(path)) == set(read(SAMPLE))
    assert "left out 1 bad of 9 rows (row 1: RVNL-EQ" in caplog.text


def test_many_bad_rows_are_not_the_master(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    rows = json.loads(SAMPLE.read_bytes())
    path.write_text(json.dumps([*rows, *([row(lotsize="x")] * 30)]))
    with pytest.raises(ValueError, match=r"master\.json: 8 usable and 30 bad of 38 rows"):
        list(read_master([path]))


@pytest.mark.parametrize(
    "column",
    [
        "token",
        "symbol",
        "name",
        "expiry",
        "strike",
        "lotsize",
        "instrumenttype",
        "exch_seg",
        "tick_size",
    ],
)
def test_a_master_with_a_renamed_column_is_refused(tmp_path: Path, column: str) -> None:
    path = tmp_path / "master.json"
    rows = json.loads(SAMPLE.read_bytes()) * 20
    path.write_text(json.dumps([renamed(one, column) for one in rows]))
    with pytest.raises(ValueError, match=r"master\.json: \d+ usable and \d+ bad of 160 rows"):
        list(read_master([path]))


def test_new_columns_and_the_books_word_for_shares_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    rows = json.loads(SAMPLE.read_bytes())
    for one in rows:
        one["freeze"] = [1]
        if one["instrumenttype"] == "EQ":
            one["instrumenttype"] = "EQUITY"
    path.write_text(json.dumps(rows))
    assert read(path) == read(SAMPLE)


def test_a_master_that_was_cut_short_is_an_error_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    path.write_bytes(payload(SAMPLE.stem)[:-40])
    with pytest.raises(ValueError, match=r"master\.json after row 7"):
        list(read_master([path]))


def test_a_wrapped_master_and_a_csv_master_are_read_too(tmp_path: Path) -> None:
    rows = json.loads(SAMPLE.read_bytes())
    wrapped = tmp_path / "wrapped.json"
    wrapped.write_text(json.dumps({"status": "true", "data": rows}))
    table = tmp_path / "table.csv"
    lines = [",".join(rows[0]), *(",".join(one.values()) for one in rows)]
    table.write_text("\n".join(lines))
    assert read(wrapped) == read(SAMPLE)
    assert read(table) == read(SAMPLE)


@pytest.mark.parametrize("body", ["", "[]", "{}", "<html></html>", "a,b\n1,2\n", "[1]"])
def test_a_file_without_instruments_is_an_error(tmp_path: Path, body: str) -> None:
    path = tmp_path / "master.json"
    path.write_text(body)
    with pytest.raises(ValueError, match=r"master\.json"):
        list(read_master([path]))


def test_a_large_master_is_never_whole_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    with path.open("w") as file:
        file.write("[")
        file.write(
            ",".join(
                json.dumps(row(token=str(number), symbol=f"S{number}", name=f"S{number}-EQ"))
                for number in range(100_000, 110_000)
            )
        )
        file.write("]")
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_master([path]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_000 + 8
    assert peak < path.stat().st_size / 2
