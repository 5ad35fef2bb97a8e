"""Every row of m.Stock's error table, driven through the judge of writes."""

from __future__ import annotations

import json

import pytest

from adapters.mstock.envelope import ANSWER_STATUSES, VALIDATION, decode_envelope, write_error
from adapters.mstock.errors import rows
from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import BadAnswer, GatewayError, LoginExpired, ReasonCode, Refused

CODED = [row for row in rows() if row.broker_code and not row.broker_code.startswith("HTTP ")]
STATUSES = [row for row in rows() if row.broker_code.startswith("HTTP ")]
BY_WORDS = [row for row in rows() if not row.broker_code]
# In the order of the rows with words: the two of IA403, then the reasons.
FORBIDDEN = (
    "Primary and Secondary IP Address are not matching with current IP address.",
    "API is suspended/expired for use",
)
TEXTS = (
    "RMS:1181250130106:NSE,EQUITY,SBIN,FUND LIMIT INSUFFICIENT",
    "quantity freeze",
    "EXCH:16308:The order has been canceled due to price freeze.",
    "not a multiple of tick size",
    "not a multiple of the lot size",
    "market is closed",
    "Invalid product. valid product types allowed are DELIVERY",
    "Invalid ordertype",
    "Invalid symboltoken",
    "eDIS is required",
)


def judged(code: str, message: str = "no", http: int = 200) -> GatewayError:
    if code == VALIDATION:
        body = {"status": http, "title": "no", "errors": {"price": [message]}}
    else:
        body = {"status": False, "message": message, "errorcode": code, "data": None}
    return write_error(decode_envelope(http, json.dumps(body).encode()))


def examples(row: ErrorRow) -> list[str]:
    """Codes of the row, a family by several of it."""
    if row.broker_code.endswith("*"):
        return [row.broker_code.replace("*", tail) for tail in ("500", "0034", "0111", "X")]
    return [row.broker_code]


def assert_as_the_row_says(error: GatewayError, row: ErrorRow) -> None:
    assert row.reason is error.reason
    if row.on_write is OnWrite.REFUSED:
        assert isinstance(error, Refused)
        assert not error.repeatable
    elif row.on_write is OnWrite.REPEATABLE:
        assert isinstance(error, LoginExpired)
        assert error.created_nothing
    elif isinstance(error, LoginExpired):
        assert not error.created_nothing
    else:
        assert isinstance(error, BadAnswer)


@pytest.mark.parametrize(
    "row", [row for row in CODED if not row.words], ids=lambda row: row.broker_code
)
def test_a_code_proves_what_its_row_says(row: ErrorRow) -> None:
    for code in examples(row):
        for http in (400,) if code == VALIDATION else sorted(ANSWER_STATUSES):
            assert_as_the_row_says(judged(code, http=http), row)


@pytest.mark.parametrize(
    ("row", "words"), list(zip([row for row in CODED if row.words], FORBIDDEN, strict=True))
)
def test_the_two_meanings_of_a_forbidden_call(row: ErrorRow, words: str) -> None:
    assert_as_the_row_says(judged(row.broker_code, words), row)
    assert isinstance(judged(row.broker_code, "something else"), BadAnswer)


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: row.broker_code)
def test_a_status_proves_what_its_row_says(row: ErrorRow) -> None:
    shown = row.broker_code.removeprefix("HTTP ")
    for http in (500, 502, 503, 504) if shown == "5xx" else (int(shown),):
        assert_as_the_row_says(judged("", http=http), row)


@pytest.mark.parametrize(("row", "words"), list(zip(BY_WORDS, TEXTS, strict=True)))
def test_words_say_why_and_prove_nothing(row: ErrorRow, words: str) -> None:
    assert row.on_write is OnWrite.SAYS_WHY
    for code in ("RS-0111", "IA400"):
        refused = judged(code, words)
        assert isinstance(refused, Refused)
        assert row.reason is refused.reason

    assert isinstance(judged("MA999", words), BadAnswer)


@pytest.mark.parametrize("code", ["", "IA402", "IA500", "MA500", "XX1", "0", "RS"])
def test_a_code_on_no_list_is_unknown(code: str) -> None:
    assert isinstance(judged(code), BadAnswer)


@pytest.mark.parametrize("row", CODED, ids=lambda row: f"{row.broker_code}-{row.reason}")
def test_no_code_counts_under_a_5xx(row: ErrorRow) -> None:
    for code in examples(row):
        if code != VALIDATION:
            error = judged(code, FORBIDDEN[0], http=500)
            assert isinstance(error, BadAnswer)
            assert ReasonCode.RATE_LIMITED is not error.reason
