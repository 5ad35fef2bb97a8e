"""The security master: the documents' rows, and every rule of dossier 9."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.hdfc.master import HEADER, check_file, read_master, tick_size
from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType
from tests.hdfc.support import PAYLOADS


def master(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "master.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def read(path: Path) -> dict[str, Instrument]:
    found = list(read_master([path]))
    by_id = {instrument.instrument: instrument for instrument in found}
    assert len(by_id) == len(found)
    return by_id


def test_rows_of_the_documents() -> None:
    found = read(PAYLOADS / "security_master.csv")
    assert set(found) == {
        "BSE:863IIFCL28",
        "NSE:BEPL",
        "NFO:NIFTYNXT5027OCT26FUT",
        "NFO:CIPLA27OCT26FUT",
        "NFO:BANKNIFTY29SEP2671000PE",
        "NFO:BHARTIARTL29SEP261720CE",
        "CDS:EURINR28OCT26FUT",
        "CDS:GBPINR07AUG26126.25PE",
        "MCX:GOLD04JUN27FUT",
        "MCX:SILVERM23APR27244000CE",
        "NSE:SBIN",
        "NSE:NIFTY 50",
        "BFO:SENSEX27AUG2680000CE",
    }
    assert found["NFO:BANKNIFTY29SEP2671000PE"] == Instrument(
        instrument="NFO:BANKNIFTY29SEP2671000PE",
        exchange=Exchange.NFO,
        symbol="BANKNIFTY29SEP2671000PE",
        name="BANKNIFTY29SEP2671000PE",
        type=InstrumentType.OPT,
        lot_size=30,
        tick_size=Decimal("0.05"),
        codes={
            "exchange": "NSE",
            "security_id": "70528",
            "instrument_segment": "OPTIDX",
            "token": "70528",
            "underlying_symbol": "BANKNIFTEQNR",
        },
        underlying="BANKNIFTY",
        expiry=date(2026, 9, 29),
        strike=Decimal("71000"),
        option_type=OptionType.PE,
    )
    future = found["NFO:CIPLA27OCT26FUT"]
    assert (future.type, future.strike, future.tick_size) == (
        InstrumentType.FUT,
        None,
        Decimal("0.10"),
    )
    assert found["NSE:NIFTY 50"].type is InstrumentType.INDEX
    assert found["NSE:SBIN"].codes["security_id"] == "STABANEQNR"


@pytest.mark.parametrize(
    ("written", "rupees"),
    [("5", "0.05"), ("10", "0.10"), ("100", "1"), ("1", "0.01"), (".0025", "0.0025")],
)
def test_integer_ticks_are_paise_and_decimal_ticks_are_rupees(written: str, rupees: str) -> None:
    assert tick_size(written) == Decimal(rupees)


def test_a_share_wins_its_name_over_bonds_of_the_same_issuer(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "NSE,SBIBONDNNR,EQUITY,,,,1,1,0,900001,SBIN,,0",
            "NSE,STABANKXEQNR,EQUITY,,,,1,5,0,900002,SBIN,,0",
            "NSE,STABANEQNR,EQUITY,,,,1,5,0,3045,SBIN,,0",
            "NSE,SBINPLAIN,EQUITY,,,,1,5,0,900003,SBIN,,0",
        )
    )
    assert found["NSE:SBIN"].codes["security_id"] == "STABANEQNR"
    assert found["NSE:SBIBONDNNR"].codes["token"] == "900001"
    assert set(found) == {"NSE:SBIN", "NSE:SBIBONDNNR", "NSE:STABANKXEQNR", "NSE:SBINPLAIN"}


def test_trade_to_trade_share_wins_over_plain_code_and_bond(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "BSE,ABCPLAIN,EQUITY,,,,1,5,0,500001,ABC,,0",
            "BSE,ABCDEFEQTT,EQUITY,,,,1,5,0,500002,ABC,,0",
            "BSE,ABCBONDNR,EQUITY,,,,1,5,0,500003,ABC,,0",
        )
    )
    assert found["BSE:ABC"].codes["security_id"] == "ABCDEFEQTT"


def test_equal_claims_to_a_name_leave_it_to_nobody(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "NSE,AAAAAAEQNR,EQUITY,,,,1,5,0,1,TWIN,,0",
            "NSE,BBBBBBEQNR,EQUITY,,,,1,5,0,2,TWIN,,0",
        )
    )
    assert set(found) == {"NSE:AAAAAAEQNR", "NSE:BBBBBBEQNR"}


def test_a_loser_whose_code_is_another_rows_name_is_left_out(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "NSE,WINNEREQNR,EQUITY,,,,1,5,0,1,NAME,,0",
            "NSE,OTHER,EQUITY,,,,1,5,0,2,NAME,,0",
            "NSE,XOTHERXEQNR,EQUITY,,,,1,5,0,3,OTHER,,0",
        )
    )
    assert found["NSE:OTHER"].codes["token"] == "3"
    assert len(found) == 2


def test_two_rows_of_one_derivative_id_are_both_left_out(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "NSE,1,OPTIDX,2026-09-29,100,CE,30,5,0,1,X,XEQ,0",
            "NSE,2,OPTIDX,2026-09-29,100.00,CE,15,5,0,2,X,XEQ,0",
            "NSE,3,OPTIDX,2026-09-29,100,PE,30,5,0,3,X,XEQ,0",
        )
    )
    assert set(found) == {"NFO:X29SEP26100PE"}


def test_blank_bse_name_is_borrowed_from_nse_or_is_the_code(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "BSE,LENDEREQNR,EQUITY,,,,1,5,0,500001,,,0",
            "BSE,LONELYEQNR,EQUITY,,,,1,5,0,500002,,,0",
            "NSE,LENDEREQNR,EQUITY,,,,1,5,0,11,LENT,,0",
        )
    )
    assert set(found) == {"BSE:LENT", "BSE:LONELYEQNR", "NSE:LENT"}


def test_index_bands_are_bounded_on_both_sides(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "NSE,BELOWBEQNR,EQUITY,,,,1,5,0,25996,BELOW,,0",
            "NSE,BANKNIFTEQNR,EQUITY,,,,1,5,0,26009,BANKNIFTY,,0",
            "NSE,CNX100EQ,EQUITY,,,,1,5,0,26012,,,0",
            "NSE,ABOVEAEQNR,EQUITY,,,,1,5,0,27008,ABOVE,,0",
            "BSE,SENSEXEQ,EQUITY,,,,1,0,0,51,SENSEX,,0",
            "BSE,SHAREAEQNR,EQUITY,,,,1,5,0,1000,SHARE,,0",
        )
    )
    indices = {name for name, row in found.items() if row.type is InstrumentType.INDEX}
    assert indices == {"NSE:NIFTY BANK", "NSE:CNX100EQ", "BSE:SENSEX"}
    assert len(found) == 6


def test_rows_that_cannot_be_traded_are_left_out(tmp_path: Path) -> None:
    found = read(
        master(
            tmp_path,
            "NSE,FUNDONE,EQUITY,,,,1,5,0,DUMMY17,FUND,,0",
            "NSE,FUNDTWO,EQUITY,,,,999999999,5,0,77,FUND2,,0",
            "NSE,NOTICK,EQUITY,,,,1,0,0,78,NOTICK,,0",
            "MCX,GOLDCOM,COM,,,,1,5,0,79,GOLD,,0",
            "NSE,USD,UNDCUR,,,,1,5,0,80,USDINR,,0",
            "NSE,REALONEQNR,EQUITY,,,,1,5,0,81,REAL,,0",
        )
    )
    assert set(found) == {"NSE:REAL"}


@pytest.mark.parametrize(
    "row",
    [
        "NSE,X,EQUITY,,,,1,5,0,81,REAL,",
        "NSE,X,EQUITY,,,,1,5,0,81,REAL,,0,extra",
        "NSE,X,EQUITY,,,,one,5,0,81,REAL,,0",
        "NSE,X,EQUITY,,,,1,five,0,81,REAL,,0",
        "NSE,X,EQUITY,,,,1,5,0,eighty,REAL,,0",
        "NSE,1,OPTIDX,29-09-2026,100,CE,30,5,0,1,X,XEQ,0",
        "NSE,1,OPTIDX,2026-09-29,much,CE,30,5,0,1,X,XEQ,0",
        "NSE,1,OPTIDX,2026-09-29,100,XX,30,5,0,1,X,XEQ,0",
        "NSE,1,FUTIDX,2026-09-29,0,XX,30,5,0,1,,XEQ,0",
    ],
)
def test_a_row_that_is_not_as_described_names_file_and_row(tmp_path: Path, row: str) -> None:
    path = master(tmp_path, "NSE,REALONEQNR,EQUITY,,,,1,5,0,81,REAL,,0", row)
    with pytest.raises(ValueError, match=r"master\.csv row 3"):
        list(read_master([path]))


def test_another_header_is_refused(tmp_path: Path) -> None:
    path = master(tmp_path, header=HEADER.replace("lot_size,tick_size", "tick_size,lot_size"))
    with pytest.raises(ValueError, match=r"master\.csv row 1: unexpected header"):
        list(read_master([path]))
    with pytest.raises(ValueError, match="unexpected header"):
        check_file(path)


def test_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows"):
        check_file(master(tmp_path))
