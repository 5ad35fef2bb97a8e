"""Every row of HDFC's error table, driven through the judge of writes."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.hdfc import parse
from adapters.hdfc.errors import rows
from adapters.hdfc.reasons import DOUBTFUL_CODES
from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import BadAnswer, GatewayError, LoginExpired, ReasonCode, Refused
from tests.hdfc.support import answer_of

STATUSES = [row for row in rows() if row.broker_code.startswith("HTTP ")]
CODES = [row for row in rows() if row.broker_code and row not in STATUSES]
# In the order of the rows with words: dead session, throttled, doubtful, then the reasons.
TEXTS = (
    "Unauthorized",
    "Too many requests",
    "Something went wrong",
    "Request from IP 1.2.3.4 denied",
    "Only orders of limit type are taken",
    "RMS: Margin Exceeds",
    "Price is not a multiple of the tick",
    "Quantity freeze",
    "Invalid lot",
    "Circuit limit",
    "Market is closed",
    "TPIN is needed",
    "Scrip is in ban period",
    "`product` says nothing",
    "Segment disabled",
    "Instrument not found",
    "`type` is invalid",
    "RMS: no",
)


def judged(status: int = 200, **fields: Any) -> GatewayError:
    body = {"status": "error", **fields}
    with pytest.raises(GatewayError) as raised:
        parse.parse_placed(answer_of(body, status))
    return raised.value


def assert_unknown(error: GatewayError) -> None:
    if isinstance(error, LoginExpired):
        assert not error.created_nothing
    else:
        assert isinstance(error, BadAnswer)


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: row.broker_code)
def test_a_status_proves_what_its_row_says(row: ErrorRow) -> None:
    shown = row.broker_code.removeprefix("HTTP ")
    several = {"2xx": (200, 201), "5xx": (500, 502, 503, 504)}
    for status in several.get(shown) or (int(shown),):
        error = judged(status, message="no")
        assert row.reason is error.reason
        if row.on_write is OnWrite.REFUSED:
            assert isinstance(error, Refused)
            assert not error.repeatable
        else:
            assert_unknown(error)


def spread(row: ErrorRow) -> list[str]:
    low, _, high = row.broker_code.partition("-")
    numbers = range(int(low), int(high or low) + 1)
    listed = {row.broker_code for row in CODES}
    return [str(number) for number in numbers if high == "" or str(number) not in listed]


@pytest.mark.parametrize("row", CODES, ids=lambda row: row.broker_code)
def test_a_code_proves_what_its_row_says(row: ErrorRow) -> None:
    for code in spread(row)[:40]:
        error = judged(error_code=code, message="zzz")
        if row.on_write is OnWrite.SAYS_WHY:
            assert isinstance(error, Refused)
            assert row.reason is error.reason
            assert_unknown(judged(500, error_code=code, message="zzz"))
        else:
            assert_unknown(error)


@pytest.mark.parametrize(
    ("row", "words"), list(zip([row for row in rows() if row.words], TEXTS, strict=True))
)
def test_words_prove_what_their_row_says(row: ErrorRow, words: str) -> None:
    error = judged(message=words)

    assert row.reason is error.reason
    if row.on_write is OnWrite.SAYS_WHY:
        assert isinstance(error, Refused)
        assert_unknown(judged(500, message=words))
    else:
        assert_unknown(error)


@pytest.mark.parametrize("code", sorted(DOUBTFUL_CODES))
def test_a_doubtful_code_is_unknown_and_its_row_says_so(code: str) -> None:
    assert_unknown(judged(400, error_code=code, message="zzz"))
    (row,) = [row for row in CODES if code in spread(row)]
    assert row.on_write is OnWrite.UNKNOWN


@pytest.mark.parametrize("status", [301, 402, 406, 408, 409, 410, 418, 451])
def test_a_status_on_no_list_is_unknown(status: int) -> None:
    error = judged(status, message="no")
    assert isinstance(error, BadAnswer)
    assert ReasonCode.BROKER_UNAVAILABLE is error.reason
