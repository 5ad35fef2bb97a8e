"""Every row of Fyers' error table, driven through the parser of placed orders."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.fyers import parse
from adapters.fyers.constants import AMBIGUOUS_CODES, MESSAGE_REASONS, REFUSALS
from adapters.fyers.errors import rows
from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import BadAnswer, GatewayError, LoginExpired, ReasonCode, Refused
from tests.fyers.payloads import answer_of, envelope_of

CODES = [row for row in rows() if row.broker_code.lstrip("-").isdigit()]
STATUSES = [row for row in rows() if row.broker_code.startswith("HTTP ")]
# Texts of the dossier's tables, in the order of the rows with words.
TEXTS = (
    "RED:Margin Shortfall:INR 5 Available:INR 1 for C-XX1 [FYERS_RISK_CUG]",
    "RED:RULE:{Allowed Basket} in Basket NSE.MIS.NSE_MIS_BASKET",
    "RED:MIS Orders are disallowed after system square off",
    "RED:RULE:{Check circuit limit}Current:1 LowerCircuit:2 UpperCircuit:3",
    "RED:Freeze qty Set:1800 Current:1875",
    "StopLoss not a multiple of tick size 0.0500",
    "Quantity is not a multiple of lot size",
    "ORA:AMO is stopped",
    "eDIS authorisation is needed",
    "Algo orders need a static IP",
    "EXCH:16416:Invalid Counter Broker Id",
    "SAF:order is not open to cancel",
)


def judged(status: int = 200, **fields: Any) -> GatewayError:
    body = json.dumps({"s": "error", **fields})
    with pytest.raises(GatewayError) as raised:
        parse.parse_placed(envelope_of(answer_of(body, status)))
    return raised.value


def assert_unknown(error: GatewayError, row: ErrorRow) -> None:
    if isinstance(error, LoginExpired):
        assert not error.created_nothing
    else:
        assert isinstance(error, BadAnswer)
    assert row.reason is error.reason


@pytest.mark.parametrize("row", CODES, ids=lambda row: row.broker_code)
def test_a_code_proves_what_its_row_says(row: ErrorRow) -> None:
    error = judged(code=int(row.broker_code), message="no")

    if row.on_write is OnWrite.REFUSED:
        assert isinstance(error, Refused)
        assert not error.repeatable
        assert row.reason is error.reason
        assert row.broker_code == error.broker_code
    else:
        assert_unknown(error, row)


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: row.broker_code)
def test_a_status_proves_what_its_row_says(row: ErrorRow) -> None:
    shown = row.broker_code.removeprefix("HTTP ")
    for status in (500, 502, 503, 504) if shown == "5xx" else (int(shown),):
        error = judged(status, code=-1, message="no")
        if row.on_write is OnWrite.REFUSED:
            assert isinstance(error, Refused)
            assert row.reason is error.reason
        else:
            assert_unknown(error, row)


@pytest.mark.parametrize(
    ("row", "words"), list(zip([row for row in rows() if row.words], TEXTS, strict=True))
)
def test_words_say_why_and_only_those_about_the_address_refuse(row: ErrorRow, words: str) -> None:
    refused = judged(code=-99, message=words)
    assert isinstance(refused, Refused)
    assert row.reason is refused.reason

    alone = judged(code=-7777, message=words)
    assert isinstance(alone, Refused if row.on_write is OnWrite.REFUSED else BadAnswer)


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_no_refusal_counts_under_a_5xx(code: int) -> None:
    assert isinstance(judged(500, code=code, message="no"), BadAnswer)


@pytest.mark.parametrize("code", [-1, -2, -98, -100, -400, 0, 7, None])
def test_a_code_on_no_list_is_unknown(code: int | None) -> None:
    assert isinstance(judged(code=code, message="no"), BadAnswer)


def test_every_entry_of_the_parsers_tables_has_a_row() -> None:
    refused = {row.broker_code for row in CODES if row.on_write is OnWrite.REFUSED}
    unknown = {row.broker_code for row in CODES if row.on_write is OnWrite.UNKNOWN}

    assert {str(code) for code in REFUSALS} == refused
    assert {str(code) for code in AMBIGUOUS_CODES} <= unknown
    assert len(MESSAGE_REASONS) == len([row for row in rows() if row.words])
    assert not [row for row in rows() if row.on_write is OnWrite.REPEATABLE]
    assert ReasonCode.RATE_LIMITED not in {
        row.reason for row in rows() if row.on_write is OnWrite.REFUSED
    }
